"""A fair trial of learned message passing against the closed form.

``python -m benchmarks.message_passing --data SOURCE`` draws as many settings of each contender,
chooses by the same hidden warm items, fits the choice again with several seeds on all training
data, and measures the new items of the test once.

- ``closed-form``: kgrec's propagation and head, settings drawn from the grids that ``fit`` tries;
  the shares of the best are trained as ``fit`` trains them.
- ``graphsage``, ``gat``: graph neural networks with a softmax loss.
- ``residual``: kgrec's own propagation with a graph network trained through it. Users are given
  to the network as the closed form's collaborative scores, or as what they used, and the network
  either corrects the closed form's scores or stands alone.
- ``closed-form + ...``: the scores of both, standardised for each user and mixed, the weight
  chosen on the hidden items.

The networks' settings are raced: all of them get a few steps, the best third more, the best
tenth all (successive halving; Jamieson and Talwalkar, AISTATS 2016), with a look at the hidden
items every few steps, the best of which counts (early stopping).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pandas as pd
import torch
from kgrec.baselines.graph_network import EpisodicTraining, GraphNetworkSettings, mean_rows
from kgrec.baselines.message_graph import MessageGraph, read_messages
from kgrec.baselines.training import as_tensor, seeded
from kgrec.config import Config
from kgrec.evaluation import read_pairs
from kgrec.evaluation.metrics import ndcg, recall
from kgrec.graph import KnowledgeGraph
from kgrec.model.channels import Matrix, learn_channels
from kgrec.model.head import factor_ridge, solve_ridge
from kgrec.model.neighbours import item_relations
from kgrec.model.propagation import Propagation, channel_kernels
from kgrec.retrieval import top_k
from kgrec.selection import (
    EPISODES,
    PENALTIES,
    PROMINENCES,
    RIDGES,
    SHARPNESSES,
    ColdSettings,
    prior_shares,
)
from kgrec.storage import load_graph
from kgrec.text import TextEncoder
from kgrec.training import (
    Arrival,
    hidden_prominence,
    softmax_ranking_loss,
    teacher_weights,
    train_shares,
)
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from benchmarks.protocols import DATASETS, prepare
from benchmarks.quality import write_text
from benchmarks.quality_run import make_cached_encoder

DRAWS = 24
RUNGS = (20, 60, 140)  # steps after which a third of the settings goes on
KEPT = 3
CHECK_EVERY = 10
FOLD_SHARE = 5  # one warm item in five is hidden
VALIDATION_USERS = 3_000
TRAINED = 3  # settings of the closed form whose shares are trained
WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
LIST_LENGTH = 20
PARTITIONS = 2  # of the warm items into episodes of the residual network
CHAPTER_USERS = 2_000
GATE = 0.1  # how much of a correction counts before training
CHAPTER_BATCH = 1_024
FEW_ITEMS = 2_000  # with fewer warm items three folds are hidden in turn, else one
NETWORKS = ("graphsage", "gat", "residual")

Scores = NDArray[np.float32]
Settings = TypeVar("Settings")


@dataclass(frozen=True, eq=False)
class Task:
    """New items to rank, and everything that may be learned from.

    Parameters
    ----------
    graph
        With the interactions that may be learned from; everything is frozen on its warm items.
    messages
        The same for graph neural networks.
    rows, prior
        For each of kgrec's channels the rows of all items, and the share to start from.
    matrix
        Who used what, [users, items].
    known
        Positions of the warm items, [W].
    hidden
        Positions of the items to rank, [H].
    users
        Positions of the users to rank for, [U].
    positives
        What they used, [U, H] float32.
    """

    graph: KnowledgeGraph
    messages: MessageGraph
    rows: Sequence[Matrix]
    prior: Sequence[float]
    matrix: sparse.csr_array
    known: NDArray[np.int64]
    hidden: NDArray[np.int64]
    users: NDArray[np.int64]
    positives: NDArray[np.float32]


def make_task(
    graph: KnowledgeGraph,
    encoder: TextEncoder,
    positives: sparse.csr_array,
    candidates: NDArray[np.bool_],
    most_users: int,
) -> Task:
    """Learn what is frozen, and choose the users.

    Parameters
    ----------
    graph
        With the interactions that may be learned from.
    encoder
        Encodes the texts.
    positives
        Pairs to find, [users, items].
    candidates
        Cold items to rank, [items].
    most_users
        How many users to rank for at most.

    Returns
    -------
    Task
        Users without a history or a pair to find are left out.
    """
    vectors = {kind: encoder.encode(table.texts) for kind, table in graph.nodes.items()}
    channels, rows = learn_channels(graph, vectors)
    names = [channel.name for channel in channels]
    relations = [" ".join(kind) for kind in item_relations(graph)]
    matrix, hidden = graph.interaction_matrix(), np.flatnonzero(candidates)
    wanted = sparse.csr_array(positives[:, hidden])
    users = np.flatnonzero((np.diff(matrix.indptr) > 0) & (np.diff(wanted.indptr) > 0))
    users = np.sort(np.random.default_rng(0).permutation(users)[:most_users])
    return Task(
        graph,
        read_messages(graph, encoder, ~graph.is_cold),
        rows,
        prior_shares(names, relations if len(relations) > 1 else ()),
        matrix,
        np.flatnonzero(~graph.is_cold),
        hidden,
        users,
        wanted[users].toarray(),
    )


def validation_tasks(graph: KnowledgeGraph, encoder: TextEncoder, folds: int) -> list[Task]:
    """Hide folds of the warm items.

    Parameters
    ----------
    graph
        The graph to learn from.
    encoder
        Encodes the texts.
    folds
        How many of the five folds.

    Returns
    -------
    list of Task
        One a fold, its items the candidates.
    """
    matrix = graph.interaction_matrix()
    items = np.random.default_rng(0).permutation(np.flatnonzero(~graph.is_cold))
    tasks = []
    for fold in range(folds):
        hidden = np.zeros(len(graph.items), bool)
        hidden[items[fold::FOLD_SHARE]] = True
        log = graph.interactions
        part = graph.with_interactions(log.select(~hidden[log.item]))
        tasks.append(make_task(part, encoder, matrix, hidden, VALIDATION_USERS))
    return tasks


def test_task(graph: KnowledgeGraph, encoder: TextEncoder, test: pd.DataFrame) -> Task:
    """Ask for the held-out pairs of new items.

    Parameters
    ----------
    graph
        The graph to learn from.
    encoder
        Encodes the texts.
    test
        Columns ``user`` and ``item``.

    Returns
    -------
    Task
        For every user with a history and a pair.
    """
    user, item = graph.users.positions(test["user"]), graph.items.positions(test["item"])
    there = (user >= 0) & (item >= 0)
    shape = (len(graph.users), len(graph.items))
    ones = np.ones(int(there.sum()), np.float32)
    positives = sparse.csr_array((ones, (user[there], item[there])), shape=shape)
    positives.sum_duplicates()
    positives.data[:] = 1.0
    return make_task(graph, encoder, positives, graph.is_cold, len(graph.users))


@dataclass(frozen=True, eq=False)
class Quality:
    """How well lists of 20 hold what was used.

    Parameters
    ----------
    recall, ndcg
        One value a user, [U].
    """

    recall: NDArray[np.float64]
    ndcg: NDArray[np.float64]

    @property
    def both(self) -> NDArray[np.float64]:
        """Their sum, by which settings are chosen, [U]."""
        return self.recall + self.ndcg

    @property
    def mean(self) -> float:
        """Mean of the sum over users."""
        return float(self.both.mean())

    def values(self) -> dict[str, float]:
        """Give both means by name."""
        return {
            "recall@20": round(float(self.recall.mean()), 5),
            "ndcg@20": round(float(self.ndcg.mean()), 5),
        }


def measure(tasks: Sequence[Task], scores: Sequence[Scores]) -> Quality:
    """Measure scores of the candidates.

    Parameters
    ----------
    tasks
        What was asked for.
    scores
        For each task [U, H].

    Returns
    -------
    Quality
        Over the users of all tasks.
    """
    recalls, ndcgs = [], []
    for task, given in zip(tasks, scores, strict=True):
        columns, _ = top_k(given, LIST_LENGTH)
        hits = np.take_along_axis(task.positives, np.maximum(columns, 0), axis=1) > 0
        hits &= columns >= 0
        count = task.positives.sum(axis=1).astype(np.int64)
        recalls.append(recall(hits, count))
        ndcgs.append(ndcg(hits, count))
    return Quality(np.concatenate(recalls), np.concatenate(ndcgs))


class ClosedForm:
    """kgrec's propagation and head on one task; what several settings share is kept.

    Parameters
    ----------
    task
        The task.
    seed
        Seed of the draws in training.
    kernels
        Kernels among all items before sharpening by the shares of the channels, as far as they
        are known; what is missing is added.
    """

    def __init__(
        self, task: Task, seed: int, kernels: dict[tuple[float, ...], Tensor] | None = None
    ) -> None:
        self._task, self._seed = task, seed
        self._known = task.known
        self._histories = task.matrix[:, self._known]
        everything = np.concatenate([self._known, task.hidden])
        size = len(self._known)
        self._prominence = hidden_prominence(
            task.matrix[:, everything],
            [matrix[everything] for matrix in task.rows],
            np.arange(size),
            np.arange(size, len(everything)),
        )
        self.kernels: dict[tuple[float, ...], Tensor] = {} if kernels is None else kernels
        self._teachers: dict[float, NDArray[np.float32]] = {}

    def teacher(self, penalty: float) -> NDArray[np.float32]:
        """Give collaborative scores of the known items for the task's users, [U, W]."""
        if penalty not in self._teachers:
            weights = teacher_weights(self._histories, penalty).numpy()
            self._teachers[penalty] = np.asarray(self._histories[self._task.users] @ weights)
        return self._teachers[penalty]

    def scores(self, settings: ColdSettings) -> Scores:
        """Score the hidden items, [U, H]."""
        if settings.shares not in self.kernels:
            rows = self._task.rows
            self.kernels[settings.shares] = Propagation(settings.shares, 0.0).kernel(rows, rows)
        kernel = self.kernels[settings.shares][self._known]
        among, towards = kernel[:, self._known], kernel[:, self._task.hidden]
        sharpen = Propagation([1.0], settings.sharpness).sharpen
        factor = factor_ridge(sharpen(among), torch.full((len(among),), settings.ridge))
        projection = solve_ridge(factor, sharpen(towards))
        projection = projection * torch.exp(settings.prominence * self._prominence)
        return np.asarray(self.teacher(settings.penalty) @ projection.numpy(), np.float32)

    def train(self, settings: ColdSettings, config: Config) -> ColdSettings:
        """Train the shares of the channels by episodes, as ``fit`` does."""
        random = np.random.default_rng(self._seed)
        items = random.permutation(len(self._known))[: config.episode_items]
        part = self._histories[:, items]
        own = [matrix[self._known[items]] for matrix in self._task.rows]
        everything = np.arange(len(items))
        arrivals = [
            Arrival(
                part,
                np.setdiff1d(everything, fold),
                fold,
                config.episode_users,
                self._seed + number,
            )
            for number, fold in enumerate(np.array_split(everything, EPISODES))
        ]
        episodes = [arrival.episode(settings.penalty) for arrival in arrivals]
        looks = [hidden_prominence(part, own, chosen.known, chosen.hidden) for chosen in episodes]
        propagation = Propagation(self._task.prior, settings.sharpness)
        train_shares(
            propagation,
            channel_kernels(own, own),
            episodes,
            steps=config.steps,
            learning_rate=config.learning_rate,
            prior_strength=config.prior_strength * np.sqrt(config.episode_items / len(items)),
            ridge=settings.ridge,
            gains=[torch.exp(settings.prominence * prominence) for prominence in looks],
        )
        return replace(settings, shares=tuple(propagation.shares().tolist()))


