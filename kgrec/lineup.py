"""The model and the baselines by name, fitted and measured side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from kgrec import baselines
from kgrec.config import Config
from kgrec.errors import ConfigError, name_ids
from kgrec.evaluation import Candidates, EvaluationReport, evaluate
from kgrec.graph import Interactions, KnowledgeGraph
from kgrec.ranker import Ranker
from kgrec.recommender import Recommender
from kgrec.text import TextEncoder

Maker = Callable[[], Ranker]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A ranker and what it took to fit it.

    Parameters
    ----------
    ranker
        The fitted ranker.
    seed
        Seed that it was fitted with.
    seconds
        How long that took.
    """

    ranker: Ranker
    seed: int
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """How good a model is, over one or several seeds.

    Parameters
    ----------
    model
        Its name.
    seeds
        Seeds that it was fitted with.
    fit_seconds
        How long each fit took.
    reports
        What the evaluation of each fit found.
    """

    model: str
    seeds: tuple[int, ...]
    fit_seconds: tuple[float, ...]
    reports: tuple[EvaluationReport, ...]

    @property
    def report(self) -> EvaluationReport:
        """A report of each user's mean over the seeds, and with it intervals over users."""
        if len(self.reports) == 1:
            return self.reports[0]
        stacked = pd.concat([report.per_user for report in self.reports])
        coverage = {
            k: float(np.mean([report.coverage[k] for report in self.reports]))
            for k in self.reports[0].k
        }
        means = stacked.groupby("user", sort=False, as_index=False).mean()
        items = pd.concat([report.per_item for report in self.reports])
        found = items.groupby("item", sort=False, as_index=False).mean()
        return replace(self.reports[0], per_user=means, per_item=found, coverage=coverage)

    def mean(self, metric: str, k: int) -> float:
        """Average a metric over seeds and users.

        Parameters
        ----------
        metric, k
            As :meth:`EvaluationReport.mean`.

        Returns
        -------
        float
            NaN if there is no user.
        """
        return float(np.mean([report.mean(metric, k) for report in self.reports]))

    def spread(self, metric: str, k: int) -> float:
        """Tell how much a metric depends on the seed.

        Parameters
        ----------
        metric, k
            As :meth:`EvaluationReport.mean`.

        Returns
        -------
        float
            Standard deviation over the seeds; NaN if there is only one.
        """
        values = [report.mean(metric, k) for report in self.reports]
        return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan

    def difference(self, reference: Measured) -> pd.DataFrame:
        """Compare with another model over the same users.

        Parameters
        ----------
        reference
            The other model, evaluated alike.

        Returns
        -------
        DataFrame
            As :meth:`EvaluationReport.to_frame`, of the differences from the other model; the
            interval is of the differences too, and narrower than those of the two means suggest.
        """
        mine, theirs = (
            entry.report.per_user.set_index(["user", "positives"]) for entry in (self, reference)
        )
        per_user = (mine - theirs).reset_index()
        return replace(self.report, per_user=per_user, coverage={}).to_frame()

    def to_dict(self) -> dict[str, Any]:
        """Give what was measured as plain values, ready for JSON.

        Returns
        -------
        dict
            ``model``, ``seeds``, ``fit_seconds``, and the report's values, in whose ``metrics``
            each row has the ``spread`` over the seeds too, None where there is only one.
        """
        values = {**self.report.to_dict(), "ranker": self.model}
        values["metrics"] = [self._with_spread(row) for row in _rows(values)]
        return {
            "model": self.model,
            "seeds": list(self.seeds),
            "fit_seconds": [round(seconds, 3) for seconds in self.fit_seconds],
            **values,
        }

    def _with_spread(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["metric"] == "coverage":
            return row
        spread = self.spread(row["metric"], row["k"])
        return {**row, "spread": None if math.isnan(spread) else spread}


def ranker_makers(
    encoder: TextEncoder, config: Config, device: str | None = None
) -> dict[str, Maker]:
    """Name the model and every baseline.

    Parameters
    ----------
    encoder
        Encodes the texts for all of them.
    config
        Settings of the model.
    device
        Device of the model; the best by default.

    Returns
    -------
    dict
        From names to functions that make a ranker which is not fitted yet; the model first.
    """
    return {
        "kgrec": lambda: Recommender(config, encoder=encoder, device=device),
        "popularity": baselines.Popularity,
        "textnearest": lambda: baselines.TextNearest(encoder),
        "tfidfprofile": baselines.TfidfProfile,
        "graphneighbourvote": baselines.GraphNeighbourVote,
        "itemknn": baselines.ItemKNN,
        "ease": baselines.EASE,
        "als": baselines.ALS,
        "contentridge": lambda: baselines.ContentRidge(encoder),
        "kernelridgeease": lambda: baselines.KernelRidgeEASE(encoder),
        "lightgcn": baselines.LightGCN,
        "dropoutnet": lambda: baselines.DropoutNet(encoder),
        "clcrec": lambda: baselines.CLCRec(encoder),
        "graphsage": lambda: baselines.GraphSAGE(encoder),
        "gat": lambda: baselines.GAT(encoder),
    }


def missing_package(model: str) -> str | None:
    """Tell which package a model lacks.

    Parameters
    ----------
    model
        Its name.

    Returns
    -------
    str or None
        The package to install, None if the model can be fitted.
    """
    needs_implicit = model in ("als", "contentridge", "dropoutnet")
    return "implicit" if needs_implicit and find_spec("implicit") is None else None


def choose_makers(makers: Mapping[str, Maker], names: Sequence[str]) -> dict[str, Maker]:
    """Choose models by their names.

    Parameters
    ----------
    makers
        As :func:`ranker_makers` names them.
    names
        The chosen ones.

    Returns
    -------
    dict
        Those of ``makers``, in the order of ``names``.

    Raises
    ------
    ConfigError
        If a name is unknown, none is given, or a package that a model needs is not installed.
    """
    unknown = [name for name in names if name not in makers]
    if unknown or not names:
        fault = f"no model is called {name_ids(unknown)}" if unknown else "no model is named"
        raise ConfigError(f"{fault}: choose from {', '.join(makers)}")
    for name in names:
        package = missing_package(name)
        if package:
            raise ConfigError(f"the model {name} needs {package}: pip install 'kgrec[als]'")
    return {name: makers[name] for name in names}


def encode_texts(graph: KnowledgeGraph, encoder: TextEncoder, models: Iterable[str]) -> None:
    """Encode texts beforehand, so that no model's time holds what several of them share.

    Parameters
    ----------
    graph
        Whose texts are encoded; the encoder's cache keeps them.
    encoder
        The encoder of the models.
    models
        Names of the models; nothing is encoded if none of them reads vectors.
    """
    if not set(models) & {
        "kgrec",
        "textnearest",
        "contentridge",
        "kernelridgeease",
        "dropoutnet",
        "clcrec",
        "graphsage",
        "gat",
    }:
        return
    for table in graph.nodes.values():
        encoder.encode(table.texts)


def fit_model(make: Maker, graph: KnowledgeGraph, seed: int) -> Fitted:
    """Fit a model and take the time.

    Parameters
    ----------
    make
        Makes the model.
    graph
        What it learns from.
    seed
        Seed of every random draw.

    Returns
    -------
    Fitted
        The fitted model.
    """
    start = time.perf_counter()
    ranker = make().fit(graph, seed=seed)
    return Fitted(ranker, seed, time.perf_counter() - start)


def measure(
    model: str,
    fits: Iterable[Fitted],
    test: Interactions | pd.DataFrame,
    *,
    candidates: Candidates = "cold",
    k: Sequence[int] = (20,),
    confidence: float = 0.95,
) -> Measured:
    """Evaluate the fits of one model.

    Parameters
    ----------
    model
        Its name.
    fits
        One a seed; taken one by one, so that a generator holds one at a time in memory.
    test, candidates, k, confidence
        As :func:`kgrec.evaluation.evaluate`.

    Returns
    -------
    Measured
        What was found.
    """
    seeds, seconds, reports = [], [], []
    for fitted in fits:
        seeds.append(fitted.seed)
        seconds.append(fitted.seconds)
        reports.append(
            evaluate(fitted.ranker, test, candidates=candidates, k=k, confidence=confidence)
        )
    return Measured(model, tuple(seeds), tuple(seconds), tuple(reports))


def _rows(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = values["metrics"]
    return rows
