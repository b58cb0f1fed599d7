"""Item-item weights learned from who used what: ``scores = histories @ weights``.

EASE (Steck, WWW 2019) with three changes that pay on every data set measured: users with long
histories count less, items are brought to comparable scale before the solve, and what the
graph says of two items is added to the evidence that they belong together.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import svds
from torch import Tensor

from kgrec.model.head import factor_positive

USER_EXPONENT = 0.5  # a user with n items counts n^-0.5 in the Gram matrix
ITEM_EXPONENT = 0.15  # scale of an item used n times: n^-0.15
SINGULAR_EXPONENT = 0.1  # how much popularity comes back after the low pass


def gram_matrix(histories: sparse.csr_array, user_exponent: float = USER_EXPONENT) -> Tensor:
    """Count how often two items occur together, users with long histories counting less.

    Parameters
    ----------
    histories
        [users, W] float32.
    user_exponent
        A user with n items counts ``(n / mean n) ** -user_exponent``.

    Returns
    -------
    Tensor
        [W, W] float32.
    """
    count = np.asarray(histories.sum(axis=1), dtype=np.float64)
    active = count > 0
    mean = count[active].mean() if active.any() else 1.0
    weight = np.where(active, (np.maximum(count, 1) / mean) ** -user_exponent, 0.0)
    scaled = sparse.diags_array(np.sqrt(weight)) @ histories
    product = sparse.csr_array(scaled.T @ scaled)
    return torch.as_tensor(product.toarray().astype(np.float32))


def count_users(histories: sparse.csr_array) -> NDArray[np.int64]:
    """Count the users of each item.

    Parameters
    ----------
    histories
        [users, W].

    Returns
    -------
    ndarray of int64
        [W].
    """
    return np.bincount(histories.indices, minlength=histories.shape[1])


def popularity(histories: sparse.csr_array) -> Tensor:
    """Count the users of each item, relative to the mean over items used at all.

    Parameters
    ----------
    histories
        [users, W].

    Returns
    -------
    Tensor
        [W] float32, at least a little above zero.
    """
    count = count_users(histories).astype(np.float32)
    used = count[count > 0]
    return torch.as_tensor(np.maximum(count, 1.0) / (used.mean() if len(used) else 1.0))


def ease_weights(
    gram: Tensor,
    popular: Tensor,
    penalty: float,
    *,
    item_exponent: float = ITEM_EXPONENT,
    diagonal: float = 1.0,
) -> Tensor:
    """Solve EASE on a Gram matrix brought to comparable scale.

    With ``D = diag(popular ** -item_exponent)`` and ``P = (D G D + penalty I)^-1``, the weights
    with zero diagonal are ``I - P / diag(P)`` (Steck 2019, eq. 8) and those of the plain ridge
    ``I - penalty P``; both are brought back by ``D . D^-1`` and mixed.

    Parameters
    ----------
    gram
        [W, W].
    popular
        Relative popularity of each item, [W].
    penalty
        Ridge penalty.
    item_exponent
        Strength of the scaling.
    diagonal
        Share of the solution with zero diagonal; the rest is the plain ridge, which lets an
        item speak for itself and is the better teacher for content.

    Returns
    -------
    Tensor
        [W, W]: the score of item j for a history is the sum of rows of the items in it.
    """
    scale = popular**-item_exponent
    inverse = gram * scale[:, None]
    inverse *= scale
    inverse.diagonal().add_(penalty)
    inverse = torch.cholesky_inverse(factor_positive(inverse))
    own = inverse.diagonal().clone()
    weights = inverse.mul_(-(diagonal / own + (1.0 - diagonal) * penalty))
    weights.diagonal().copy_((1.0 - diagonal) * (1.0 - penalty * own))
    return weights.mul_(scale[:, None]).div_(scale)


def low_pass_weights(histories: sparse.csr_array, rank: int, seed: int) -> Tensor:
    """Smooth histories by the leading singular vectors of the normalised interactions.

    ``D_i^-1/2 V V' D_i^b`` with V the leading right singular vectors of
    ``D_u^-1/2 R D_i^-1/2``: the ideal low pass of GF-CF (Shen et al., CIKM 2021), with less of
    the popularity put back.

    Parameters
    ----------
    histories
        [users, W].
    rank
        Number of singular vectors; fewer where the matrix is small.
    seed
        Seed of the start vector.

    Returns
    -------
    Tensor
        [W, W] float32.
    """
    users = np.maximum(np.asarray(histories.sum(axis=1)), 1.0)
    items = np.maximum(np.asarray(histories.sum(axis=0)), 1.0)
    normalised = (
        sparse.diags_array(users**-0.5) @ histories @ sparse.diags_array(items**-0.5)
    ).astype(np.float64)
    rank = min(rank, min(normalised.shape) - 1)
    if rank < 1:
        return torch.zeros(histories.shape[1], histories.shape[1])
    start = np.random.default_rng(seed).normal(size=min(normalised.shape))
    _, _, vectors = svds(sparse.csr_array(normalised), k=rank, v0=start, tol=1e-3)
    left = (vectors * items**-0.5).T.astype(np.float32)
    right = (vectors * items**SINGULAR_EXPONENT).astype(np.float32)
    return torch.as_tensor(np.ascontiguousarray(left @ right))


def score_spread(histories: NDArray[np.float32] | sparse.csr_array, weights: Tensor) -> float:
    """Measure how far apart the scores of a user's items lie.

    Parameters
    ----------
    histories
        [B, W].
    weights
        [W, N].

    Returns
    -------
    float
        Mean over users of the standard deviation over items.
    """
    scores = np.asarray(histories @ weights.numpy(force=True))
    return float(scores.std(axis=1).mean()) or 1.0
