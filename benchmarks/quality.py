"""How good the recommendations are: kgrec, its ablations and the baselines, data set by data set.

``python -m benchmarks.quality --data SOURCE`` converts the data sets that are there, fits every
model with every seed in a process of its own, and writes ``<data set>.json`` and
``<data set>.md`` after each.  What a results file holds already is not measured again, so that an
interrupted run goes on where it was; ``--fresh`` forgets it, which a changed model asks for.

- ``cold``: items without any interaction are ranked for the users who took one up.
- ``warm``: the usual split of interactions; ``all`` ranks every item.
- ``mixed``: held-out pairs of warm and of cold items are asked for at once.

Controls: ``kgrec-frozen`` meets the cold items only after the fit, by ``add_items``;
``kgrec-shuffled-graph`` has the tails of each relation permuted; ``kgrec-without-text`` and
``kgrec-without-graph`` have nothing of the kind.  Rungs: ``kgrec-head-alone`` is the bilinear head
on the BERT vectors of the items' own texts; ``kgrec-hops-0``, ``-1`` and ``-3`` let content travel
so many edges (kgrec itself: two); ``kgrec-untrained`` keeps the shares it starts from;
``kgrec-without-prominence`` leaves out how much is known of an item.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kgrec.config import Config
from kgrec.lineup import missing_package

from benchmarks.protocols import DATASETS, NAMES, Protocol, prepare
from benchmarks.quality_run import fits, make_cached_encoder

COLUMNS = (
    "recall@5",
    "recall@20",
    "ndcg@20",
    "recall@100",
    "cold_recall@20",
    "recall_with_cold_hidden@20",
)

Results = dict[str, Any]


def measure_dataset(
    protocols: Sequence[Protocol],
    work: Path,
    models: Sequence[str],
    seeds: Sequence[int],
    output: Path,
    timeout: float,
) -> None:
    """Measure all models on the protocols of one data set.

    Parameters
    ----------
    protocols
        Its protocols, prepared.
    work
        Where they are, and the cache of texts.
    models, seeds
        What to fit.
    output
        Where the tables go.
    timeout
        Seconds that one fit and its evaluation may take.
    """
    dataset = protocols[0].dataset
    path = output / f"{dataset}.json"
    results = read_results(path)
    missing = list(_missing(results, protocols, models, seeds))
    for folder in dict.fromkeys(protocol for protocol, *_ in missing):
        reason = _call(work, folder, [], timeout)  # texts are encoded before any clock runs
        if reason is not None:
            print(f"{folder.folder}: the texts can't be encoded: {reason}", file=sys.stderr)
    for protocol, model, seed in missing:
        print(f"{protocol.folder}: {model}, seed {seed}", file=sys.stderr)
        found = _measure(work, protocol, model, seed, timeout)
        runs = results.setdefault(protocol.name, {}).setdefault(model, {})
        runs[str(seed)] = found
        write_text(path, json.dumps({"machine": _machine(), "results": results}, indent=2) + "\n")
        write_text(path.with_suffix(".md"), to_markdown(dataset, results))


def read_results(path: Path) -> Results:
    """Read what a former run found.

    Parameters
    ----------
    path
        Its JSON file.

    Returns
    -------
    dict
        By protocol, model and seed; empty if there is none.
    """
    if not path.is_file():
        return {}
    results: Results = json.loads(path.read_text(encoding="utf-8"))["results"]
    return results


def write_text(path: Path, text: str) -> None:
    """Write a file at once or not at all.

    Parameters
    ----------
    path
        The file.
    text
        Its content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".quality.") as beside:
        unfinished = Path(beside) / path.name
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)


def to_markdown(dataset: str, results: Results) -> str:
    """Show results as tables.

    Parameters
    ----------
    dataset
        Name of the data set.
    results
        By protocol, model and seed.

    Returns
    -------
    str
        A table a protocol and candidate set, a row a model: mean ± standard deviation over seeds.
    """
    parts = [f"# {dataset}\n"]
    for protocol, models in results.items():
        for candidates in _candidate_sets(models):
            parts += _table(protocol, candidates, models)
    return "\n".join(parts)


def _candidate_sets(models: Mapping[str, Any]) -> list[str]:
    names = [
        name for runs in models.values() for run in runs.values() for name in run["candidates"]
    ]
    return list(dict.fromkeys(names))


