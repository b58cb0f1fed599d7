"""Exact top-k over blocks of scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def top_k(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the k best columns of each row.

    Ties go to the lower column, so that the same scores always give the same list.

    Parameters
    ----------
    scores
        [B, N]; a column at minus infinity is never returned.
    k
        How many columns to return at most.

    Returns
    -------
    columns : ndarray of int64
        [B, min(k, N)], best first; -1 where a row has fewer than k finite scores.
    values : ndarray of float32
        Their scores, minus infinity where the column is -1.

    Raises
    ------
    ValueError
        If k is negative.

    Examples
    --------
    >>> columns, values = top_k(np.array([[0.1, 0.9, 0.5]], dtype=np.float32), 2)
    >>> columns.tolist()
    [[1, 2]]
    """
    if k < 0:
        raise ValueError(f"a list of {k} items can't be made: ask for 0 or more")
    k = min(k, scores.shape[1])
    if k == 0:
        return np.empty((len(scores), 0), np.int64), np.empty((len(scores), 0), np.float32)
    threshold = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
    columns = np.empty((len(scores), k), np.int64)
    for row, candidates in enumerate(scores >= threshold):
        at_least = np.flatnonzero(candidates)
        columns[row] = at_least[np.argsort(-scores[row, at_least], kind="stable")[:k]]
    values = np.take_along_axis(scores, columns, axis=1)
    columns[values == -np.inf] = -1
    return columns, values
