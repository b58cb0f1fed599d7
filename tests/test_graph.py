"""The graph: known answers, properties, and what each fault is answered with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kgrec.errors import SourceError, UnknownIdError
from kgrec.graph import GraphTables, KnowledgeGraph, conform, join_rows, with_column_types

from tests.films import SCHEMA, film_graph, film_tables

IDS = st.sampled_from(["1", "2", "a", "b", "ä", "NA", " "])
WEIGHTS = st.one_of(st.none(), st.floats(-4, 4, width=32))
TIMES = st.integers(0, 3)


def column_table(names: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [() for _ in names]
    types = {"weight": pa.float32(), "time": pa.int64(), "features": pa.list_(pa.float32())}
    return pa.table(
        {n: pa.array(c, types.get(n, pa.string())) for n, c in zip(names, columns, strict=True)}
    )


@st.composite
def graph_tables(draw: st.DrawFn) -> GraphTables:
    films = draw(st.lists(IDS, min_size=1, unique=True))
    genres = draw(st.lists(IDS, unique=True))
    vectors = st.one_of(st.none(), st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=2))
    texts = st.one_of(st.none(), st.text("ab \n", max_size=3))
    entities = [(i, kind, draw(texts), draw(vectors)) for kind, ids in
                (("film", films), ("genre", genres)) for i in ids]  # fmt: skip
    film = st.sampled_from(films)
    edge = st.tuples(film, st.just("sequel_of"), film, WEIGHTS)
    if genres:
        edge |= st.tuples(film, st.just("has_genre"), st.sampled_from(genres), WEIGHTS)
    strength = st.floats(-4, 4, width=32) if draw(st.booleans()) else st.none()
    log = draw(st.lists(st.tuples(IDS, film, strength, TIMES), max_size=8))
    return GraphTables(
        column_table(("id", "type", "text", "features"), entities),
        column_table(("head", "relation", "tail", "weight"), draw(st.lists(edge, max_size=8))),
        column_table(("user", "item", "weight", "time"), log),
    )


def shuffled(table: pa.Table, seed: int) -> pa.Table:
    return table.take(pa.array(np.random.default_rng(seed).permutation(len(table))))


@given(graph_tables(), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_order_of_rows_does_not_matter(tables: GraphTables, seed: int) -> None:
    other = GraphTables(
        shuffled(tables.entities, seed),
        shuffled(tables.relations, seed),
        shuffled(tables.interactions, seed),
    )
    assert KnowledgeGraph.from_tables(SCHEMA, tables) == KnowledgeGraph.from_tables(SCHEMA, other)


@given(graph_tables())
@settings(max_examples=60, deadline=None)
def test_tables_round_trip(tables: GraphTables) -> None:
    graph = KnowledgeGraph.from_tables(SCHEMA, tables)
    assert KnowledgeGraph.from_tables(SCHEMA, graph.to_tables()) == graph


@given(graph_tables())
@settings(max_examples=60, deadline=None)
def test_edges_are_sorted_distinct_and_inside(tables: GraphTables) -> None:
    graph = KnowledgeGraph.from_tables(SCHEMA, tables)
    for (head, _, tail), edges in graph.edges.items():
        pairs = [tuple(pair) for pair in edges.edge_index.T.tolist()]
        assert pairs == sorted(set(pairs))
        assert edges.edge_index.dtype == np.int64
        assert all(h < len(graph.nodes[head]) and t < len(graph.nodes[tail]) for h, t in pairs)


def test_known_graph() -> None:
    graph = film_graph()
    assert graph.users.ids.to_pylist() == ["ada", "bob"]  # bob comes from the interactions
    assert graph.items.ids.to_pylist() == ["alien", "aliens", "heat"]
    assert graph.cold_items.to_pylist() == ["aliens"]
    assert graph.is_cold.tolist() == [False, True, False]
    assert graph.edges["film", "has_genre", "genre"].edge_index.tolist() == [[0, 1, 2], [1, 1, 0]]
    assert graph.edges["film", "sequel_of", "film"].edge_index.tolist() == [[1], [0]]
    assert graph.interactions.user.tolist() == [0, 1, 1]
    assert graph.interactions.item.tolist() == [0, 0, 2]
    assert graph.interactions.time is not None
    assert graph.interactions.time.tolist() == [20, 10, 30]
    assert graph.interaction_matrix().toarray().tolist() == [[1, 0, 0], [1, 0, 1]]
    assert "2 users, 3 items (1 cold)" in repr(graph)


def test_a_notebook_shows_types_and_counts() -> None:
    shown = "".join(film_graph()._repr_html_().split())
    assert "2users,3items(1cold)" in shown
    assert "<td>film</td><td>3</td>" in shown
    assert "<td>film</td><td>sequel_of</td><td>film</td><td>1</td>" in shown


def test_summary_counts() -> None:
    summary = film_graph().summary()
    assert list(dict.fromkeys(summary["kind"])) == ["node", "relation", "interaction"]
    counts = summary.set_index("name")["count"].to_dict()
    assert counts["film"] == 3
    assert counts["film -has_genre-> genre"] == 3
    assert counts["watched"] == 3


def weighted_log() -> KnowledgeGraph:
    """Make three films, of which the last is nobody's, and a log that repeats itself."""
    log = [("ada", "1", 2.0, 5), ("ada", "1", 3.0, 6), ("bob", "2", 0.5, 7), ("bob", "1", 1.0, 4)]
    return KnowledgeGraph.from_tables(
        SCHEMA,
        GraphTables(
            pa.table({"id": ["1", "2", "3"], "type": ["film"] * 3}),
            column_table(("head", "relation", "tail"), [("1", "sequel_of", "2")]),
            column_table(("user", "item", "weight", "time"), log),
        ),
    )


