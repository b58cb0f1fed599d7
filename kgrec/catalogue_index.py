"""An approximate index over a large catalogue, which stays right while the catalogue changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kgrec.approximate import ApproximateIndex
from kgrec.catalogue import Catalogue, Written
from kgrec.errors import ConfigError

SPARE = 32  # columns that are asked for beside those wanted, since some may be nobody's by now


class CatalogueIndex:
    """Finds about the best of the items beyond the core, without looking at all of them.

    The columns that a catalogue was computed with are indexed.  Those that came later are
    looked at one by one, and those whose item has changed or is gone are left out, so that
    a list never shows what is no longer there.

    Parameters
    ----------
    catalogue
        A catalogue whose columns are compressed.
    histories
        Histories like those to come, that the index is tuned on, [U, items]; none of them empty.
    recall
        Share of the exact best that are to be found.
    seed
        Seed of the draws.

    Raises
    ------
    ConfigError
        If the columns are not compressed: these are searched exactly.
    ImportError
        If faiss is not installed.
    """

    def __init__(
        self, catalogue: Catalogue, histories: sparse.csr_array, *, recall: float, seed: int
    ) -> None:
        if catalogue.head.compression is None:
            raise ConfigError(
                "this catalogue is small enough to be searched exactly, so it gets no index: one "
                "is for models whose columns are compressed (see catalogue_gigabytes)"
            )
        asked = catalogue.head.ask(catalogue.write(histories))
        self._base = catalogue.base
        items = catalogue.base.weights[:-1].T
        self._index = ApproximateIndex(items, queries=asked, recall=recall, seed=seed)

    @property
    def recall(self) -> float:
        """Share of the exact best twenty that were found, on the histories it was tuned on."""
        return self._index.recall

    def covers(self, catalogue: Catalogue) -> bool:
        """Tell whether the index is one of this catalogue, or of one that it came from."""
        return catalogue.base is self._base

    def best(
        self,
        catalogue: Catalogue,
        written: Written,
        k: int,
        seen: sparse.csr_array | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
        """Find about the best items beyond the core.

        Parameters
        ----------
        catalogue
            One that is covered.
        written
            Histories, none of them empty, [B].
        k
            How many items to return at most.
        seen
            Items to leave out, [B, items].

        Returns
        -------
        (items, scores) or None
            Positions and raw scores, [B, k]; None where so many were left out that all columns
            must be looked at.
        """
        asked = catalogue.head.ask(written)
        longest = 0 if seen is None else int(np.diff(seen.indptr).max(initial=0))
        wanted = k + longest + SPARE
        places, scores = self._index.search(asked, wanted)
        items = np.where(places >= 0, catalogue.owners[places], -1)
        recent = catalogue.owners[len(catalogue.base) :]
        if len(recent):
            rows = len(asked)
            items = np.concatenate([items, np.broadcast_to(recent, (rows, len(recent)))], axis=1)
            scores = np.concatenate([scores, catalogue.recent_scores(written)], axis=1)
        if seen is not None:
            items = np.where(_is_in(items, seen), -1, items)
        enough = (items >= 0).sum(axis=1).min(initial=k) >= k
        if not enough and wanted < len(catalogue.base):
            return None
        return items, np.where(items >= 0, scores, np.float32(-np.inf))


def _is_in(items: NDArray[np.int64], seen: sparse.csr_array) -> NDArray[np.bool_]:
    """Tell which entries of each row, [B, K], are in the same row of a matrix."""
    width = seen.shape[1]
    rows = np.arange(len(items))
    keys = items + width * rows[:, None]
    taken = seen.indices + width * np.repeat(rows, np.diff(seen.indptr))
    return np.isin(keys, taken) & (items >= 0)
