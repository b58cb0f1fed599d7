"""Neighbours among items by who used them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kgrec.baselines.validation import choose, hold_out_pairs, used_matrix
from kgrec.graph import KnowledgeGraph
from kgrec.ranker import BLOCK_CELLS, Ranker, UserBatch
from kgrec.retrieval import top_k


class ItemKNN(Ranker):
    """Add up how alike an item is to each item of the history, over its nearest neighbours.

    Likeness is the shrunk cosine ``n_ij / (sqrt(n_i n_j) + shrinkage)`` of the users in common
    (Sarwar et al., Item-based collaborative filtering, WWW 2001).  Cold items score 0.

    Parameters
    ----------
    neighbours
        How many neighbours an item keeps; several are tried on held-out pairs.
    shrinkage
        How far likeness that few users support is drawn to 0.
    """

    def __init__(
        self, neighbours: int | Sequence[int] = (100, 20, 50, 200), shrinkage: float = 10.0
    ) -> None:
        self.neighbours = (neighbours,) if isinstance(neighbours, int) else tuple(neighbours)
        self.shrinkage = shrinkage
        if not self.neighbours or min(self.neighbours) < 1 or shrinkage < 0:
            raise ValueError("neighbours must be at least 1 and shrinkage at least 0")

    chosen_neighbours: int
    _nearest: sparse.csr_array

    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        matrix = used_matrix(graph)
        fold = hold_out_pairs(matrix, np.random.default_rng(seed))

        def value(neighbours: int) -> float:
            nearest = self._neighbourhoods(fold.histories, neighbours)
            return fold.ndcg(lambda batch: (batch.histories @ nearest.T).toarray())

        self.chosen_neighbours = choose(self.neighbours, value)
        self._nearest = self._neighbourhoods(matrix, self.chosen_neighbours)

    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = (batch.histories @ self._nearest.T).toarray()
        return scores

    def _similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._cosine(self.histories, items)

    def _cosine(self, matrix: sparse.csr_array, items: NDArray[np.int64]) -> NDArray[np.float32]:
        shared: NDArray[np.float32] = (matrix[:, items].T @ matrix).toarray()
        length = np.sqrt(np.bincount(matrix.indices, minlength=matrix.shape[1]))
        scale = (length[items][:, None] * length[None] + self.shrinkage).astype(np.float32)
        return np.divide(shared, scale, out=np.zeros_like(shared), where=scale > 0)

    def _neighbourhoods(self, matrix: sparse.csr_array, neighbours: int) -> sparse.csr_array:
        """Likeness of each item to its nearest others, [items, items]."""
        count = matrix.shape[1]
        block = max(1, BLOCK_CELLS // max(1, count))
        parts = []
        for start in range(0, count, block):
            items = np.arange(start, min(start + block, count))
            cosine = self._cosine(matrix, items)
            cosine[np.arange(len(items)), items] = 0.0
            columns, values = top_k(cosine, neighbours)
            rows = np.repeat(np.arange(len(items)), columns.shape[1])
            part = sparse.csr_array(
                (values.ravel(), (rows, columns.ravel())), shape=(len(items), count)
            )
            part.eliminate_zeros()
            parts.append(part)
        return sparse.csr_array(sparse.vstack(parts))