def test_weights_of_interactions_stay_with_their_rows() -> None:
    log = weighted_log().interactions
    assert log.weight is not None
    assert log.time is not None
    rows = zip(
        log.user.tolist(), log.item.tolist(), log.weight.tolist(), log.time.tolist(), strict=True
    )
    assert sorted(rows) == [(0, 0, 2.0, 5), (0, 0, 3.0, 6), (1, 0, 1.0, 4), (1, 1, 0.5, 7)]
    later = log.select(log.time > 5)
    assert later.weight is not None
    assert sorted(later.weight.tolist()) == [0.5, 3.0]
    assert log.weight.dtype == np.float32
    assert log.time.dtype == np.int64


def test_who_used_what_is_a_matrix_of_ones() -> None:
    matrix = weighted_log().interaction_matrix()
    assert matrix.toarray().tolist() == [[1, 0, 0], [1, 1, 0]]
    assert matrix.dtype == np.float32
    assert matrix.indices.dtype == np.int32


def test_other_interactions_leave_nodes_and_edges_as_they_are() -> None:
    graph = weighted_log()
    other = graph.with_interactions(graph.interactions.select(np.array([0])))
    assert other.edges is graph.edges
    assert other.nodes is graph.nodes
    assert len(other.interactions) == 1
    assert other != graph


def test_graphs_of_other_schemas_are_others() -> None:
    graph = weighted_log()
    renamed = SCHEMA.model_copy(update={"name": "other"})
    assert KnowledgeGraph.from_tables(renamed, graph.to_tables()) != graph
    assert graph != "a graph"


def test_a_missing_weight_among_others_is_one() -> None:
    edges = [("1", "sequel_of", "2", None), ("2", "sequel_of", "3", 0.5)]
    tables = weighted_log().to_tables()
    relations = column_table(("head", "relation", "tail", "weight"), edges)
    graph = KnowledgeGraph.from_tables(SCHEMA, replace(tables, relations=relations))
    table = graph.edges["film", "sequel_of", "film"]
    assert table.weight is not None
    assert table.weight.tolist() == [1.0, 0.5]


