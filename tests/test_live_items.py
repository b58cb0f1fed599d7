"""Changes one by one give exactly what the whole graph, read anew, gives."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kgrec import Config, Recommender, TextEncoder
from kgrec.errors import ConfigError, SourceError, UnknownIdError
from kgrec.graph import KnowledgeGraph
from kgrec.items import Edge, Item
from kgrec.model.channels import Matrix
from kgrec.ranker import UserBatch
from kgrec.rows import EncodeGraph, RowEncoder
from numpy.typing import NDArray

from tests.live_world import COUNTRIES, FILMS, GENRES, PEOPLE, SCHEMA, WORDS, live_graph

Change = Callable[[Recommender], None]


@pytest.fixture(scope="module")
def fitted(tiny_encoder: TextEncoder) -> Recommender:
    """Fit with a core of twenty, so that some warm films are outside of it."""
    config = Config(steps=3, core_items=20)
    return Recommender(config, encoder=tiny_encoder).fit(live_graph(), seed=1)


@pytest.fixture
def own(fitted: Recommender) -> Recommender:
    return copy.copy(fitted)


def scores(ranker: Recommender) -> NDArray[np.float32]:
    nobody = np.zeros((1, len(ranker.graph.items)), np.float32)
    histories = ranker.histories
    with_nobody = type(histories)(np.concatenate([histories.toarray(), nobody]))
    return ranker._score(UserBatch(with_nobody))


def read_anew(changed: Recommender, fitted: Recommender) -> Recommender:
    """Give the model the changed graph as read from a source, every item computed anew."""
    graph = KnowledgeGraph.from_tables(SCHEMA, changed.graph.to_tables())
    other = copy.copy(fitted)
    core = graph.items.positions(fitted._fitted.core_ids)
    other._state = replace(
        fitted._fitted,
        graph=graph,
        catalogue=fitted._catalogue_of(graph, core),
        histories=graph.interaction_matrix(),
        is_cold=graph.is_cold,
    )
    return other


def assert_equal_to_reading_anew(changed: Recommender, fitted: Recommender) -> None:
    other = read_anew(changed, fitted)
    assert changed.graph == other.graph
    for edge_type, table in changed.graph.edges.items():
        anew = other.graph.edges[edge_type]
        np.testing.assert_array_equal(table.edge_index, anew.edge_index)
        assert (table.weight is None) == (anew.weight is None)
    np.testing.assert_array_equal(scores(changed), scores(other))
    updated = copy.copy(fitted)
    updated.update(other.graph)
    np.testing.assert_array_equal(scores(updated), scores(other))
    updated.update(fitted.graph)  # and back
    np.testing.assert_array_equal(scores(updated), scores(fitted))
    everybody = changed.graph.users.ids.to_pylist()
    pd.testing.assert_frame_equal(
        changed.recommend(everybody, 60), other.recommend(everybody, 60), check_exact=True
    )
    np.testing.assert_allclose(
        changed._similarity(np.arange(5)), other._similarity(np.arange(5)), atol=1e-5
    )


def genre_edges(*genres: int) -> tuple[Edge, ...]:
    return tuple(Edge(relation="has_genre", node=f"genre{g}") for g in genres)


NEW = Item(
    id="film05b",
    text="a judge takes the train",
    features=(0.3, -1.0, 0.2),
    edges=(
        *genre_edges(1, 4),
        Edge(relation="directed", node="person03"),
        Edge(relation="follows", node="film05"),
        Edge(relation="follows", node="film38", direction="in"),
    ),
)


def go_and_come_back(ranker: Recommender) -> None:
    ranker.remove_items("film03")
    ranker.add_items([Item(id="film03", text="crew", edges=genre_edges(3))])


CHANGES: dict[str, Change] = {
    "a new item": lambda ranker: ranker.add_items([NEW]),
    "an item with nothing": lambda ranker: ranker.add_items([Item(id="zzz")]),
    "new items that know each other and a new genre": lambda ranker: ranker.add_items(
        [
            Item(id="b", text="war", edges=(Edge(relation="has_genre", node="opera"),)),
            Item(
                id="opera",
                type="genre",
                text="song",
                edges=(Edge(relation="part_of", node="country1"),),
            ),
            Item(id="a", text="bank", edges=(Edge(relation="follows", node="b"),)),
        ]
    ),
    "an old genre somewhere else": lambda ranker: ranker.put_items(
        [
            Item(
                id="genre2",
                type="genre",
                text="shark",
                edges=(
                    Edge(relation="part_of", node="country3"),
                    Edge(relation="has_genre", node="film35"),
                ),
            )
        ]
    ),
    "a changed cold item": lambda ranker: ranker.put_items(
        [Item(id="film36", text="desert", edges=genre_edges(0))]
    ),
    "a changed core item": lambda ranker: ranker.put_items(
        [Item(id="film04", text="desert song", edges=genre_edges(0, 8))]
    ),
    "a cold item goes": lambda ranker: ranker.remove_items("film37"),
    "warm items go": lambda ranker: ranker.remove_items(["film13", "film10", "film20"]),
    "an item goes and comes back": lambda ranker: go_and_come_back(ranker),
    "interactions": lambda ranker: ranker.add_interactions(
        pd.DataFrame(
            {
                "user": ["person01", "stranger", "person01", "person02", "stranger"],
                "item": ["film36", "film36", "film36", "film01", "film02"],
                "time": [5, 6, 3, 1, 2],
            }
        )
    ),
    "an edge that counts twice": lambda ranker: ranker.add_items(
        type(ranker.graph.to_tables())(
            ranker.graph.to_tables().entities.slice(0, 0),
            ranker.graph.to_tables().relations.slice(0, 3),
            ranker.graph.to_tables().interactions.slice(0, 0),
        )
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_equals_reading_anew(name: str, own: Recommender, fitted: Recommender) -> None:
    CHANGES[name](own)
    assert own.graph != fitted.graph
    assert_equal_to_reading_anew(own, fitted)


def test_all_changes_one_after_another(own: Recommender, fitted: Recommender) -> None:
    for change in CHANGES.values():
        change(own)
    assert_equal_to_reading_anew(own, fitted)


NODES = {"film": FILMS, "genre": GENRES, "person": PEOPLE, "country": COUNTRIES}
films = st.integers(0, FILMS + 5).map(lambda i: f"film{i:02}")
genres = st.integers(0, GENRES - 1).map(lambda i: f"genre{i}")
edges = st.one_of(
    st.builds(Edge, relation=st.just("has_genre"), node=genres),
    st.builds(
        Edge,
        relation=st.just("directed"),
        node=st.integers(0, PEOPLE - 1).map(lambda i: f"person{i:02}"),
    ),
    st.builds(
        Edge,
        relation=st.just("follows"),
        node=st.integers(0, 9).map(lambda i: f"film{i:02}"),
        direction=st.sampled_from(["in", "out"]),
        weight=st.sampled_from([None, 2.0]),
    ),
)
texts = st.none() | st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
items = st.builds(
    Item, id=films, text=texts, edges=st.lists(edges, max_size=4, unique=True).map(tuple)
)
changes = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"), st.lists(items, min_size=1, max_size=3, unique_by=lambda i: i.id)
        ),
        st.tuples(st.just("remove"), st.lists(films, min_size=1, max_size=2, unique=True)),
        st.tuples(
            st.just("use"),
            st.lists(st.tuples(st.sampled_from(["person01", "new1", "new2"]), films), min_size=1),
        ),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=changes)
def test_any_changes_equal_reading_anew(
    drawn: Sequence[tuple[str, Sequence[object]]], fitted: Recommender
) -> None:
    ranker = copy.copy(fitted)
    for kind, arguments in drawn:
        before = ranker.graph
        try:
            match kind:
                case "put":
                    ranker.put_items(arguments)  # type: ignore[arg-type]
                case "remove":
                    ranker.remove_items(arguments)  # type: ignore[arg-type]
                case _:
                    frame = pd.DataFrame(list(arguments), columns=["user", "item"])
                    ranker.add_interactions(frame.assign(time=range(len(frame))))
        except (UnknownIdError, SourceError):
            assert ranker.graph is before  # a film that was removed, or never there
    assert_equal_to_reading_anew(ranker, fitted)


def test_only_what_is_affected_is_computed(
    own: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[list[str]] = []
    encode = RowEncoder.encode

    def watched(
        self: RowEncoder, graph: KnowledgeGraph, positions: NDArray[np.int64], texts: object
    ) -> object:
        computed.append([graph.items.ids[int(i)].as_py() for i in positions])
        return encode(self, graph, positions, texts)  # type: ignore[arg-type]

    monkeypatch.setattr(RowEncoder, "encode", watched)
    own.add_items([Item(id="late", text="war", edges=genre_edges(1))])
    own.add_items([Item(id="sequel", edges=(Edge(relation="follows", node="late"),))])
    own.add_interactions(pd.DataFrame({"user": ["u"], "item": ["late"], "time": [1]}))
    own.remove_items("film36")  # film38 does not follow it
    assert computed == [["late"], ["late", "sequel"]]


def test_columns_of_nobody_are_dropped(own: Recommender, fitted: Recommender) -> None:
    import kgrec.catalogue

    before = kgrec.catalogue.FEWEST_DEAD
    kgrec.catalogue.FEWEST_DEAD = 4
    try:
        for word in WORDS * 4:
            own.put_items([Item(id="film39", text=word, edges=genre_edges(5))])
        assert own._fitted.catalogue.recent < 30
    finally:
        kgrec.catalogue.FEWEST_DEAD = before
    assert_equal_to_reading_anew(own, fitted)


def test_two_copies_go_their_own_ways(fitted: Recommender) -> None:
    left, right = copy.copy(fitted), copy.copy(fitted)
    left.add_items([Item(id="l", text="bank")])
    right.add_items([Item(id="r", text="crew")])
    left.add_items([Item(id="m", text="song")])
    for ranker in (left, right):
        assert_equal_to_reading_anew(ranker, fitted)
    assert len(fitted.graph.items) == FILMS


def test_who_asks_meanwhile_sees_one_state(own: Recommender) -> None:
    """Each answer holds either all of a batch or nothing of it, and ids that fit its scores."""
    stop, torn = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            frame = own.recommend("person01", 80, exclude_seen=False)
            new = frame["item"].str.startswith("batch").sum()
            if new % 3 or frame["item"].duplicated().any() or len(frame) != FILMS + new:
                torn.append(frame)

    readers = [threading.Thread(target=ask) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(12):
        own.add_items(
            [Item(id=f"batch{number:02}{part}", text="war", edges=genre_edges(1)) for part in "abc"]
        )
    stop.set()
    for reader in readers:
        reader.join()
    assert not torn
    assert len(own.graph.items) == FILMS + 36


def test_a_cold_item_is_used(own: Recommender) -> None:
    assert own.recommend("person05", 60, items=["film36"])["cold"].tolist() == [True]
    before = own.recommend("person05", 5)["score"].tolist()
    own.add_interactions(pd.DataFrame({"user": ["person05"], "item": ["film36"], "time": [9]}))
    assert own.recommend("person05", 60, items=["film36"]).empty
    assert own.recommend("person06", 60, items=["film36"])["cold"].tolist() == [False]
    assert own.recommend("person05", 5)["score"].tolist() != before


WRONG: dict[str, tuple[Sequence[Item], str]] = {
    "no such genre": ([Item(id="x"), Item(id="y", edges=genre_edges(77))], "genre77"),
    "no such relation": ([Item(id="y", edges=(Edge(relation="likes", node="film01"),))], "'y'"),
    "a relation of others": ([Item(id="y", edges=(Edge(relation="part_of", node="a"),))], "'y'"),
    "there already": ([Item(id="film01")], "film01"),
    "twice": ([Item(id="y"), Item(id="y", text="war")], "'y'"),
    "an unknown type": ([Item(id="y", type="song")], "song"),
    "features of another length": ([Item(id="y", features=(1.0,))], "different lengths"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_bad_item_changes_nothing_and_is_named(name: str, own: Recommender) -> None:
    batch, named = WRONG[name]
    state = own._fitted
    with pytest.raises(SourceError, match=named):
        own.add_items([Item(id="good", text="war"), *batch])
    assert own._fitted is state


def test_what_can_not_be_removed(own: Recommender) -> None:
    state = own._fitted
    with pytest.raises(UnknownIdError, match="'nope'"):
        own.remove_items(["film01", "nope"])
    with pytest.raises(SourceError, match="no item would be left"):
        own.remove_items(own.graph.items.ids.to_pylist())
    assert own._fitted is state


def test_interactions_that_do_not_fit(own: Recommender) -> None:
    state = own._fitted
    with pytest.raises(SourceError, match="'nope'"):
        own.add_interactions(pd.DataFrame({"user": ["a"], "item": ["nope"], "time": [1]}))
    with pytest.raises(SourceError, match="have times and the new have none"):
        own.add_interactions(pd.DataFrame({"user": ["person01"], "item": ["film36"]}))
    assert own._fitted is state
    own.add_interactions([("person01", "film36")])  # now
    assert own.graph.interactions.time is not None
    assert own.graph.interactions.time.max() > 1_700_000_000


def test_filters(own: Recommender) -> None:
    edges = own.graph.to_tables().relations.to_pandas()
    noir = set(edges[(edges["relation"] == "has_genre") & (edges["tail"] == "genre1")]["head"])
    for where in ({"has_genre": ["genre1"]}, {"genre": ["genre1"]}):
        found = own.recommend("person01", 60, where=where, exclude_seen=False)
        assert set(found["item"]) == noir
    both = own.recommend_for([], 60, where={"genre": ["genre1"], "has_genre": ["genre2"]})
    second = set(edges[(edges["relation"] == "has_genre") & (edges["tail"] == "genre2")]["head"])
    assert set(both["item"]) == noir & second
    assert own.recommend("person01", 60, cold=True)["cold"].all()
    assert not own.recommend("person01", 60, cold=False)["cold"].any()
    with pytest.raises(ConfigError, match=r"filtered by 'colour'.*has_genre"):
        own.recommend("person01", where={"colour": ["red"]})
    with pytest.raises(UnknownIdError, match="genre99"):
        own.recommend("person01", where={"genre": ["genre99"]})


def test_diverse_lists(own: Recommender) -> None:
    plain, diverse = own.recommend("person01", 8), own.recommend("person01", 8, diversity=0.7)
    assert plain["item"].tolist()[0] == diverse["item"].tolist()[0]

    def alike(frame: pd.DataFrame) -> float:
        found = own.graph.items.positions(frame["item"])
        return float(own._similarity(found)[:, found].mean())

    assert alike(diverse) < alike(plain)
    score = dict(zip(*(own.recommend("person01", 99)[c] for c in ("item", "score")), strict=True))
    assert [score[item] for item in diverse["item"]] == diverse["score"].tolist()


def test_lists_that_explore(own: Recommender) -> None:
    people = [f"person{i:02}" for i in range(PEOPLE)]
    lists = own.recommend(people, 10, explore=0.5, seed=4)
    pd.testing.assert_frame_equal(lists, own.recommend(people, 10, explore=0.5, seed=4))
    assert not lists.equals(own.recommend(people, 10, explore=0.5, seed=5))
    alone = own.recommend("person07", 10, explore=0.5, seed=4)
    assert alone["item"].tolist() == lists[lists["user"] == "person07"]["item"].tolist()
    assert not lists.duplicated(["user", "item"]).any()
    assert lists["cold"].mean() > own.recommend(people, 10)["cold"].mean() + 0.15
    with pytest.raises(ValueError, match="explore is 2"):
        own.recommend("person01", explore=2.0)


def test_an_update_computes_what_differs_alone(
    own: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = copy.copy(own)
    other.put_items([Item(id="film39", text="song", features=(1.0, 2.0, 3.0))])
    other.add_items([Item(id="film39b", text="war", edges=genre_edges(1))])
    encoded: list[list[str]] = []
    encode = RowEncoder.encode

    def look(
        self: RowEncoder, graph: KnowledgeGraph, items: NDArray[np.int64], texts: EncodeGraph
    ) -> list[Matrix]:
        encoded.append(graph.items.ids.take(pa.array(items)).to_pylist())
        return encode(self, graph, items, texts)

    monkeypatch.setattr(RowEncoder, "encode", look)
    own.update(other.graph)
    assert encoded == [["film39", "film39b"]]
    own.update(other.graph)
    assert len(encoded) == 1  # nothing differs
