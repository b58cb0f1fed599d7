"""What most people use."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kgrec.graph import KnowledgeGraph
from kgrec.ranker import Ranker, UserBatch


class Popularity(Ranker):
    """Score an item by how many users it has.

    The same for everybody.  All cold items score 0: among them the order is that of the ids,
    which says nothing.  ``similar_items`` gives the items that most users share with the item.
    """

    _counts: NDArray[np.float32]

    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        del seed
        used = graph.interaction_matrix()
        self._counts = np.bincount(used.indices, minlength=used.shape[1]).astype(np.float32)

    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        return np.tile(self._counts, (len(batch), 1))

    def _similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        shared: NDArray[np.float32] = (self.histories.T.tocsr()[items] @ self.histories).toarray()
        return shared
