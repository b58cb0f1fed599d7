"""How long training takes, against ALS on the same interactions in the same run.

``python -m benchmarks.training --data SOURCE`` fits ``implicit``'s ALS (64 factors, 15
iterations), kgrec, and ALS again on ml1m-kg, with texts encoded beforehand, and writes seconds by
the clock and of the processors, their ratios and the peak memory.  On a machine with other work
the processors' seconds say more.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from implicit.als import AlternatingLeastSquares
from kgrec import KnowledgeGraph, Recommender
from kgrec.storage import load_graph
from kgrec.text import TextEncoder

from benchmarks.protocols import prepare
from benchmarks.quality import write_text
from benchmarks.quality_run import make_cached_encoder

DATASET = "ml1m-kg"
MOST_TIMES_ALS = 60
MOST_GIGABYTES = 4.0

Times = dict[str, float]


def take_time(fit: Callable[[], object]) -> Times:
    """Take the time of one fit.

    Parameters
    ----------
    fit
        What is timed.

    Returns
    -------
    dict
        ``seconds`` by the clock and ``cpu_seconds`` of all processors.
    """
    clock, processors = time.perf_counter(), time.process_time()
    fit()
    return {
        "seconds": round(time.perf_counter() - clock, 2),
        "cpu_seconds": round(time.process_time() - processors, 2),
    }


def fit_als(graph: KnowledgeGraph) -> AlternatingLeastSquares:
    """Fit ALS with 64 factors and 15 iterations."""
    model = AlternatingLeastSquares(factors=64, iterations=15, random_state=0)
    model.fit(graph.interaction_matrix(), show_progress=False)
    return model


def measure(graph: KnowledgeGraph, encoder: TextEncoder) -> dict[str, Times]:
    """Time ALS, kgrec and ALS again.

    Parameters
    ----------
    graph
        What is learned from.
    encoder
        Has encoded its texts already.

    Returns
    -------
    dict
        ``als`` (the quicker run), ``kgrec`` and ``ratio``, and ``peak`` in gigabytes.
    """
    runs = [take_time(lambda: fit_als(graph))]
    model = take_time(lambda: Recommender(encoder=encoder).fit(graph, seed=0))
    runs.append(take_time(lambda: fit_als(graph)))
    als = {name: min(run[name] for run in runs) for name in model}
    ratio = {name: round(model[name] / als[name], 1) for name in model}
    unit = 1e9 if sys.platform == "darwin" else 1e6  # bytes there, KiB elsewhere
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return {"als": als, "kgrec": model, "ratio": ratio, "peak": {"gigabytes": round(peak, 2)}}


def to_markdown(found: dict[str, Times]) -> str:
    """Show the times as a table.

    Parameters
    ----------
    found
        From :func:`measure`.

    Returns
    -------
    str
        A row a model.
    """
    lines = [
        f"# Training on {DATASET}\n",
        "| | seconds | processor seconds |",
        "|---|---:|---:|",
    ]
    for name, label in (("als", "ALS, 64 factors, 15 iterations"), ("kgrec", "kgrec")):
        lines.append(f"| {label} | {found[name]['seconds']} | {found[name]['cpu_seconds']} |")
    ratio = found["ratio"]
    lines.append(f"| times ALS | {ratio['seconds']} | {ratio['cpu_seconds']} |")
    lines.append(
        f"\nPeak memory of the process: {found['peak']['gigabytes']} GB. Wanted: at most "
        f"{MOST_TIMES_ALS} times ALS, and at most {MOST_GIGABYTES} GB.\n"
    )
    return "\n".join(lines)


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("benchmarks/data"))
    parser.add_argument("--work", type=Path, default=Path("build/quality"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    ready = [p for p in prepare(given.data, given.work, [DATASET]) if p.name == "cold"]
    if not ready:
        raise SystemExit(f"{DATASET} is not in {given.data}: name its folder with --data")
    graph = load_graph(given.work / ready[0].folder / "graph")
    encoder = make_cached_encoder(given.work / "texts")
    for table in graph.nodes.values():
        encoder.encode(table.texts)
    found = measure(graph, encoder)
    write_text(given.output / "training.json", json.dumps(found, indent=2) + "\n")
    write_text(given.output / "training.md", to_markdown(found))


if __name__ == "__main__":
    main()
