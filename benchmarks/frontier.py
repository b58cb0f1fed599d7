"""What it costs to show new items: overall recall against recall of the cold pairs.

``python -m benchmarks.frontier --data SOURCE`` fits kgrec on the mixed protocol of ml1m-kg with
one ``cold_tolerance`` after the other, which is calibrated on training data alone, and measures
on the held-out pairs what that gave.  Beside it: hiding the cold items, and rankers whose scores
are merged as they are.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from kgrec.config import Config
from kgrec.evaluation import evaluate, read_pairs
from kgrec.graph import KnowledgeGraph
from kgrec.lineup import ranker_makers
from kgrec.ranker import Ranker
from kgrec.recommender import Recommender
from kgrec.storage import load_graph
from kgrec.text import TextEncoder
from matplotlib.figure import Figure

from benchmarks.protocols import Protocol, prepare
from benchmarks.quality import write_text
from benchmarks.quality_run import hidden_recall, make_cached_encoder

DATASET = "ml1m-kg"
TOLERANCES = (0.0, 0.01, 0.035, 0.06, 0.1)
MERGED = ("kernelridgeease", "contentridge", "graphneighbourvote")
LENGTH = 20
LARGEST_LOSS = 0.05
FEWEST_COLD = 0.08

Point = dict[str, float]


def measure_frontier(
    protocol: Protocol, work: Path, tolerances: Sequence[float], seeds: Sequence[int]
) -> dict[str, dict[str, Point]]:
    """Measure every tolerance with every seed, and the rankers that merge their scores.

    Parameters
    ----------
    protocol
        The mixed protocol, prepared.
    work
        Where it is, and the cache of texts.
    tolerances, seeds
        What to fit.

    Returns
    -------
    dict
        From the name of a row to a point for each seed.
    """
    folder = work / protocol.folder
    graph, test = load_graph(folder / "graph"), read_pairs(folder / "test.parquet")
    encoder = make_cached_encoder(work / "texts")
    makers = ranker_makers(encoder, Config())
    found: dict[str, dict[str, Point]] = {}
    for tolerance in tolerances:
        config = Config(cold_tolerance=tolerance)
        found[f"cold_tolerance {tolerance:g}"] = {
            str(seed): measure_point(_fit(config, encoder, graph, seed), test) for seed in seeds
        }
    for name in MERGED:
        found[name] = {"0": measure_point(makers[name]().fit(graph, seed=0), test)}
    return found


def _fit(config: Config, encoder: TextEncoder, graph: KnowledgeGraph, seed: int) -> Recommender:
    return Recommender(config, encoder=encoder).fit(graph, seed=seed)


def measure_point(ranker: Ranker, test: pd.DataFrame) -> Point:
    """Measure one ranker on the mixed protocol.

    Parameters
    ----------
    ranker
        Fitted.
    test
        Held-out pairs of warm and of cold items.

    Returns
    -------
    dict
        ``overall``, ``cold`` and ``hidden``: recall@20 of all pairs, of the cold pairs, and of
        all pairs if no cold item were shown.
    """
    of_all = evaluate(ranker, test, candidates="all", k=[LENGTH])
    of_warm = evaluate(ranker, test, candidates="warm", k=[LENGTH])
    return {
        "overall": of_all.mean("recall", LENGTH),
        "cold": of_all.mean("cold_recall", LENGTH),
        "hidden": hidden_recall(of_all, of_warm, LENGTH),
    }


def to_markdown(found: Mapping[str, Mapping[str, Point]]) -> str:
    """Show the points as a table.

    Parameters
    ----------
    found
        From :func:`measure_frontier`.

    Returns
    -------
    str
        A row a setting: means over the seeds.
    """
    lines = [
        f"# {DATASET}, mixed candidates\n",
        "| | overall recall@20 | of hiding cold items | recall@20 of cold pairs | seeds |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, runs in found.items():
        overall, cold, hidden = (_mean(runs.values(), key) for key in ("overall", "cold", "hidden"))
        lines.append(
            f"| {name} | {overall:.4f} | {overall / hidden - 1:+.1%} | {cold:.4f} | {len(runs)} |"
        )
    return "\n".join([*lines, ""])


def _mean(points: Iterable[Point], key: str) -> float:
    return statistics.fmean(point[key] for point in points)


def draw(found: Mapping[str, Mapping[str, Point]], path: Path) -> None:
    """Draw the frontier, and beside it the rankers that come near.

    Parameters
    ----------
    found
        From :func:`measure_frontier`.
    path
        Where the picture goes.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    swept = [runs for name, runs in found.items() if name.startswith("cold_tolerance")]
    hidden = statistics.fmean(_mean(runs.values(), "hidden") for runs in swept)
    line = [(_mean(r.values(), "cold"), _mean(r.values(), "overall")) for r in swept]
    axes.plot(*zip(*line, strict=True), "o-", color="#1f5fa8", label="kgrec, by cold_tolerance")
    for name, runs in found.items():
        cold, overall = _mean(runs.values(), "cold"), _mean(runs.values(), "overall")
        if name.startswith("cold_tolerance"):
            axes.annotate(name.split()[1], (cold, overall), (6, 6), textcoords="offset points")
        elif overall > hidden / 2:
            axes.plot(cold, overall, "s", color="#a0522d")
            axes.annotate(name, (cold, overall), (8, -4), textcoords="offset points")
    axes.margins(0.1)
    axes.axhline(hidden, color="grey", linewidth=1, label="cold items hidden")
    limit = (1 - LARGEST_LOSS) * hidden
    axes.axhline(limit, color="grey", linewidth=1, linestyle=":", label="5% below that")
    axes.axvline(FEWEST_COLD, color="grey", linewidth=1, linestyle="--", label=".08 of cold pairs")
    axes.set(xlabel="recall@20 of cold pairs", ylabel="overall recall@20")
    axes.legend(loc="lower left", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("benchmarks/data"))
    parser.add_argument("--work", type=Path, default=Path("build/quality"))
    parser.add_argument("--tolerances", nargs="+", type=float, default=TOLERANCES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    mixed = [p for p in prepare(given.data, given.work, [DATASET]) if p.name == "mixed"]
    if not mixed:
        raise SystemExit(f"{DATASET} is not in {given.data}: name its folder with --data")
    found = measure_frontier(mixed[0], given.work, given.tolerances, given.seeds)
    write_text(given.output / "frontier.json", json.dumps(found, indent=2) + "\n")
    write_text(given.output / "frontier.md", to_markdown(found))
    draw(found, given.output / "frontier.svg")


if __name__ == "__main__":
    main()
