"""The bilinear head, solved in closed form.

With item features F (after propagation) and collaborative scores S (users x warm items), the
head is the W that minimises the squared error of ``S F_w W F_w'`` against S with a ridge
penalty: ``score(u, i) = (S_u F_w) W f_i`` with ``W = (F_w' F_w + penalty I)^-1``.  By the
push-through identity this is ``S_u (K_ww + penalty I)^-1 K_wi`` with the kernel ``K = F F'``,
which is what is solved here: exact, linear in the catalogue once the warm block is factored,
and differentiable.  (Ridge regression in its primal and dual form: Saunders, Gammerman and
Vovk, ICML 1998.)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction, FunctionCtx


def factor_positive(matrix: Tensor) -> Tensor:
    """Factor a positive definite matrix, in double precision where its own does not suffice.

    Parameters
    ----------
    matrix
        Symmetric and positive definite, [W, W].

    Returns
    -------
    Tensor
        Lower Cholesky factor, [W, W], of the type of the matrix.
    """
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        factor = torch.linalg.cholesky(matrix.double()).to(matrix.dtype)
    return factor


def factor_ridge(kernel: Tensor, penalty: Tensor) -> Tensor:
    """Factor the regularised kernel of the warm items.

    Parameters
    ----------
    kernel
        Kernel among warm items, [W, W].
    penalty
        Ridge penalty of each warm item, [W]: the noise of what is known about it.

    Returns
    -------
    Tensor
        Lower Cholesky factor of ``kernel + diag(penalty)``, [W, W].
    """
    return factor_positive(kernel + torch.diag(penalty))


def solve_ridge(factor: Tensor, cross_kernel: Tensor) -> Tensor:
    """Express items by the warm ones: ``(K_ww + penalty)^-1 K_wc``.

    Parameters
    ----------
    factor
        From :func:`factor_ridge`, [W, W].
    cross_kernel
        Kernel between warm items and the items wanted, [W, C].

    Returns
    -------
    Tensor
        Weights of the warm items, [W, C].

    Examples
    --------
    >>> kernel = torch.eye(2)
    >>> factor = factor_ridge(kernel, torch.tensor([1.0, 1.0]))
    >>> solve_ridge(factor, torch.tensor([[1.0], [0.0]])).tolist()
    [[0.5], [0.0]]
    """
    return torch.cholesky_solve(cross_kernel, factor)


def ridge_weights(kernel: Tensor, penalty: Tensor, cross_kernel: Tensor) -> Tensor:
    """Express items by the warm ones, differentiably and cheaply so.

    The derivative of ``X = (K + penalty)^-1 C`` follows from ``(K + penalty) X = C`` itself: one
    more solve with the same factor and one product, where going back through the Cholesky
    factor takes several solves as large as the kernel (implicit differentiation; Griewank and
    Walther, Evaluating Derivatives, 2008, chapter 15).

    Parameters
    ----------
    kernel
        Kernel among warm items, [W, W], symmetric however its own inputs change.
    penalty
        Ridge penalty of each warm item, [W].
    cross_kernel
        Kernel between warm items and the items wanted, [W, C].

    Returns
    -------
    Tensor
        What :func:`solve_ridge` gives with the factor of :func:`factor_ridge`, [W, C].

    Examples
    --------
    >>> penalty = torch.tensor([1.0], requires_grad=True)
    >>> weights = ridge_weights(torch.eye(1), penalty, torch.ones(1, 1))
    >>> weights.backward()
    >>> weights.item(), penalty.grad.item()
    (0.5, -0.25)
    """
    weights: Tensor = _RidgeWeights.apply(kernel, penalty, cross_kernel)  # type: ignore[no-untyped-call]
    return weights


class _RidgeWeights(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, kernel: Tensor, penalty: Tensor, cross_kernel: Tensor) -> Tensor:
        factor = factor_ridge(kernel, penalty)
        weights = solve_ridge(factor, cross_kernel)
        ctx.save_for_backward(factor, weights)
        return weights

    @staticmethod
    def backward(ctx: BackwardCFunction, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        factor, weights = saved
        cross = solve_ridge(factor, gradients[0])
        among = -(cross @ weights.T)
        return among, among.diagonal(), cross
