"""One size of ``benchmarks.scale``, in a process of its own, so that memory is its own.

``python -m benchmarks.scale_run FOLDER CACHE`` reads the tables in FOLDER, takes the time of each
stage and prints them as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from kgrec.catalogue import ENCODED_ITEMS
from kgrec.config import Config
from kgrec.evaluation import evaluate
from kgrec.fitting import choose_core
from kgrec.graph import KnowledgeGraph
from kgrec.model.channels import TextVectors
from kgrec.recommender import Recommender
from kgrec.rows import RowEncoder, learn_core_rows, part_of
from kgrec.sources import read_tables
from kgrec.text import TextEncoder
from kgrec.text_memory import TextMemory

from benchmarks.quality_run import make_cached_encoder
from benchmarks.synthetic import SCHEMA

USERS = 2_000  # that are ranked for: ranking everything for everybody grows with users x items
LENGTH = 20

Result = TypeVar("Result")


class Stages:
    """Takes seconds by the clock and of the processors, and the peak of memory so far."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}

    def take(self, name: str, work: Callable[[], Result]) -> Result:
        """Do some work and note what it took."""
        clock, processors = time.perf_counter(), time.process_time()
        result = work()
        self.found[name] = {
            "seconds": round(time.perf_counter() - clock, 3),
            "cpu_seconds": round(time.process_time() - processors, 3),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
        return result


def run(folder: Path, cache: Path) -> dict[str, object]:
    """Run through all stages.

    Parameters
    ----------
    folder
        The three tables and ``held_out.parquet``.
    cache
        Folder of encoded texts; what is missing there is encoded before anything is timed.

    Returns
    -------
    dict
        Stages, and how well the new items were ranked.
    """
    encoder = make_cached_encoder(cache)
    held_out = pd.read_parquet(folder / "held_out.parquet")
    stages = Stages()
    graph = stages.take("load", lambda: read_tables(folder, SCHEMA))
    _encode_anything_new(graph, encoder)
    vectors = stages.take("encode, cached", lambda: TextMemory(encoder).encode_graph(graph))
    stages.take("propagate", partial(_propagate, graph, vectors))
    del vectors
    model = stages.take("fit", lambda: Recommender(Config(), encoder=encoder).fit(graph, seed=0))
    drawn = np.random.default_rng(0).permutation(held_out["user"].unique())[:USERS]
    test = held_out[held_out["user"].isin(drawn)]
    report = stages.take(
        f"evaluate {USERS} users",
        lambda: evaluate(model, test, candidates="cold", k=[LENGTH]),
    )
    users = [str(user) for user in drawn]
    stages.take(f"recommend to {USERS} users", lambda: model.recommend(users, LENGTH))
    return {
        "nodes": sum(map(len, graph.nodes.values())),
        "items": len(graph.items),
        "edges": sum(map(len, graph.edges.values())),
        "interactions": len(graph.interactions),
        "threads": torch.get_num_threads(),
        "cold_recall": report.mean("recall", LENGTH),
        "cold_items": int(graph.is_cold.sum()),
        "stages": stages.found,
    }


def _propagate(graph: KnowledgeGraph, vectors: TextVectors) -> None:
    """Learn the channels, and carry what they read to every item, some items at a time."""
    config, items = Config(), np.arange(len(graph.items))
    core = choose_core(graph.interaction_matrix(), config.core_items)
    channels, _ = learn_core_rows(graph, vectors, core, hops=config.hops, words=config.words)
    row_encoder, take = RowEncoder.of(channels), part_of(graph, vectors)
    for start in range(0, len(items), ENCODED_ITEMS):
        row_encoder.encode(graph, items[start : start + ENCODED_ITEMS], take)


def _encode_anything_new(graph: KnowledgeGraph, encoder: TextEncoder) -> None:
    for table in graph.nodes.values():
        encoder.encode(table.texts.unique())


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]))))
