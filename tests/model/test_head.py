"""The head in closed form: against a dense reference, its primal form and numeric gradients."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from kgrec.model.head import factor_positive, factor_ridge, ridge_weights, solve_ridge
from numpy.typing import NDArray

WARM, COLD, SIZE = 12, 5, 4


def features(rows: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(rows, SIZE))


def test_dense_reference() -> None:
    warm, cold = features(WARM, 0), features(COLD, 1)
    penalty = np.linspace(0.1, 2.0, WARM)
    factor = factor_ridge(torch.as_tensor(warm @ warm.T), torch.as_tensor(penalty))
    weights = solve_ridge(factor, torch.as_tensor(warm @ cold.T))
    expected = scipy.linalg.solve(warm @ warm.T + np.diag(penalty), warm @ cold.T)
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-9)


def test_primal_form_is_the_bilinear_head() -> None:
    warm, cold = features(WARM, 0), features(COLD, 1)
    scores = np.random.default_rng(2).normal(size=(7, WARM))
    factor = factor_ridge(torch.as_tensor(warm @ warm.T), torch.full((WARM,), 0.5).double())
    dual = scores @ solve_ridge(factor, torch.as_tensor(warm @ cold.T)).numpy()
    middle = np.linalg.inv(warm.T @ warm + 0.5 * np.eye(SIZE))
    primal = (scores @ warm) @ middle @ cold.T
    np.testing.assert_allclose(dual, primal, rtol=1e-9)


def test_the_head_is_the_least_squares_fit() -> None:
    warm = torch.as_tensor(features(WARM, 0))
    scores = torch.as_tensor(np.random.default_rng(2).normal(size=(7, WARM)))
    factor = factor_ridge(warm @ warm.T, torch.full((WARM,), 0.5).double())
    fitted = (solve_ridge(factor, warm).T @ scores.T).requires_grad_()  # one vector a user
    error = (scores - fitted.T @ warm.T).square().sum() + 0.5 * fitted.square().sum()
    (gradient,) = torch.autograd.grad(error, fitted)
    np.testing.assert_allclose(gradient.numpy(), 0, atol=1e-9)


@pytest.mark.parametrize("implicit", [False, True])
def test_gradient_of_the_solve(implicit: bool) -> None:
    warm = torch.as_tensor(features(6, 0)).requires_grad_()
    cold = torch.as_tensor(features(3, 1)).requires_grad_()
    penalty = torch.linspace(0.3, 1.0, 6).double().requires_grad_()

    def solve(warm: torch.Tensor, cold: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
        if implicit:
            return ridge_weights(warm @ warm.T, penalty, warm @ cold.T)
        return solve_ridge(factor_ridge(warm @ warm.T, penalty), warm @ cold.T)

    assert torch.autograd.gradcheck(solve, (warm, cold, penalty))


def test_many_equal_items_in_single_precision() -> None:
    kernel = torch.ones(1_500, 1_500)
    weights = solve_ridge(factor_ridge(kernel, torch.full((1_500,), 0.1)), torch.ones(1_500, 1))
    np.testing.assert_allclose(weights.numpy(), 1 / 1500.1, rtol=1e-2)


def test_double_precision_where_single_does_not_suffice() -> None:
    matrix = torch.full((600, 600), 2.0**20) + 0.25 * torch.eye(600)  # exact in float32
    factor = factor_positive(matrix)
    assert factor.dtype == torch.float32
    np.testing.assert_allclose((factor @ factor.T).numpy(), matrix.numpy(), rtol=1e-5)
