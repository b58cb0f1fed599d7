"""Choosing settings inside ``fit``, from nothing but the training interactions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kgrec.evaluation.metrics import ndcg
from kgrec.graph import KnowledgeGraph
from kgrec.ranker import BLOCK_CELLS, UserBatch
from kgrec.retrieval import top_k

SHARE = 0.1
MAX_USERS = 2_000  # enough for a choice; more only cost time
LIST_LENGTH = 20

Setting = TypeVar("Setting")
Score: TypeAlias = Callable[[UserBatch], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Part of the interactions to learn from, the rest to find again.

    Parameters
    ----------
    histories
        What remains, [users, items] float32.
    held_out
        What was taken away, [users, items] float32.
    candidates
        Which items are ranked, [items].
    users
        Users with a history and something to find, at most 2,000 of them, [U].
    """

    histories: sparse.csr_array
    held_out: sparse.csr_array
    candidates: NDArray[np.bool_]
    users: NDArray[np.int64]

    def ndcg(self, score: Score) -> float:
        """Mean NDCG@20 over the fold's users.

        Parameters
        ----------
        score
            Scores all items for a batch of users, [B, items].

        Returns
        -------
        float
            0 if the fold has no users.
        """
        block = max(1, BLOCK_CELLS // max(1, self.histories.shape[1]))
        parts = [
            self._block_ndcg(score, self.users[start : start + block])
            for start in range(0, len(self.users), block)
        ]
        return float(np.concatenate(parts).mean()) if parts else 0.0

    def _block_ndcg(self, score: Score, users: NDArray[np.int64]) -> NDArray[np.float64]:
        histories = self.histories[users]
        wanted = self.held_out[users]
        scores = np.array(score(UserBatch(histories, users)), np.float32)
        scores[:, ~self.candidates] = -np.inf
        scores[histories.nonzero()] = -np.inf
        columns, _ = top_k(scores, LIST_LENGTH)
        positive = wanted.toarray() > 0
        hits = np.take_along_axis(positive, np.maximum(columns, 0), axis=1) & (columns >= 0)
        return ndcg(hits, positive.sum(axis=1))


def used_matrix(graph: KnowledgeGraph) -> sparse.csr_array:
    """Give the interactions to a ranker that learns from them.

    Parameters
    ----------
    graph
        The graph.

    Returns
    -------
    csr_array
        [users, items] float32.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not len(graph.interactions):
        raise ValueError(
            f"the graph '{graph.schema.name}' has no interactions to learn from: "
            "check the interactions query, or use a ranker that needs none"
        )
    return graph.interaction_matrix()


def hold_out_items(matrix: sparse.csr_array, rng: np.random.Generator) -> Fold:
    """Make a tenth of the warm items pseudo-cold; they are the candidates.

    Parameters
    ----------
    matrix
        Interactions, [users, items] float32.
    rng
        Draws the items.

    Returns
    -------
    Fold
        No history holds a candidate.
    """
    warm = np.flatnonzero(np.bincount(matrix.indices, minlength=matrix.shape[1]))
    held_out = np.zeros(matrix.shape[1], bool)
    held_out[rng.permutation(warm)[: max(1, round(SHARE * len(warm)))]] = True
    return _fold(matrix, held_out[matrix.indices], held_out, rng)


def hold_out_pairs(matrix: sparse.csr_array, rng: np.random.Generator) -> Fold:
    """Hold out a tenth of the pairs; all items are candidates.

    Parameters
    ----------
    matrix
        Interactions, [users, items] float32.
    rng
        Draws the pairs.

    Returns
    -------
    Fold
        Histories without the pairs.
    """
    everything = np.ones(matrix.shape[1], bool)
    return _fold(matrix, rng.random(matrix.nnz) < SHARE, everything, rng)


def choose(settings: Sequence[Setting], value: Callable[[Setting], float]) -> Setting:
    """Choose the setting of the highest value, the earlier one of two equals.

    Parameters
    ----------
    settings
        What to choose from, the usual choice first.
    value
        How good a setting is; not called when there is no choice.

    Returns
    -------
    Setting
        The best.

    Examples
    --------
    >>> choose([1, 2, 3], lambda x: -abs(x - 2))
    2
    """
    if len(settings) == 1:
        return settings[0]
    return settings[int(np.argmax([value(setting) for setting in settings]))]


def _fold(
    matrix: sparse.csr_array,
    taken: NDArray[np.bool_],
    candidates: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Fold:
    histories, held_out = _entries(matrix, ~taken), _entries(matrix, taken)
    users = np.flatnonzero((np.diff(histories.indptr) > 0) & (np.diff(held_out.indptr) > 0))
    return Fold(histories, held_out, candidates, np.sort(rng.permutation(users)[:MAX_USERS]))


def _entries(matrix: sparse.csr_array, chosen: NDArray[np.bool_]) -> sparse.csr_array:
    part = sparse.csr_array(
        (matrix.data * chosen, matrix.indices.copy(), matrix.indptr.copy()), shape=matrix.shape
    )
    part.eliminate_zeros()
    return part