def draw_closed_form(prior: Sequence[float], draws: int) -> list[ColdSettings]:
    """Draw settings of the closed form from the grids that ``fit`` tries, no two alike."""
    random = np.random.default_rng(0)
    shares = tuple(Propagation(prior, 0.0).shares().tolist())
    drawn: dict[ColdSettings, None] = {}
    while len(drawn) < draws:
        values = (random.choice(grid) for grid in (PENALTIES, SHARPNESSES, RIDGES, PROMINENCES))
        penalty, sharpness, ridge, prominence = (float(value) for value in values)
        drawn[ColdSettings(penalty, shares, sharpness, ridge, prominence, 0.0)] = None
    return list(drawn)


class Racer(Protocol):
    """What can be trained step by step."""

    def advance(self, steps: int) -> None:
        """Train some steps more."""
        ...

    def scores(self) -> Scores:
        """Score the hidden items, [U, H]."""
        ...


class PlainRacer:
    """A graph network trained as the baselines train it."""

    def __init__(self, task: Task, settings: GraphNetworkSettings, seed: int) -> None:
        self._task, self._seed, self._done = task, seed, 0
        self._training = EpisodicTraining(task.messages, task.matrix, settings, seed)

    def advance(self, steps: int) -> None:
        """Train some steps more."""
        with seeded(self._seed + 1_000 * self._done):
            descend(self._training.step, self._training.optimiser, steps)
        self._done += steps

    def scores(self) -> Scores:
        """Score the hidden items, [U, H]."""
        vectors = self._training.vectors()
        histories = self._task.matrix[self._task.users]
        return self._training.scores(vectors, histories)[:, self._task.hidden]


