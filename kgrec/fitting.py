"""Fitting of the network and of the list that mixes warm and cold items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from kgrec.calibration import MixedTrial, Mixing, calibrate, without_seen
from kgrec.checkpoint import Checkpoint, Chosen
from kgrec.config import Config
from kgrec.errors import TrainingError
from kgrec.graph import KnowledgeGraph
from kgrec.model.channels import Channel, Matrix, NeighbourChannel, what_comes_along
from kgrec.model.collaborative import (
    count_users,
    gram_matrix,
    low_pass_weights,
    popularity,
    score_spread,
)
from kgrec.model.head import factor_ridge
from kgrec.model.network import Network
from kgrec.model.prominence import Prominence
from kgrec.model.propagation import Propagation
from kgrec.selection import (
    FOLDS,
    HIDDEN_PAIRS,
    VALIDATION_FOLDS,
    ColdSettings,
    WarmSettings,
    can_validate,
    choose_cold_settings,
    choose_warm_settings,
    hide_pairs,
    prior_shares,
    warm_weights,
)
from kgrec.training import hidden_prominence, teacher_weights
from kgrec.workers import Alone, Workers

SPREAD_USERS = 1_000
MIXING_USERS = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What fitting leaves behind.

    Parameters
    ----------
    network
        The fitted network.
    core
        Positions of the core items among the graph's items, [W].
    mixing
        How warm and cold items share a list.
    cold, warm
        The settings that were chosen.
    """

    network: Network
    core: NDArray[np.int64]
    mixing: Mixing
    cold: ColdSettings
    warm: WarmSettings


def choose_core(histories: sparse.csr_array, limit: int) -> NDArray[np.int64]:
    """Choose the items that get collaborative weights: the most used, ties by position.

    Parameters
    ----------
    histories
        [users, items].
    limit
        How many at most.

    Returns
    -------
    ndarray of int64
        Positions, ascending.
    """
    count = np.bincount(histories.indices, minlength=histories.shape[1])
    order = np.argsort(-count, kind="stable")[:limit]
    return np.sort(order[count[order] > 0])


def fit_network(
    graph: KnowledgeGraph,
    core: NDArray[np.int64],
    channels: Sequence[Channel],
    core_rows: Sequence[Matrix],
    config: Config,
    seed: int,
    checkpoint: Checkpoint | None = None,
    workers: Workers | None = None,
) -> Fit:
    """Choose, train and solve everything.

    Parameters
    ----------
    graph
        The graph and its interactions.
    core
        Positions of the core items among the graph's items, ascending, [W].
    channels
        Channels learned from the graph.
    core_rows
        For each channel the rows of the core items, [W, D].
    config
        The model's settings.
    seed
        Seed of every draw.
    checkpoint
        Keeps what was chosen, for a fit that is interrupted.
    workers
        Processes that share out the work; this one alone by default.

    Returns
    -------
    Fit
        The network and how it came about.

    Raises
    ------
    TrainingError
        If the loss or a weight is not finite.
    """
    own = graph.interaction_matrix()[:, core]
    prior = start_shares(channels)
    counted = what_comes_along(channels, core_rows)
    stage = _choose_at_once if checkpoint is None else checkpoint.stage
    workers = workers or Alone()
    choose_cold = partial(
        choose_cold_settings, own, core_rows, counted, prior, config, seed, workers
    )
    cold = stage(ColdSettings, choose_cold)
    content = Propagation(cold.shares, 0.0).kernel(core_rows, core_rows)
    warm = stage(WarmSettings, partial(choose_warm_settings, own, content, config, seed))
    mixing = stage(
        Mixing, partial(_fit_mixing, own, content, counted, cold, warm, config, seed, workers)
    )
    inverse = _solve_content(content, cold)
    core_weights = _solve_warm(own, content, warm, config, seed)
    del content  # as large as each of the others
    teacher = _solve_teacher(own, cold, seed)
    network = Network(
        tuple(channels),
        cold.propagation().cpu(),
        core_weights.cpu(),
        teacher.cpu(),
        inverse.cpu(),
        Prominence.learn(counted, count_users(own)),
        cold.prominence,
    )
    return Fit(network, core, mixing, cold, warm)


def _choose_at_once(kind: type[Chosen], choose: Callable[[], Chosen]) -> Chosen:
    del kind
    return choose()


def start_shares(channels: Sequence[Channel]) -> list[float]:
    """Give the share of each channel before training, [C]."""
    names = [channel.name for channel in channels]
    single = [
        channel.name
        for channel in channels
        if isinstance(channel, NeighbourChannel) and len(channel.relations) == 1
    ]
    return prior_shares(names, single if len(single) > 1 else ())


