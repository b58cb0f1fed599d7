"""Approximate top-k of inner products by faiss, tuned to a recall that it then reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from kgrec.retrieval import top_products

if TYPE_CHECKING:
    import faiss

TRIALS = 1_024  # queries that the index is tuned on
LEAST_ITEMS = 20_000  # with fewer, looking at all of them is as fast
LEARNED_FROM = 200_000
ADDED_AT_ONCE = 65_536  # so that items in another layout are never copied as a whole
STEP = 1.08  # by how much more is looked into at a time while tuning
MOST_CANDIDATES = 128.0  # that are looked at again, for each that is wanted
SHARE_OF_PROBING = 0.6  # of what may be missed: by lists that are not looked into at all


class ApproximateIndex:
    """An inverted file: of lists of items, only those that a query points to are looked into.

    There, four bits a number are read of each item; the best by these are looked at again, in half
    precision, and the products of what is returned are exact.

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
    Needs the extra ``ann``.  Inverted file of quantised vectors that are read in registers (André
    et al., Quicker ADC, TPAMI 2021), by faiss (Douze et al., The Faiss library, 2024).

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
        self._items = np.asarray(items, np.float32)
        self._index: faiss.IndexRefine | None = None
        self.recall = 1.0
        if len(items) < LEAST_ITEMS:
            return
        random = np.random.default_rng(seed)
        sample = self._items[np.sort(random.permutation(len(items))[:LEARNED_FROM])]
        lists, size = int(4 * len(items) ** 0.5), items.shape[1]
        kind = f"IVF{lists},PQ{size}x4fs,Refine(SQfp16)"
        made = faiss.index_factory(size, kind, faiss.METRIC_INNER_PRODUCT)
        index = cast("faiss.IndexRefine", made)
        self._lists = faiss.extract_index_ivf(index)
        self._lists.cp.max_points_per_centroid = max(1, LEARNED_FROM // lists)
        self._lists.cp.min_points_per_centroid = 1
        index.train(np.ascontiguousarray(sample))
        for start in range(0, len(items), ADDED_AT_ONCE):
            index.add(np.ascontiguousarray(self._items[start : start + ADDED_AT_ONCE]))
        self._index = index
        asked = self._items if queries is None else np.asarray(queries, np.float32)
        trial = np.ascontiguousarray(asked[np.sort(random.permutation(len(asked))[:TRIALS])])
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
        queries = np.ascontiguousarray(queries, np.float32)
        _, found = self._index.search(queries, min(k, len(self._items)))
        products = np.einsum("qkd,qd->qk", self._items[found], queries)
        products[found < 0] = -np.inf
        order = np.argsort(-products, axis=1, kind="stable")
        return np.take_along_axis(found, order, 1), np.take_along_axis(products, order, 1)

    def _tune(
        self, index: faiss.IndexRefine, queries: NDArray[np.float32], wanted: float, k: int
    ) -> None:
        """Look into more lists until enough is there to be found, then at fewer items again."""
        exact, _ = top_products(queries, self._items, k)

        def look(probes: float, candidates: float) -> float:
            self._lists.nprobe = min(int(probes), self._lists.nlist)
            index.k_factor = candidates
            return _share_found(self.search(queries, k)[0], exact)

        probes, candidates = 4.0, MOST_CANDIDATES
        enough = 1.0 - (1.0 - wanted) * SHARE_OF_PROBING
        self.recall = look(probes, candidates)
        while self.recall < enough and probes < self._lists.nlist:
            probes *= STEP
            self.recall = look(probes, candidates)
        while candidates > 1:
            fewer = max(1.0, candidates / STEP)  # faiss refuses to look at less than is wanted
            found = look(probes, fewer)
            if found < wanted:
                break
            self.recall, candidates = found, fewer
        look(probes, candidates)


def _share_found(found: NDArray[np.int64], exact: NDArray[np.int64]) -> float:
    hits = [np.isin(mine, best).sum() for mine, best in zip(found, exact, strict=True)]
    return float(np.sum(hits) / exact.size)
