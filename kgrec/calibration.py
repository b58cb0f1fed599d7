"""Warm and cold items in one list, by how likely each is to be used given its score.

Scores of warm items rest on what others used, those of cold items on content alone, so the same
number means different things.  One logistic curve for each group is fitted on warm items that
are hidden and treated as cold, at the rate at which their pairs are held out; cold items are
then lifted as far as a tolerated loss of overall recall allows, over several draws of what is
hidden: the loss grows fast, and one draw alone says little of it.
"""

from __future__ import annotations

from collections.abc import Sequence
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
FEWEST_POSITIVES = 30  # a trial; the same users are in all of them
SHRINKAGE = 1.0
LARGEST_LIFT = 4.0
BISECTIONS = 12


@dataclass(frozen=True, slots=True)
class Curve:
    """Log-odds that an item of some score is used by somebody with a history of some length.

    ``slope * asinh(score / floor) + length * log(n / usual) + offset``, with n the items in the
    history, held within what the curve was fitted on.  Scores grow with the history, not
    equally so in both groups; and whoever calibrates by hiding pairs sees shorter histories
    than the model will.

    Parameters
    ----------
    slope
        Positive, so that the order of the scores stays.
    offset
        Log-odds at score zero, for the usual history.
    length
        Change of the log-odds for a history e times as long.
    usual, shortest, longest
        Lengths of histories, in items; somebody without a history counts as usual.
    """

    slope: float = 1.0
    offset: float = 0.0
    length: float = 0.0
    usual: float = 1.0
    shortest: float = 1.0
    longest: float = 1.0

    def log_odds(
        self, scores: NDArray[np.float32], lengths: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        """Turn scores into log-odds.

        Parameters
        ----------
        scores
            [B, N], in units of their spread.
        lengths
            Number of items in each history, [B].

        Returns
        -------
        ndarray of float32
            [B, N].
        """
        level = self.level(lengths).astype(np.float32)
        return np.float32(self.slope) * compress(scores) + level[:, None]

    def level(self, lengths: NDArray[np.integer]) -> NDArray[np.float64]:
        """Give the log-odds at score zero for histories of some lengths, [B] -> [B]."""
        items = np.clip(np.where(lengths > 0, lengths, self.usual), self.shortest, self.longest)
        return np.asarray(self.length * np.log(items / self.usual) + self.offset)


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

    def mix(
        self,
        scores: NDArray[np.float32],
        cold: NDArray[np.bool_],
        lengths: NDArray[np.integer],
    ) -> NDArray[np.float32]:
        """Bring scores of both groups to one scale.

        Parameters
        ----------
        scores
            [B, N], in units of their spread.
        cold
            Whether an item is scored by content alone, [N].
        lengths
            Number of items in each history, [B].

        Returns
        -------
        ndarray of float32
            Log-odds, [B, N]; the order within each group stays.
        """
        mixed = np.empty_like(scores)
        mixed[:, ~cold] = self.warm.log_odds(scores[:, ~cold], lengths)
        mixed[:, cold] = self.cold_log_odds(scores[:, cold], lengths)
        return mixed

    def cold_log_odds(
        self, scores: NDArray[np.float32], lengths: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        """Turn scores of cold items alone into lifted log-odds, [B, N] and [B] -> [B, N]."""
        return self.cold.log_odds(scores, lengths) + np.float32(self.lift)


@dataclass(frozen=True, slots=True)
class MixedTrial:
    """Scores of some users for warm and hidden items, and what they used.

    Parameters
    ----------
    warm_scores, cold_scores
        [U, A] and [U, H], minus infinity where the user has used the item in training.
    warm_positives, cold_positives
        Held-out pairs, 1 or 0, of the same shapes.
    lengths
        Number of items in each history, [U], at least one each.
    """

    warm_scores: NDArray[np.float32]
    cold_scores: NDArray[np.float32]
    warm_positives: NDArray[np.float32]
    cold_positives: NDArray[np.float32]
    lengths: NDArray[np.integer]

    def overall_recall(self, mixing: Mixing | None) -> float:
        """Measure recall@20 of all held-out pairs; None hides the cold items."""
        scores = np.concatenate([self.warm_scores, self.cold_scores], axis=1)
        cold = np.arange(scores.shape[1]) >= self.warm_scores.shape[1]
        if mixing is None:
            scores[:, cold] = -np.inf
        else:
            scores = mixing.mix(scores, cold, self.lengths)
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


def calibrate(trials: Sequence[MixedTrial], tolerance: float) -> Mixing:
    """Fit the curves and the lift of cold items.

    Parameters
    ----------
    trials
        Held-out pairs of warm items and of hidden ones, one trial a draw of the hidden items.
    tolerance
        Share of the trials' mean overall recall@20, against hiding the cold items, that the lift
        may cost.

    Returns
    -------
    Mixing
        Equal curves and no lift where there are too few held-out pairs.
    """
    warm = _fit_curve(
        [_best_listed(one.warm_scores, one.warm_positives, one.lengths) for one in trials],
        by_length=False,  # measured: it changes nothing where the curve of cold items has it
    )
    cold = _fit_curve(
        [_best_listed(one.cold_scores, one.cold_positives, one.lengths) for one in trials],
        by_length=True,
    )
    if warm is None or cold is None:
        return Mixing()
    if not tolerance:
        return Mixing(warm, cold)
    least = (1.0 - tolerance) * _mean_recall(trials, None)
    low, high = 0.0, LARGEST_LIFT
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        kept = _mean_recall(trials, Mixing(warm, cold, middle)) >= least
        low, high = (middle, high) if kept else (low, middle)
    return Mixing(warm, cold, low)


def _mean_recall(trials: Sequence[MixedTrial], mixing: Mixing | None) -> float:
    return float(np.mean([trial.overall_recall(mixing) for trial in trials]))


def _best_listed(
    scores: NDArray[np.float32], positives: NDArray[np.float32], lengths: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Give compressed score, logarithm of the history's length, and positive or not, [K, 3]."""
    columns, values = top_k(scores, LISTED)
    listed = columns >= 0
    used = np.take_along_axis(positives, np.maximum(columns, 0), axis=1)
    logs = np.broadcast_to(np.log(lengths)[:, None], columns.shape)
    return np.stack([compress(values[listed]), logs[listed], used[listed] > 0], axis=1)


def _fit_curve(listed: Sequence[NDArray[np.float64]], *, by_length: bool) -> Curve | None:
    features, logs, target = np.concatenate(listed).T
    if target.sum() < FEWEST_POSITIVES * len(listed):
        return None
    if not by_length:
        slope, offset = _logistic_regression(features[:, None], target)
        return Curve(slope, offset) if slope > 0 else None
    middle = logs.mean()
    slope, length, offset = _logistic_regression(
        np.stack([features, logs - middle], axis=1), target
    )
    usual, shortest, longest = np.exp([middle, logs.min(), logs.max()]).tolist()
    return Curve(slope, offset, length, usual, shortest, longest) if slope > 0 else None


def _logistic_regression(features: NDArray[np.float64], target: NDArray[np.float64]) -> list[float]:
    """Fit coefficients and, last, an offset; a first coefficient of 1 and others of 0 are best."""
    size = features.shape[1]
    prior = np.eye(size)[0]

    def loss(coefficients: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        log_odds = features @ coefficients[:-1] + coefficients[-1]
        residual = expit(log_odds) - target
        pull = SHRINKAGE * (coefficients[:-1] - prior)
        value = np.logaddexp(0.0, log_odds).sum() - target @ log_odds
        value += SHRINKAGE * np.square(coefficients[:-1] - prior).sum() / 2
        return float(value), np.append(features.T @ residual + pull, residual.sum())

    rate = logit(target.mean().clip(1e-6, 1 - 1e-6))
    start = np.append(prior, rate - features[:, 0].mean())
    found: list[float] = minimize(loss, start, jac=True, method="L-BFGS-B").x.tolist()
    return found


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
