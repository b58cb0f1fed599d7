"""Adjacency of a small graph whose every edge is known."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.model.neighbours import (
    Neighbourhood,
    Surroundings,
    edge_matrix,
    item_neighbours,
    item_relations,
    joined_neighbours,
    node_keys,
)
from kgrec.schema import GraphSchema, NodeSchema, RelationSchema

from tests.films import film_graph

GENRE = ("film", "has_genre", "genre")
SEQUEL = ("film", "sequel_of", "film")


def deep_graph() -> KnowledgeGraph:
    """Make films of people who were born in countries and taught at a school."""
    schema = GraphSchema(
        name="deep",
        user="fan",
        item="film",
        interaction="saw",
        nodes={
            "fan": NodeSchema(text=False),
            "film": NodeSchema(),
            "person": NodeSchema(),
            "country": NodeSchema(),
            "school": NodeSchema(),
        },
        relations={
            "directed": RelationSchema(head="person", tail="film"),
            "wrote": RelationSchema(head="person", tail="film"),
            "born_in": RelationSchema(head="person", tail="country"),
            "near": RelationSchema(head="country", tail="country"),
            "taught": RelationSchema(head="school", tail="person"),
        },
    )
    types = {
        "a": "film",
        "b": "film",
        "p": "person",
        "q": "person",
        "x": "country",
        "y": "country",
        "s": "school",
    }
    edges = [
        ("p", "directed", "a", 2.0),
        ("q", "directed", "b", None),
        ("p", "wrote", "b", None),
        ("p", "wrote", "a", None),
        ("p", "born_in", "x", 3.0),
        ("q", "born_in", "y", None),
        ("x", "near", "y", None),
        ("s", "taught", "q", 5.0),
    ]
    names = ("head", "relation", "tail", "weight")
    return KnowledgeGraph.from_tables(
        schema,
        GraphTables(
            pa.table({"id": list(types), "type": list(types.values())}),
            pa.table(dict(zip(names, zip(*edges, strict=True), strict=True))),
            pa.table({"user": ["u"], "item": ["a"]}),
        ),
    )


def as_edges(near: Neighbourhood) -> dict[tuple[int, str], float]:
    entries = near.adjacency.tocoo()
    return {
        (int(row), near.keys[int(column)].as_py()): float(value)
        for row, column, value in zip(entries.row, entries.col, entries.data, strict=True)
    }


def test_relations_that_touch_items() -> None:
    assert item_relations(film_graph()) == [GENRE, SEQUEL]
    assert [relation for _, relation, _ in item_relations(deep_graph())] == ["directed", "wrote"]


def test_neighbours_of_another_type() -> None:
    kind, adjacency = item_neighbours(film_graph(), GENRE)
    assert kind == "genre"
    assert adjacency.toarray().tolist() == [[0, 1], [0, 1], [1, 0]]  # noir, scifi


def test_neighbours_at_the_head_of_an_edge() -> None:
    kind, adjacency = item_neighbours(deep_graph(), ("person", "directed", "film"))
    assert kind == "person"
    assert adjacency.toarray().tolist() == [[2, 0], [0, 1]]


def test_items_joined_with_items_share_a_neighbour() -> None:
    kind, adjacency = item_neighbours(film_graph(), SEQUEL)
    assert kind == "film"
    assert adjacency.toarray().tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_relations_side_by_side() -> None:
    near = joined_neighbours(film_graph(), [GENRE, SEQUEL])
    assert near.node_types == ("genre", "film")
    assert near.keys.to_pylist() == [
        "genre/noir",
        "genre/scifi",
        "film/alien",
        "film/aliens",
        "film/heat",
    ]
    assert near.adjacency.shape == (3, 5)
    deep = joined_neighbours(deep_graph(), item_relations(deep_graph()))
    assert as_edges(deep) == {(0, "person/p"): 2, (1, "person/p"): 1, (1, "person/q"): 1}


def test_two_edges_away() -> None:
    assert as_edges(Surroundings(deep_graph()).far()) == {
        (0, "country/x"): 6,
        (1, "country/x"): 3,
        (1, "country/y"): 1,
        (1, "school/s"): 5,
    }
    assert Surroundings(film_graph()).far().adjacency.shape == (3, 0)


def test_no_relations() -> None:
    near = joined_neighbours(film_graph(), [])
    assert near.adjacency.shape == (3, 0)
    assert near.node_types == ()
    assert len(near.keys) == 0


def test_one_relation_as_a_matrix() -> None:
    assert edge_matrix(deep_graph(), ("person", "born_in", "country")).toarray().tolist() == [
        [3, 0],
        [0, 1],
    ]
    assert edge_matrix(film_graph(), SEQUEL).dtype == np.float32
    assert node_keys(film_graph(), "person").to_pylist() == ["person/ada", "person/bob"]


def one_way_graph(messages: Literal["both", "forward", "backward"]) -> KnowledgeGraph:
    """Make a sequel, a genre and a genre above it, with messages that travel one way."""
    schema = GraphSchema(
        name="one way",
        user="fan",
        item="film",
        interaction="saw",
        nodes={"fan": NodeSchema(text=False), "film": NodeSchema(), "genre": NodeSchema()},
        relations={
            "sequel_of": RelationSchema(head="film", tail="film", messages=messages),
            "has_genre": RelationSchema(head="film", tail="genre", messages=messages),
        },
    )
    tables = GraphTables(
        entities=pa.table({"id": ["a", "b", "g"], "type": ["film", "film", "genre"]}),
        relations=pa.table(
            {
                "head": ["b", "a"],
                "relation": ["sequel_of", "has_genre"],
                "tail": ["a", "g"],
            }
        ),
        interactions=pa.table({"user": ["u"], "item": ["a"]}),
    )
    return KnowledgeGraph.from_tables(schema, tables)


def test_messages_travel_both_ways() -> None:
    graph = one_way_graph("both")
    assert item_relations(graph) == [SEQUEL, GENRE]
    assert item_neighbours(graph, SEQUEL)[1].toarray().tolist() == [[1, 1], [1, 1]]


def test_messages_travel_from_tail_to_head() -> None:
    graph = one_way_graph("backward")
    assert item_relations(graph) == [SEQUEL, GENRE]
    assert item_neighbours(graph, SEQUEL)[1].toarray().tolist() == [[1, 0], [1, 1]]


def test_messages_travel_from_head_to_tail() -> None:
    graph = one_way_graph("forward")
    assert item_relations(graph) == [SEQUEL]
    assert item_neighbours(graph, SEQUEL)[1].toarray().tolist() == [[1, 1], [0, 1]]


def test_what_several_ask_for_is_put_together_once() -> None:
    graph = film_graph()
    around = Surroundings(graph)
    first = around.joined(around.relations)
    assert around.joined(around.relations) is first
    alone = joined_neighbours(graph, around.relations)
    np.testing.assert_array_equal(first.adjacency.toarray(), alone.adjacency.toarray())
    assert first.keys.equals(alone.keys)