def test_positions() -> None:
    graph = film_graph()
    assert graph.positions("film", ["heat", "alien"]).tolist() == [2, 0]
    assert graph.items.positions(["heat", "jaws"]).tolist() == [2, -1]
    with pytest.raises(UnknownIdError, match="no film has the id 'jaws'"):
        graph.positions("film", ["heat", "jaws"])


def test_positions_of_encoded_ids() -> None:
    items = film_graph().items
    ids = pa.chunked_array([["heat", "nowhere", "heat"], ["alien"]])
    encoded = ids.dictionary_encode()
    assert items.positions(encoded).tolist() == items.positions(ids).tolist()
    assert items.positions(encoded.chunk(1)).tolist() == items.positions(["alien"]).tolist()


def test_ids_are_strings_even_if_numbers() -> None:
    tables = GraphTables(
        pa.table({"id": [7, 10], "type": ["film", "film"]}),
        pa.table({"head": [7], "relation": ["sequel_of"], "tail": [10]}),
        pa.table({"user": [1.0], "item": [7]}),
    )
    graph = KnowledgeGraph.from_tables(SCHEMA, tables)
    assert graph.items.ids.to_pylist() == ["10", "7"]
    assert graph.users.ids.to_pylist() == ["1"]


def test_edges_that_occur_twice_are_merged() -> None:
    tables = film_tables()
    twice = replace(tables, relations=pa.concat_tables([tables.relations, tables.relations]))
    assert KnowledgeGraph.from_tables(SCHEMA, twice) == film_graph()
    weighted = twice.relations.append_column("weight", pa.array([0.5] * 8))
    graph = KnowledgeGraph.from_tables(SCHEMA, replace(tables, relations=weighted.slice(0, 5)))
    weight = graph.edges["film", "has_genre", "genre"].weight
    assert weight is not None
    assert weight.tolist() == [0.5, 0.5, 1.0]  # heat's edge is there twice


def test_relations_without_weights_stay_without() -> None:
    tables = film_tables()
    weights = pa.array([2.0, 1.0, 1.0, None])
    relations = tables.relations.append_column("weight", weights)
    graph = KnowledgeGraph.from_tables(SCHEMA, replace(tables, relations=relations))
    assert graph.edges["film", "has_genre", "genre"].weight is not None
    assert graph.edges["film", "sequel_of", "film"].weight is None


def test_features_are_a_matrix_with_gaps() -> None:
    tables = film_tables()
    vectors = pa.array([[1, 2], None, [3, 4], None, None, None], pa.list_(pa.float32()))
    entities = tables.entities.append_column("features", vectors)
    graph = KnowledgeGraph.from_tables(SCHEMA, replace(tables, entities=entities))
    assert graph.items.features is not None
    expected = np.array([[1, 2], [np.nan, np.nan], [3, 4]])
    assert np.array_equal(graph.items.features, expected, equal_nan=True)
    assert graph.nodes["genre"].features is None


def test_extended_equals_rebuilt() -> None:
    tables = film_tables()
    new = GraphTables(
        pa.table({"id": ["jaws", "horror"], "type": ["film", "genre"], "text": ["A shark", None]}),
        pa.table({"head": ["jaws"], "relation": ["has_genre"], "tail": ["horror"]}),
        pa.table({"user": ["cleo"], "item": ["jaws"], "time": [40]}),
    )
    union = GraphTables(
        *(
            pa.concat_tables([getattr(tables, n), getattr(new, n)], promote_options="default")
            for n in ("entities", "relations", "interactions")
        )
    )
    graph = film_graph()
    assert graph.extended(new) == KnowledgeGraph.from_tables(SCHEMA, union)
    assert graph == film_graph()


