"""Warm and cold items in one list, by how likely each is to be used given its score.

Scores of warm items rest on what others used, those of cold items on content alone, so the same
number means different things.  One logistic curve for each group is fitted on warm items that
are hidden and treated as cold, at the rate at which their pairs are held out; cold items are
then lifted as far as a tolerated loss of overall recall allows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit, logit

from kgrec.evaluation.metrics import recall
from kgrec.retrieval import top_k

SCORE_FLOOR = 0.05  # scores below this, in units of their spread, are told apart less and less
LISTED = 60
LIST_LENGTH = 20
FEWEST_POSITIVES = 30
SHRINKAGE = 1.0
LARGEST_LIFT = 4.0
BISECTIONS = 12


@dataclass(frozen=True, slots=True)
class Curve:
    """Log-odds that an item of some score is used: ``slope * asinh(score / floor) + offset``.

    Parameters
    ----------
    slope
        Positive, so that the order of the scores stays.
    offset
        Log-odds at score zero.
    """

    slope: float = 1.0
    offset: float = 0.0

    def log_odds(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn scores, of any shape, into log-odds."""
        return np.asarray(self.slope * compress(scores) + self.offset, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Mixing:
    """How warm and cold items share a list.

    Parameters
    ----------
    warm, cold
        Curves of the two groups.
    lift
        What is added to the log-odds of cold items.
    """

    warm: Curve = Curve()
    cold: Curve = Curve()
    lift: float = 0.0

    def mix(self, scores: NDArray[np.float32], cold: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Bring scores of both groups to one scale.

        Parameters
        ----------
        scores
            [B, N], in units of their spread.
        cold
            Whether an item is scored by content alone, [N].

        Returns
        -------
        ndarray of float32
            Log-odds, [B, N]; the order within each group stays.
        """
        mixed = np.empty_like(scores)
        mixed[:, ~cold] = self.warm.log_odds(scores[:, ~cold])
        mixed[:, cold] = self.cold.log_odds(scores[:, cold]) + np.float32(self.lift)
        return mixed


@dataclass(frozen=True, slots=True)
class MixedTrial:
    """Scores of some users for warm and hidden items, and what they used.

    Parameters
    ----------
    warm_scores, cold_scores
        [U, A] and [U, H], minus infinity where the user has used the item in training.
    warm_positives, cold_positives
        Held-out pairs, 1 or 0, of the same shapes.
    """

    warm_scores: NDArray[np.float32]
    cold_scores: NDArray[np.float32]
    warm_positives: NDArray[np.float32]
    cold_positives: NDArray[np.float32]

    def overall_recall(self, mixing: Mixing | None) -> float:
        """Measure recall@20 of all held-out pairs; None hides the cold items."""
        scores = np.concatenate([self.warm_scores, self.cold_scores], axis=1)
        cold = np.arange(scores.shape[1]) >= self.warm_scores.shape[1]
        if mixing is None:
            scores[:, cold] = -np.inf
        else:
            scores = mixing.mix(scores, cold)
        positives = np.concatenate([self.warm_positives, self.cold_positives], axis=1)
        columns, _ = top_k(scores, LIST_LENGTH)
        hits = np.take_along_axis(positives, np.maximum(columns, 0), axis=1) > 0
        return float(np.mean(recall(hits & (columns >= 0), positives.sum(axis=1).astype(np.int64))))


def compress(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply a logarithm that goes through zero and keeps the order of negative scores.

    Parameters
    ----------
    scores
        Any shape, in units of their spread.

    Returns
    -------
    ndarray of float32
        ``asinh(scores / floor)``.
    """
    return np.asarray(np.arcsinh(scores / np.float32(SCORE_FLOOR)), dtype=np.float32)


def calibrate(trial: MixedTrial, tolerance: float) -> Mixing:
    """Fit the curves and the lift of cold items.

    Parameters
    ----------
    trial
        Held-out pairs of warm items and of hidden ones.
    tolerance
        Share of overall recall@20, against hiding the cold items, that the lift may cost.

    Returns
    -------
    Mixing
        Equal curves and no lift where there are too few held-out pairs.
    """
    warm = _fit_curve(trial.warm_scores, trial.warm_positives)
    cold = _fit_curve(trial.cold_scores, trial.cold_positives)
    if warm is None or cold is None:
        return Mixing()
    if not tolerance:
        return Mixing(warm, cold)
    least = (1.0 - tolerance) * trial.overall_recall(None)
    low, high = 0.0, LARGEST_LIFT
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        kept = trial.overall_recall(Mixing(warm, cold, middle)) >= least
        low, high = (middle, high) if kept else (low, middle)
    return Mixing(warm, cold, low)


def _fit_curve(scores: NDArray[np.float32], positives: NDArray[np.float32]) -> Curve | None:
    columns, values = top_k(scores, LISTED)
    listed = columns >= 0
    target = np.take_along_axis(positives, np.maximum(columns, 0), axis=1)[listed] > 0
    if target.sum() < FEWEST_POSITIVES:
        return None
    feature = compress(values[listed]).astype(np.float64)
    slope, offset = _logistic_regression(feature, target.astype(np.float64))
    return Curve(slope, offset) if slope > 0 else None


def _logistic_regression(
    feature: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[float, float]:
    def loss(coefficients: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        log_odds = coefficients[0] * feature + coefficients[1]
        residual = expit(log_odds) - target
        pull = SHRINKAGE * (coefficients[0] - 1.0)
        value = np.logaddexp(0.0, log_odds).sum() - target @ log_odds + pull**2 / (2 * SHRINKAGE)
        return float(value), np.array([residual @ feature + pull, residual.sum()])

    start = np.array([1.0, logit(target.mean().clip(1e-6, 1 - 1e-6)) - feature.mean()])
    found = minimize(loss, start, jac=True, method="L-BFGS-B")
    return float(found.x[0]), float(found.x[1])


def without_seen(scores: NDArray[np.float32], histories: sparse.csr_array) -> NDArray[np.float32]:
    """Set the scores of what a user has used already to minus infinity.

    Parameters
    ----------
    scores
        [U, A]; changed in place.
    histories
        [U, A].

    Returns
    -------
    ndarray of float32
        The same array.
    """
    scores[histories.nonzero()] = -np.inf
    return scores