def descend(step: Callable[[], Tensor], optimiser: torch.optim.Optimizer, steps: int) -> None:
    """Take some steps."""
    for _ in range(steps):
        optimiser.zero_grad()
        step().backward()  # type: ignore[no-untyped-call]
        optimiser.step()


@dataclass(frozen=True)
class ResidualSettings:
    """A graph network trained through the closed form.

    Parameters
    ----------
    network
        Shape and training of the network.
    corrects
        Whether it corrects the closed form's scores, or stands alone.
    smoothed
        Whether a user is given to it as the closed form's collaborative scores, or as what they
        used.
    """

    network: GraphNetworkSettings
    corrects: bool
    smoothed: bool


@dataclass(frozen=True, eq=False)
class Chapter:
    """An episode with what the closed form says of it.

    Parameters
    ----------
    hidden
        Positions of the hidden items, [H].
    users
        What each user is given as, [U, items]: collaborative scores, or shares of the history.
    base
        Scores of the closed form, standardised for each user, [U, H].
    positives
        What was used, [U, H].
    """

    hidden: Tensor
    users: Tensor
    base: Tensor
    positives: Tensor


class ResidualRacer:
    """A graph network trained on episodes that the closed form has answered.

    Parameters
    ----------
    task
        The task.
    book
        Chapters of the training, and of the task itself the last one, for each way in which
        users are given.
    settings
        Its settings.
    seed
        Seed of weights and draws.
    """

    def __init__(
        self,
        task: Task,
        book: Mapping[bool, Sequence[Chapter]],
        settings: ResidualSettings,
        seed: int,
    ) -> None:
        *self._chapters, self._asked = book[settings.smoothed]
        self._settings, self._seed, self._done = settings, seed, 0
        self._training = EpisodicTraining(task.messages, task.matrix, settings.network, seed)
        self._random = np.random.default_rng(seed)
        self._log_scale = nn.Parameter(torch.tensor(0.0))
        self._gate = nn.Parameter(torch.tensor(GATE))
        self._training.optimiser.add_param_group({"params": [self._log_scale, self._gate]})

    def advance(self, steps: int) -> None:
        """Train some steps more."""
        with seeded(self._seed + 1_000 * self._done):
            descend(self._step, self._training.optimiser, steps)
        self._done += steps

    def _step(self) -> Tensor:
        training = self._training
        training.averaged.update_parameters(training.network)
        chapter = self._chapters[int(self._random.integers(len(self._chapters)))]
        senders = training.senders.clone()
        senders[chapter.hidden] = False
        vectors = training.network(training.graph, senders)
        rows = torch.from_numpy(self._random.permutation(len(chapter.users))[:CHAPTER_BATCH])
        logits = training.network.scores(vectors, _rows(chapter.users, rows), chapter.hidden)
        if self._settings.corrects:
            logits = self._corrected(logits, chapter.base[rows])
        return softmax_ranking_loss(logits, chapter.positives[rows])

    @torch.no_grad()
    def scores(self) -> Scores:
        """Score the hidden items, [U, H]."""
        vectors, asked = self._training.vectors(), self._asked
        scores = self._training.kept.scores(vectors, asked.users, asked.hidden)
        if self._settings.corrects:
            scores = self._corrected(scores, asked.base)
        return np.asarray(scores.numpy(), np.float32)

    def _corrected(self, scores: Tensor, base: Tensor) -> Tensor:
        return torch.exp(self._log_scale) * base + self._gate * scores


