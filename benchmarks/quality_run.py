"""Fit and evaluate one model with one seed, in a process of its own.

Its peak memory and its training seconds are then nobody else's.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from kgrec.config import Config
from kgrec.evaluation import Candidates, EvaluationReport, evaluate, read_pairs
from kgrec.graph import KnowledgeGraph
from kgrec.lineup import ranker_makers
from kgrec.ranker import Ranker
from kgrec.recommender import Recommender
from kgrec.storage import load_graph
from kgrec.text import TextEncoder

from benchmarks.controls import (
    add_distant_texts,
    hold_back_cold_items,
    remove_edges,
    remove_texts,
    shuffle_graph,
)

LENGTHS = (5, 20, 100)
SHOWN = ("recall", "ndcg", "cold_recall", "warm_recall")

Fit = Callable[[KnowledgeGraph, int], Ranker]


def fits(encoder: TextEncoder, config: Config) -> dict[str, Fit]:
    """Name everything that is measured: models, and kgrec with something taken away.

    Parameters
    ----------
    encoder
        Encodes the texts.
    config
        Settings of kgrec.

    Returns
    -------
    dict
        From names to functions that fit on a graph with a seed.
    """

    def fit_kgrec(graph: KnowledgeGraph, seed: int) -> Recommender:
        return Recommender(config, encoder=encoder).fit(graph, seed=seed)

    def fit_frozen(graph: KnowledgeGraph, seed: int) -> Ranker:
        before, arriving = hold_back_cold_items(graph)
        model = fit_kgrec(before, seed)
        model.add_items(arriving)
        return model

    def fit_with(**changes: bool | int) -> Fit:
        simpler = config.model_copy(update=changes)
        return lambda graph, seed: Recommender(simpler, encoder=encoder).fit(graph, seed=seed)

    makers = ranker_makers(encoder, config)
    return {
        "kgrec": fit_kgrec,
        "kgrec-frozen": fit_frozen,
        "kgrec-shuffled-graph": lambda graph, seed: fit_kgrec(shuffle_graph(graph, seed), seed),
        "kgrec-without-text": lambda graph, seed: fit_kgrec(remove_texts(graph), seed),
        "kgrec-without-graph": lambda graph, seed: fit_kgrec(remove_edges(graph), seed),
        "kgrec-head-alone": fit_with(hops=0, words=False, steps=0, prominence=False),
        "kgrec-hops-0": fit_with(hops=0),
        "kgrec-hops-1": fit_with(hops=1),
        "kgrec-hops-3": lambda graph, seed: fit_kgrec(add_distant_texts(graph, encoder), seed),
        "kgrec-untrained": fit_with(steps=0),
        "kgrec-without-prominence": fit_with(prominence=False),
        **{name: _fit_with(make) for name, make in makers.items() if name != "kgrec"},
    }


def _fit_with(make: Callable[[], Ranker]) -> Fit:
    return lambda graph, seed: make().fit(graph, seed=seed)


def run(
    folder: Path, model: str, seed: int, candidates: Sequence[Candidates], cache: Path
) -> dict[str, Any]:
    """Fit and evaluate.

    Parameters
    ----------
    folder
        A prepared protocol.
    model
        Name of what is fitted.
    seed
        Its seed.
    candidates
        Candidate sets.
    cache
        Folder of encoded texts.

    Returns
    -------
    dict
        ``fit_seconds``, ``peak_mb`` and for each candidate set the metrics, ready for JSON.
    """
    graph, test = load_graph(folder / "graph"), read_pairs(folder / "test.parquet")
    fit = fits(make_cached_encoder(cache), Config())[model]
    start = time.perf_counter()
    ranker = fit(graph, seed)
    seconds = time.perf_counter() - start
    reports = {name: evaluate(ranker, test, candidates=name, k=LENGTHS) for name in candidates}
    values: dict[str, Any] = {name: _values(report) for name, report in reports.items()}
    if "all" in reports and "warm" in reports:
        values["all"]["recall_with_cold_hidden@20"] = hidden_recall(reports["all"], reports["warm"])
    return {
        "fit_seconds": round(seconds, 2),
        "peak_mb": _peak_mb(),
        "candidates": values,
        "validation": ranker.validation if isinstance(ranker, Recommender) else None,
    }


def hidden_recall(of_all: EvaluationReport, of_warm: EvaluationReport, k: int = 20) -> float:
    """Tell the overall recall if cold items were never shown.

    Parameters
    ----------
    of_all
        Report with all candidates: its pairs are those to find.
    of_warm
        Report with the warm candidates: its lists are those that are shown.
    k
        Length of the lists.

    Returns
    -------
    float
        Mean over the users of ``of_all``; who has cold pairs alone finds nothing.
    """
    found = of_warm.per_user.set_index("user")
    hits = found[f"recall@{k}"] * found["positives"]
    wanted = of_all.per_user.set_index("user")["positives"]
    return float((hits.reindex(wanted.index).fillna(0.0) / wanted).mean())


def make_cached_encoder(cache: Path) -> TextEncoder:
    """Make the default encoder with a cache of its own.

    Parameters
    ----------
    cache
        Folder of encoded texts.

    Returns
    -------
    TextEncoder
        Nothing is loaded yet.
    """
    config = Config()
    return TextEncoder(
        config.text_model,
        pooling=config.pooling,
        max_length=config.max_length,
        cache_dir=cache,
    )


def encode_texts(folder: Path, cache: Path) -> None:
    """Encode every text of a protocol into the cache.

    Parameters
    ----------
    folder
        A prepared protocol.
    cache
        Folder of encoded texts.
    """
    encoder = make_cached_encoder(cache)
    for table in load_graph(folder / "graph").nodes.values():
        encoder.encode(table.texts)


def _values(report: EvaluationReport) -> dict[str, Any]:
    frame = report.to_frame()
    rows = frame[frame["metric"].isin(SHOWN)].to_dict("records")
    values: dict[str, Any] = {
        f"{row['metric']}@{row['k']}": _interval(row) for row in rows if pd.notna(row["mean"])
    }
    return {"users": report.users, "candidate_count": report.candidate_count, **values}


def _interval(row: dict[Any, Any]) -> dict[str, float]:
    return {name: float(row[name]) for name in ("mean", "low", "high")}


def _peak_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


def main() -> None:
    """Run from the command line; the result goes to a file, or texts to the cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--model", help="what to fit; without it, texts are encoded")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--candidates", nargs="+", default=["cold"])
    parser.add_argument("--result", type=Path, default=Path("/dev/stdout"))
    given = parser.parse_args()
    if given.model is None:
        encode_texts(given.folder, given.cache)
        return
    result = run(given.folder, given.model, given.seed, given.candidates, given.cache)
    given.result.write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
