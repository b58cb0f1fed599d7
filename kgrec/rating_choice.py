"""Choice of how ratings are predicted, on validation ratings made from the training data alone.

Of warm items some ratings are hidden; for cold items some items are hidden with all of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kgrec.rating_head import RatingHead, Ratings, RatingSettings, Targets

HIDDEN_SHARE = 0.2
FEWEST_RATINGS = 100  # with fewer there is nothing to choose on
FEWEST_ITEMS = 10

BIAS_CONTENTS = (0.0, 0.3, 0.6, 0.9)
ITEM_SHRINKAGES = (2.0, 5.0, 10.0, 20.0)
USER_SHRINKAGES = (2.0, 5.0, 10.0)
DEFAULT_RIDGE = 5.0
DEFAULT_COVARIANCE = 4.0
RIDGES = (1.0, 2.0, 5.0, 10.0, 30.0)
CONTENTS = (0.2, 0.5, 0.8)
COVARIANCES = (0.0, 4.0, 16.0, 64.0, 256.0)


@dataclass(frozen=True, slots=True, eq=False)
class RatingTrial:
    """Ratings to learn from, and hidden ones to predict.

    Parameters
    ----------
    known
        Ratings of W items, each of which has one at least.
    kernel
        Content kernel among them, [W, W].
    hidden
        Ratings of the targets by the same users.
    targets
        T items.
    """

    known: Ratings
    kernel: Tensor
    hidden: Ratings
    targets: Targets

    @classmethod
    def of_warm_items(
        cls, ratings: Ratings, kernel: Tensor, random: np.random.Generator
    ) -> RatingTrial:
        """Hide some of the ratings."""
        hide = random.random(len(ratings)) < HIDDEN_SHARE
        left = np.flatnonzero(ratings.select(~hide).item_counts())
        known_kernel = kernel[left][:, left]
        return cls(
            ratings.select(~hide).among(left),
            known_kernel,
            ratings.select(hide).among(left),
            Targets(known_kernel, np.arange(len(left))),
        )

    @classmethod
    def of_cold_items(
        cls, ratings: Ratings, kernel: Tensor, random: np.random.Generator
    ) -> RatingTrial:
        """Hide some of the items."""
        hide = random.random(ratings.items) < HIDDEN_SHARE
        known, hidden = np.flatnonzero(~hide), np.flatnonzero(hide)
        return cls(
            ratings.among(known),
            kernel[known][:, known],
            ratings.among(hidden),
            Targets(kernel[hidden][:, known], np.full(len(hidden), -1)),
        )

    @property
    def is_enough(self) -> bool:
        """Whether there is enough to choose on."""
        enough_items = min(self.known.items, self.hidden.items) >= FEWEST_ITEMS
        return enough_items and min(len(self.known), len(self.hidden)) >= FEWEST_RATINGS

    def squared_errors(self, head: RatingHead) -> NDArray[np.float64]:
        """Measure a head that was solved on the known ratings, one value a hidden rating."""
        terms = head.target_terms(self.targets)
        errors = [
            head.predict(head.profile(*self.known.of_user(user)), terms, items) - values
            for user, items, values in self.hidden.by_user()
        ]
        return np.asarray(np.concatenate(errors) ** 2, dtype=np.float64)


def choose_rating_settings(trial: RatingTrial, seed: int) -> RatingSettings:
    """Choose the biases first, and then how the residual is predicted.

    Content in the biases, and the residual as a whole, have to win by more than one standard
    error of the paired difference (the one-standard-error rule of Breiman et al., 1984).

    Parameters
    ----------
    trial
        What to choose on.
    seed
        Of the low-rank steps.

    Returns
    -------
    RatingSettings
        The best found; biases alone, without content, where there is too little data.
    """
    plain = RatingSettings(bias_content=0.0, ridge=float("inf"), covariance=0.0)
    if not trial.is_enough:
        return plain
    biases = _choose_biases(trial, plain)
    residual = _choose_residual(trial, biases, seed)
    best = residual if residual.is_clearly_better(biases.errors) else biases
    return replace(best.head.settings, error=float(np.sqrt(best.errors.mean())))


class _Search:
    """Looks for a head with smaller errors."""

    def __init__(self, trial: RatingTrial, start: RatingHead) -> None:
        self._trial = trial
        self.head = start
        self.errors = trial.squared_errors(start)

    def is_clearly_better(self, than: NDArray[np.float64]) -> bool:
        gain = than - self.errors
        return bool(gain.mean() > gain.std() / np.sqrt(len(gain)))

    def offer(self, head: RatingHead) -> float:
        """Measure a head, and keep it where it is better."""
        errors = self._trial.squared_errors(head)
        if errors.mean() < self.errors.mean():
            self.head, self.errors = head, errors
        return float(errors.mean())

    def climb(
        self, grid: Sequence[float], start: float, solve: Callable[[float], RatingHead]
    ) -> None:
        """Walk along an ascending grid from where the head is, up and down while it gets better."""
        centre = grid.index(start)
        for path in (grid[centre + 1 :], grid[:centre][::-1]):
            last = float(self.errors.mean())
            for value in path:
                error = self.offer(solve(value))
                if error >= last:
                    break
                last = error


def _choose_biases(trial: RatingTrial, plain: RatingSettings) -> _Search:
    def solve(**changes: float) -> RatingHead:
        settings = replace(search.head.settings, **changes)
        return RatingHead.solve_biases(trial.known, trial.kernel, settings)

    start = RatingHead.solve_biases(trial.known, trial.kernel, plain)
    search = _Search(trial, start)
    without = search.errors
    for share in BIAS_CONTENTS[1:]:
        search.offer(solve(bias_content=share))
    if not search.is_clearly_better(without):
        search = _Search(trial, start)
    search.climb(ITEM_SHRINKAGES, plain.item_shrinkage, lambda v: solve(item_shrinkage=v))
    search.climb(USER_SHRINKAGES, plain.user_shrinkage, lambda v: solve(user_shrinkage=v))
    return search


def _choose_residual(trial: RatingTrial, biases: _Search, seed: int) -> _Search:
    def solve(**changes: float) -> RatingHead:
        head = biases.head.with_residual(replace(search.head.settings, **changes))
        return head.with_covariance(trial.known, seed)

    search = _Search(trial, biases.head)
    first = {"ridge": DEFAULT_RIDGE, "covariance": DEFAULT_COVARIANCE}
    heads = [solve(content=share, **first) for share in CONTENTS]
    search = min((_Search(trial, head) for head in heads), key=lambda one: float(one.errors.mean()))
    search.climb(RIDGES, DEFAULT_RIDGE, lambda v: solve(ridge=v))
    search.climb(COVARIANCES, DEFAULT_COVARIANCE, lambda v: search.head.with_step(v))
    return search
