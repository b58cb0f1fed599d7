"""Closed forms against their textbook equations, and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from kgrec.baselines import ALS, EASE, ALSSettings, ContentRidge, ItemKNN, KernelRidgeEASE
from kgrec.baselines.als import factorise
from kgrec.baselines.content import read_content
from kgrec.baselines.ease import ease_weights
from kgrec.baselines.validation import choose, hold_out_items, hold_out_pairs
from kgrec.errors import ConfigError
from kgrec.ranker import UserBatch
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tests.baselines.worlds import FACTORS, WordEncoder, checkerboard


def random_matrix(users: int, items: int) -> sparse.csr_array:
    drawn = np.random.default_rng(5).random((users, items)) < 0.3
    return sparse.csr_array(drawn.astype(np.float32))


def textbook_ease(matrix: sparse.csr_array, penalty: float) -> NDArray[np.float64]:
    dense = matrix.toarray().astype(np.float64)
    inverse = np.linalg.inv(dense.T @ dense + penalty * np.eye(dense.shape[1]))
    weights: NDArray[np.float64] = np.eye(len(inverse)) - inverse / np.diag(inverse)
    return weights


@pytest.mark.parametrize(("users", "items"), [(30, 12), (12, 30)])
@pytest.mark.parametrize("penalty", [0.5, 50.0])
def test_ease_is_the_textbook_solution(users: int, items: int, penalty: float) -> None:
    matrix = random_matrix(users, items)
    weights = ease_weights(matrix, penalty)
    assert weights.dtype == np.float32
    assert not np.diagonal(weights).any()
    np.testing.assert_allclose(weights, textbook_ease(matrix, penalty), atol=2e-5)


def test_ease_that_float32_cannot_solve() -> None:
    twice = sparse.csr_array(np.ones((5000, 3), np.float32))
    with pytest.raises(np.linalg.LinAlgError, match="raise the penalty"):
        ease_weights(twice, 1e-12)


def test_item_knn_by_hand() -> None:
    graph = checkerboard()
    ranker = ItemKNN(2, shrinkage=1.0).fit(graph)
    matrix = graph.interaction_matrix().toarray()
    shared = matrix.T @ matrix
    used = matrix.sum(axis=0)
    cosine = shared / (np.sqrt(np.outer(used, used)) + 1)
    np.testing.assert_allclose(ranker._similarity(np.array([0, 4])), cosine[[0, 4]], rtol=1e-5)
    np.fill_diagonal(cosine, 0)
    kept = np.argsort(-cosine, axis=1, kind="stable")[:, :2]
    alone = sparse.csr_array(np.eye(len(used), dtype=np.float32)[[3]])
    scores = ranker._score(UserBatch(alone))[0]
    expected = [cosine[item, 3] if 3 in kept[item] else 0 for item in range(len(used))]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_fold_in_is_the_exact_solution_of_als() -> None:
    matrix = random_matrix(20, 15)
    factors = factorise(matrix, FACTORS, 0)
    with threadpool_limits(1, "blas"):
        reference = AlternatingLeastSquares(
            factors=4, regularization=FACTORS.penalty, alpha=FACTORS.confidence
        )
        reference.item_factors = factors.items
        users = np.arange(20)
        expected = reference.recalculate_user(users, sparse.csr_matrix(matrix))
    np.testing.assert_allclose(factors.fold_in(matrix), expected, rtol=1e-3, atol=1e-4)


def test_als_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
    with pytest.raises(ImportError, match=r"pip install 'kgrec\[als\]'"):
        ALS(FACTORS).fit(checkerboard())


def test_kernel_ridge_is_its_equation() -> None:
    graph = checkerboard()
    encoder = WordEncoder()
    ranker = KernelRidgeEASE(encoder, ease_penalty=2.0, penalty=0.5).fit(graph)
    features = read_content(graph, encoder).matrix().toarray().astype(np.float64)
    kernel = features @ features.T
    matrix = graph.interaction_matrix()
    warm, cold = np.flatnonzero(~graph.is_cold), np.flatnonzero(graph.is_cold)
    scores = matrix[:, warm].toarray() @ textbook_ease(matrix[:, warm], 2.0)
    solved = np.linalg.solve(
        kernel[np.ix_(warm, warm)] + 0.5 * np.eye(len(warm)), kernel[np.ix_(warm, cold)]
    )
    mine = ranker._score(UserBatch(matrix))
    np.testing.assert_allclose(mine[:, warm], scores, atol=1e-4)
    np.testing.assert_allclose(mine[:, cold], scores @ solved, atol=1e-4)


def test_ridge_to_factors_is_its_equation() -> None:
    graph = checkerboard()
    ranker = ContentRidge(settings=FACTORS, penalty=0.5).fit(graph)
    features = read_content(graph).matrix().toarray().astype(np.float64)
    warm, cold = np.flatnonzero(~graph.is_cold), np.flatnonzero(graph.is_cold)
    own = ranker._factors.items[warm]
    primal = np.linalg.solve(
        features[warm].T @ features[warm] + 0.5 * np.eye(features.shape[1]),
        features[warm].T @ own,
    )
    np.testing.assert_allclose(ranker._targets[warm], own)
    np.testing.assert_allclose(ranker._targets[cold], features[cold] @ primal, atol=1e-3)


def test_pseudo_cold_items_are_in_no_history() -> None:
    matrix = random_matrix(40, 30)
    fold = hold_out_items(matrix, np.random.default_rng(0))
    assert fold.candidates.sum() == 3
    assert not fold.histories[:, fold.candidates].nnz
    assert (fold.histories + fold.held_out != matrix).nnz == 0
    perfect = fold.held_out.toarray()
    assert fold.ndcg(lambda batch: perfect[batch.users]) == pytest.approx(1.0)
    assert fold.ndcg(lambda batch: -perfect[batch.users]) < 0.9


def test_held_out_pairs_are_in_no_history() -> None:
    matrix = random_matrix(40, 30)
    fold = hold_out_pairs(matrix, np.random.default_rng(0))
    assert fold.held_out.nnz > 0
    assert not fold.histories.multiply(fold.held_out).nnz
    assert (fold.histories + fold.held_out != matrix).nnz == 0


def test_choose_asks_only_when_there_is_a_choice() -> None:
    def never(setting: int) -> float:
        raise AssertionError(setting)

    assert choose([4], never) == 4
    assert choose([3, 1, 2], lambda setting: float(setting == 2)) == 2
    assert choose([3, 1, 2], lambda _: 0.0) == 3


def test_settings_are_chosen_in_fit() -> None:
    ranker = EASE((5.0, 1e6)).fit(checkerboard())
    assert ranker.chosen_penalty == 5.0
    ridge = KernelRidgeEASE(ease_penalty=(1.0, 5.0), penalty=(1.0, 2.0)).fit(checkerboard())
    assert ridge.chosen_ease_penalty in (1.0, 5.0)
    assert ridge.chosen_penalty in (1.0, 2.0)


def test_too_many_items_for_memory_are_refused_and_the_ranker_stays_as_it_was() -> None:
    ranker = EASE(5.0).fit(checkerboard())
    before = ranker.recommend("heist_fan1", 3)
    ranker.memory_limit = 1000
    with pytest.raises(ConfigError, match="memory_limit"):
        ranker.fit(checkerboard(extra=[("heist_fan0", "space_new0")]))
    assert ranker.recommend("heist_fan1", 3).equals(before)
    with pytest.raises(ConfigError, match="20 items needs"):
        ContentRidge(settings=FACTORS, memory_limit=10).fit(checkerboard())
    with pytest.raises(ConfigError, match="24 items needs"):
        KernelRidgeEASE(memory_limit=10).fit(checkerboard())


def test_settings_out_of_range() -> None:
    with pytest.raises(ValueError, match="penalty"):
        EASE(0.0)
    with pytest.raises(ValueError, match="penalty"):
        KernelRidgeEASE(penalty=())
    with pytest.raises(ValueError, match="neighbours"):
        ItemKNN(0)
    with pytest.raises(ValueError, match="settings"):
        ALS(())
    assert ALSSettings().factors == 64
