"""Prominence: how much used an item looks, from how much is known of it.

Rows of length one say what an item is joined with, not with how much.  But an item with many
edges or a long text tends to be used more, and a new one is no exception.  Prominence puts this
back: it is the popularity that fits the numbers of neighbours and words, and scales the vector
of an item, as the exponent of degree normalisation does between a mean and a sum of messages.

Only what an item has in common with others is counted: a new item's director counts if a warm item
has the same, so a warm item's counts if another one does.  What items gather as they age must be
left out by the caller (see :func:`~kgrec.model.channels.what_comes_along`): new ones have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kgrec.model.channels import Matrix

KNOTS = (0.25, 0.5, 0.75)  # quantiles at which the slope may change
RIDGE = 30.0  # in items: with fewer, the fit keeps close to the mean


@dataclass(frozen=True, slots=True, eq=False)
class Prominence:
    """A regression of log popularity on how many keys an item has in each channel.

    Piecewise linear in the logarithm of each count, fitted by ridge regression.

    Parameters
    ----------
    known
        Whether an item that was learned from has the key, for the keys of all sparse channels
        one after the other.
    knots
        Where the slopes change, [Q, C], in logarithms of counts.
    mean, scale
        Of each of the F = (2 + Q) C regressors, [F].
    coefficients
        Of the standardised regressors, [F].
    limits
        Least and greatest value among the items that were learned from; nothing goes beyond.
    """

    known: NDArray[np.bool_]
    knots: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    limits: NDArray[np.float64]

    @classmethod
    def learn(cls, rows: Sequence[Matrix], users: NDArray[np.int64]) -> Prominence:
        """Fit the regression.

        Parameters
        ----------
        rows
            For each of C channels the rows of the items, [W, D].
        users
            How many users each item has, [W]; items without any are left out.

        Returns
        -------
        Prominence
            Frozen: what arrives later changes nothing.
        """
        used = users > 0
        frequency = _frequencies([matrix[used] for matrix in rows])
        counts = _log_counts(rows, frequency >= 2)[used]  # another item has to have the key
        known = frequency >= 1
        quantiles = len(KNOTS)
        knots = np.quantile(counts, KNOTS, axis=0) if len(counts) else np.zeros((quantiles, 1))
        regressors = _regressors(counts, knots)
        if not len(counts):
            nothing = np.zeros(regressors.shape[1])
            return cls(known, knots, nothing, nothing + 1.0, nothing, np.zeros(2))
        mean, scale = regressors.mean(axis=0), regressors.std(axis=0)
        scale[scale < 1e-9] = 1.0
        standard = (regressors - mean) / scale
        target = np.log(users[used])
        gram = standard.T @ standard + RIDGE * np.eye(standard.shape[1])
        coefficients = np.linalg.solve(gram, standard.T @ (target - target.mean()))
        fitted = standard @ coefficients
        limits = np.array([fitted.min(), fitted.max()])
        return cls(known, knots, mean, scale, coefficients, limits)

    def of(self, rows: Sequence[Matrix]) -> NDArray[np.float32]:
        """Tell how prominent items look.

        Parameters
        ----------
        rows
            For each channel the rows of the items, [N, D].

        Returns
        -------
        ndarray of float32
            [N], the logarithm of how many times the users of a typical item are expected.
        """
        standard = (_regressors(_log_counts(rows, self.known), self.knots) - self.mean) / self.scale
        # a sum a row, for the rounding of a product depends on how many rows there are
        fitted = (standard * self.coefficients).sum(axis=1)
        return np.asarray(np.clip(fitted, *self.limits), dtype=np.float32)

    def gain(self, rows: Sequence[Matrix], strength: float) -> NDArray[np.float32]:
        """Tell by how much the scores of items are to be scaled.

        Parameters
        ----------
        rows
            For each channel the rows of the items, [N, D].
        strength
            Power of the popularity that fits; 0 scales nothing.

        Returns
        -------
        ndarray of float32
            [N], one for an item of mean prominence.
        """
        return np.asarray(np.exp(strength * self.of(rows)), dtype=np.float32)


def _frequencies(rows: Sequence[Matrix]) -> NDArray[np.int64]:
    """Count the items that have each key, over the sparse channels one after the other."""
    each = [
        np.bincount(matrix.indices, minlength=matrix.shape[1])
        for matrix in rows
        if isinstance(matrix, sparse.csr_array)
    ]
    return np.concatenate([*each, np.zeros(0, np.int64)])


def _log_counts(rows: Sequence[Matrix], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Count the keys of each item in each channel, [N, C]; a vector is there or not."""
    counts: list[NDArray[np.int64]] = []
    start = 0
    for matrix in rows:
        if not isinstance(matrix, sparse.csr_array):
            counts.append(np.asarray(matrix.any(axis=1), dtype=np.int64))
            continue
        own = counted[start : start + matrix.shape[1]]
        start += matrix.shape[1]
        before = np.concatenate([[0], np.cumsum(own[matrix.indices])])[matrix.indptr]
        counts.append(np.asarray(before[1:] - before[:-1], dtype=np.int64))
    return np.log1p(np.stack(counts, axis=1).astype(np.float64))


def _regressors(counts: NDArray[np.float64], knots: NDArray[np.float64]) -> NDArray[np.float64]:
    bends = [np.maximum(counts - knot, 0.0) for knot in knots]
    return np.concatenate([counts, counts > 0, *bends], axis=1)
