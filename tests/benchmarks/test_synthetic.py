"""Made-up worlds: as large as asked for, and with a signal that is worth following."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.scale import exponent, prepare, to_markdown
from benchmarks.synthetic import (
    EDGES_PER_ITEM,
    INTERACTIONS_PER_ITEM,
    ONE_NEW_IN,
    SCHEMA,
    Synthetic,
    make_synthetic,
)
from kgrec.baselines import GraphNeighbourVote, Popularity
from kgrec.evaluation import evaluate
from kgrec.graph import KnowledgeGraph
from kgrec.sources import read_tables

ITEMS = 2_000


@pytest.fixture(scope="module")
def world() -> Synthetic:
    return make_synthetic(ITEMS)


@pytest.fixture(scope="module")
def graph(world: Synthetic) -> KnowledgeGraph:
    return KnowledgeGraph.from_tables(SCHEMA, world.tables)


def test_as_large_as_was_asked_for(world: Synthetic, graph: KnowledgeGraph) -> None:
    assert len(graph.items) == ITEMS
    edges = sum(map(len, graph.edges.values()))
    assert EDGES_PER_ITEM * ITEMS * 0.8 < edges <= EDGES_PER_ITEM * ITEMS
    drawn = world.tables.interactions.num_rows + world.held_out.num_rows
    assert drawn == INTERACTIONS_PER_ITEM * ITEMS


def test_new_items_are_cold_and_wanted(world: Synthetic, graph: KnowledgeGraph) -> None:
    cold = set(np.array(graph.items.ids.to_pylist())[graph.is_cold])
    assert len(cold) == ITEMS // ONE_NEW_IN
    assert set(world.held_out["item"].to_pylist()) == cold


def test_the_graph_tells_who_will_like_a_new_item(world: Synthetic, graph: KnowledgeGraph) -> None:
    test = world.held_out.to_pandas().iloc[::20]
    recalls = [
        evaluate(ranker.fit(graph, seed=0), test, candidates="cold", k=[20]).mean("recall", 20)
        for ranker in (GraphNeighbourVote(), Popularity())
    ]
    assert recalls[0] > 2 * recalls[1]


def test_a_seed_gives_one_world(world: Synthetic) -> None:
    again, other = make_synthetic(ITEMS), make_synthetic(ITEMS, seed=1)
    assert again.tables.relations.equals(world.tables.relations)
    assert again.tables.interactions.equals(world.tables.interactions)
    assert not other.tables.interactions.equals(world.tables.interactions)


def test_tables_are_written_once(tmp_path: Path, graph: KnowledgeGraph) -> None:
    folder = prepare(ITEMS, tmp_path)
    assert read_tables(folder, SCHEMA) == graph
    before = (folder / "entities.parquet").stat().st_mtime_ns
    assert prepare(ITEMS, tmp_path) == folder
    assert (folder / "entities.parquet").stat().st_mtime_ns == before


def test_the_exponent_of_growth() -> None:
    runs = [
        {
            "items": items,
            "edges": 1,
            "interactions": 1,
            "threads": 2,
            "cold_items": 1,
            "cold_recall": 0.5,
            "stages": {"load": {"seconds": 1.0, "cpu_seconds": seconds, "peak_mb": 2048}},
        }
        for items, seconds in ((10, 1.0), (1_000, 100.0))
    ]
    assert exponent(runs[0], runs[1], "load") == pytest.approx(1.0)
    table = to_markdown({"10": runs[0], "1000": runs[1]})
    assert "| load | 1.00 | 100.00 | 1.00 |" in table
    assert "| peak memory, GB | 2.0 | 2.0 |" in table