def _sample(histories: sparse.csr_array, seed: int) -> sparse.csr_array:
    users = np.flatnonzero(np.diff(histories.indptr))
    drawn = np.random.default_rng(seed).permutation(users)[:SPREAD_USERS]
    return histories[np.sort(drawn)]


def _solve_warm(
    histories: sparse.csr_array, content: Tensor, settings: WarmSettings, config: Config, seed: int
) -> Tensor:
    low_pass = (
        low_pass_weights(histories, config.low_pass_rank, seed) if settings.low_pass else None
    )
    evidence = gram_matrix(histories).add_(content, alpha=settings.content_weight)
    weights = warm_weights(
        evidence, popularity(histories), settings, low_pass, _sample(histories, seed)
    )
    return _finite("core", weights)


def _finite(name: str, weights: Tensor) -> Tensor:
    if torch.isfinite(weights).all():
        return weights
    raise TrainingError(
        f"the {name} weights are not all finite: look for weights of interactions or edges that "
        "are very large"
    )


def _solve_teacher(histories: sparse.csr_array, settings: ColdSettings, seed: int) -> Tensor:
    weights = _finite("teacher", teacher_weights(histories, settings.penalty))
    return weights.div_(score_spread(_sample(histories, seed), weights))


def _solve_content(content: Tensor, settings: ColdSettings) -> Tensor:
    kernel = settings.propagation().sharpen(content)
    penalty = torch.full((len(kernel),), settings.ridge)
    return torch.cholesky_inverse(factor_ridge(kernel, penalty))


@dataclass(frozen=True, slots=True, eq=False)
class _MixedFold:
    """Items and pairs that are hidden to see how warm and cold items mix.

    Parameters
    ----------
    known, hidden
        Positions of the items that stay [A] and of those that are hidden [H].
    kept
        Pairs of the known items that stay, [users, A].
    held_out
        All pairs that are hidden, [users, W].
    users
        Users with pairs of both kinds, [U].
    """

    known: NDArray[np.int64]
    hidden: NDArray[np.int64]
    kept: sparse.csr_array
    held_out: sparse.csr_array
    users: NDArray[np.int64]


def _fit_mixing(
    histories: sparse.csr_array,
    content: Tensor,
    counted: Sequence[Matrix],
    cold: ColdSettings,
    warm: WarmSettings,
    config: Config,
    seed: int,
    workers: Workers,
) -> Mixing:
    if not can_validate(histories):
        return Mixing()
    folds = _hide_for_mixing(histories, config, seed)

    def score(fold: _MixedFold) -> MixedTrial:
        among_known = content[fold.known][:, fold.known]
        weights = _solve_warm(fold.kept, among_known, warm, config, seed)
        towards_hidden = cold.propagation().sharpen(content[fold.known][:, fold.hidden])
        projection = _solve_content(among_known, cold) @ towards_hidden
        prominence = hidden_prominence(histories, counted, fold.known, fold.hidden)
        columns = _solve_teacher(fold.kept, cold, seed) @ projection
        columns *= torch.exp(cold.prominence * prominence)
        own, positives = fold.kept[fold.users], fold.held_out[fold.users]
        return MixedTrial(
            without_seen(np.asarray(own @ weights.numpy(force=True)), own),
            np.asarray(own @ columns.numpy(force=True)),
            positives[:, fold.known].toarray(),
            positives[:, fold.hidden].toarray(),
            np.diff(own.indptr),
        )

    trials = workers.share_out(folds, score)
    return calibrate(trials, config.cold_tolerance) if trials else Mixing()


def _hide_for_mixing(histories: sparse.csr_array, config: Config, seed: int) -> list[_MixedFold]:
    random = np.random.default_rng(seed + 2)
    items = random.permutation(histories.shape[1])[: config.selection_items]
    folds = []
    for fold in range(VALIDATION_FOLDS):
        hidden, known = np.sort(items[fold::FOLDS]), np.sort(np.delete(items, np.s_[fold::FOLDS]))
        kept, held_out = hide_pairs(histories, HIDDEN_PAIRS, random)
        kept = kept[:, known]
        eligible = (np.diff(kept.indptr) > 0) & (np.diff(held_out[:, items].indptr) > 0)
        users = np.sort(random.permutation(np.flatnonzero(eligible))[:MIXING_USERS])
        if len(users):
            folds.append(_MixedFold(known, hidden, kept, held_out, users))
    return folds
