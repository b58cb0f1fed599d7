"""The verbs, on a ranker whose scores are known."""

from __future__ import annotations

import kgrec.ranker
import numpy as np
import pytest
from kgrec.errors import NotFittedError, UnknownIdError
from kgrec.graph import KnowledgeGraph
from kgrec.ranker import UserBatch
from scipy import sparse

from tests.evaluation.worlds import FixedRanker, make_graph

SCORES = {"a": 1.0, "b": 5.0, "c": 3.0, "d": 3.0}


def ranker() -> FixedRanker:
    films = dict.fromkeys("abcd")
    watched = [("ada", "b"), ("bob", "a"), ("bob", "c")]
    return FixedRanker(SCORES).fit(make_graph(films, watched))


def test_recommend() -> None:
    frame = ranker().recommend(["bob", "ada"], 2)
    assert frame.columns.tolist() == ["user", "item", "score", "rank", "cold"]
    assert frame["user"].tolist() == ["bob", "bob", "ada", "ada"]
    assert frame["item"].tolist() == ["b", "d", "c", "d"]
    assert frame["score"].tolist() == [5.0, 3.0, 3.0, 3.0]
    assert frame["rank"].tolist() == [1, 2, 1, 2]
    assert frame["cold"].tolist() == [False, True, False, True]


def test_recommend_from_some_items() -> None:
    assert ranker().recommend("ada", 5, items=["a", "b"])["item"].tolist() == ["a"]
    kept = ranker().recommend("ada", 5, items=["a", "b"], exclude_seen=False)
    assert kept["item"].tolist() == ["b", "a"]
    assert ranker().recommend("ada", 5, items=[]).empty


def test_no_users() -> None:
    frame = ranker().recommend([])
    assert frame.columns.tolist() == ["user", "item", "score", "rank", "cold"]
    assert frame.empty


def test_recommend_for_a_history() -> None:
    frame = ranker().recommend_for(["b", "b"], 2)
    assert frame.columns.tolist() == ["item", "score", "rank", "cold"]
    assert frame["item"].tolist() == ["c", "d"]
    assert ranker().recommend_for([], 1)["item"].tolist() == ["b"]
    assert ranker().recommend_for(["b"], 1, exclude_seen=False)["item"].tolist() == ["b"]


def test_similar_items() -> None:
    frame = ranker().similar_items(["c", "a"], 2)
    assert frame.columns.tolist() == ["item", "neighbour", "score", "rank"]
    assert frame["item"].tolist() == ["c", "c", "a", "a"]
    assert frame["neighbour"].tolist() == ["d", "a", "c", "d"]
    nothing = ranker().similar_items([])
    assert nothing.columns.tolist() == ["item", "neighbour", "score", "rank"]
    assert nothing.empty


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ranker().recommend(["bob", "ada", "bob"], 3)
    alike = ranker().similar_items(["a", "c", "a"], 3)
    monkeypatch.setattr(kgrec.ranker, "BLOCK_CELLS", 1)
    assert ranker().recommend(["bob", "ada", "bob"], 3).equals(whole)
    assert ranker().similar_items(["a", "c", "a"], 3).equals(alike)


def test_rank_in_positions() -> None:
    fitted = ranker()
    (block,) = fitted.rank(np.array([0]), 3, candidates=np.array([True, True, False, False]))
    users, items, scores = block
    assert users.tolist() == [0]
    assert items.tolist() == [[0, -1, -1]]
    assert scores[0, 0] == 1.0


def test_scores_of_the_ranker_are_not_changed() -> None:
    class Cached(FixedRanker):
        def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
            super()._fit(graph, seed)
            self.row.flags.writeable = False

    fitted = Cached(SCORES).fit(ranker().graph)
    assert fitted.recommend("ada", 1)["item"].tolist() == ["c"]


def test_ids_that_are_not_there() -> None:
    with pytest.raises(NotFittedError, match="fit"):
        FixedRanker(SCORES).recommend("ada")
    with pytest.raises(UnknownIdError, match="no person has the id 'eve'"):
        ranker().recommend("eve")
    with pytest.raises(UnknownIdError, match="no film has the id 'z'"):
        ranker().recommend("ada", items=["z"])


def test_a_failed_fit_leaves_the_ranker_as_it_was() -> None:
    class Failing(FixedRanker):
        def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
            if len(graph.users) > 2:
                raise ValueError("too many users")
            super()._fit(graph, seed)

    fitted = Failing(SCORES).fit(ranker().graph)
    with pytest.raises(ValueError, match="too many"):
        fitted.fit(make_graph({"a": None}, [("x", "a"), ("y", "a"), ("z", "a")]))
    assert fitted.recommend("ada", 1)["item"].tolist() == ["c"]


def test_one_users_row() -> None:
    histories = sparse.csr_array(np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0]], np.float32))
    for user in range(3):
        batch = UserBatch.of_user(histories, user)
        assert batch.users is not None
        assert batch.users.tolist() == [user]
        np.testing.assert_array_equal(batch.histories.toarray(), histories[[user]].toarray())
