"""Item weights against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kgrec.model.collaborative import (
    SINGULAR_EXPONENT,
    ease_weights,
    gram_matrix,
    low_pass_weights,
    popularity,
    score_spread,
)
from numpy.typing import NDArray
from scipy import sparse

USERS, ITEMS = 60, 15


def histories(seed: int = 0) -> sparse.csr_array:
    random = np.random.default_rng(seed)
    chance = np.linspace(0.1, 0.7, ITEMS)
    return sparse.csr_array((random.random((USERS, ITEMS)) < chance).astype(np.float32))


def plain_ease(gram: NDArray[np.float64], penalty: float) -> NDArray[np.float64]:
    inverse = np.linalg.inv(gram + penalty * np.eye(len(gram)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


def test_ease_is_the_published_closed_form() -> None:
    used = histories().toarray().astype(np.float64)
    gram = gram_matrix(histories(), 0.0)
    np.testing.assert_allclose(gram.numpy(), used.T @ used)
    weights = ease_weights(gram, popularity(histories()), 7.0, item_exponent=0.0).numpy()
    np.testing.assert_allclose(weights, plain_ease(used.T @ used, 7.0), atol=1e-5)
    assert not np.diag(weights).any()


def test_ease_on_a_comparable_scale() -> None:
    popular = popularity(histories())
    scale = popular.numpy().astype(np.float64) ** -0.3
    gram = gram_matrix(histories()).numpy().astype(np.float64)
    expected = np.diag(scale) @ plain_ease(gram * np.outer(scale, scale), 7.0) @ np.diag(1 / scale)
    weights = ease_weights(gram_matrix(histories()), popular, 7.0, item_exponent=0.3)
    np.testing.assert_allclose(weights.numpy(), expected, atol=1e-5)


def test_without_the_constraint_it_is_ridge_regression() -> None:
    used = histories().toarray().astype(np.float64)
    gram = used.T @ used
    ridge = np.linalg.solve(gram + 7.0 * np.eye(ITEMS), gram)
    arguments = (gram_matrix(histories(), 0.0), popularity(histories()), 7.0)
    plain = ease_weights(*arguments, item_exponent=0.0, diagonal=0.0).numpy()
    np.testing.assert_allclose(plain, ridge, atol=1e-5)
    half = ease_weights(*arguments, item_exponent=0.0, diagonal=0.5).numpy()
    np.testing.assert_allclose(half, (ridge + plain_ease(gram, 7.0)) / 2, atol=1e-5)


def test_the_gram_matrix_is_left_alone() -> None:
    gram = gram_matrix(histories())
    before = gram.clone()
    ease_weights(gram, popularity(histories()), 7.0)
    assert torch.equal(gram, before)


def test_users_with_long_histories_count_less() -> None:
    used = np.zeros((2, 4), np.float32)
    used[0, :1] = used[1, :3] = 1  # lengths 1 and 3, the mean is 2
    gram = gram_matrix(sparse.csr_array(used), 0.5).numpy()
    assert gram[0, 0] == pytest.approx(2**0.5 + (2 / 3) ** 0.5)
    assert gram[1, 2] == pytest.approx((2 / 3) ** 0.5)
    assert not gram[3].any()


def test_popularity_is_relative_and_never_zero() -> None:
    used = sparse.csr_array(np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0]], np.float32))
    np.testing.assert_allclose(popularity(used).numpy(), [1.5, 0.5, 0.5])
    nobody = sparse.csr_array(np.zeros((2, 3), np.float32))
    assert popularity(nobody).tolist() == [1, 1, 1]
    assert not gram_matrix(nobody).any()


def test_low_pass_against_a_dense_decomposition() -> None:
    used = histories().toarray().astype(np.float64)
    items = np.maximum(used.sum(axis=0), 1)
    normalised = used / np.sqrt(np.maximum(used.sum(axis=1), 1))[:, None] / np.sqrt(items)
    leading = np.linalg.svd(normalised)[2][:4]
    expected = items[:, None] ** -0.5 * (leading.T @ leading) * items**SINGULAR_EXPONENT
    weights = low_pass_weights(histories(), 4, seed=0).numpy()
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, atol=2e-3)


def test_low_pass_of_small_and_degenerate_histories() -> None:
    assert not low_pass_weights(histories()[:1], 8, seed=0).any()
    assert not low_pass_weights(histories(), 0, seed=0).any()
    alike = sparse.csr_array(np.ones((30, 20), np.float32))
    assert torch.isfinite(low_pass_weights(alike, 8, seed=0)).all()


def test_low_pass_depends_on_the_seed_alone() -> None:
    first, again = (low_pass_weights(histories(), 4, seed=1) for _ in range(2))
    assert torch.equal(first, again)


def test_spread_of_scores() -> None:
    weights = torch.tensor([[0.0, 2.0], [0.0, 4.0]])
    assert score_spread(sparse.csr_array(np.eye(2, dtype=np.float32)), weights) == pytest.approx(
        1.5
    )
    assert score_spread(np.zeros((1, 2), np.float32), weights) == 1.0
