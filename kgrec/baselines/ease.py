"""EASE: a linear model from what was used to what will be, in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from kgrec.baselines.validation import choose, hold_out_pairs, used_matrix
from kgrec.errors import ConfigError
from kgrec.graph import KnowledgeGraph
from kgrec.ranker import Ranker, UserBatch

GIB = 2**30
MEMORY_LIMIT = 8 * GIB
PENALTIES = (300.0, 30.0, 100.0, 1000.0)


class EASE(Ranker):
    """Score items by ``x B``: the history times item-to-item weights with a zero diagonal.

    Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019, equation 8.
    Cold items score 0, since nothing was learned about them.

    Parameters
    ----------
    penalty
        The ridge penalty (lambda in the paper); several are tried on held-out pairs.
    memory_limit
        Bytes that the dense matrices among warm items may take.
    """

    def __init__(
        self, penalty: float | Sequence[float] = PENALTIES, *, memory_limit: int = MEMORY_LIMIT
    ) -> None:
        self.penalties = as_penalties(penalty)
        self.memory_limit = memory_limit

    chosen_penalty: float
    _warm: NDArray[np.int64]
    _weights: NDArray[np.float32]

    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        warm = np.flatnonzero(~graph.is_cold)
        check_memory(len(warm), 3, self.memory_limit, self.name)
        matrix = used_matrix(graph)[:, warm]
        fold = hold_out_pairs(matrix, np.random.default_rng(seed))

        def value(penalty: float) -> float:
            weights = ease_weights(fold.histories, penalty)
            return fold.ndcg(lambda batch: np.asarray(batch.histories @ weights))

        self.chosen_penalty = choose(self.penalties, value)
        self._weights = ease_weights(matrix, self.chosen_penalty)
        self._warm = warm

    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        scores = np.zeros(batch.histories.shape, np.float32)
        scores[:, self._warm] = batch.histories[:, self._warm] @ self._weights
        return scores

    def _similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        # what a history of this one item alone would be recommended
        one = np.ones(len(items), np.float32), (np.arange(len(items)), items)
        alone = sparse.csr_array(one, shape=(len(items), self.histories.shape[1]))
        return self._score(UserBatch(alone))


def ease_weights(matrix: sparse.csr_array, penalty: float) -> NDArray[np.float32]:
    """Solve EASE in closed form.

    With ``P = (X'X + penalty I)^-1`` the weights are ``B = I - P diag(1 / diag P)``.  Where there
    are fewer users than items, P comes from the smaller ``(XX' + penalty I)^-1`` by Woodbury's
    identity.

    Parameters
    ----------
    matrix
        Interactions X, [users, items] float32.
    penalty
        Ridge penalty.

    Returns
    -------
    ndarray of float32
        Item-to-item weights B with a zero diagonal, [items, items].
    """
    inverse = _inverse_by_users if matrix.shape[0] < matrix.shape[1] else _inverse_by_items
    weights = inverse(matrix, penalty)
    weights /= -np.diagonal(weights)[None].copy()
    np.fill_diagonal(weights, 0.0)
    return weights


def as_penalties(penalty: float | Sequence[float]) -> tuple[float, ...]:
    """Check ridge penalties.

    Parameters
    ----------
    penalty
        One or several.

    Returns
    -------
    tuple of float
        All of them.

    Raises
    ------
    ValueError
        If there is none, or one is not positive.
    """
    penalties = (float(penalty),) if isinstance(penalty, int | float) else tuple(penalty)
    if not penalties or not min(penalties) > 0:
        raise ValueError(f"penalty = {penalty} must be positive")
    return penalties


def check_memory(items: int, matrices: int, limit: int, name: str) -> None:
    """Refuse dense matrices that would not fit, before they are made.

    Parameters
    ----------
    items
        Side of the float32 matrices.
    matrices
        How many are held at once.
    limit
        Bytes that they may take.
    name
        Which ranker asks.

    Raises
    ------
    ConfigError
        If they take more.
    """
    needed = matrices * 4 * items**2
    if needed > limit:
        raise ConfigError(
            f"{name} on {items:,} items needs {needed / GIB:.1f} GiB, above its memory_limit of "
            f"{limit / GIB:.1f} GiB: raise memory_limit, or use a ranker that is linear in items"
        )


def _inverse_by_items(matrix: sparse.csr_array, penalty: float) -> NDArray[np.float32]:
    gram = (matrix.T @ matrix).toarray()
    gram[np.diag_indices_from(gram)] += penalty
    return _inverse(gram)


def _inverse_by_users(matrix: sparse.csr_array, penalty: float) -> NDArray[np.float32]:
    gram = (matrix @ matrix.T).toarray()
    gram[np.diag_indices_from(gram)] += penalty
    solved = (matrix.T @ _inverse(gram)).T  # symmetric, so this is the inverse times X
    inverse: NDArray[np.float32] = -(matrix.T @ solved)
    inverse[np.diag_indices_from(inverse)] += 1.0
    inverse /= penalty
    return inverse


def _inverse(gram: NDArray[np.float32]) -> NDArray[np.float32]:
    """Invert a positive definite matrix by Cholesky."""
    if not len(gram):  # LAPACK refuses an empty one
        return gram
    try:
        factor = linalg.cho_factor(gram.T, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError as error:
        raise np.linalg.LinAlgError(
            "the Gram matrix is singular in float32: raise the penalty"
        ) from error
    # solving for the identity is several times faster than LAPACK's own inverse (potri)
    identity = np.eye(len(gram), dtype=np.float32, order="F")
    inverse = linalg.cho_solve(factor, identity, overwrite_b=True, check_finite=False)
    return np.asarray(inverse, dtype=np.float32)