def test_weights_that_are_one_once_rounded_are_plain() -> None:
    tables = film_tables()
    twice = pa.concat_tables([tables.relations, tables.relations])
    weight = pa.array([1.0] * 4 + [1e-12] * 4, pa.float32())
    summed = replace(tables, relations=twice.append_column("weight", weight))
    graph = KnowledgeGraph.from_tables(SCHEMA, summed)
    assert all(edges.weight is None for edges in graph.edges.values())


def test_hetero_data() -> None:
    data = film_graph().to_hetero_data()
    assert data["film"].num_nodes == 3
    assert data["film", "has_genre", "genre"].edge_index.tolist() == [[0, 1, 2], [1, 1, 0]]
    assert data["person", "watched", "film"].edge_index.tolist() == [[0, 1, 1], [0, 0, 2]]


def test_networkx() -> None:
    result = film_graph().to_networkx()
    assert result.nodes["film", "alien"]["text"] == "A crew meets a stranger"
    assert result.has_edge(("film", "aliens"), ("film", "alien"), key="sequel_of")
    assert result.has_edge(("person", "bob"), ("film", "heat"), key="watched")
    assert result.number_of_edges() == 7


def edited(name: str, column: str, row: int, value: object) -> GraphTables:
    tables = film_tables()
    table = getattr(tables, name)
    values = table[column].to_pylist()
    values[row] = value
    number = table.column_names.index(column)
    return replace(tables, **{name: table.set_column(number, column, pa.array(values))})


@pytest.mark.parametrize(
    ("name", "column", "row", "value", "message"),
    [
        ("entities", "id", 1, "alien", "the entities hold 'alien' of the type film more than once"),
        ("entities", "id", 1, "", "column 'id' of the table entities is empty in 1 row, row 2"),
        ("entities", "id", 1, None, "column 'id' of the table entities is empty"),
        ("entities", "type", 3, "mood", "the type 'mood', which the schema 'films' does not"),
        ("relations", "relation", 0, "has_mood", "relation 'has_mood' is not declared"),
        ("relations", "relation", 0, "watched", "interactions among the edges would leak"),
        (
            "relations",
            "head",
            0,
            "jaws",
            "in 1 row of the relation has_genre the head is no film: 'jaws'",
        ),
        ("relations", "tail", 3, "scifi", "relation sequel_of the tail is no film: 'scifi'"),
        ("interactions", "item", 0, "noir", "interactions the item is no film: 'noir'"),
        ("interactions", "user", 0, "", "column 'user' of the table interactions is empty"),
        ("interactions", "time", 0, None, "interactions: the time is empty in 1 of 3 rows, row 1 "),
    ],
)
def test_names_the_fault(name: str, column: str, row: int, value: object, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        KnowledgeGraph.from_tables(SCHEMA, edited(name, column, row, value))


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([[1.0], [1.0, 2.0], None, None, None, None], r"type film have different lengths \[1, 2\]"),
        ([[1.0], [np.nan], None, None, None, None], "features of the film 'aliens' hold NaN"),
        ([[1.0], [np.inf], None, None, None, None], "features of the film 'aliens' hold NaN"),
        (["1 2", "1 x", None, None, None, None], "column 'features' of the table entities"),
    ],
)
def test_names_broken_features(vectors: list[object], message: str) -> None:
    tables = film_tables()
    entities = tables.entities.append_column("features", pa.array(vectors))
    with pytest.raises(SourceError, match=message):
        KnowledgeGraph.from_tables(SCHEMA, replace(tables, entities=entities))


def test_names_broken_weights() -> None:
    tables = film_tables()
    relations = tables.relations.append_column("weight", pa.array([1.0, np.nan, 1.0, 1.0]))
    with pytest.raises(SourceError, match="weights of the relation has_genre hold NaN"):
        KnowledgeGraph.from_tables(SCHEMA, replace(tables, relations=relations))


