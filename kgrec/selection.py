"""Choice of what depends on the data, on validation pairs made from the training data alone.

Two questions are asked.  How should new items be ranked?  Some warm items are hidden and ranked
as if they were cold.  How should warm items be ranked?  Some pairs of each user are hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from kgrec.config import Config
from kgrec.evaluation.metrics import ndcg, recall
from kgrec.model.channels import Matrix
from kgrec.model.collaborative import (
    count_users,
    ease_weights,
    gram_matrix,
    low_pass_weights,
    popularity,
    score_spread,
)
from kgrec.model.head import factor_ridge, solve_ridge
from kgrec.model.propagation import Propagation, channel_kernels
from kgrec.retrieval import top_k
from kgrec.training import Arrival, Episode, hidden_prominence, train_shares
from kgrec.workers import Alone, Workers

PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
SHARPNESSES = (0.0, 0.5, 1.0, 2.0, 3.0)
RIDGES = (3.0, 1.0, 0.3, 0.1)
PROMINENCES = (0.0, 0.15, 0.3, 0.5)
CONTENT_WEIGHTS = (0.0, 0.03, 0.1, 0.3)
LOW_PASS_SHARES = (0.0, 0.2, 0.35, 0.5)

DEFAULT_PENALTY = 100.0
DEFAULT_RIDGE = 1.0
DEFAULT_SHARPNESS = 0.0

FOLDS = 5
VALIDATION_FOLDS = 3
EPISODES = 4
MOST_DRAWS = 3
HIDDEN_PAIRS = 0.2
VALIDATION_USERS = 3_000
LIST_LENGTH = 20
FEWEST_ITEMS = 20  # with fewer warm items there is nothing to learn from
FEWEST_USERS = 10


@dataclass(frozen=True, slots=True)
class ColdSettings:
    """How new items are ranked.

    Parameters
    ----------
    penalty
        Penalty of the collaborative teacher.
    shares
        Share of each channel, [C], summing to one.
    sharpness
        Sharpness of the kernel.
    ridge
        Ridge penalty of the head.
    prominence
        Power to which the prominence of an item scales its scores.
    quality
        Recall@20 plus NDCG@20 on the hidden items; NaN where nothing could be validated.
    """

    penalty: float = DEFAULT_PENALTY
    shares: tuple[float, ...] = ()
    sharpness: float = DEFAULT_SHARPNESS
    ridge: float = DEFAULT_RIDGE
    prominence: float = 0.0
    quality: float = float("nan")

    def propagation(self) -> Propagation:
        """Build the propagation that these settings describe."""
        return Propagation(self.shares, self.sharpness)


@dataclass(frozen=True, slots=True)
class WarmSettings:
    """How warm items are ranked.

    Parameters
    ----------
    penalty
        Penalty of EASE.
    content
        Weight of the content kernel in the Gram matrix, in units of the penalty.
    low_pass
        Share of the spectral smoothing in the scores.
    quality
        Recall@20 plus NDCG@20 on the hidden pairs; NaN where nothing could be validated.
    """

    penalty: float = DEFAULT_PENALTY
    content: float = 0.1
    low_pass: float = 0.2
    quality: float = float("nan")

    @property
    def content_weight(self) -> float:
        """Weight of the content kernel in counts of the Gram matrix."""
        return self.content * self.penalty


def prior_shares(names: Sequence[str], relation_names: Iterable[str]) -> list[float]:
    """Give the shares that the channels start from.

    Parameters
    ----------
    names
        Names of the channels.
    relation_names
        Names of the channels that carry a single relation.

    Returns
    -------
    list of float
        One for each general channel, and 2.5 for all single relations together.
    """
    single = set(relation_names)
    count = max(1, sum(name in single for name in names))
    return [2.5 / count if name in single else 1.0 for name in names]


def can_validate(histories: sparse.csr_array) -> bool:
    """Tell whether there are enough items and users to learn anything from.

    Parameters
    ----------
    histories
        [users, W].
    """
    used = count_users(histories) > 0
    several = np.diff(histories.indptr) > 1
    return int(used.sum()) >= FEWEST_ITEMS and int(several.sum()) >= FEWEST_USERS


def quality_of(scores: NDArray[np.float32], positives: NDArray[np.float32]) -> NDArray[np.float64]:
    """Add recall@20 and NDCG@20 of some lists.

    Parameters
    ----------
    scores
        [U, N].
    positives
        1 for a positive, [U, N]; every row has one.

    Returns
    -------
    ndarray of float64
        One a user, [U].
    """
    columns, _ = top_k(scores, LIST_LENGTH)
    hits = np.take_along_axis(positives, np.maximum(columns, 0), axis=1) > 0
    hits &= columns >= 0
    count = positives.sum(axis=1).astype(np.int64)
    return np.asarray(recall(hits, count) + ndcg(hits, count), dtype=np.float64)


Settings = TypeVar("Settings", ColdSettings, WarmSettings)
Parts = Callable[[NDArray[np.int64], NDArray[np.int64]], Tensor]


class Search(Generic[Settings]):
    """Looks for better settings, and prefers simple ones where the difference is noise.

    Settings are worse than others only where they lose by more than one standard error of the
    paired difference over users (the one-standard-error rule of Breiman et al., 1984).

    Parameters
    ----------
    start
        Where the search begins.
    measure
        Gives the quality of each of some settings, one value a user.
    """

    def __init__(
        self,
        start: Settings,
        measure: Callable[[Sequence[Settings]], list[NDArray[np.float64]]],
    ) -> None:
        self.best: Settings = start
        self._measure: Callable[[Sequence[Settings]], list[NDArray[np.float64]]] = measure
        (self._values,) = measure([start])

    @property
    def quality(self) -> float:
        """Mean quality of the best settings."""
        return float(self._values.mean())

    def offer(self, candidate: Settings, *, clearly: bool = True) -> float:
        """Measure a candidate, and keep it where it is better.

        Parameters
        ----------
        candidate
            Other settings.
        clearly
            Whether it has to be better by more than one standard error.

        Returns
        -------
        float
            Mean quality of the candidate.
        """
        (values,) = self._measure([candidate])
        if _better(values, self._values, 1.0 if clearly else 0.0):
            self.best, self._values = candidate, values
        return float(values.mean())

    def sweep(self, rows: Sequence[Sequence[Settings]], patience: int) -> None:
        """Keep the first settings of a grid that are not clearly worse than its best.

        Parameters
        ----------
        rows
            Candidates, the simplest first.
        patience
            How many rows in turn may bring nothing better before the rest is left out.
        """
        measured: list[tuple[Settings, NDArray[np.float64]]] = []
        best, worse = -np.inf, 0
        for row in rows:
            values = self._measure(row)
            measured += zip(row, values, strict=True)
            row_best = max(float(value.mean()) for value in values)
            worse = worse + 1 if row_best <= best else 0
            if worse > patience:
                break
            best = max(best, row_best)
        _, leader = max(measured, key=lambda pair: float(pair[1].mean()))
        self.best, self._values = next(
            (candidate, values)
            for candidate, values in measured
            if not _better(leader, values, 1.0)
        )

    def climb(
        self,
        grid: Sequence[float],
        start: float,
        change: Callable[[Settings, float], Settings],
        *,
        clearly: bool = True,
    ) -> None:
        """Walk along a grid, up and then down, as long as it gets better at all.

        Parameters
        ----------
        grid
            Values of one setting, ascending.
        start
            The value that the best settings have.
        change
            Gives the best settings with another value.
        clearly
            Whether only what is clearly better is kept on the way.
        """
        centre = grid.index(start)
        for path in (grid[centre + 1 :], grid[:centre][::-1]):
            last = self.quality
            for value in path:
                quality = self.offer(change(self.best, value), clearly=clearly)
                if quality <= last:
                    break
                last = quality


def _better(values: NDArray[np.float64], than: NDArray[np.float64], errors: float) -> bool:
    """Tell whether the mean gain over users is more than so many standard errors of it."""
    gain = values - than
    return bool(gain.mean() > errors * gain.std() / np.sqrt(len(gain)))


def choose_cold_settings(
    histories: sparse.csr_array,
    rows: Sequence[Matrix],
    counted: Sequence[Matrix],
    prior: Sequence[float],
    config: Config,
    seed: int,
    workers: Workers | None = None,
) -> ColdSettings:
    """Train the propagation and choose how new items are ranked.

    Penalty, sharpness and ridge are chosen with the shares to start from, on three folds of
    hidden items (on one where there are many items); then the shares are trained.  The number
    of items matters: the fewer they are, the sharper a kernel they want.  Where there are more
    items than one training holds, several draws are trained on and averaged, since what is
    learned from one of them varies (bagging; Breiman, Machine Learning 1996).

    Parameters
    ----------
    histories
        [users, W].
    rows
        For each channel the rows of the same items, [W, D].
    counted
        The rows that prominence is learned from, [W, D'].
    prior
        Shares to start from, [C].
    config
        The model's settings.
    seed
        Seed of the draws.
    workers
        Processes that share out folds, settings and draws; this one alone by default.

    Returns
    -------
    ColdSettings
        The best found; the prior where there is too little data.
    """
    workers = workers or Alone()
    start = Propagation(prior, 0.0)
    best = ColdSettings(shares=_shares(start))
    if not can_validate(histories):
        return best
    random = np.random.default_rng(seed)
    items = random.permutation(histories.shape[1])
    folds = VALIDATION_FOLDS if len(items) <= config.selection_items else 1
    mixture = _kernel_by_parts(start, rows, at_once=folds > 1)
    trials = [_ColdTrial(histories, mixture, counted, items, fold, seed) for fold in range(folds)]
    del mixture
    if not any(trial.has_users for trial in trials):
        return best
    search = Search(best, partial(_over_trials, trials, workers))
    search.climb(PENALTIES, best.penalty, _with_penalty, clearly=False)
    search.sweep(
        [
            [replace(search.best, sharpness=sharpness, ridge=ridge) for ridge in RIDGES]
            for sharpness in SHARPNESSES
        ],
        patience=len(SHARPNESSES) if folds > 1 else 0,
    )
    if config.prominence:
        _choose_prominence(search)
    best = replace(search.best, quality=search.quality)

    def train(number: int) -> NDArray[np.float32]:
        drawn = items[number * config.episode_items :][: config.episode_items]
        own, own_counted = ([matrix[drawn] for matrix in group] for group in (rows, counted))
        one = _train(histories[:, drawn], own, own_counted, best, prior, config, seed + number)
        return one.offset.numpy(force=True)

    draws = range(min(MOST_DRAWS, max(1, len(items) // config.episode_items)))
    offsets = np.stack(workers.share_out(draws, train))
    with torch.no_grad():
        start.offset.copy_(torch.as_tensor(offsets).mean(dim=0))
    return replace(best, shares=_shares(start))


def _choose_prominence(search: Search[ColdSettings]) -> None:
    """Choose the power of prominence, and with it the penalty: the two depend on each other."""
    without = search.best
    search.offer(_with_prominence(without, PROMINENCES[1]))
    if search.best is without:
        return
    before: ColdSettings | None = None
    while search.best is not before:  # a better one takes its place, or none
        before = search.best
        search.climb(PENALTIES, before.penalty, _with_penalty, clearly=False)
        search.climb(PROMINENCES, search.best.prominence, _with_prominence, clearly=False)


def _with_penalty(settings: ColdSettings, penalty: float) -> ColdSettings:
    return replace(settings, penalty=penalty)


def _with_prominence(settings: ColdSettings, prominence: float) -> ColdSettings:
    return replace(settings, prominence=prominence)


def _over_trials(
    trials: Sequence[_ColdTrial], workers: Workers, candidates: Sequence[ColdSettings]
) -> list[NDArray[np.float64]]:
    tasks = [(settings, trial) for settings in candidates for trial in trials]
    values = workers.share_out(tasks, lambda task: task[1].quality(task[0]))
    count = len(trials)
    starts = range(0, len(tasks), count)
    return [np.concatenate(values[start : start + count]) for start in starts]


def _shares(propagation: Propagation) -> tuple[float, ...]:
    return tuple(propagation.shares().tolist())


def _kernel_by_parts(propagation: Propagation, rows: Sequence[Matrix], *, at_once: bool) -> Parts:
    """Give the kernel between some items and some others, from the whole one or each anew."""
    if at_once:
        whole = propagation.kernel(rows, rows)
        return lambda left, right: whole[left][:, right]
    return lambda left, right: propagation.kernel(
        [matrix[left] for matrix in rows], [matrix[right] for matrix in rows]
    )


class _ColdTrial:
    """Hides one fold of the items and measures settings on it."""

    def __init__(
        self,
        histories: sparse.csr_array,
        kernel: Parts,
        counted: Sequence[Matrix],
        items: NDArray[np.int64],
        fold: int,
        seed: int,
    ) -> None:
        hidden = np.sort(items[fold::FOLDS])
        known = np.sort(np.delete(items, np.s_[fold::FOLDS]))
        self._among_known = kernel(known, known)
        self._towards_hidden = kernel(known, hidden)
        self._prominence = hidden_prominence(histories, counted, known, hidden)
        self._arrival = Arrival(histories, known, hidden, VALIDATION_USERS, seed + fold)
        self._episodes: dict[float, Episode] = {}
        self._solved: tuple[tuple[float, float], Tensor] | None = None

    @property
    def has_users(self) -> bool:
        return self._arrival.has_users

    def quality(self, settings: ColdSettings) -> NDArray[np.float64]:
        if not self.has_users:
            return np.empty(0)
        episode = self._episode(settings.penalty)
        scores = episode.scores @ self._projection(settings.sharpness, settings.ridge)
        scores *= torch.exp(settings.prominence * self._prominence)
        return quality_of(scores.numpy(force=True), episode.positives.numpy(force=True))

    def _projection(self, sharpness: float, ridge: float) -> Tensor:
        """Express the hidden items by the known ones; the last answer is kept, as it is dear."""
        asked = (sharpness, ridge)
        if self._solved is None or self._solved[0] != asked:
            sharpen = Propagation([1.0], sharpness).sharpen
            penalty = torch.full((len(self._among_known),), ridge)
            factor = factor_ridge(sharpen(self._among_known), penalty)
            self._solved = asked, solve_ridge(factor, sharpen(self._towards_hidden))
        return self._solved[1]

    def _episode(self, penalty: float) -> Episode:
        if penalty not in self._episodes:
            self._episodes[penalty] = self._arrival.episode(penalty)
        return self._episodes[penalty]


def _train(
    histories: sparse.csr_array,
    rows: Sequence[Matrix],
    counted: Sequence[Matrix],
    settings: ColdSettings,
    prior: Sequence[float],
    config: Config,
    seed: int,
) -> Propagation:
    items = np.arange(histories.shape[1])
    arrivals = [
        Arrival(histories, np.setdiff1d(items, fold), fold, config.episode_users, seed + number)
        for number, fold in enumerate(np.array_split(items, EPISODES))
    ]
    episodes = [one.episode(settings.penalty) for one in arrivals if one.has_users]
    del arrivals
    propagation = Propagation(prior, settings.sharpness)
    if episodes and config.steps:
        looks = [
            hidden_prominence(histories, counted, episode.known, episode.hidden)
            for episode in episodes
        ]
        train_shares(
            propagation,
            channel_kernels(rows, rows),
            episodes,
            steps=config.steps,
            learning_rate=config.learning_rate,
            # fewer items say less against the prior
            prior_strength=config.prior_strength * np.sqrt(config.episode_items / len(items)),
            ridge=settings.ridge,
            gains=[torch.exp(settings.prominence * prominence) for prominence in looks],
        )
    return propagation


def choose_warm_settings(
    histories: sparse.csr_array,
    content: Tensor,
    config: Config,
    seed: int,
) -> WarmSettings:
    """Choose how warm items are ranked.

    Parameters
    ----------
    histories
        [users, W].
    content
        Mixed inner products among the items, [W, W].
    config
        The model's settings.
    seed
        Seed of the draws.

    Returns
    -------
    WarmSettings
        The best found, one setting after the other; the defaults where there is too little data.
    """
    if not can_validate(histories):
        return WarmSettings()
    random = np.random.default_rng(seed)
    items = np.sort(random.permutation(histories.shape[1])[: config.selection_items])
    trial = _WarmTrial(histories[:, items], content[items][:, items], config, random)
    if not trial.has_users:
        return WarmSettings()
    start = WarmSettings(low_pass=0.0)
    search = Search(start, lambda candidates: [trial.quality(one) for one in candidates])
    search.climb(PENALTIES, start.penalty, lambda now, value: replace(now, penalty=value))
    search.climb(CONTENT_WEIGHTS, start.content, lambda now, value: replace(now, content=value))
    if config.low_pass_rank:
        search.climb(
            LOW_PASS_SHARES, start.low_pass, lambda now, value: replace(now, low_pass=value)
        )
    return replace(search.best, quality=search.quality)


class _WarmTrial:
    """Hides some pairs of each user and measures settings on them."""

    def __init__(
        self,
        histories: sparse.csr_array,
        content: Tensor,
        config: Config,
        random: np.random.Generator,
    ) -> None:
        self._content = content
        self._rank = config.low_pass_rank
        self._seed = int(random.integers(2**31))
        self._histories, hidden = hide_pairs(histories, HIDDEN_PAIRS, random)
        eligible = np.flatnonzero(
            (np.diff(self._histories.indptr) > 0) & (np.diff(hidden.indptr) > 0)
        )
        self._users = np.sort(random.permutation(eligible)[:VALIDATION_USERS])
        self._positives = hidden[self._users].toarray()
        self._seen = self._histories[self._users].nonzero()
        self._gram, self._popular = gram_matrix(self._histories), popularity(self._histories)
        self._low_pass: Tensor | None = None

    @property
    def has_users(self) -> bool:
        return len(self._users) > 0

    def quality(self, settings: WarmSettings) -> NDArray[np.float64]:
        weights = self._weights(settings)
        scores = np.asarray(self._histories[self._users] @ weights.numpy(force=True))
        scores[self._seen] = -np.inf
        return quality_of(scores, self._positives)

    def _weights(self, settings: WarmSettings) -> Tensor:
        if settings.low_pass and self._low_pass is None:
            self._low_pass = low_pass_weights(self._histories, self._rank, self._seed)
        evidence = torch.add(self._gram, self._content, alpha=settings.content_weight)
        sample = self._histories[self._users]
        return warm_weights(evidence, self._popular, settings, self._low_pass, sample)


def warm_weights(
    evidence: Tensor,
    popular: Tensor,
    settings: WarmSettings,
    low_pass: Tensor | None,
    sample: sparse.csr_array,
) -> Tensor:
    """Learn the weights that rank warm items.

    Parameters
    ----------
    evidence
        How much speaks for two items belonging together, [W, W]: how often they occur together
        (:func:`~kgrec.model.collaborative.gram_matrix`) plus the inner products of their content
        times :attr:`WarmSettings.content_weight`.
    popular
        Relative popularity of each item, [W].
    settings
        Penalty and share of the low pass.
    low_pass
        From :func:`~kgrec.model.collaborative.low_pass_weights`; None counts as no share.
    sample
        Histories of some users, on whose scores the two parts are brought to one scale, [B, W].

    Returns
    -------
    Tensor
        [W, W], such that the scores of a user spread by about one.
    """
    weights = ease_weights(evidence, popular, settings.penalty)
    weights.div_(score_spread(sample, weights))
    if low_pass is None or not settings.low_pass:
        return weights
    weights.mul_(1.0 - settings.low_pass)
    return weights.add_(low_pass, alpha=settings.low_pass / score_spread(sample, low_pass))


def hide_pairs(
    histories: sparse.csr_array, fraction: float, random: np.random.Generator
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Split pairs at random.

    Parameters
    ----------
    histories
        [users, W].
    fraction
        Share of the pairs that is hidden.
    random
        Source of the draw.

    Returns
    -------
    kept, hidden : csr_array
        [users, W] each.
    """
    pairs = histories.tocoo()
    hide = random.random(pairs.nnz) < fraction
    parts = []
    for chosen in (~hide, hide):
        entries = (pairs.data[chosen], (pairs.row[chosen], pairs.col[chosen]))
        parts.append(sparse.csr_array(entries, shape=histories.shape))
    return parts[0], parts[1]
