"""What Ray costs on one machine, and what a killed worker costs.

``python -m benchmarks.cluster`` fits the same made-up world (:mod:`benchmarks.synthetic`) in one
process, by two processes of ``torch.distributed`` and by two workers of Ray, and writes lists for
all users in one process and on Ray, each process with one thread.  Then it kills a worker in the
middle of the lists and counts the shards that were written twice, and one in the middle of a fit.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil  # type: ignore[import-untyped]
import torch
from kgrec import Config, KnowledgeGraph, Recommender
from kgrec.everybody import recommend_to_everybody
from kgrec.on_ray import RayCluster
from kgrec.ranker import UserBatch
from kgrec.storage import save_graph

from benchmarks.quality import write_text
from benchmarks.synthetic import SCHEMA, make_synthetic

WORKERS = 2
SHARD_USERS = 50
LENGTH = 20
PATIENCE_SECONDS = 600.0


def take_seconds(work: Callable[[], object]) -> float:
    """Take the seconds of some work by the clock."""
    start = time.perf_counter()
    work()
    return round(time.perf_counter() - start, 1)


def kill_when(is_time: Callable[[], bool], name: str, done: threading.Event) -> None:
    """Kill one of this process's descendants with a name once it is time."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end and not done.is_set():
        if is_time():
            for process in psutil.Process().children(recursive=True):
                try:
                    if name in " ".join(process.cmdline()):
                        process.kill()
                        done.set()
                        return
                except psutil.Error:
                    continue
        time.sleep(0.01)


def with_a_kill(work: Callable[[], object], is_time: Callable[[], bool], name: str) -> bool:
    """Do some work while a worker is killed, and tell whether it was."""
    done = threading.Event()
    killer = threading.Thread(target=kill_when, args=(is_time, name, done), daemon=True)
    killer.start()
    work()
    was_killed = done.is_set()
    done.set()
    killer.join()
    return was_killed


def fit_by_torchrun(graph: Path, model: Path) -> None:
    """Fit by two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={WORKERS}", "-m", "kgrec.cli", "train", str(graph)]
    subprocess.run([*command, "--output", str(model)], check=True, capture_output=True)  # noqa: S603


def scores_of(model: Recommender) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Score all items for some users."""
    return model._score(UserBatch(model.histories[:200]))  # noqa: SLF001


def measure(items: int, folder: Path) -> dict[str, Any]:
    """Run everything.

    Parameters
    ----------
    items
        Items of the world.
    folder
        Where models and lists go.

    Returns
    -------
    dict
        Seconds, differences, and what the kills cost.
    """
    torch.set_num_threads(1)
    graph = KnowledgeGraph.from_tables(SCHEMA, make_synthetic(items).tables)
    save_graph(graph, folder / "graph")
    cluster = RayCluster("local", WORKERS)
    alone = Recommender(Config())
    for table in graph.nodes.values():
        alone.encoder.encode(table.texts)  # once, for all
    seconds = {"fit": {"one process": take_seconds(lambda: alone.fit(graph))}}
    alone.save(folder / "alone")
    expected = scores_of(alone)
    seconds["fit"]["torchrun"] = take_seconds(
        lambda: fit_by_torchrun(folder / "graph", folder / "by_torchrun")
    )
    seconds["fit"]["Ray"] = take_seconds(lambda: cluster.fit(graph, folder / "by_ray"))
    apart = {
        name: float(np.abs(scores_of(Recommender.load(folder / path)) - expected).max())
        for name, path in (("torchrun", "by_torchrun"), ("Ray", "by_ray"))
    }
    seconds["lists"] = {
        "one process": take_seconds(
            lambda: recommend_to_everybody(alone, folder / "lists", LENGTH, shard_users=SHARD_USERS)
        ),
        "Ray": take_seconds(
            lambda: cluster.recommend(
                folder / "alone", folder / "lists_ray", LENGTH, shard_users=SHARD_USERS
            )
        ),
    }
    return {
        "items": items,
        "users": len(graph.users),
        "interactions": len(graph.interactions),
        "seconds": seconds,
        "largest difference of scores": apart,
        "killed": {
            "lists": _kill_a_writer(cluster, folder),
            "fit": _kill_a_fit(cluster, graph, folder, expected),
        },
    }


