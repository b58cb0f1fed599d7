"""A large catalogue searched approximately gives the lists of the exact search."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pandas as pd
import pytest
from kgrec import Config, Recommender, TextEncoder
from kgrec.errors import ConfigError
from kgrec.items import AddInteractions, Change, Edge, Interaction, Item, PutItems, RemoveItems

from tests.live_world import live_graph

NEW = Item(
    id="new", text="a thief in the desert", edges=(Edge(relation="has_genre", node="genre1"),)
)
CHANGED = Item(id="film35", text="war war war", edges=(Edge(relation="has_genre", node="genre2"),))
CHANGES: list[Change] = [
    PutItems(items=(NEW, CHANGED)),
    RemoveItems(ids=("film36", "film12")),
    AddInteractions(interactions=(Interaction(user="person03", item="film37"),)),
    AddInteractions(interactions=(Interaction(user="newcomer", item="new"),)),
]


@pytest.fixture
def exact(tiny_encoder: TextEncoder) -> Recommender:
    config = Config(steps=2, core_items=16, catalogue_gigabytes=0, catalogue_components=8)
    return Recommender(config, encoder=tiny_encoder).fit(live_graph(), seed=1)


def lists(ranker: Recommender, n: int = 7) -> pd.DataFrame:
    users = ranker.graph.users.ids.to_pylist()
    return pd.concat([ranker.recommend(users, n), ranker.recommend(users, n, exclude_seen=False)])


def assert_alike(approximate: Recommender, exact: Recommender) -> None:
    pd.testing.assert_frame_equal(lists(approximate), lists(exact), atol=1e-4, rtol=1e-4)


def indexed(exact: Recommender) -> Recommender:
    approximate = copy.copy(exact)
    assert approximate.build_index(0.9) == 1.0
    assert exact._fitted.index is None
    return approximate


def test_lists_are_those_of_the_exact_search_whatever_changes(exact: Recommender) -> None:
    approximate = indexed(exact)
    assert_alike(approximate, exact)
    for change in CHANGES:
        for one in (approximate, exact):
            one.apply(change)
        assert approximate._fitted.index is not None
        assert_alike(approximate, exact)
    told = approximate.recommend("person03", 60, exclude_seen=False)["item"].tolist()
    assert "new" in told
    assert "film36" not in told


@pytest.mark.parametrize(
    "ask",
    [
        lambda ranker: ranker.recommend("person03", 5, cold=True),
        lambda ranker: ranker.recommend("person03", 5, where={"genre": ["genre1", "genre2"]}),
        lambda ranker: ranker.recommend_for([], 5),
        lambda ranker: ranker.recommend_for(["film01", "film38"], 5),
        lambda ranker: ranker.recommend("person04", 5, diversity=0.5, explore=0.3),
    ],
)
def test_other_questions_are_answered_as_before(
    exact: Recommender, ask: Callable[[Recommender], pd.DataFrame]
) -> None:
    pd.testing.assert_frame_equal(ask(indexed(exact)), ask(exact), atol=1e-4, rtol=1e-4)


def test_everything_is_looked_at_where_too_many_are_gone(
    exact: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kgrec.catalogue_index.SPARE", 0)
    approximate = indexed(exact)
    best = approximate.recommend("person03", 60)
    beyond = best["item"][~best["item"].isin(core_ids(exact))].tolist()[:6]
    for one in (approximate, exact):
        one.remove_items(beyond)
    assert_alike(approximate, exact)


def core_ids(ranker: Recommender) -> list[str]:
    ids: list[str] = ranker._fitted.core_ids.to_pylist()
    return ids


def test_faiss_finds_nearly_all(exact: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kgrec.approximate.LEAST_ITEMS", 8)
    approximate = copy.copy(exact)
    recall = approximate.build_index(0.9)
    assert 0.9 <= recall <= 1.0
    keys = ["user", "item"]
    found, best = lists(approximate)[keys], lists(exact)[keys]
    assert len(found.merge(best, on=keys)) >= 0.85 * len(best.merge(best, on=keys))


def test_an_update_drops_the_index(exact: Recommender) -> None:
    approximate = indexed(exact)
    for one in (approximate, exact):
        one.update(live_graph(seed=3))
    assert approximate._fitted.index is None
    assert_alike(approximate, exact)


def test_a_small_catalogue_needs_none(tiny_encoder: TextEncoder) -> None:
    model = Recommender(Config(steps=2), encoder=tiny_encoder).fit(live_graph())
    with pytest.raises(ConfigError, match="small enough"):
        model.build_index()
    with pytest.raises(ConfigError, match="recall is 2"):
        model.build_index(2)
