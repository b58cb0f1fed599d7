"""How time and memory grow with the catalogue: 10,000, 100,000 and a million items.

``python -m benchmarks.scale`` makes worlds with ten edges and fifty interactions an item
(:mod:`benchmarks.synthetic`), runs each through every stage in a process of its own, and writes
seconds, processor seconds, peak memory, and the exponent of the growth between two sizes.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from pyarrow import parquet

from benchmarks import cost_model
from benchmarks.quality import write_text
from benchmarks.synthetic import make_synthetic

SIZES = (10_000, 100_000, 1_000_000)
LARGEST_EXPONENT = 1.1
MOST_GIGABYTES = 16

Run = Mapping[str, Any]


def prepare(size: int, work: Path) -> Path:
    """Write a world's tables, unless they are there.

    Parameters
    ----------
    size
        Number of items.
    work
        Folder for all sizes.

    Returns
    -------
    Path
        The folder of this size.
    """
    folder = work / f"{size}"
    if (folder / "held_out.parquet").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    # in a process of its own, so that what it took is free for the run
    maker = multiprocessing.get_context("spawn").Process(target=_make, args=(size, folder))
    maker.start()
    maker.join()
    if maker.exitcode:
        raise RuntimeError(f"the world of {size:,} items could not be made")
    return folder


def _make(size: int, folder: Path) -> None:
    world = make_synthetic(size)
    for name in ("entities", "relations", "interactions"):
        parquet.write_table(getattr(world.tables, name), folder / f"{name}.parquet")
    parquet.write_table(world.held_out, folder / "held_out.parquet")


def measure(sizes: Sequence[int], work: Path) -> dict[str, Run]:
    """Run every size in a process of its own.

    Parameters
    ----------
    sizes
        Numbers of items.
    work
        Folder for tables and encoded texts.

    Returns
    -------
    dict
        From each size to what :func:`benchmarks.scale_run.run` found.
    """
    found = {}
    for size in sizes:
        folder = prepare(size, work)
        command = [sys.executable, "-m", "benchmarks.scale_run", str(folder), str(work / "texts")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        found[str(size)] = json.loads(done.stdout.splitlines()[-1])
        print(f"{size} items: done", flush=True)
    return found


def exponent(smaller: Run, larger: Run, stage: str) -> float:
    """Give the power of the number of items with which a stage's processor seconds grow."""
    taken = [run["stages"][stage]["cpu_seconds"] for run in (smaller, larger)]
    return math.log(taken[1] / taken[0]) / math.log(larger["items"] / smaller["items"])


def to_markdown(found: Mapping[str, Run]) -> str:
    """Show the stages of all sizes.

    Parameters
    ----------
    found
        From :func:`measure`, the smallest size first.

    Returns
    -------
    str
        A table of stages, and one of what the worlds held and how well new items were ranked.
    """
    runs = list(found.values())
    heads = [f"{run['items']:,} items" for run in runs]
    growth = [f"exponent to {run['items']:,}" for run in runs[1:]]
    lines = [
        "# Growth with the catalogue\n",
        f"Processor seconds of all threads, {runs[0]['threads']} at once. Wanted: an exponent of "
        f"at most {LARGEST_EXPONENT}, and a million items in {MOST_GIGABYTES} GB.\n",
        "| stage | " + " | ".join([*heads, *growth]) + " |",
        "|---|" + "---:|" * (len(heads) + len(growth)),
    ]
    for stage in runs[0]["stages"]:
        seconds = [f"{run['stages'][stage]['cpu_seconds']:,.2f}" for run in runs]
        powers = [f"{exponent(a, b, stage):.2f}" for a, b in pairwise(runs)]
        lines.append(f"| {stage} | " + " | ".join([*seconds, *powers]) + " |")
    lines += [
        "\n| | " + " | ".join(heads) + " |",
        "|---|" + "---:|" * len(heads),
    ]
    rows = {
        "edges": [f"{run['edges']:,}" for run in runs],
        "interactions": [f"{run['interactions']:,}" for run in runs],
        "seconds by the clock, all stages": [
            f"{sum(stage['seconds'] for stage in run['stages'].values()):,.0f}" for run in runs
        ],
        "peak memory, GB": [
            f"{max(stage['peak_mb'] for stage in run['stages'].values()) / 1024:.1f}"
            for run in runs
        ],
        "new items": [f"{run['cold_items']:,}" for run in runs],
        "recall@20 among new items": [f"{run['cold_recall']:.3f}" for run in runs],
    }
    lines += [f"| {name} | " + " | ".join(values) + " |" for name, values in rows.items()]
    if len(runs) == len(SIZES):
        lines += cost_model.to_markdown(found)
    return "\n".join([*lines, ""])


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--work", type=Path, default=Path("build/scale"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    found = measure(sorted(given.sizes), given.work)
    write_text(given.output / "scale.json", json.dumps(found, indent=2) + "\n")
    write_text(given.output / "scale.md", to_markdown(found))


if __name__ == "__main__":
    main()
