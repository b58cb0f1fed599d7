"""Where a model is good and where it is not: by what is known of items, and by what is learned.

Every function gives a frame; :func:`kgrec.drawing.draw_curves` draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kgrec.evaluation import Candidates, Split, evaluate
from kgrec.explore.neighbourhoods import count_edges
from kgrec.graph import Interactions
from kgrec.progress import track
from kgrec.ranker import Ranker

ITEM_COLUMNS = ["model", "item", "pairs", "found", "edges", "characters"]

Maker = Callable[[], Ranker]


def recall_of_items(
    models: Mapping[str, Ranker],
    split: Split,
    *,
    candidates: Candidates = "cold",
    k: int = 20,
) -> pd.DataFrame:
    """Count for each item how many of those who took it up are shown it.

    Parameters
    ----------
    models
        Rankers by the name to show, fitted on ``split.train``.
    split
        Held-out interactions.
    candidates
        Which items are ranked.
    k
        Length of the lists.

    Returns
    -------
    DataFrame
        A row a model and held-out item: ``model``, ``item``, ``pairs`` held out, ``found`` in the
        best k, and what is known of the item: ``edges`` and ``characters`` of its text.

    Raises
    ------
    NotFittedError
        If a model is not fitted.
    ValueError
        If k is not positive, candidates is unknown, or there is no model.
    """
    if not models:
        raise ValueError("there is no model to look at: give at least one")
    graph = split.train
    known = pd.DataFrame(
        {
            "item": graph.items.ids.to_pylist(),
            "edges": count_edges(graph)[graph.schema.item],
            "characters": [len(text or "") for text in graph.items.texts.to_pylist()],
        }
    )
    frames = []
    for name, model in models.items():
        found = evaluate(model, split.test, candidates=candidates, k=[k]).per_item
        named = found.rename(columns={"positives": "pairs", f"found@{k}": "found"})
        frames.append(named.assign(model=name).merge(known, on="item", validate="one_to_one"))
    return pd.concat(frames, ignore_index=True)[ITEM_COLUMNS]


def recall_by(
    items: pd.DataFrame,
    column: Literal["edges", "characters"],
    starts: Sequence[int] | None = None,
    bands: int = 5,
) -> pd.DataFrame:
    """Gather items into bands by how much is known of them.

    Parameters
    ----------
    items
        As :func:`recall_of_items` gives it.
    column
        What to gather by.
    starts
        Where each band begins, ascending; None makes bands of about as many items each.
    bands
        How many at most, where ``starts`` is None.

    Returns
    -------
    DataFrame
        A row a model and band that has items: ``model``, the column (where the band begins),
        ``items``, ``pairs``, ``recall`` (share of the pairs that are found) with ``low`` and
        ``high``, a 95% interval over items (ratio estimator; NaN for a single item).

    Raises
    ------
    ValueError
        If there is no band, or the starts do not ascend.

    Examples
    --------
    >>> items = pd.DataFrame(
    ...     {"model": "m", "pairs": [4, 2, 2], "found": [1, 1, 2], "edges": [0, 1, 7]}
    ... )
    >>> recall_by(items, "edges", [0, 5])[["edges", "items", "pairs", "recall"]].values.tolist()
    [[0.0, 2.0, 6.0, 0.3333333333333333], [5.0, 1.0, 2.0, 1.0]]
    """
    begins = _quantiles(items[column], bands) if starts is None else np.asarray(starts, np.int64)
    if not len(begins) or np.any(np.diff(begins) <= 0):
        raise ValueError(f"bands that start at {begins.tolist()} hold no items: let them ascend")
    place = np.searchsorted(begins, items[column].to_numpy(), side="right") - 1
    kept = items.assign(band=place)[place >= 0]
    rows = []
    for (name, band), group in kept.groupby(["model", "band"], sort=False):
        counts = (int(begins[int(str(band))]), len(group), int(group["pairs"].sum()))
        rows.append((name, *counts, *_ratio(group)))
    frame = pd.DataFrame(rows, columns=["model", column, "items", "pairs", "recall", "low", "high"])
    return frame.sort_values(["model", column], kind="stable", ignore_index=True)


def learning_curve(
    makers: Mapping[str, Maker],
    split: Split,
    shares: Sequence[float] = (0.1, 0.3, 1.0),
    *,
    candidates: Candidates = "cold",
    k: int = 20,
    metric: str = "recall",
    seed: int = 0,
) -> pd.DataFrame:
    """Fit models on ever more of the interactions.

    Parameters
    ----------
    makers
        By the name to show what makes a new ranker, for example the class ``Recommender``.
    split
        Interactions to learn from, and held out.
    shares
        Which shares of the interactions to learn from, each a part of the next.
    candidates, k, metric
        As :func:`kgrec.evaluation.evaluate`.
    seed
        Seed of the draw and of the fits.

    Returns
    -------
    DataFrame
        A row a model and share: ``model``, ``share``, ``interactions`` and ``<metric>@<k>``
        with ``low`` and ``high``, its 95% interval over users.  Users and items keep at least
        one interaction each, so that the users and the candidates are the same in all rows; a
        share too small for that is exceeded.

    Raises
    ------
    ValueError
        If a share is not above 0 and at most 1, or as :func:`kgrec.evaluation.evaluate`.
    """
    wrong = [share for share in shares if not 0 < share <= 1]
    if wrong:
        raise ValueError(f"shares = {wrong} must lie above 0 and be at most 1")
    log = split.train.interactions
    order, least = _drawn(log, seed)
    cases = [(name, share) for share in shares for name in makers]
    rows = []
    for name, share in track(cases, "fitting"):
        kept = np.sort(order[: max(least, round(share * len(log)))])
        graph = split.train.with_interactions(log.select(kept))
        model = makers[name]().fit(graph, seed=seed)
        row = _measure(model, split, candidates, k, metric)
        rows.append({"model": name, "share": share, "interactions": len(kept), **row})
    return pd.DataFrame(rows)


def recall_without_relations(
    makers: Mapping[str, Maker],
    split: Split,
    relations: Iterable[str] | None = None,
    *,
    candidates: Candidates = "cold",
    k: int = 20,
    metric: str = "recall",
    seed: int = 0,
) -> pd.DataFrame:
    """Fit models anew without each relation in turn: what falls is what the relation gave.

    Parameters
    ----------
    makers
        By the name to show what makes a new ranker.
    split
        Interactions to learn from, and held out.
    relations
        Which relations to take away; None takes each.
    candidates, k, metric
        As :func:`kgrec.evaluation.evaluate`.
    seed
        Seed of the fits.

    Returns
    -------
    DataFrame
        A row a model and relation, the whole graph first: ``model``, ``without`` (None for the
        whole), ``edges`` taken away, ``<metric>@<k>`` with ``low`` and ``high``.

    Raises
    ------
    ValueError
        If the graph has no such relation, or as :func:`kgrec.evaluation.evaluate`.
    """
    graph = split.train
    known = list(dict.fromkeys(relation for _, relation, _ in graph.edges))
    wanted = known if relations is None else list(relations)
    unknown = [relation for relation in wanted if relation not in known]
    if unknown:
        raise ValueError(f"the graph has no relation {unknown}: choose from {', '.join(known)}")
    cases = [(name, without) for without in (None, *wanted) for name in makers]
    rows = []
    for name, without in track(cases, "fitting"):
        kept = {at: table for at, table in graph.edges.items() if at[1] != without}
        lost = sum(len(table) for at, table in graph.edges.items() if at not in kept)
        model = makers[name]().fit(graph.with_edges(kept), seed=seed)
        row = _measure(model, split, candidates, k, metric)
        rows.append({"model": name, "without": without, "edges": lost, **row})
    return pd.DataFrame(rows)


def _quantiles(values: pd.Series[int], bands: int) -> NDArray[np.int64]:
    """Give where bands of about as many values each begin; none where there are no values."""
    if not len(values) or bands < 1:
        return np.zeros(0, np.int64)
    shares = np.arange(bands) / bands
    return np.unique(np.quantile(values.to_numpy(), shares, method="lower")).astype(np.int64)


def _drawn(log: Interactions, seed: int) -> tuple[NDArray[np.int64], int]:
    """Draw an order of interactions, and say how many keep each user and item."""
    order = np.random.default_rng(seed).permutation(len(log))
    needed = np.zeros(len(log), bool)
    for ends in (log.user[order], log.item[order]):
        needed[np.unique(ends, return_index=True)[1]] = True
    return np.concatenate([order[needed], order[~needed]]), int(needed.sum())


def _measure(
    model: Ranker, split: Split, candidates: Candidates, k: int, metric: str
) -> dict[str, float]:
    report = evaluate(model, split.test, candidates=candidates, k=[k])
    frame = report.to_frame()
    row = frame[(frame["metric"] == metric) & (frame["k"] == k)]
    if row.empty:
        known = ", ".join(dict.fromkeys(frame["metric"]))
        raise ValueError(f"nothing is measured by {metric!r}: choose from {known}")
    mean, low, high = row[["mean", "low", "high"]].iloc[0]
    return {f"{metric}@{k}": mean, "low": low, "high": high}


def _ratio(items: pd.DataFrame) -> tuple[float, float, float]:
    """Share of the pairs that are found, and its interval over items (Cochran 1977, 2.11)."""
    found, pairs = items["found"].to_numpy(np.float64), items["pairs"].to_numpy(np.float64)
    ratio = found.sum() / pairs.sum()
    if len(items) == 1:
        return ratio, np.nan, np.nan
    rest = found - ratio * pairs
    margin = 1.96 * np.sqrt(len(items) / (len(items) - 1) * np.square(rest).sum()) / pairs.sum()
    return ratio, ratio - margin, ratio + margin
