"""Profiles: a user is the mean of the items used, and wants what is most like it."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kgrec.baselines.content import (
    Encoder,
    encode_items,
    neighbour_bag,
    sparse_unit_rows,
    tfidf,
)
from kgrec.graph import KnowledgeGraph
from kgrec.model.whitening import unit_rows
from kgrec.ranker import Ranker, UserBatch


class _Profile(Ranker):
    """Cosine between an item and the mean of the history's vectors, all of length one."""

    _vectors: sparse.csr_array

    @abstractmethod
    def _describe(self, graph: KnowledgeGraph) -> sparse.csr_array:
        """Vectors of the items, [items, D] float32, rows of length one or zero."""

    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        del seed
        self._vectors = self._describe(graph)

    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        profiles = sparse_unit_rows(sparse.csr_array(batch.histories @ self._vectors))
        scores: NDArray[np.float32] = (profiles @ self._vectors.T).toarray()
        return scores

    def _similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        cosine: NDArray[np.float32] = (self._vectors[items] @ self._vectors.T).toarray()
        return cosine


class TfidfProfile(_Profile):
    """Profile of the words in the items' texts (Rocchio's method on tf-idf).

    An item without a text scores 0, as does every item for a user whose items have none.
    """

    def _describe(self, graph: KnowledgeGraph) -> sparse.csr_array:
        return tfidf(graph.items.texts)


class GraphNeighbourVote(_Profile):
    """Profile of the nodes that items are joined with in the graph.

    Each neighbour of the history votes for the items that it is joined with, rare ones louder:
    see :func:`kgrec.baselines.content.neighbour_bag`.  An item without edges scores 0.
    """

    def _describe(self, graph: KnowledgeGraph) -> sparse.csr_array:
        return neighbour_bag(graph)


class TextNearest(Ranker):
    """Cosine between an item's text vector and the mean vector of the history.

    Parameters
    ----------
    encoder
        Turns texts into vectors.

    Notes
    -----
    Raw cosines, as a vector search gives them; :class:`KernelRidgeEASE` shows what whitening
    and learning make of the same vectors.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    _vectors: NDArray[np.float32]

    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        del seed
        self._vectors = unit_rows(encode_items(graph, self.encoder))

    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        return unit_rows(np.asarray(batch.histories @ self._vectors)) @ self._vectors.T

    def _similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._vectors[items] @ self._vectors.T