def test_an_empty_weight_is_no_weight_of_one() -> None:
    tables = film_tables()
    gaps = tables.interactions.append_column("weight", pa.array([4.0, None, 2.0]))
    expected = (
        r"the weight is empty in 1 of 3 rows, row 2 the first \(user 'bob', item 'alien'\): "
        "give every interaction one, leave those rows out, or leave out the column"
    )
    with pytest.raises(SourceError, match=expected):
        KnowledgeGraph.from_tables(SCHEMA, replace(tables, interactions=gaps))
    never = tables.interactions.append_column("weight", pa.nulls(3, pa.float32()))
    graph = KnowledgeGraph.from_tables(SCHEMA, replace(tables, interactions=never))
    assert graph == film_graph()


def test_no_items() -> None:
    tables = film_tables()
    entities = tables.entities.slice(3)
    with pytest.raises(SourceError, match="there are no items: no entity has the type 'film'"):
        KnowledgeGraph.from_tables(SCHEMA, replace(tables, entities=entities))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["user"], "lacks the column 'item': its columns are user, item, and optionally weight"),
        (["user", "item", "stars"], "has the unknown column 'stars'"),
        (["user", "item", "item"], "has twice the column 'item'"),
    ],
)
def test_names_wrong_columns(columns: list[str], message: str) -> None:
    table = pa.Table.from_arrays([pa.array(["x"])] * len(columns), names=columns)
    with pytest.raises(SourceError, match=message):
        conform(table, "interactions")


@pytest.mark.parametrize(
    "times",
    [
        ["86400", None, "172800"],
        ["86400.9", None, " 172800 "],
        ["1970-01-02", None, "1970-01-03"],
        ["1970-01-02T00:00:00Z", None, "1970-01-03T02:00:00+02:00"],
        ["1970-01-02 00:00:00.25", None, "1970-01-03T00:00:00"],
        [86400, None, 172800],
        [86400.5, None, 172800.0],
    ],
)
def test_reads_times(times: list[object]) -> None:
    table = pa.table({"user": ["a"] * 3, "item": ["b"] * 3, "time": pa.array(times)})
    assert with_column_types(table, "interactions")["time"].to_pylist() == [86400, None, 172800]


@pytest.mark.parametrize("kind", [pa.timestamp("ms"), pa.timestamp("ns", "Europe/Berlin")])
def test_reads_timestamps(kind: pa.DataType) -> None:
    times = pa.array([86_400_000], pa.timestamp("ms", "UTC")).cast(kind)
    table = pa.table({"user": ["a"], "item": ["b"], "time": times})
    assert with_column_types(table, "interactions")["time"].to_pylist() == [86400]


@pytest.mark.parametrize("text", ["1 2.5", "1,2.5", "1; 2.5", "[1, 2.5]", " 1\t2.5 "])
def test_reads_vectors(text: str) -> None:
    table = pa.table({"id": ["a", "b"], "type": ["x", "x"], "features": [text, ""]})
    assert with_column_types(table, "entities")["features"].to_pylist() == [[1.0, 2.5], None]


def test_reads_weights_as_text() -> None:
    table = pa.table({"user": ["a", "b"], "item": ["c", "c"], "weight": ["0.5", ""]})
    assert with_column_types(table, "interactions")["weight"].to_pylist() == [0.5, None]


@pytest.mark.parametrize("weight", [{}, {"weight": pa.nulls(1, pa.float32())}])
def test_rows_without_weights_below_rows_with_some(weight: dict[str, pa.Array]) -> None:
    plain = conform(pa.table({"user": ["ada"], "item": ["heat"], **weight}), "interactions")
    rated = conform(pa.table({"user": ["bob"], "item": ["heat"], "weight": [2.0]}), "interactions")
    assert join_rows(plain, rated)["weight"].to_pylist() == [1.0, 2.0]
    assert join_rows(rated, plain)["weight"].to_pylist() == [2.0, 1.0]
    assert "weight" not in join_rows(plain, plain).column_names
