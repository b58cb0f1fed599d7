"""Evaluation against every candidate, and the report of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from scipy import sparse, stats

from kgrec.errors import SourceError, UnknownIdError, name_ids
from kgrec.evaluation import metrics
from kgrec.graph import Interactions, KnowledgeGraph
from kgrec.notebook import card
from kgrec.ranker import Ranker

Candidates: TypeAlias = Literal["cold", "warm", "all"]
Metric: TypeAlias = Callable[[NDArray[np.bool_], NDArray[np.int64]], metrics.Values]

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "recall": metrics.recall,
        "ndcg": metrics.ndcg,
        "precision": metrics.precision,
        "f1": metrics.f1,
        "mrr": metrics.reciprocal_rank,
        "hit_rate": metrics.hit_rate,
        "map": metrics.average_precision,
    }
)
TABULAR_SUFFIXES = {".tsv": "\t", ".csv": ","}


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationReport:
    """What an evaluation found.

    Parameters
    ----------
    ranker
        Name of the ranker.
    candidates
        Which items were ranked: ``"cold"``, ``"warm"`` or ``"all"``.
    k
        Lengths of the lists.
    confidence
        Level of the intervals.
    per_user
        One row a user: ``user``, ``positives``, then ``<metric>@<k>``.  With ``"all"`` also
        ``cold_recall@<k>`` and ``warm_recall@<k>``, NaN for a user without such a pair.
    per_item
        One row an item of the test pairs: ``item``, ``positives`` (users who are to find it), then
        ``found@<k>`` (users who do).
    coverage
        Share of the candidates in anybody's list, by k.
    candidate_count
        How many items were candidates.
    users_without_history
        Users of the test pairs left out because they have used nothing in training.
    users_without_pair
        Users of the test pairs left out because no pair of theirs is to be found among the
        candidates.
    seen_pairs
        Test pairs left out because they are in the training interactions too.
    """

    ranker: str
    candidates: Candidates
    k: tuple[int, ...]
    confidence: float
    per_user: pd.DataFrame = field(repr=False)
    per_item: pd.DataFrame = field(repr=False)
    coverage: Mapping[int, float]
    candidate_count: int
    users_without_history: int
    users_without_pair: int
    seen_pairs: int

    @property
    def users(self) -> int:
        """How many users were evaluated."""
        return len(self.per_user)

    def mean(self, metric: str, k: int) -> float:
        """Average a metric over the users.

        Parameters
        ----------
        metric
            ``recall``, ``ndcg``, ``precision``, ``f1``, ``mrr``, ``hit_rate`` or ``map``; with all
            candidates also ``cold_recall`` and ``warm_recall``.
        k
            Length of the list, one of those evaluated.

        Returns
        -------
        float
            NaN if there is no user.

        Raises
        ------
        KeyError
            If the metric at this k was not evaluated.
        """
        return float(self.per_user[f"{metric}@{k}"].mean())

    def to_frame(self) -> pd.DataFrame:
        """Tabulate the means.

        Returns
        -------
        DataFrame
            Columns ``metric``, ``k``, ``mean``, ``low``, ``high`` (the interval) and ``users``.
            The interval is the normal approximation over users: mean ± z · s / √U.  Coverage
            belongs to no user and has none.
        """
        rows = []
        for column in self.per_user.columns[2:]:
            name, _, k = column.partition("@")
            values = self.per_user[column].dropna().to_numpy(np.float64)
            rows.append((name, int(k), *_interval(values, self.confidence), len(values)))
        rows += [("coverage", k, c, np.nan, np.nan, self.users) for k, c in self.coverage.items()]
        return pd.DataFrame(rows, columns=["metric", "k", "mean", "low", "high", "users"])

    def _repr_html_(self) -> str:
        """Tabulate the means with their intervals, for notebooks."""
        line = (
            f"{self.candidate_count:,} candidates ({self.candidates}) ranked for {self.users:,} "
            f"users, {self.confidence:.0%} intervals over them"
        )
        return card(self.ranker, line, self.to_frame())

    def to_dict(self) -> dict[str, object]:
        """Give the report as plain values, ready for JSON.

        Returns
        -------
        dict
            Counts, and ``metrics``: the rows of :meth:`to_frame`, with None for NaN.
        """
        frame = self.to_frame().astype(object)
        return {
            "ranker": self.ranker,
            "candidates": self.candidates,
            "k": list(self.k),
            "confidence": self.confidence,
            "users": self.users,
            "candidate_count": self.candidate_count,
            "users_without_history": self.users_without_history,
            "users_without_pair": self.users_without_pair,
            "seen_pairs": self.seen_pairs,
            "metrics": frame.where(frame.notna(), None).to_dict("records"),
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """Who is asked for what."""

    mask: NDArray[np.bool_]
    positives: sparse.csr_array
    users: NDArray[np.int64]
    users_without_history: int
    users_without_pair: int
    seen_pairs: int


def evaluate(
    ranker: Ranker,
    test: Interactions | pd.DataFrame,
    *,
    candidates: Candidates = "cold",
    k: Sequence[int] = (20,),
    exclude_seen: bool = True,
    confidence: float = 0.95,
) -> EvaluationReport:
    """Rank all candidates for every user of the held-out pairs, and compare.

    No negatives are sampled: each list is the best of all candidates.

    Parameters
    ----------
    ranker
        A fitted ranker; cold and warm are meant by its graph, without the held-out pairs.
    test
        Held-out interactions by position, or a frame with the columns ``user`` and ``item``.
    candidates
        Rank the cold items, the warm ones or all.
    k
        Lengths of the lists.
    exclude_seen
        Leave out of a user's list what the user has used in training.
    confidence
        Level of the confidence intervals, .95 say.

    Returns
    -------
    EvaluationReport
        Users without a training history, or without a test pair among the candidates, are left
        out and counted.

    Raises
    ------
    NotFittedError
        If the ranker is not fitted.
    UnknownIdError
        If a test user or item is not in the ranker's graph.
    ValueError
        If k or the confidence is out of range, a column is missing, or candidates is unknown.
    """
    lengths = _checked_lengths(k)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence = {confidence} must lie between 0 and 1, both excluded")
    task = _prepare(ranker, test, candidates, exclude_seen)
    lists = _rank(ranker, task, lengths[-1], exclude_seen)
    hits = _hits(task, lists)
    candidate_count = int(task.mask.sum())
    return EvaluationReport(
        ranker=ranker.name,
        candidates=candidates,
        k=lengths,
        confidence=confidence,
        per_user=_per_user(ranker.graph, task, lists, hits, lengths, split=candidates == "all"),
        per_item=_per_item(ranker.graph, task, lists, hits, lengths),
        coverage={
            n: metrics.coverage(lists[:, :n], candidate_count) if candidate_count else np.nan
            for n in lengths
        },
        candidate_count=candidate_count,
        users_without_history=task.users_without_history,
        users_without_pair=task.users_without_pair,
        seen_pairs=task.seen_pairs,
    )


def compare(
    rankers: Mapping[str, Ranker],
    test: Interactions | pd.DataFrame,
    *,
    candidates: Candidates = "cold",
    k: Sequence[int] = (20,),
    metric: Sequence[str] = ("recall", "ndcg"),
    exclude_seen: bool = True,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Evaluate rankers on the same pairs, one row each.

    Parameters
    ----------
    rankers
        Fitted rankers by the name to show; the first is the reference.
    test, candidates, k, exclude_seen, confidence
        As :func:`evaluate`.
    metric
        Which metrics to show.

    Returns
    -------
    DataFrame
        Columns ``ranker``, ``users`` and, for each ``m`` = ``<metric>@<k>``: ``m``, ``m_low``,
        ``m_high``, and the mean difference from the first ranker over the same users
        ``m_difference`` with ``m_difference_low`` and ``m_difference_high``.

    Raises
    ------
    ValueError
        As :func:`evaluate`; also if there is no ranker, a metric is unknown, or two rankers were
        evaluated on different users because their graphs differ.
    """
    unknown = [name for name in metric if name not in METRICS]
    if unknown or not rankers:
        raise ValueError(
            f"unknown metric {name_ids(unknown)}: choose from {', '.join(METRICS)}"
            if unknown
            else "there is no ranker to compare"
        )
    reports = {
        name: evaluate(
            ranker,
            test,
            candidates=candidates,
            k=k,
            exclude_seen=exclude_seen,
            confidence=confidence,
        )
        for name, ranker in rankers.items()
    }
    reference = next(iter(reports.values()))
    columns = [f"{name}@{length}" for name in metric for length in reference.k]
    return pd.DataFrame(
        [_compared(name, report, reference, columns) for name, report in reports.items()]
    )


