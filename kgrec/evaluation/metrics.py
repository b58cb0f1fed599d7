r"""Ranking metrics as pure functions, one value a user, and errors of predicted ratings.

Every ranking metric takes which places of a user's list hold a positive, and how many positives the
user has among the candidates, found or not.  With :math:`h_j \in \{0, 1\}` for a hit at place
:math:`j` of the list of length :math:`k`, and :math:`P \ge 1` positives, the formula is in each
docstring.  Multiply by nothing: values are fractions, not percents.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def recall(hits: NDArray[np.bool_], positives: NDArray[np.int64]) -> Values:
    r"""Share of the positives that are in the list.

    .. math:: \frac{1}{P} \sum_{j=1}^{k} h_j

    Parameters
    ----------
    hits
        Whether a place holds a positive, [U, k].
    positives
        Positives of each user among the candidates, [U], at least 1.

    Returns
    -------
    ndarray of float64
        [U].

    Raises
    ------
    ValueError
        If shapes differ, a user has no positive, or more hits than positives.

    Examples
    --------
    >>> recall(np.array([[True, False, True]]), np.array([4])).tolist()
    [0.5]
    """
    _check(hits, positives)
    return np.asarray(hits.sum(axis=1) / positives, dtype=np.float64)


def precision(hits: NDArray[np.bool_], positives: NDArray[np.int64]) -> Values:
    r"""Share of the list that is positive.

    .. math:: \frac{1}{k} \sum_{j=1}^{k} h_j

    Parameters
    ----------
    hits, positives
        As :func:`recall`; the positives are only checked.

    Returns
    -------
    ndarray of float64
        [U].

    Raises
    ------
    ValueError
        As :func:`recall`.
    """
    _check(hits, positives)
    return np.asarray(hits.mean(axis=1), dtype=np.float64)


def f1(hits: NDArray[np.bool_], positives: NDArray[np.int64]) -> Values:
    r"""Harmonic mean of precision and recall, 0 without a hit.

    .. math:: \frac{2 \sum_j h_j}{k + P}

    Parameters
    ----------
    hits, positives
        As :func:`recall`.

    Returns
    -------
    ndarray of float64
        [U].

    Raises
    ------
    ValueError
        As :func:`recall`.
    """
    _check(hits, positives)
    return np.asarray(2.0 * hits.sum(axis=1) / (hits.shape[1] + positives), dtype=np.float64)


def ndcg(hits: NDArray[np.bool_], positives: NDArray[np.int64]) -> Values:
    r"""Discounted gain over that of the best possible list.

    .. math:: \frac{\sum_{j=1}^{k} h_j / \log_2(j + 1)}
                   {\sum_{j=1}^{\min(k, P)} 1 / \log_2(j + 1)}

    Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002, with
    binary gains and the logarithmic discount from the first place on.

    Parameters
    ----------
    hits, positives
        As :func:`recall`.

    Returns
    -------
    ndarray of float64
        [U].

    Raises
    ------
    ValueError
        As :func:`recall`.

    Examples
    --------
    >>> ndcg(np.array([[True, False], [False, True]]), np.array([1, 1])).round(3).tolist()
    [1.0, 0.631]
    """
    _check(hits, positives)
    k = hits.shape[1]
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    best = np.cumsum(discount)[np.minimum(positives, k) - 1]
    return np.asarray(hits @ discount / best, dtype=np.float64)


def reciprocal_rank(hits: NDArray[np.bool_], positives: NDArray[np.int64]) -> Values:
    r"""One over the place of the first hit, 0 without a hit; its mean is the MRR.

    .. math:: 1 / \min \{ j \le k : h_j = 1 \}

    Parameters
    ----------
    hits, positives
        As :func:`recall`; the positives are only checked.

    Returns
    -------
    ndarray of float64
        [U].

    Raises
    ------
    ValueError
        As :func:`recall`.
    """
    _check(hits, positives)
    return np.asarray(hits.any(axis=1) / (hits.argmax(axis=1) + 1), dtype=np.float64)


def hit_rate(hits: NDArray[np.bool_], positives: NDArray[np.int64]) -> Values:
    r"""Whether the list holds a positive at all.

    .. math:: \max_{j \le k} h_j

    Parameters
    ----------
    hits, positives
        As :func:`recall`; the positives are only checked.

    Returns
    -------
    ndarray of float64
        [U].

    Raises
    ------
    ValueError
        As :func:`recall`.
    """
    _check(hits, positives)
    return np.asarray(hits.any(axis=1), dtype=np.float64)


def average_precision(hits: NDArray[np.bool_], positives: NDArray[np.int64]) -> Values:
    r"""Precision at each hit, averaged over the hits that were possible; its mean is the MAP.

    .. math:: \frac{1}{\min(k, P)} \sum_{j=1}^{k} h_j \cdot \frac{1}{j} \sum_{l=1}^{j} h_l

    Normalised by min(k, P), so that a perfect list has 1 even when the positives do not all fit
    into it.  Where a tool normalises by P, its value is smaller by P / min(k, P).

    Parameters
    ----------
    hits, positives
        As :func:`recall`.

    Returns
    -------
    ndarray of float64
        [U].

    Raises
    ------
    ValueError
        As :func:`recall`.
    """
    _check(hits, positives)
    k = hits.shape[1]
    at_place = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return np.asarray((at_place * hits).sum(axis=1) / np.minimum(positives, k), dtype=np.float64)


def coverage(items: NDArray[np.int64], candidates: int) -> float:
    """Share of the candidates that are in anybody's list.

    Parameters
    ----------
    items
        Recommended items, [U, k], -1 for an empty place.
    candidates
        How many candidates there were.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If there were no candidates.

    Examples
    --------
    >>> coverage(np.array([[0, 1], [1, -1]]), 4)
    0.5
    """
    if candidates < 1:
        raise ValueError(f"coverage of {candidates} candidates is undefined: there must be one")
    return len(np.unique(items[items >= 0])) / candidates


def rmse(predicted: NDArray[np.floating], ratings: NDArray[np.floating]) -> float:
    r"""Root mean squared error of predicted ratings.

    .. math:: \sqrt{\frac{1}{M} \sum_m (\hat r_m - r_m)^2}

    Parameters
    ----------
    predicted, ratings
        [M] each, at least one.

    Returns
    -------
    float
        In units of the ratings.

    Raises
    ------
    ValueError
        If shapes differ, or there is nothing.

    Examples
    --------
    >>> rmse(np.array([3.0, 5.0]), np.array([4.0, 4.0]))
    1.0
    """
    return float(np.sqrt(np.mean(_errors(predicted, ratings) ** 2)))


def mae(predicted: NDArray[np.floating], ratings: NDArray[np.floating]) -> float:
    r"""Mean absolute error of predicted ratings.

    .. math:: \frac{1}{M} \sum_m |\hat r_m - r_m|

    Parameters
    ----------
    predicted, ratings
        As :func:`rmse`.

    Returns
    -------
    float
        In units of the ratings.

    Raises
    ------
    ValueError
        As :func:`rmse`.

    Examples
    --------
    >>> mae(np.array([3.0, 5.0, 4.0]), np.array([4.0, 4.0, 4.0])) * 3
    2.0
    """
    return float(np.mean(np.abs(_errors(predicted, ratings))))


def _errors(predicted: NDArray[np.floating], ratings: NDArray[np.floating]) -> NDArray[np.float64]:
    if predicted.ndim != 1 or predicted.shape != ratings.shape or not len(ratings):
        raise ValueError(
            f"predictions {predicted.shape} and ratings {ratings.shape} must both be [M], M >= 1"
        )
    return predicted.astype(np.float64) - ratings.astype(np.float64)


def _check(hits: NDArray[np.bool_], positives: NDArray[np.int64]) -> None:
    if hits.ndim != 2 or hits.shape[1] < 1 or positives.shape != hits.shape[:1]:
        raise ValueError(
            f"hits {hits.shape} and positives {positives.shape} must be [U, k] and [U], k >= 1"
        )
    if (positives < 1).any():
        raise ValueError("a user without a positive has no metric: leave such users out")
    if (hits.sum(axis=1) > positives).any():
        raise ValueError("a user has more hits than positives: count all positives, found or not")
