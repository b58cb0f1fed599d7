"""What holds for every baseline, and what each must get right on the checkerboard."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from kgrec.errors import NotFittedError, UnknownIdError
from kgrec.evaluation import split_cold_items
from kgrec.graph import KnowledgeGraph
from kgrec.ranker import Ranker, UserBatch
from numpy.typing import NDArray

from tests.baselines.worlds import (
    CHOICES,
    COLD_EACH,
    COLLABORATIVE,
    CONTENT,
    FILMS_EACH,
    MIXED,
    TASTES,
    checkerboard,
)
from tests.evaluation.worlds import make_graph

every_baseline = pytest.mark.parametrize("name", CHOICES)
NEW = [f"{taste}_new{i}" for taste in TASTES for i in range(COLD_EACH)]
FANS = [f"{taste}_fan{i}" for taste in TASTES for i in range(4)]


@cache
def fitted(name: str) -> Ranker:
    """Fit once for all tests, none of which changes a ranker."""
    return CHOICES[name]().fit(checkerboard(), seed=3)


def all_scores(ranker: Ranker) -> NDArray[np.float32]:
    users = np.arange(len(ranker.graph.users))
    return ranker._score(UserBatch(ranker.histories, users))


def taste_of(name: str) -> str:
    return next(taste for taste in TASTES if name.startswith(taste))


@pytest.mark.parametrize("name", [*COLLABORATIVE, "ContentRidge", "KernelRidgeEASE"])
def test_the_withheld_item_ranks_first(name: str) -> None:
    warm = [f"{taste}{i}" for taste in TASTES for i in range(FILMS_EACH)]
    top = fitted(name).recommend(FANS, 1, items=warm)
    expected = [f"{taste_of(fan)}{int(fan[-1]) % FILMS_EACH}" for fan in FANS]
    assert top["item"].tolist() == expected


@pytest.mark.parametrize("name", [*CONTENT, *MIXED])
def test_new_items_of_the_taste_come_first(name: str) -> None:
    lists = fitted(name).recommend(FANS, COLD_EACH, items=NEW)
    assert lists["cold"].all()
    assert lists["item"].map(taste_of).tolist() == lists["user"].map(taste_of).tolist()


@pytest.mark.parametrize("name", [*CONTENT, *MIXED])
def test_somebody_new_gets_new_items_of_their_taste(name: str) -> None:
    for taste in TASTES:
        history = [f"{taste}{i}" for i in range(3)]
        top = fitted(name).recommend_for(history, COLD_EACH, items=NEW)
        assert top["item"].map(taste_of).tolist() == [taste] * COLD_EACH


@pytest.mark.parametrize("name", [*COLLABORATIVE, "Popularity"])
def test_cold_items_score_nothing_without_content(name: str) -> None:
    ranker = fitted(name)
    assert not all_scores(ranker)[:, ranker.graph.is_cold].any()
    stranger = ranker.recommend_for(["heist1", "heist2"], 4, items=NEW)
    assert stranger["score"].tolist() == [0.0] * 4
    assert stranger["item"].tolist() == sorted(NEW)  # ties go by id


@pytest.mark.parametrize("name", COLLABORATIVE)
def test_somebody_new_gets_items_of_their_taste(name: str) -> None:
    top = fitted(name).recommend_for(["space1", "space2", "space3"], 5)
    assert top["item"].map(taste_of).tolist() == ["space"] * 5


@pytest.mark.parametrize("name", [*CONTENT, *MIXED, *COLLABORATIVE])
def test_similar_items_share_the_taste(name: str) -> None:
    frame = fitted(name).similar_items(["heist3", "space4"], 3)
    assert frame["item"].map(taste_of).tolist() == frame["neighbour"].map(taste_of).tolist()
    assert (frame["item"] != frame["neighbour"]).all()
    if name in CONTENT:
        new = fitted(name).similar_items("space_new1", 3)
        assert new["neighbour"].map(taste_of).tolist() == ["space"] * 3


@every_baseline
def test_one_id_equals_the_batch(name: str) -> None:
    ranker = fitted(name)
    together = ranker.recommend(FANS, 5)
    alone = pd.concat([ranker.recommend(fan, 5) for fan in FANS], ignore_index=True)
    np.testing.assert_allclose(alone["score"], together["score"], rtol=1e-4, atol=1e-5)
    scores = all_scores(ranker)
    row = ranker._score(UserBatch(ranker.histories[[7]], np.array([7])))
    np.testing.assert_allclose(row[0], scores[7], rtol=1e-4, atol=1e-5)


@every_baseline
def test_what_was_seen_is_left_out(name: str) -> None:
    ranker = fitted(name)
    frame = ranker.recommend(FANS, 24)
    history = ranker.histories.toarray() > 0
    user = ranker.graph.users.positions(frame["user"])
    item = ranker.graph.items.positions(frame["item"])
    assert not history[user, item].any()
    assert frame.groupby("user").size().eq(24 - (FILMS_EACH - 1)).all()
    kept = ranker.recommend(FANS[0], 24, exclude_seen=False)
    assert len(kept) == 24


@every_baseline
def test_scores_are_finite_and_float32(name: str) -> None:
    scores = all_scores(fitted(name))
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    similarity = fitted(name)._similarity(np.array([0, 5]))
    assert similarity.dtype == np.float32
    assert similarity.shape == (2, 24)
    nobody = fitted(name)._score(UserBatch(fitted(name).histories[[0]] * 0, None))
    assert np.isfinite(nobody).all()


@every_baseline
def test_same_seed_same_answer(name: str) -> None:
    again = CHOICES[name]().fit(checkerboard(), seed=3)
    np.testing.assert_array_equal(all_scores(again), all_scores(fitted(name)))


@every_baseline
def test_renaming_ids_renames_the_answer(name: str) -> None:
    renamed = CHOICES[name]().fit(checkerboard(lambda old: f"x-{old}"), seed=3)
    np.testing.assert_array_equal(all_scores(renamed), all_scores(fitted(name)))
    mine = fitted(name).recommend(FANS[0], 3)["item"]
    theirs = renamed.recommend(f"x-{FANS[0]}", 3)["item"]
    assert ("x-" + mine).tolist() == theirs.tolist()


def reversed_order(name: str) -> str:
    return f"{ord('z') - ord(name[0])}-{''.join(chr(ord('z') - ord(c) % 26) for c in name)}"


@pytest.mark.parametrize("name", ["Popularity", *CONTENT])
def test_the_order_of_ids_is_no_signal(name: str) -> None:
    renamed = CHOICES[name]().fit(checkerboard(reversed_order))
    names = renamed.graph.items.positions(
        [reversed_order(item) for item in fitted(name).graph.items.ids.to_pylist()]
    )
    users = renamed.graph.users.positions(
        [reversed_order(user) for user in fitted(name).graph.users.ids.to_pylist()]
    )
    moved = all_scores(renamed)[np.ix_(users, names)]
    np.testing.assert_allclose(moved, all_scores(fitted(name)), atol=1e-5)


@every_baseline
def test_held_out_interactions_change_no_score(name: str) -> None:
    def train(fans: str) -> KnowledgeGraph:
        extra = [(f"{fans}_fan{i}", new) for i in range(10) for new in NEW]
        return split_cold_items(checkerboard(extra=extra), items=NEW).train

    scores = [all_scores(CHOICES[name]().fit(train(fans), seed=3)) for fans in TASTES]
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], all_scores(fitted(name)))


@every_baseline
def test_errors(name: str) -> None:
    with pytest.raises(NotFittedError, match=name):
        CHOICES[name]().recommend("heist_fan1")
    with pytest.raises(UnknownIdError, match="'nobody'"):
        fitted(name).recommend("nobody")
    with pytest.raises(UnknownIdError, match="'nothing'"):
        fitted(name).recommend_for(["nothing"])
    with pytest.raises(UnknownIdError, match="'nothing'"):
        fitted(name).similar_items("nothing")


@every_baseline
def test_nothing_asked_nothing_given(name: str) -> None:
    assert fitted(name).similar_items([]).empty
    assert fitted(name).recommend([]).empty
    assert len(fitted(name).recommend_for([], 5)) == 5


TINY = {
    "one interaction": make_graph({"a": "a crew", "b": None}, [("u", "a")]),
    "nothing cold": make_graph({"a": "a crew", "b": None}, [("u", "a"), ("v", "b")]),
    "no content": make_graph(dict.fromkeys("abc"), [("u", "a"), ("v", "b"), ("u", "b")]),
    "everything used": make_graph(dict.fromkeys("ab"), [(u, i) for u in "uv" for i in "ab"]),
}


@every_baseline
@pytest.mark.parametrize("world", TINY)
def test_graphs_with_next_to_nothing(name: str, world: str) -> None:
    graph = TINY[world]
    ranker = CHOICES[name]().fit(graph)
    lists = ranker.recommend(graph.users.ids.to_pylist(), 5)
    assert len(lists) == graph.interaction_matrix().shape[0] * len(graph.items) - len(
        graph.interactions
    )
    assert np.isfinite(lists["score"]).all()
    assert len(ranker.similar_items("a", 5)) == len(graph.items) - 1


@pytest.mark.parametrize("name", [*COLLABORATIVE, *MIXED])
def test_no_interactions_to_learn_from(name: str) -> None:
    with pytest.raises(ValueError, match="no interactions to learn from"):
        CHOICES[name]().fit(make_graph({"a": "a crew"}, []))