def read_pairs(path: str | Path) -> pd.DataFrame:
    """Read held-out pairs from a file.

    Parameters
    ----------
    path
        A ``.tsv``, ``.csv`` (either may end in ``.gz`` too) or ``.parquet`` file with at least
        the columns ``user`` and ``item``.

    Returns
    -------
    DataFrame
        Columns ``user`` and ``item``, ids as strings.

    Raises
    ------
    SourceError
        If the file is missing, of another kind, can't be read, lacks a column, or an id is empty.
    """
    path = Path(path)
    frame = _read_table(path)
    missing = [column for column in ("user", "item") if column not in frame.columns]
    if missing:
        raise SourceError(f"{path} lacks the column {name_ids(missing)}: it needs user and item")
    pairs = frame[["user", "item"]]
    empty = pairs.isna().any(axis=1) | (pairs == "").any(axis=1)
    if empty.any():
        raise SourceError(
            f"{path} has {int(empty.sum()):,} rows with an empty user or item, "
            f"row {int(np.argmax(empty)):,} the first: complete or delete them"
        )
    return pairs.astype(str)


def _read_table(path: Path) -> pd.DataFrame:
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix != ".parquet" and suffix not in TABULAR_SUFFIXES:
        raise SourceError(f"{path} is neither .tsv, .csv (.gz) nor .parquet: convert it to one")
    try:
        if suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, sep=TABULAR_SUFFIXES[suffix], dtype=str, keep_default_na=False)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise SourceError(f"{path} can't be read: {error}") from error


