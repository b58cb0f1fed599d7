"""What differs between two graphs, and rows that are merged once."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
from hypothesis import given, settings
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.syncing import diff_graphs, merge_tables
from kgrec.syncing.diff import Counts

from tests.films import SCHEMA, film_graph, film_tables
from tests.test_graph import graph_tables


def built(tables: GraphTables) -> KnowledgeGraph:
    return KnowledgeGraph.from_tables(SCHEMA, tables)


def more(**rows: dict[str, list[object]]) -> GraphTables:
    empty = {name: getattr(film_tables(), name).slice(0, 0) for name in
             ("entities", "relations", "interactions")}  # fmt: skip
    return GraphTables(**empty | {name: pa.table(row) for name, row in rows.items()})


def test_nothing_differs() -> None:
    diff = diff_graphs(film_graph(), film_graph())
    assert not diff
    assert diff.texts == 0
    assert diff.to_dict()["nodes"] == {}


def test_counts() -> None:
    new = merge_tables(
        film_tables(),
        more(
            entities={
                "id": ["jaws", "heat"],
                "type": ["film"] * 2,
                "text": ["A shark", "A heist!"],
            },
            relations={"head": ["jaws"], "relation": ["has_genre"], "tail": ["noir"]},
            interactions={"user": ["cid", "bob"], "item": ["jaws", "heat"], "time": [40, 30]},
        ),
    )
    forward = diff_graphs(film_graph(), built(new))
    assert forward.nodes["film"] == Counts(1, 0, 1)
    assert forward.nodes["person"] == Counts(1, 0)
    assert not forward.nodes["genre"]
    assert forward.relations == {"has_genre": Counts(1, 0), "sequel_of": Counts(0, 0)}
    assert forward.interactions == Counts(1, 0)  # that of bob is there already
    assert forward.texts == 2
    backward = diff_graphs(built(new), film_graph())
    assert backward.nodes["film"] == Counts(0, 1, 1)
    assert backward.interactions == Counts(0, 1)
    assert backward.removed_items == 0.25


def test_weights_and_times_count() -> None:
    tables = film_tables()
    weighted = replace(
        tables,
        relations=tables.relations.append_column("weight", pa.array([1.0, 1, 2, 1], pa.float32())),
        interactions=tables.interactions.set_column(2, "time", pa.array([21, 10, 30])),
    )
    diff = diff_graphs(film_graph(), built(weighted))
    assert diff.relations["has_genre"] == Counts(0, 0, 1)
    assert diff.interactions == Counts(1, 1)


def test_weights_that_one_side_alone_has() -> None:
    rated = more(interactions={"user": ["cid"], "item": ["heat"], "weight": [4.0], "time": [40]})
    for old, new in ((film_tables(), rated), (rated, film_tables())):
        rows = merge_tables(old, new).interactions.to_pylist()
        assert {row["user"]: row["weight"] for row in rows} == {"ada": 1.0, "bob": 1.0, "cid": 4.0}


@given(graph_tables(), graph_tables())
@settings(max_examples=40, deadline=None)
def test_a_graph_differs_from_another_or_equals_it(one: GraphTables, other: GraphTables) -> None:
    left, right = built(one), built(other)
    diff = diff_graphs(left, right)
    sizes = {name: len(right.nodes[name]) - len(table) for name, table in left.nodes.items()}
    assert {name: c.added - c.removed for name, c in diff.nodes.items()} == sizes
    counts = diff.interactions
    assert counts.added - counts.removed == len(right.interactions) - len(left.interactions)
    assert not diff_graphs(left, left)
    if left == right:
        assert not diff


@given(graph_tables())
@settings(max_examples=20, deadline=None)
def test_merging_twice_is_merging_once(tables: GraphTables) -> None:
    graph = built(tables)
    once = built(merge_tables(film_tables(), graph.to_tables()))
    assert built(merge_tables(once.to_tables(), graph.to_tables())) == once
