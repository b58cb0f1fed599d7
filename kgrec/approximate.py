"""Approximate top-k of inner products by faiss, tuned to a recall that it then reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kgrec.retrieval import top_products

if TYPE_CHECKING:
    import faiss

TRIALS = 256  # queries that the index is tuned on
LEAST_ITEMS = 20_000  # with fewer, looking at all of them is as fast
LEARNED_FROM = 100_000
STEP = 1.25  # by how much more of the lists are looked into at a time while tuning


class ApproximateIndex:
    """An inverted file: of lists of items, only those that a query points to are looked into.

    Parameters
    ----------
    items
        [N, D] float32.
    queries
        Queries like those to come, [Q, D], that the index is tuned on; items by default.
    recall
        Share of the exact best k that are to be found, on average over such queries.
    k
        Length of the lists that it is tuned for.
    seed
        Seed of the draws.

    Attributes
    ----------
    recall : float
        What was reached on queries that the index was tuned on.

    Raises
    ------
    ImportError
        If faiss is not installed.

    Notes
    -----
    Needs the extra ``ann``.  Inverted file of whole vectors, by faiss (Douze et al., The Faiss
    library, 2024).

    Examples
    --------
    >>> items = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    >>> index = ApproximateIndex(items, k=5)
    >>> index.search(items[:2], 5)[0].shape, index.recall
    ((2, 5), 1.0)
    """

    def __init__(
        self,
        items: NDArray[np.float32],
        *,
        queries: NDArray[np.float32] | None = None,
        recall: float = 0.95,
        k: int = 20,
        seed: int = 0,
    ) -> None:
        try:
            import faiss
        except ImportError as error:
            raise ImportError(
                "the index needs the package faiss-cpu: pip install 'kgrec[ann]'"
            ) from error
        self._items = np.ascontiguousarray(items, np.float32)
        self._index: faiss.IndexIVFFlat | None = None
        self.recall = 1.0
        if len(items) < LEAST_ITEMS:
            return
        random = np.random.default_rng(seed)
        sample = self._items[np.sort(random.permutation(len(items))[:LEARNED_FROM])]
        lists = int(2 * len(items) ** 0.5)
        size = items.shape[1]
        self._quantizer = faiss.IndexFlatIP(size)
        metric = faiss.METRIC_INNER_PRODUCT
        index = faiss.IndexIVFFlat(self._quantizer, size, lists, metric)
        index.train(sample)
        index.add(self._items)
        self._index = index
        asked = self._items if queries is None else np.ascontiguousarray(queries, np.float32)
        trial = asked[np.sort(random.permutation(len(asked))[:TRIALS])]
        self._tune(index, trial, recall, k)

    def search(
        self, queries: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find about the k items with the greatest inner products.

        Parameters
        ----------
        queries
            [Q, D].
        k
            How many items to return at most.

        Returns
        -------
        items : ndarray of int64
            [Q, min(k, N)], best first; -1 where fewer were found.
        products : ndarray of float32
            Their exact inner products.
        """
        if self._index is None:
            return top_products(queries, self._items, k)
        count = min(k, len(self._items))
        products, items = self._index.search(np.ascontiguousarray(queries, np.float32), count)
        return items, products

    def _tune(
        self, index: faiss.IndexIVFFlat, queries: NDArray[np.float32], wanted: float, k: int
    ) -> None:
        """Look into more lists until enough is found."""
        exact, _ = top_products(queries, self._items, k)
        probes = 4.0
        while True:
            index.nprobe = min(int(probes), index.nlist)
            self.recall = _share_found(self.search(queries, k)[0], exact)
            if self.recall >= wanted or index.nprobe == index.nlist:
                return
            probes *= STEP


def _share_found(found: NDArray[np.int64], exact: NDArray[np.int64]) -> float:
    hits = [np.isin(mine, best).sum() for mine, best in zip(found, exact, strict=True)]
    return float(np.sum(hits) / exact.size)