def _checked_lengths(k: Sequence[int]) -> tuple[int, ...]:
    lengths = tuple(sorted(set(k)))
    if not lengths or lengths[0] < 1:
        raise ValueError(f"k = {tuple(k)} must hold lengths of at least 1")
    return lengths


def _prepare(
    ranker: Ranker, test: Interactions | pd.DataFrame, candidates: Candidates, exclude_seen: bool
) -> _Task:
    graph, histories = ranker.graph, ranker.histories
    mask = _candidate_mask(graph, candidates)
    user, item = _pair_positions(graph, test)
    asked = sparse.csr_array((np.ones(len(user), np.float32), (user, item)), shape=histories.shape)
    asked.sum_duplicates()
    asked.data[:] = 1.0
    seen = asked.multiply(histories).tocsr() if exclude_seen else asked * 0.0
    unseen = asked - seen
    positives = sparse.csr_array(unseen @ sparse.diags_array(mask.astype(np.float32)))
    positives.eliminate_zeros()
    has_test = np.diff(asked.indptr) > 0
    has_history = np.diff(histories.indptr) > 0
    has_pair = np.diff(positives.indptr) > 0
    return _Task(
        mask=mask,
        positives=positives,
        users=np.flatnonzero(has_history & has_pair),
        users_without_history=int((has_test & ~has_history).sum()),
        users_without_pair=int((has_test & has_history & ~has_pair).sum()),
        seen_pairs=int(seen.sum()),
    )


def _candidate_mask(graph: KnowledgeGraph, candidates: Candidates) -> NDArray[np.bool_]:
    match candidates:
        case "cold":
            return graph.is_cold
        case "warm":
            return ~graph.is_cold
        case "all":
            return np.ones(len(graph.items), bool)
        case _:
            raise ValueError(f"candidates = {candidates!r} must be 'cold', 'warm' or 'all'")


def _pair_positions(
    graph: KnowledgeGraph, test: Interactions | pd.DataFrame
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if isinstance(test, pd.DataFrame):
        missing = [column for column in ("user", "item") if column not in test.columns]
        if missing:
            raise ValueError(f"the test pairs lack the column {name_ids(missing)}")
        return (
            graph.positions(graph.schema.user, test["user"]),
            graph.positions(graph.schema.item, test["item"]),
        )
    for positions, kind in ((test.user, graph.schema.user), (test.item, graph.schema.item)):
        beyond = positions[(positions < 0) | (positions >= len(graph.nodes[kind]))]
        if len(beyond):
            raise UnknownIdError(
                f"the test pairs name the {kind} at the positions {name_ids(beyond)}, which the "
                "ranker's graph does not have: use the split that the ranker was fitted on"
            )
    return test.user, test.item


def _rank(ranker: Ranker, task: _Task, k: int, exclude_seen: bool) -> NDArray[np.int64]:
    """Rank for all users of the task, [U, k], -1 for an empty place."""
    lists = np.full((len(task.users), k), -1, np.int64)
    done = 0
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"ranking with {ranker.name}", total=len(task.users))
        for block, items, _ in ranker.rank(
            task.users, k, candidates=task.mask, exclude_seen=exclude_seen
        ):
            lists[done : done + len(block), : items.shape[1]] = items
            done += len(block)
            progress.update(bar, completed=done)
    return lists


