"""A tour of kgrec on the data that comes with it: graph, comparison, recommendations."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kgrec import datasets
from kgrec.config import Config
from kgrec.graph import KnowledgeGraph
from kgrec.lineup import (
    Fitted,
    Measured,
    encode_texts,
    fit_model,
    measure,
    missing_package,
    ranker_makers,
)
from kgrec.ranker import Ranker
from kgrec.schema import load_schema
from kgrec.sources import read_cypher_file
from kgrec.terminal import announce, format_value, frame_records, frame_table, measured_table

SEEDS = (0, 1, 2)
LENGTHS = (5, 10)  # of 54 candidates: lists of 20 would hold a third of them
SHOWN_PROJECTS = ("scipy", "fastapi", "jupyter-server")  # names that people may know
SHOWN_PACKAGES = 8
MODEL = "kgrec"
SLOW_MODELS = ("lightgcn", "dropoutnet", "clcrec", "graphsage", "gat")


@dataclass(frozen=True, slots=True)
class _Comparison:
    """All models on the cold packages, the fits of kgrec, and why others were left out."""

    measured: tuple[Measured, ...]
    fits: tuple[Fitted, ...]
    left_out: Mapping[str, str]


def run_demo(
    console: Console | None, *, quick: bool = False, full: bool = False
) -> dict[str, object]:
    """Run the tour.

    Parameters
    ----------
    console
        Where it is shown; None shows nothing.
    quick
        Fit kgrec with one seed instead of three.
    full
        Also fit the baselines that are trained step by step, which takes minutes.

    Returns
    -------
    dict
        ``graph``, ``models``, ``left_out``, ``recommendations`` and ``seconds``, ready for JSON.

    Raises
    ------
    ArtifactError
        If the text model is not to be had.
    """
    start = time.perf_counter()
    shown = console or Console(quiet=True)
    graph = _read_graph()
    shown.print(frame_table(graph.summary(), title=escape(repr(graph))))
    test = datasets.debian_cold_test().to_pandas()
    compared = _compare(graph, test, quick, full)
    shown.print(_comparison_table(compared.measured))
    shown.print(_notes(compared))
    best = _recommend(compared.fits[0].ranker, test)
    shown.print(_recommendation_table(best))
    seconds = time.perf_counter() - start
    shown.print(f"{seconds:.0f} seconds in all.")
    return {
        "graph": frame_records(graph.summary()),
        "models": [entry.to_dict() for entry in compared.measured],
        "left_out": dict(compared.left_out),
        "recommendations": frame_records(best),
        "seconds": round(seconds, 1),
    }


def _recommend(ranker: Ranker, test: pd.DataFrame) -> pd.DataFrame:
    """Recommend warm and cold packages alike, and mark the held-out pairs."""
    best = ranker.recommend(SHOWN_PROJECTS, SHOWN_PACKAGES)
    held_out = pd.MultiIndex.from_frame(test[["user", "item"]])
    return best.assign(taken_up=pd.MultiIndex.from_frame(best[["user", "item"]]).isin(held_out))


def _read_graph() -> KnowledgeGraph:
    announce("building and reading the embedded Cypher database")
    with tempfile.TemporaryDirectory(prefix="kgrec-demo-") as folder:
        path = datasets.debian_cypher_file(Path(folder) / "debian.lbug")
        return read_cypher_file(path, load_schema(datasets.debian_folder()))


def _compare(graph: KnowledgeGraph, test: pd.DataFrame, quick: bool, full: bool) -> _Comparison:
    config = Config()
    encoder = config.make_encoder()
    announce("encoding texts with BERT, which later runs find in the cache")
    encode_texts(graph, encoder, [MODEL])
    makers = ranker_makers(encoder, config)
    reasons = {name: reason for name in makers if (reason := _reason_to_skip(name, full))}
    make = makers.pop(MODEL)
    seeds = SEEDS[:1] if quick else SEEDS
    announce(f"fitting {MODEL} with {len(seeds)} seeds")
    fits = tuple(fit_model(make, graph, seed) for seed in seeds)
    measured = [measure(MODEL, fits, test, k=LENGTHS)]
    for name in (name for name in makers if name not in reasons):
        announce(f"fitting {name}")
        fit = fit_model(makers[name], graph, SEEDS[0])
        measured.append(measure(name, [fit], test, k=LENGTHS))
    return _Comparison(tuple(measured), fits, reasons)


def _reason_to_skip(model: str, full: bool) -> str | None:
    package = missing_package(model)
    if package:
        return f"needs {package}: pip install 'kgrec[als]'"
    return "takes minutes: kgrec demo --full" if model in SLOW_MODELS and not full else None


def _comparison_table(measured: Sequence[Measured]) -> Table:
    report = measured[0].report
    title = (
        f"{report.candidate_count} packages that nobody depends on yet, ranked for "
        f"{report.users} projects that took one up later"
    )
    return measured_table(measured, title=title)


def _notes(compared: _Comparison) -> str:
    seeds = len(compared.fits)
    notes = [
        f"{MODEL} is the mean of {seeds} seeds ± their standard deviation; the others have one."
        if seeds > 1
        else "Each model was fitted with one seed.",
        "Seconds are those of one fit, without encoding the texts.",
        "Models without content (popularity, itemknn, ease, als, lightgcn) can't tell cold "
        "packages apart: their order is arbitrary.",
        *(f"Left out {name}: {reason}." for name, reason in compared.left_out.items()),
    ]
    return escape("\n".join(notes)) + "\n"


def _recommendation_table(best: pd.DataFrame) -> Table:
    table = Table(
        title="What some projects should look at, all packages being candidates",
        title_justify="left",
        title_style="bold",
    )
    for heading in ("project", "rank", "package", "score", "cold", "taken up later"):
        table.add_column(heading, justify="right" if heading in ("rank", "score") else "left")
    for project, rows in best.groupby("user", sort=False):
        for place, row in enumerate(frame_records(rows)):
            table.add_row(
                str(project) if place == 0 else "",
                str(row["rank"]),
                row["item"],
                format_value(row["score"]),
                "cold" if row["cold"] else "",
                format_value(row["taken_up"]),
                style="cyan" if row["cold"] else None,
                end_section=place == len(rows) - 1,
            )
    return table
