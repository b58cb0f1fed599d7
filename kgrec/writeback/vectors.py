"""Vectors of users and items whose cosines rank as the model does.

Scores ``S`` [users, items] are approximated by ``S Q Q'`` with ``Q`` [items, d] from a randomised
range finder with power iterations (Halko, Martinsson & Tropp 2011, algorithm 4.4), so that a user
is ``S Q`` and an item a row of ``Q``.  An item gets one more number, ``sqrt(M^2 - |v|^2)`` with
``M`` the longest item vector, and a user a zero: then all items are equally long, and the cosine
of a user and an item orders items as the inner product does (Bachrach et al. 2014).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgrec.ranker import BLOCK_CELLS, Ranker

OVERSAMPLING = 8
POWER_ITERATIONS = 1


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """Vectors of all items, and of some users.

    Parameters
    ----------
    users
        [users, d + 1] float32, the last column 0.
    items
        [items, d + 1] float32, all rows equally long.
    kept
        Share of the sum of squares of the centred scores that the vectors keep.
    """

    users: NDArray[np.float32]
    items: NDArray[np.float32]
    kept: float


def compute_vectors(
    model: Ranker, users: NDArray[np.int64], dimensions: int, *, seed: int = 0
) -> Vectors:
    """Compute vectors of users and items.

    Parameters
    ----------
    model
        A fitted model; all items are scored for all users several times, by blocks.
    users
        Positions of the users, [U].
    dimensions
        Length of the vectors, at least 2.
    seed
        Seed of the random projection.

    Returns
    -------
    Vectors
        Fewer dimensions where there are fewer users or items.

    Raises
    ------
    ValueError
        If there are fewer than 2 dimensions.
    """
    if dimensions < 2:
        raise ValueError(f"vectors of {dimensions} dimensions hold no score: ask for 2 or more")
    items = len(model.graph.items)
    rank = min(dimensions - 1, len(users), items)
    width = min(rank + OVERSAMPLING, len(users), items)
    basis = np.random.default_rng(seed).standard_normal((items, width)).astype(np.float32)
    for _ in range(POWER_ITERATIONS + 1):
        product = np.zeros((items, width), np.float64)
        for scores in _score_blocks(model, users):
            product += scores.T @ (scores @ basis)
        basis = np.linalg.qr(product)[0].astype(np.float32)
    parts, total = [], 0.0
    for scores in _score_blocks(model, users):
        parts.append(scores @ basis)
        total += float(np.square(scores, dtype=np.float64).sum())
    projected = np.concatenate(parts)
    _, strength, rotation = np.linalg.svd(projected, full_matrices=False)
    kept = float(np.square(strength[:rank], dtype=np.float64).sum() / total) if total else 1.0
    turn = rotation[:rank].T
    return Vectors(_with_zero(projected @ turn), _equally_long(basis @ turn), kept)


def _score_blocks(model: Ranker, users: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
    """Score all items by blocks of users, each user's mean taken away: it orders nothing."""
    block = max(1, BLOCK_CELLS // max(1, len(model.graph.items)))
    for start in range(0, len(users), block):
        scores = model.score(users[start : start + block])
        yield scores - scores.mean(axis=1, keepdims=True)


def _with_zero(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.pad(vectors, ((0, 0), (0, 1))).astype(np.float32)


def _equally_long(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = np.square(vectors).sum(axis=1)
    rest = np.sqrt(np.maximum(squares.max(initial=0.0) - squares, 0.0))
    return np.column_stack([vectors, rest]).astype(np.float32)