def _rows(matrix: Tensor, rows: Tensor) -> Tensor:
    return torch.index_select(matrix, 0, rows)


def write_book(task: Task, settings: ColdSettings, seed: int) -> dict[bool, list[Chapter]]:
    """Answer episodes by the closed form.

    Parameters
    ----------
    task
        The task.
    settings
        Of the closed form.
    seed
        Seed of the draws.

    Returns
    -------
    dict
        Chapters of two partitions of the warm items into fifths, then of the task itself; by
        whether users are given as collaborative scores.
    """
    random = np.random.default_rng(seed)
    parts = [task]
    for _ in range(PARTITIONS):
        for fold in np.array_split(random.permutation(task.known), FOLD_SHARE)[::-1]:
            parts.insert(0, _hide(task, np.sort(fold), random))
    book: dict[bool, list[Chapter]] = {True: [], False: []}
    kernels: dict[tuple[float, ...], Tensor] = {}
    for part in parts:
        closed = ClosedForm(part, seed, kernels)
        histories = task.matrix[part.users]
        stays = np.zeros(task.matrix.shape[1], np.float32)
        stays[part.known] = 1.0
        used = mean_rows(sparse.csr_array(histories @ sparse.diags_array(stays)))
        smoothed = np.zeros(histories.shape, np.float32)
        smoothed[:, part.known] = closed.teacher(settings.penalty)
        base = torch.from_numpy(standardised(closed.scores(settings)))
        hidden, positives = torch.from_numpy(part.hidden), torch.from_numpy(part.positives)
        for given, users in ((True, torch.from_numpy(smoothed)), (False, as_tensor(used))):
            book[given].append(Chapter(hidden, users, base, positives))
    return book


