"""Neighbourhoods: what is around an item, and what each part of it gives to its vector."""

from __future__ import annotations

import pyarrow as pa
import pytest
from kgrec import GraphTables, KnowledgeGraph, Recommender, UnknownIdError
from kgrec.explain import FAR, NEIGHBOURS
from kgrec.explore import neighbourhood, signal

from tests.evaluation.worlds import make_graph
from tests.live_world import SCHEMA, live_graph

HUB_EDGES = 100_000


def test_edges_carry_what_their_neighbours_give(fitted: Recommender) -> None:
    around = neighbourhood(fitted, "film39", limit=1_000)
    frame = signal(fitted, "film39")
    expected = frame[frame["channel"].isin([NEIGHBOURS, FAR])]["share"].sum()
    shares = [share for _, _, share in around.edges(data="share")]
    assert sum(shares) == pytest.approx(expected, abs=1e-9)
    assert any(share > 0 for share in shares)
    assert around.nodes["film", "film39"]["score"] == pytest.approx(1.0, abs=1e-5)
    assert around.nodes["film", "film39"]["cold"]


def test_a_graph_alone_gives_the_rare_neighbours_first() -> None:
    films = {f"film{i}": ["drama", "noir"] if i < 2 else ["drama"] for i in range(9)}
    graph = make_graph(dict.fromkeys(films, "a film"), [("ada", "film5")], films)
    around = neighbourhood(graph, "film0", limit=4)
    hops = dict(around.nodes(data="hop"))
    assert hops["film", "film0"] == 0
    assert hops["genre", "noir"] == hops["genre", "drama"] == 1
    assert len(hops) == 4
    assert neighbourhood(graph, "film0", hops=1, limit=2).nodes.keys() == {
        ("film", "film0"),
        ("genre", "noir"),
    }
    assert list(neighbourhood(graph, "film0", hops=0)) == [("film", "film0")]


@pytest.mark.parametrize(("hops", "limit"), [(-1, 5), (2, 0)])
def test_refuses_what_is_no_neighbourhood(hops: int, limit: int) -> None:
    with pytest.raises(ValueError, match="ask for 1 or more"):
        neighbourhood(live_graph(), "film00", hops, limit)


def test_names_an_unknown_item() -> None:
    with pytest.raises(UnknownIdError, match="nosuch"):
        neighbourhood(live_graph(), "nosuch")


def test_the_neighbourhood_of_a_hub_is_bounded() -> None:
    films = [f"film{i}" for i in range(HUB_EDGES)]
    entities = pa.table({"id": ["hub", *films], "type": ["film"] * (HUB_EDGES + 1)})
    relations = pa.table({"head": films, "relation": ["follows"] * HUB_EDGES})
    relations = relations.append_column("tail", pa.array(["hub"] * HUB_EDGES))
    nothing = pa.table({name: pa.array([], pa.string()) for name in ("user", "item")})
    graph = KnowledgeGraph.from_tables(SCHEMA, GraphTables(entities, relations, nothing))
    around = neighbourhood(graph, "hub", hops=1, limit=50)
    assert around.number_of_nodes() == 50
    assert around.in_degree(("film", "hub")) == 49