def _hits(task: _Task, lists: NDArray[np.int64]) -> NDArray[np.bool_]:
    width = task.positives.shape[1]
    rows, places = np.nonzero(lists >= 0)
    wanted_rows, wanted_items = task.positives[task.users].nonzero()
    found = np.isin(rows * width + lists[rows, places], wanted_rows * width + wanted_items)
    hits = np.zeros(lists.shape, bool)
    hits[rows, places] = found
    return hits


def _per_user(
    graph: KnowledgeGraph,
    task: _Task,
    lists: NDArray[np.int64],
    hits: NDArray[np.bool_],
    lengths: tuple[int, ...],
    *,
    split: bool,
) -> pd.DataFrame:
    positives = np.diff(task.positives.indptr)[task.users].astype(np.int64)
    columns: dict[str, object] = {
        "user": graph.users.ids.to_numpy(zero_copy_only=False)[task.users],
        "positives": positives,
    }
    for name, metric in METRICS.items():
        columns |= {f"{name}@{k}": metric(hits[:, :k], positives) for k in lengths}
    if split:
        cold = np.asarray(task.positives[task.users] @ graph.is_cold.astype(np.float32))
        hits_cold = hits & graph.is_cold[lists]
        for k in lengths:
            columns[f"cold_recall@{k}"] = _part_recall(hits_cold[:, :k], cold)
            columns[f"warm_recall@{k}"] = _part_recall((hits & ~hits_cold)[:, :k], positives - cold)
    return pd.DataFrame(columns)


def _per_item(
    graph: KnowledgeGraph,
    task: _Task,
    lists: NDArray[np.int64],
    hits: NDArray[np.bool_],
    lengths: tuple[int, ...],
) -> pd.DataFrame:
    count = len(graph.items)
    positives = np.bincount(task.positives[task.users].indices, minlength=count)
    asked = np.flatnonzero(positives)
    columns: dict[str, object] = {
        "item": graph.items.ids.to_numpy(zero_copy_only=False)[asked],
        "positives": positives[asked],
    }
    for k in lengths:
        found = np.bincount(lists[:, :k][hits[:, :k]], minlength=count)
        columns[f"found@{k}"] = found[asked]
    return pd.DataFrame(columns)


def _part_recall(hits: NDArray[np.bool_], positives: NDArray[np.float32]) -> metrics.Values:
    values = np.full(len(hits), np.nan)
    there = positives > 0
    values[there] = metrics.recall(hits[there], positives[there].astype(np.int64))
    return values


def _interval(values: metrics.Values, confidence: float) -> tuple[float, float, float]:
    """Mean and the normal approximation of its confidence interval."""
    if not len(values):
        return np.nan, np.nan, np.nan
    mean = float(values.mean())
    if len(values) == 1:  # one user says nothing about the spread
        return mean, np.nan, np.nan
    margin = float(stats.norm.ppf(0.5 + confidence / 2) * values.std(ddof=1) / len(values) ** 0.5)
    return mean, mean - margin, mean + margin


def _compared(
    name: str, report: EvaluationReport, reference: EvaluationReport, columns: Sequence[str]
) -> dict[str, object]:
    if not report.per_user["user"].equals(reference.per_user["user"]):
        raise ValueError(
            f"'{name}' was evaluated on other users than '{reference.ranker}': "
            "fit all rankers on the same graph"
        )
    row: dict[str, object] = {"ranker": name, "users": report.users}
    for column in columns:
        values = report.per_user[column].to_numpy(np.float64)
        difference = values - reference.per_user[column].to_numpy(np.float64)
        for prefix, series in ((column, values), (f"{column}_difference", difference)):
            names = (prefix, f"{prefix}_low", f"{prefix}_high")
            row |= dict(zip(names, _interval(series, report.confidence), strict=True))
    return row
