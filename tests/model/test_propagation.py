"""Shares of the channels and the kernel that they make."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kgrec.model.channels import Matrix
from kgrec.model.propagation import Propagation, channel_kernels, inner_products
from numpy.typing import NDArray
from scipy import sparse

SHARPNESSES = (0.0, 2.0)


def unit_rows(rows: int, size: int, seed: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(rows, size))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def dense(rows: Matrix) -> NDArray[np.float32]:
    plain: NDArray[np.float32] = rows.toarray() if sparse.issparse(rows) else rows
    return plain


LEFT: list[Matrix] = [unit_rows(6, 3, 0), sparse.csr_array(unit_rows(6, 4, 1))]
RIGHT: list[Matrix] = [unit_rows(5, 3, 2), sparse.csr_array(unit_rows(5, 4, 3))]


def test_shares_start_at_the_prior_and_sum_to_one() -> None:
    np.testing.assert_allclose(Propagation([1, 3], 0.0).shares().tolist(), [0.25, 0.75], rtol=1e-6)


@pytest.mark.parametrize("sharpness", SHARPNESSES)
def test_the_kernel_without_stacking_is_the_kernel(sharpness: float) -> None:
    propagation = Propagation([1, 3], sharpness)
    stacked = propagation(channel_kernels(LEFT, RIGHT)).detach().numpy()
    np.testing.assert_allclose(propagation.kernel(LEFT, RIGHT).numpy(), stacked, atol=1e-6)
    plain = [dense(left) @ dense(right).T for left, right in zip(LEFT, RIGHT, strict=True)]
    mixture = 0.25 * plain[0] + 0.75 * plain[1]
    expected = np.exp(sharpness * (mixture - 1)) if sharpness else mixture
    np.testing.assert_allclose(stacked, expected, atol=1e-6)


@pytest.mark.parametrize("sharpness", SHARPNESSES)
def test_the_kernel_is_positive(sharpness: float) -> None:
    kernel = Propagation([1, 3], sharpness).kernel(LEFT, LEFT).double().numpy()
    np.testing.assert_allclose(np.diag(kernel), 1, atol=1e-5)
    assert np.linalg.eigvalsh(kernel).min() > -1e-6


def test_gradient_of_the_kernel() -> None:
    kernels = channel_kernels(LEFT, RIGHT).double()
    propagation = Propagation([1, 3], 2.0).double()

    def mix(offset: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = torch.func.functional_call(
            propagation, {"offset": offset}, (kernels,)
        )
        return mixed

    assert torch.autograd.gradcheck(mix, (torch.zeros(2).double().requires_grad_(),))


def test_inner_products() -> None:
    plain = dense(RIGHT[1]) @ dense(LEFT[1]).T
    np.testing.assert_allclose(inner_products(RIGHT[1], LEFT[1]), plain, atol=1e-6)
    np.testing.assert_allclose(inner_products(dense(RIGHT[1]), dense(LEFT[1])), plain, atol=1e-6)
    assert inner_products(RIGHT[1], LEFT[1]).dtype == np.float32
    nothing = sparse.csr_array(np.zeros((2, 0), np.float32))
    assert inner_products(nothing, nothing).tolist() == [[0, 0], [0, 0]]