def _hide(task: Task, hidden: NDArray[np.int64], random: np.random.Generator) -> Task:
    """Make a task of hiding some more items."""
    known = np.setdiff1d(task.known, hidden)
    left, right = task.matrix[:, known], task.matrix[:, hidden]
    users = np.flatnonzero((np.diff(left.indptr) > 0) & (np.diff(right.indptr) > 0))
    users = np.sort(random.permutation(users)[:CHAPTER_USERS])
    return replace(task, known=known, hidden=hidden, users=users, positives=right[users].toarray())


def standardised(scores: Scores) -> Scores:
    """Bring the scores of each user to mean zero and variance one, [U, H]."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    result: Scores = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    return result


def draw_networks(name: str, draws: int) -> list[GraphNetworkSettings]:
    """Draw settings of a graph network, no two alike.

    Parameters
    ----------
    name
        ``graphsage`` or ``gat``; anything else draws from both.
    draws
        How many.

    Returns
    -------
    list of GraphNetworkSettings
        The same for the same name.
    """
    random = np.random.default_rng(list(name.encode()))
    drawn: dict[GraphNetworkSettings, None] = {}
    while len(drawn) < draws:
        plain = {"graphsage": "sage", "gat": "gat"}.get(name, random.choice(["sage", "gat"]))
        settings = GraphNetworkSettings(
            convolution="gat" if plain == "gat" else "sage",
            layers=int(random.choice([1, 1, 2])),
            width=int(random.choice([64, 128])),
            aggregation=["mean", "sum", "max"][random.integers(3)] if plain == "sage" else "mean",  # type: ignore[arg-type]
            heads=int(random.choice([2, 4, 8])) if plain == "gat" else 4,
            identity=["learned", "hash", "none"][random.integers(3)],  # type: ignore[arg-type]
            history=["graph", "free", "both"][random.integers(3)],  # type: ignore[arg-type]
            dropout=float(random.choice([0.0, 0.1, 0.3, 0.5])),
            temperature=float(random.choice([0.05, 0.1, 0.2, 0.4])),
            learning_rate=float(random.choice([1e-3, 3e-3, 1e-2])),
            decay=float(random.choice([0.0, 1e-5])),
        )
        drawn[settings] = None
    return list(drawn)


def draw_residual(draws: int) -> list[ResidualSettings]:
    """Draw settings of the residual network; half of them correct the closed form."""
    return [
        ResidualSettings(network, corrects=number % 2 == 0, smoothed=number % 3 != 0)
        for number, network in enumerate(draw_networks("residual", draws))
    ]


@dataclass(eq=False)
class Entry(Generic[Settings]):
    """One setting of the trial, and the best that it has shown.

    Parameters
    ----------
    settings
        What is tried.
    quality
        On the hidden items, at its best.
    scores
        For each validation task, at its best, [U, H].
    steps
        Training steps up to its best.
    trained
        Training steps in all.
    """

    settings: Settings
    quality: Quality
    scores: list[Scores]
    steps: int = 0
    trained: int = 0


def race(
    tasks: Sequence[Task],
    settings: Sequence[Settings],
    make: Callable[[Settings], Sequence[Racer]],
    name: str,
) -> list[Entry[Settings]]:
    """Train all settings a little, and the best of them on.

    Parameters
    ----------
    tasks
        Validation tasks.
    settings
        What is tried.
    make
        Gives a racer a task.
    name
        What is told of on standard error.

    Returns
    -------
    list of Entry
        One a setting, the best first.
    """
    running = [(_untrained(one), make(one)) for one in settings]
    finished: list[Entry[Settings]] = []
    for until in RUNGS:
        for entry, racers in running:
            while entry.trained < until:
                _go_on(entry, racers, tasks)
            print(f"{name}: {_told(entry)}", file=sys.stderr)
        running.sort(key=lambda pair: -pair[0].quality.mean)
        if until != RUNGS[-1]:
            kept = max(1, len(running) // KEPT)
            finished += [entry for entry, _ in running[kept:]]
            del running[kept:]
    finished += [entry for entry, _ in running]
    return sorted(finished, key=lambda entry: -entry.quality.mean)


def _untrained(settings: Settings) -> Entry[Settings]:
    nothing = np.array([-np.inf])
    return Entry(settings, Quality(nothing, nothing), [])


def _go_on(entry: Entry[Settings], racers: Sequence[Racer], tasks: Sequence[Task]) -> None:
    """Train some steps more, and keep what is best."""
    for racer in racers:
        racer.advance(CHECK_EVERY)
    entry.trained += CHECK_EVERY
    scores = [racer.scores() for racer in racers]
    quality = measure(tasks, scores)
    if quality.mean > entry.quality.mean:
        entry.quality, entry.scores, entry.steps = quality, scores, entry.trained


def _told(entry: Entry[Settings]) -> str:
    return f"{entry.quality.mean:.4f} after {entry.steps} steps, {_shown(entry.settings)}"


class Trial:
    """The trial on one data set: what was found goes to files as soon as it is there.

    Parameters
    ----------
    name
        Name of the data set.
    graph
        The graph to learn from.
    test
        Held-out pairs.
    encoder
        Encodes the texts.
    folder
        Where scores of the chosen settings are kept for the mixtures.
    results
        The JSON file.
    draws, seeds
        Size of the trial.
    """

    def __init__(
        self,
        name: str,
        graph: KnowledgeGraph,
        test: pd.DataFrame,
        encoder: TextEncoder,
        folder: Path,
        results: Path,
        *,
        draws: int,
        seeds: Sequence[int],
    ) -> None:
        self._name, self._folder, self._results = name, folder, results
        self._draws, self._seeds = draws, seeds
        folds = 3 if (~graph.is_cold).sum() < FEW_ITEMS else 1
        self._tasks = validation_tasks(graph, encoder, folds)
        self._test = test_task(graph, encoder, test)
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, contender: str) -> None:
        """Try one contender.

        Parameters
        ----------
        contender
            ``closed-form``, one of the networks, or ``mixture`` of those that were tried.
        """
        start = time.process_time()
        if contender == "closed-form":
            found = self._closed_form()
        elif contender == "residual":
            found = self._residual()
        elif contender == "mixture":
            found = self._mixtures()
        else:
            found = self._network(contender)
        for value in found.values():
            value["cpu_seconds"] = round(time.process_time() - start)
        save(self._results, self._name, found)

    def _closed_form(self) -> dict[str, Any]:
        closed = [ClosedForm(task, 0) for task in self._tasks]
        tried = []
        for settings in draw_closed_form(self._tasks[0].prior, self._draws):
            shares = [tuple(Propagation(task.prior, 0.0).shares().tolist()) for task in self._tasks]
            parts = [replace(settings, shares=each) for each in shares]
            scores = [form.scores(part) for form, part in zip(closed, parts, strict=True)]
            quality = measure(self._tasks, scores)
            tried.append(Entry(settings, quality, scores))
            print(f"closed-form: {_told(tried[-1])}", file=sys.stderr)
        tried.sort(key=lambda best: -best.quality.mean)
        config = Config()
        for best in tried[:TRAINED]:
            parts = [form.train(best.settings, config) for form in closed]
            scores = [form.scores(part) for form, part in zip(closed, parts, strict=True)]
            quality = measure(self._tasks, scores)
            print(f"closed-form: {quality.mean:.4f} with trained shares", file=sys.stderr)
            best.trained = config.steps
            if quality.mean > best.quality.mean:
                best.steps, best.quality, best.scores = config.steps, quality, scores
                best.settings = replace(best.settings, shares=parts[0].shares)
        tried.sort(key=lambda best: -best.quality.mean)
        chosen = tried[0].settings
        write_text(self._folder / "closed-form.json", json.dumps(dataclasses.asdict(chosen)))

        def fit(seed: int) -> Scores:
            form = ClosedForm(self._test, seed)
            plain = Propagation(self._test.prior, 0.0).shares().tolist()
            settings = replace(chosen, shares=tuple(plain))
            if tried[0].steps:
                settings = form.train(settings, config)
            write_text(
                self._folder / f"closed-form-{seed}.json", json.dumps(dataclasses.asdict(settings))
            )
            return form.scores(settings)

        return {"closed-form": self._finish("closed-form", tried, fit)}

    def _network(self, name: str) -> dict[str, Any]:
        def make(settings: GraphNetworkSettings) -> list[PlainRacer]:
            return [PlainRacer(task, settings, 0) for task in self._tasks]

        tried = race(self._tasks, draw_networks(name, self._draws), make, name)

        def fit(seed: int) -> Scores:
            racer = PlainRacer(self._test, tried[0].settings, seed)
            racer.advance(tried[0].steps)
            return racer.scores()

        return {name: self._finish(name, tried, fit)}

    def _residual(self) -> dict[str, Any]:
        closed = _read_settings(self._folder / "closed-form.json")
        books = [write_book(task, closed, 0) for task in self._tasks]

        def make(settings: ResidualSettings) -> list[ResidualRacer]:
            pairs = zip(self._tasks, books, strict=True)
            return [ResidualRacer(task, book, settings, 0) for task, book in pairs]

        tried = race(self._tasks, draw_residual(self._draws), make, "residual")

        def fit(seed: int) -> Scores:
            settings = _read_settings(self._folder / f"closed-form-{seed}.json")
            book = write_book(self._test, settings, seed)
            racer = ResidualRacer(self._test, book, tried[0].settings, seed)
            racer.advance(tried[0].steps)
            return racer.scores()

        return {"residual": self._finish("residual", tried, fit)}

    def _finish(
        self, name: str, tried: Sequence[Entry[Any]], fit: Callable[[int], Scores]
    ) -> dict[str, Any]:
        """Fit the choice with every seed, measure it, and keep its scores."""
        chosen, runs = tried[0], {}
        kept = {f"validation{place}": part for place, part in enumerate(chosen.scores)}
        for seed in self._seeds:
            scores = fit(seed)
            kept[f"test{seed}"] = scores
            runs[str(seed)] = measure([self._test], [scores]).values()
            print(f"{name}: seed {seed}, test {runs[str(seed)]}", file=sys.stderr)
        np.savez(self._folder / f"{name}.npz", **kept)  # type: ignore[arg-type]
        return {
            "configurations": [
                {
                    "settings": _shown(best.settings),
                    "steps": best.steps,
                    "trained": best.trained,
                    **best.quality.values(),
                }
                for best in tried
            ],
            "validation": chosen.quality.values(),
            "test": runs,
        }

    def _mixtures(self) -> dict[str, Any]:
        closed = np.load(self._folder / "closed-form.npz")
        found = {}
        for name in NETWORKS:
            if (self._folder / f"{name}.npz").is_file():
                other = np.load(self._folder / f"{name}.npz")
                found[f"closed-form + {name}"] = self._mixture(closed, other)
        return found

    def _mixture(self, closed: Mapping[str, Scores], other: Mapping[str, Scores]) -> dict[str, Any]:
        def mixed(part: str, weight: float) -> Scores:
            ours, theirs = standardised(closed[part]), standardised(other[part])
            result: Scores = np.float32(1 - weight) * ours + np.float32(weight) * theirs
            return result

        parts = [f"validation{place}" for place in range(len(self._tasks))]
        tried = {
            weight: measure(self._tasks, [mixed(part, weight) for part in parts])
            for weight in WEIGHTS
        }
        weight = max(tried, key=lambda weight: tried[weight].mean)
        tests = {
            seed: (
                measure([self._test], [mixed(f"test{seed}", 0.0)]),
                measure([self._test], [mixed(f"test{seed}", weight)]),
            )
            for seed in self._seeds
        }
        test_gain = np.mean([after.both - before.both for before, after in tests.values()], axis=0)
        return {
            "configurations": [
                {"settings": {"weight": weight}, **quality.values()}
                for weight, quality in sorted(tried.items(), key=lambda pair: -pair[1].mean)
            ],
            "validation": tried[weight].values(),
            "validation_gain": _gain(tried[weight].both - tried[0.0].both),
            "test_gain": _gain(test_gain),
            "test": {str(seed): after.values() for seed, (_, after) in tests.items()},
        }


def _gain(differences: NDArray[np.float64]) -> dict[str, float]:
    error = float(differences.std() / np.sqrt(len(differences)))
    return {"mean": round(float(differences.mean()), 5), "standard_error": round(error, 5)}


def _read_settings(path: Path) -> ColdSettings:
    values = json.loads(path.read_text(encoding="utf-8"))
    return ColdSettings(**{**values, "shares": tuple(values["shares"])})


def _shown(settings: Any) -> dict[str, Any]:  # noqa: ANN401  settings of any contender
    values = dataclasses.asdict(settings)
    return {key: value for key, value in values.items() if key not in ("shares", "quality")}


def save(path: Path, dataset: str, found: Mapping[str, Any]) -> None:
    """Add what was found to the results, and write them as tables too.

    Parameters
    ----------
    path
        The JSON file; former results of other contenders stay.
    dataset
        Name of the data set.
    found
        By contender.
    """
    results: dict[str, Any] = {}
    if path.is_file():
        results = json.loads(path.read_text(encoding="utf-8"))
    results.setdefault(dataset, {}).update(found)
    write_text(path, json.dumps(results, indent=1) + "\n")
    write_text(path.with_suffix(".md"), to_markdown(results))


def to_markdown(results: Mapping[str, Any]) -> str:
    """Show results as tables.

    Parameters
    ----------
    results
        By data set and contender.

    Returns
    -------
    str
        One table a data set: the chosen settings' validation, and mean and standard deviation
        over seeds of the test.
    """
    lines = ["# Learned message passing", ""]
    for dataset, contenders in results.items():
        lines += [
            f"## {dataset}",
            "",
            "| contender | configurations | validation recall@20 | ndcg@20 | test recall@20 "
            "| test ndcg@20 | seeds | cpu s |",
            "|---|---:|---:|---:|---:|---:|---:|---:|",
        ]
        lines += [_row(name, found) for name, found in contenders.items()]
        lines.append("")
        for name, found in contenders.items():
            if "validation_gain" in found:
                lines.append(_sentence(name, found))
        lines.append("")
    return "\n".join(lines)


def _row(name: str, found: Mapping[str, Any]) -> str:
    validation = found["validation"]
    cells = [
        name,
        str(len(found["configurations"])),
        f"{validation['recall@20']:.4f}",
        f"{validation['ndcg@20']:.4f}",
    ]
    for metric in ("recall@20", "ndcg@20"):
        values = [run[metric] for run in found["test"].values()]
        spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
        cells.append(f"{np.mean(values):.4f}{spread}")
    cells += [str(len(found["test"])), f"{found['cpu_seconds']:,}"]
    return f"| {' | '.join(cells)} |"


def _sentence(name: str, found: Mapping[str, Any]) -> str:
    weight = found["configurations"][0]["settings"]["weight"]
    validation, test = found["validation_gain"], found["test_gain"]
    return (
        f"- {name}: weight {weight:g}; recall@20 + ndcg@20 against the closed form alone "
        f"{validation['mean']:+.4f} ± {validation['standard_error']:.4f} on validation, "
        f"{test['mean']:+.4f} ± {test['standard_error']:.4f} on test (standard errors over users)."
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    contenders = ("closed-form", *NETWORKS, "mixture")
    parser.add_argument("--data", type=Path, default=Path("benchmarks/data"))
    parser.add_argument("--work", type=Path, default=Path("build/quality"))
    parser.add_argument(
        "--datasets", nargs="+", choices=DATASETS, default=["debian-python", "ml1m-kg"]
    )
    parser.add_argument("--contenders", nargs="+", choices=contenders, default=contenders)
    parser.add_argument("--draws", type=int, default=DRAWS, help="settings of each contender")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    encoder = make_cached_encoder(given.work / "texts")
    for protocol in prepare(given.data, given.work, given.datasets):
        if protocol.name != "cold":
            continue
        folder = given.work / protocol.folder
        trial = Trial(
            protocol.dataset,
            load_graph(folder / "graph"),
            read_pairs(folder / "test.parquet"),
            encoder,
            given.work / "message-passing" / protocol.dataset,
            given.output / "message-passing.json",
            draws=given.draws,
            seeds=given.seeds,
        )
        for contender in given.contenders:
            trial.run(contender)


if __name__ == "__main__":
    main()