def _table(protocol: str, candidates: str, models: Mapping[str, Any]) -> list[str]:
    rows = {
        model: [run["candidates"][candidates] for run in runs.values() if run["candidates"]]
        for model, runs in models.items()
    }
    measured = [run for runs in rows.values() for run in runs]
    columns = [name for name in COLUMNS if any(name in run for run in measured)]
    first = measured[0]
    headings = ["model", *(name.replace("_", " ") for name in columns), "fit s", "peak MB", "seeds"]
    lines = [
        f"## {protocol}: {candidates} candidates\n",
        f"{first['users']:,} users, {first['candidate_count']:,} candidates.\n",
        f"| {' | '.join(headings)} |",
        f"|---|{'---:|' * (len(headings) - 1)}",
    ]
    for model, runs in models.items():
        lines.append(_row(model, rows[model], columns, list(runs.values())))
    return [*lines, ""]


def _row(
    model: str,
    values: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    runs: Sequence[Mapping[str, Any]],
) -> str:
    if not values:
        return f"| {model} | {runs[0]['error']} |" + " |" * (len(columns) + 2)
    done = [run for run in runs if run["candidates"]]
    cells = [
        _mean_and_spread([_mean(value[name]) for value in values if name in value])
        for name in columns
    ]
    seconds = statistics.fmean(run["fit_seconds"] for run in done)
    peak = max(run["peak_mb"] for run in done)
    return f"| {model} | {' | '.join(cells)} | {seconds:,.1f} | {peak:,.0f} | {len(done)} |"


def _mean(value: Any) -> float:  # noqa: ANN401  a number, or a mean with its interval
    return float(value["mean"] if isinstance(value, dict) else value)


def _mean_and_spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean = f"{statistics.fmean(values):.4f}"
    spread = statistics.stdev(values) if len(values) > 1 else math.nan
    return mean if math.isnan(spread) else f"{mean} ± {spread:.4f}"


def _missing(
    results: Results, protocols: Sequence[Protocol], models: Sequence[str], seeds: Sequence[int]
) -> Iterator[tuple[Protocol, str, int]]:
    for protocol in protocols:
        for model in models:
            package = missing_package(model)
            if package:
                print(f"skipped {model}: {package} is not installed", file=sys.stderr)
                continue
            if model == "kgrec-frozen" and protocol.name == "warm":
                continue  # no item is held back there
            for seed in seeds:
                former = results.get(protocol.name, {}).get(model, {}).get(str(seed), {})
                if not former.get("candidates"):  # what failed is tried again
                    yield protocol, model, seed


def _measure(
    work: Path, protocol: Protocol, model: str, seed: int, timeout: float
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="kgrec-quality-") as folder:
        result = Path(folder) / "result.json"
        options = ["--model", model, "--seed", str(seed), "--result", str(result)]
        options += ["--candidates", *protocol.candidates]
        reason = _call(work, protocol, options, timeout)
        if reason is not None:
            print(f"  failed: {reason}", file=sys.stderr)
            return {"error": reason, "candidates": {}}
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found


def _call(work: Path, protocol: Protocol, options: Sequence[str], timeout: float) -> str | None:
    """Run one step in a process of its own; give the reason if it fails."""
    folders = [str(work / protocol.folder), str(work / "texts")]
    command = [sys.executable, "-m", "benchmarks.quality_run", *folders, *options]
    try:
        done = subprocess.run(  # noqa: S603  our own command line
            command, stderr=subprocess.PIPE, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return f"took longer than {timeout:.0f} s"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"ended with {done.returncode}"


def _machine() -> dict[str, Any]:
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def main() -> None:
    """Run from the command line."""
    names = list(fits(make_cached_encoder(Path()), Config()))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("benchmarks/data"))
    parser.add_argument("--work", type=Path, default=Path("build/quality"))
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=DATASETS)
    parser.add_argument("--protocols", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--models", nargs="+", choices=names, default=names)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds of one fit")
    parser.add_argument("--fresh", action="store_true", help="forget former results")
    given = parser.parse_args()
    ready = prepare(given.data, given.work, given.datasets)
    protocols = [protocol for protocol in ready if protocol.name in given.protocols]
    for dataset in dict.fromkeys(protocol.dataset for protocol in protocols):
        if given.fresh:
            (given.output / f"{dataset}.json").unlink(missing_ok=True)
        chosen = [protocol for protocol in protocols if protocol.dataset == dataset]
        measure_dataset(chosen, given.work, given.models, given.seeds, given.output, given.timeout)


if __name__ == "__main__":
    main()
