"""What each channel brings to an item, and that its statistics stay as they were learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from kgrec.errors import SourceError
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.model import channels as channels_module
from kgrec.model.channels import (
    Channel,
    FarChannel,
    FeatureChannel,
    Matrix,
    NeighbourChannel,
    NeighbourVectorChannel,
    RelatedItemChannel,
    TermChannel,
    TextVectors,
    VectorChannel,
    keys_of,
    learn_channels,
    what_comes_along,
)
from kgrec.model.neighbours import Surroundings, item_relations
from kgrec.schema import GraphSchema, NodeSchema, RelationSchema
from numpy.typing import NDArray

SCHEMA = GraphSchema(
    name="films",
    user="fan",
    item="film",
    interaction="saw",
    nodes={
        "fan": NodeSchema(text=False),
        "film": NodeSchema(),
        "genre": NodeSchema(),
        "person": NodeSchema(),
        "country": NodeSchema(),
    },
    relations={
        "has_genre": RelationSchema(head="film", tail="genre"),
        "directed": RelationSchema(head="person", tail="film"),
        "born_in": RelationSchema(head="person", tail="country"),
    },
)
FILMS = {
    "alien": "a crew meets a stranger",
    "aliens": "the crew goes back",
    "brazil": "a clerk dreams",
    "casino": "a thief and a bank",
    "heat": "a thief robs a bank",
}
NEW = {"new": "a thief in a crew"}
EDGES = [
    ("alien", "has_genre", "scifi"),
    ("aliens", "has_genre", "scifi"),
    ("brazil", "has_genre", "scifi"),
    ("casino", "has_genre", "noir"),
    ("heat", "has_genre", "noir"),
    ("mann", "directed", "heat"),
    ("scott", "directed", "alien"),
    ("scott", "directed", "casino"),
    ("scott", "born_in", "uk"),
    ("mann", "born_in", "us"),
]
NEW_EDGES = [("new", "has_genre", "noir"), ("mann", "directed", "new")]
OTHERS = {"scifi": "genre", "noir": "genre", "mann": "person", "scott": "person"}
PLACES = {"uk": "country", "us": "country"}


def build(
    films: dict[str, str], edges: Sequence[tuple[str, str, str]], features: bool = False
) -> KnowledgeGraph:
    types = dict.fromkeys(films, "film") | OTHERS | PLACES
    texts = [films.get(name, f"the {name}") for name in types]
    columns: dict[str, list[Any]] = {"id": list(types), "type": list(types.values()), "text": texts}
    if features:
        columns["features"] = [
            of_id(name)[:3].tolist() if kind == "film" else None for name, kind in types.items()
        ]
    heads, relations, tails = (list(column) for column in zip(*edges, strict=True))
    return KnowledgeGraph.from_tables(
        SCHEMA,
        GraphTables(
            pa.table(columns),
            pa.table({"head": heads, "relation": relations, "tail": tails}),
            pa.table({"user": ["u"] * len(FILMS), "item": list(FILMS)}),
        ),
    )


def draw_vectors(graph: KnowledgeGraph) -> TextVectors:
    """Draw a vector for each node that depends on its id alone."""
    return {kind: np.stack([of_id(key) for key in ids(graph, kind)]) for kind in graph.nodes}


def of_id(key: str) -> NDArray[np.float32]:
    random = np.random.default_rng(list(key.encode()))
    return random.normal(size=6).astype(np.float32)


def ids(graph: KnowledgeGraph, kind: str) -> list[str]:
    return [key.as_py() for key in graph.nodes[kind].ids]


def dense(rows: Matrix) -> NDArray[np.float32]:
    return rows if isinstance(rows, np.ndarray) else np.asarray(rows.toarray())


BEFORE, AFTER = build(FILMS, EDGES, True), build(FILMS | NEW, EDGES + NEW_EDGES, True)
RELATIONS = tuple(item_relations(BEFORE))
LEARNED, ROWS = learn_channels(BEFORE, draw_vectors(BEFORE))
CHANNELS = {channel.name: channel for channel in LEARNED}


def test_rows_come_with_the_channels() -> None:
    for channel, rows in zip(LEARNED, ROWS, strict=True):
        np.testing.assert_array_equal(dense(rows), encode(channel.name))


def encode(name: str, graph: KnowledgeGraph = BEFORE) -> NDArray[np.float32]:
    return dense(CHANNELS[name].encode(Surroundings(graph), draw_vectors(graph)))


def test_every_channel_that_has_content() -> None:
    kinds: dict[str, type[Channel]] = {
        "own words": TermChannel,
        "own text": VectorChannel,
        "features": FeatureChannel,
        "plain features": FeatureChannel,
        "words around": TermChannel,
        "texts around": NeighbourVectorChannel,
        "neighbours": NeighbourChannel,
        "related items": RelatedItemChannel,
        "far neighbours": FarChannel,
        "film has_genre genre": NeighbourChannel,
        "person directed film": NeighbourChannel,
    }
    assert {name: type(channel) for name, channel in CHANNELS.items()} == kinds


@pytest.mark.parametrize("name", CHANNELS)
def test_rows_are_of_length_one_or_zero(name: str) -> None:
    rows = encode(name, AFTER)
    length = np.linalg.norm(rows, axis=1)
    assert rows.dtype == np.float32
    assert len(rows) == len(FILMS) + 1
    assert (np.isclose(length, 1, atol=1e-5) | (length == 0)).all()


@pytest.mark.parametrize("name", CHANNELS)
def test_an_item_that_comes_later_gets_the_row_of_one_that_was_there(name: str) -> None:
    place = ids(AFTER, "film").index("new")
    there = {channel.name: channel for channel in learn_channels(AFTER, draw_vectors(AFTER))[0]}
    from_the_start = dense(there[name].encode(Surroundings(AFTER), draw_vectors(AFTER)))
    np.testing.assert_allclose(encode(name, AFTER)[place], from_the_start[place], atol=1e-6)
    others = np.delete(encode(name, AFTER), place, axis=0)
    np.testing.assert_allclose(others, encode(name), atol=1e-6)


def test_own_words() -> None:
    assert keys_of(CHANNELS["own words"]) == pa.array(["a", "bank", "crew", "thief"])
    alike = encode("own words") @ encode("own words").T
    heat = dict(zip(ids(BEFORE, "film"), alike[ids(BEFORE, "film").index("heat")], strict=True))
    assert heat["casino"] > 0.9
    assert heat["aliens"] == 0


def test_words_around() -> None:
    keys = keys_of(CHANNELS["words around"])
    assert keys is not None
    assert {"noir", "scifi", "scott"} <= set(keys.to_pylist())
    assert "mann" not in keys.to_pylist()  # only one warm film has it


def test_a_long_text_of_a_neighbour_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels_module, "NEIGHBOUR_CHARACTERS", 3)
    keys = keys_of(TermChannel.learn("words", Surroundings(BEFORE), with_neighbours=True))
    assert keys is not None
    assert "scott" not in keys.to_pylist()


def test_rare_neighbours_say_more() -> None:
    keys = keys_of(CHANNELS["neighbours"])
    assert keys is not None
    row = dict(zip(keys.to_pylist(), encode("neighbours")[0], strict=True))  # alien
    assert row["person/scott"] > row["genre/scifi"] > 0
    assert row["genre/noir"] == 0


def test_far_neighbours() -> None:
    assert keys_of(CHANNELS["far neighbours"]) == pa.array(["country/uk", "country/us"])
    assert encode("far neighbours").tolist() == [[1, 0], [0, 0], [0, 0], [1, 0], [0, 1]]


def test_related_items_are_those_with_a_common_neighbour() -> None:
    rows = encode("related items") > 0
    films = ids(BEFORE, "film")
    related = {
        film: {films[place] for place in np.flatnonzero(rows[i])} for i, film in enumerate(films)
    }
    assert related["aliens"] == {"alien", "aliens", "brazil"}
    assert related["casino"] == {"alien", "casino", "heat"}
    assert keys_of(CHANNELS["related items"]) is None


def test_hubs_relate_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels_module, "HUB_EDGES", 2)
    channel = RelatedItemChannel.learn("related", Surroundings(BEFORE), RELATIONS)
    assert channel.vocabulary.keys.to_pylist() == ["genre/noir", "person/scott"]


def test_texts_around_follow_the_neighbours() -> None:
    rows = encode("texts around", AFTER)
    films = ids(AFTER, "film")
    np.testing.assert_allclose(rows[films.index("new")], rows[films.index("heat")], atol=1e-6)
    np.testing.assert_allclose(rows[films.index("aliens")], rows[films.index("brazil")], atol=1e-6)
    assert rows[films.index("heat")] @ rows[films.index("aliens")] < 0.9


def test_features_that_are_missing() -> None:
    graph = build(FILMS, EDGES)
    assert not encode("features", graph).any()
    assert not encode("plain features", graph).any()


def test_features_of_another_width_are_refused() -> None:
    channel = FeatureChannel.learn("features", Surroundings(BEFORE), whiten=True)
    films = BEFORE.items
    wider = np.ones((len(films), 7), np.float32)
    nodes = dict(BEFORE.nodes) | {"film": type(films)(films.ids, films.texts, wider)}
    other = KnowledgeGraph(SCHEMA, nodes, BEFORE.edges, BEFORE.interactions)
    with pytest.raises(SourceError, match=r"7 numbers.*learned from 3"):
        channel.encode(Surroundings(other), draw_vectors(other))


def test_a_graph_that_says_nothing_has_one_silent_channel() -> None:
    tables = GraphTables(
        pa.table({"id": ["a", "b"], "type": ["film", "film"]}),
        pa.table({name: pa.array([], pa.string()) for name in ("head", "relation", "tail")}),
        pa.table({"user": ["u"], "item": ["a"]}),
    )
    graph = KnowledgeGraph.from_tables(SCHEMA, tables)
    vectors = {kind: np.zeros((len(table), 6), np.float32) for kind, table in graph.nodes.items()}
    (channel,), (rows,) = learn_channels(graph, vectors)
    assert dense(rows).shape == (2, 0)
    assert dense(channel.encode(Surroundings(graph), vectors)).shape == (2, 0)


def test_hops_and_words_limit_what_reaches_an_item() -> None:
    vectors = draw_vectors(BEFORE)

    def names(hops: int = 2, *, words: bool = True) -> set[str]:
        channels, _ = learn_channels(BEFORE, vectors, hops=hops, words=words)
        return {channel.name for channel in channels}

    assert names() == set(CHANNELS)
    assert names(hops=0, words=False) <= {"own text", "features", "plain features"}
    assert names(hops=0) == names(hops=0, words=False) | {"own words"}
    near = names(hops=1)
    assert {"neighbours", "texts around", "words around"} <= near
    assert set(CHANNELS) - near <= {"related items", "far neighbours"}
    assert set(CHANNELS) - near
    assert set(CHANNELS) - names(words=False) == {"own words", "words around"}


def test_what_items_gather_is_emptied() -> None:
    vectors = draw_vectors(BEFORE)
    channels = list(CHANNELS.values())
    rows = [channel.encode(Surroundings(BEFORE), vectors) for channel in channels]
    emptied = {
        channel.name: matrix.shape
        for channel, matrix in zip(channels, what_comes_along(channels, rows), strict=True)
    }
    items = len(BEFORE.items)
    for name in ("words around", "texts around", "neighbours", "related items", "far neighbours"):
        if name in emptied:
            assert emptied[name] == (items, 0)
    assert emptied["own words"][1] > 0
    for channel in channels:
        if isinstance(channel, NeighbourChannel) and len(channel.relations) == 1:
            ((head, _, tail),) = channel.relations
            assert (emptied[channel.name][1] > 0) == (head != tail)