def _kill_a_writer(cluster: RayCluster, folder: Path) -> dict[str, Any]:
    lists, before = folder / "lists_killed", {}

    def some_are_there() -> bool:
        parts = list(lists.glob("*.parquet")) if lists.exists() else []
        before.update({part.name: part.stat().st_mtime_ns for part in parts})
        return len(parts) >= 5

    killed = with_a_kill(
        lambda: cluster.recommend(folder / "alone", lists, LENGTH, shard_users=SHARD_USERS),
        some_are_there,
        "_WriteShards",
    )
    left = len(list(lists.glob("*.partial")))
    again = sum((lists / name).stat().st_mtime_ns != when for name, when in before.items())
    same = pd.read_parquet(folder / "lists_ray").equals(_read_parts(lists))
    return {
        "killed": killed,
        "shards there before": len(before),
        "shards": len(list(lists.glob("*.parquet"))),
        "begun and lost": left,
        "done again": again,
        "same lists": bool(same),
    }


def _read_parts(folder: Path) -> pd.DataFrame:
    parts = sorted(folder.glob("*.parquet"))
    return pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)


def _kill_a_fit(
    cluster: RayCluster,
    graph: KnowledgeGraph,
    folder: Path,
    expected: np.ndarray[Any, np.dtype[np.float32]],
) -> dict[str, Any]:
    target = folder / "killed"
    start = time.perf_counter()
    killed = with_a_kill(
        lambda: cluster.fit(graph, target),
        lambda: (folder / "killed.ray" / "unfinished").exists(),
        "RayTrainWorker",
    )
    apart = float(np.abs(scores_of(Recommender.load(target)) - expected).max())
    return {
        "killed": killed,
        "seconds": round(time.perf_counter() - start, 1),
        "largest difference of scores": apart,
    }


def to_markdown(found: dict[str, Any]) -> str:
    """Show the times, and what the kills cost."""
    lines = [
        f"# Ray on one machine, {WORKERS} workers\n",
        f"{found['items']:,} items, {found['users']:,} users, {found['interactions']:,} "
        "interactions; a thread a process; seconds by the clock, with starting and ending Ray.\n",
        "| | one process | torchrun | Ray |",
        "|---|---:|---:|---:|",
    ]
    for what, times in found["seconds"].items():
        cells = [str(times.get(name, "")) for name in ("one process", "torchrun", "Ray")]
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    differences = found["largest difference of scores"]
    lines.append(
        "\nLargest difference of a score to one process: "
        + ", ".join(f"{name} {value:.1g}" for name, value in differences.items())
        + ".\n"
    )
    lists, fit = found["killed"]["lists"], found["killed"]["fit"]
    lines.append(
        f"A worker killed among lists (after {lists['shards there before']} of {lists['shards']} "
        f"shards): {lists['done again']} finished shards written again, {lists['begun and lost']} "
        f"begun and lost, same lists: {lists['same lists']}. One killed in the fit, after its "
        f"first stage: {fit['seconds']} s in all, largest difference "
        f"{fit['largest difference of scores']:.1g}.\n"
    )
    return "\n".join(lines)


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=3_000)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    folder = Path(tempfile.mkdtemp(prefix="kgrec-cluster-"))
    try:
        found = measure(given.items, folder)
    finally:
        shutil.rmtree(folder)
    write_text(given.output / "cluster.json", json.dumps(found, indent=2) + "\n")
    write_text(given.output / "cluster.md", to_markdown(found))


if __name__ == "__main__":
    main()
