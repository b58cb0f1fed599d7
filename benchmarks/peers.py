"""How long kgrec and its peers take to learn and to rank for everybody, and how good they are then.

``python -m benchmarks.peers --data SOURCE`` fits, one after the other on one thread, ``implicit``'s
ALS, LightGCN and kgrec on the warm split of ml1m-kg, ranks all items for all users, and gives
seconds beside recall@20 and NDCG@20.  With ``--recbole PYTHON``, an interpreter of an environment
that has RecBole, KGIN is trained on the same pairs and graph, for ten times as long as kgrec took
or until its validation stops improving.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from kgrec import Config, KnowledgeGraph, Recommender
from kgrec.baselines import ALS, LightGCN
from kgrec.baselines.als import ALSSettings
from kgrec.evaluation import evaluate, metrics
from kgrec.ranker import Ranker
from kgrec.storage import load_graph
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.protocols import prepare
from benchmarks.quality import write_text
from benchmarks.quality_run import make_cached_encoder

DATASET = "ml1m-kg"
LENGTH = 20
TIMES = 10  # as long as kgrec, for models that learn step by step
VALIDATION = 0.05
SIZE = 64


def measure(ranker: Ranker, graph: KnowledgeGraph, test: pd.DataFrame) -> dict[str, Any]:
    """Fit a model, rank everything for everybody and evaluate.

    Parameters
    ----------
    ranker
        Not fitted yet.
    graph
        What it learns from.
    test
        Held-out pairs.

    Returns
    -------
    dict
        Seconds and quality.
    """
    clock = time.perf_counter()
    ranker.fit(graph, seed=0)
    fitted = time.perf_counter()
    for _ in ranker.rank(np.arange(len(graph.users)), LENGTH):
        pass
    ranked = time.perf_counter()
    report = evaluate(ranker, test, candidates="all", k=[LENGTH])
    return {
        "train seconds": fitted - clock,
        "rank seconds": ranked - fitted,
        "recall": report.mean("recall", LENGTH),
        "ndcg": report.mean("ndcg", LENGTH),
    }


def export(graph: KnowledgeGraph, folder: Path) -> None:
    """Write a graph and its interactions as RecBole reads them, some pairs for validation."""
    folder.mkdir(parents=True, exist_ok=True)
    users, items = graph.users.ids.to_pylist(), graph.items.ids.to_pylist()
    (folder / "users.txt").write_text("\n".join(users))
    (folder / "items.txt").write_text("\n".join(items))
    user, item = graph.interaction_matrix().nonzero()
    np.save(folder / "seen.npy", np.stack([user, item]))
    pairs = pd.DataFrame(
        {"user_id:token": np.array(users)[user], "item_id:token": np.array(items)[item]}
    )
    is_valid = np.random.default_rng(0).random(len(pairs)) < VALIDATION
    name = folder.name
    for part, chosen in (("train", ~is_valid), ("valid", is_valid)):
        pairs[chosen].to_csv(folder / f"{name}.{part}.inter", sep="\t", index=False)
    rows = []
    for (head_type, relation, tail_type), edges in graph.edges.items():
        heads, tails = (
            np.array([f"{kind}/{node}" for node in graph.nodes[kind].ids.to_pylist()])[ends]
            for kind, ends in zip((head_type, tail_type), edges.edge_index, strict=True)
        )
        triples = {"head_id:token": heads, "relation_id:token": relation, "tail_id:token": tails}
        rows.append(pd.DataFrame(triples))
    every = pd.concat(rows).replace(" ", "_", regex=True)
    every.to_csv(folder / f"{name}.kg", sep="\t", index=False)
    entities = [f"{graph.schema.item}/{item}" for item in items]
    link = pd.DataFrame({"item_id:token": items, "entity_id:token": entities})
    link.to_csv(folder / f"{name}.link", sep="\t", index=False)


def measure_recbole(
    python: Path, graph: KnowledgeGraph, test: pd.DataFrame, folder: Path, seconds: float
) -> dict[str, Any]:
    """Train KGIN in RecBole's environment, and evaluate its lists."""
    export(graph, folder)
    script = Path(__file__).with_name("recbole_run.py")
    done = subprocess.run(  # noqa: S603
        [str(python), str(script), str(folder), str(seconds), str(SIZE)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    lists = np.load(folder / "lists.npy")
    user = graph.users.positions(test["user"].astype(str))
    item = graph.items.positions(test["item"].astype(str))
    positives = np.zeros((len(graph.users), len(graph.items)), bool)
    positives[user[(user >= 0) & (item >= 0)], item[(user >= 0) & (item >= 0)]] = True
    count = positives.sum(axis=1)
    asked = np.flatnonzero(count)
    hits = np.take_along_axis(positives, np.maximum(lists, 0), axis=1)[asked] & (lists[asked] >= 0)
    return facts | {
        "recall": float(metrics.recall(hits, count[asked]).mean()),
        "ndcg": float(metrics.ndcg(hits, count[asked]).mean()),
    }


def to_markdown(found: dict[str, dict[str, Any]]) -> str:
    """Show a row a model."""
    ours = found["kgrec"]["train seconds"] + found["kgrec"]["rank seconds"]
    lines = [
        f"# Peers on {DATASET}, warm, all items\n",
        "One thread, one after the other; texts encoded beforehand.\n",
        "| | train s | rank all s | times kgrec | recall@20 | ndcg@20 | ended |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for name, row in found.items():
        times = (row["train seconds"] + row["rank seconds"]) / ours
        ended = f"{row['stopped']}, {row['epochs']} epochs" if "epochs" in row else ""
        lines.append(
            f"| {name} | {row['train seconds']:.1f} | {row['rank seconds']:.1f} | {times:.2f} "
            f"| {row['recall']:.4f} | {row['ndcg']:.4f} | {ended} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("benchmarks/data"))
    parser.add_argument("--work", type=Path, default=Path("build/quality"))
    parser.add_argument("--recbole", type=Path, metavar="PYTHON", help="of RecBole's environment")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    ready = [one for one in prepare(given.data, given.work, [DATASET]) if one.name == "warm"]
    if not ready:
        raise SystemExit(f"{DATASET} is not in {given.data}: name its folder with --data")
    folder = given.work / ready[0].folder
    graph, test = load_graph(folder / "graph"), pd.read_parquet(folder / "test.parquet")
    torch.set_num_threads(1)
    encoder = make_cached_encoder(given.work / "texts")
    for table in graph.nodes.values():
        encoder.encode(table.texts)
    models: dict[str, Ranker] = {
        "implicit ALS, 64 factors": ALS(ALSSettings(factors=SIZE)),
        "LightGCN": LightGCN(size=SIZE),
        "kgrec": Recommender(Config(), encoder=encoder),
    }
    found: dict[str, dict[str, Any]] = {}
    with threadpool_limits(1):
        for name, ranker in models.items():
            found[name] = measure(ranker, graph, test)
            print(name, found[name], file=sys.stderr, flush=True)
    if given.recbole is not None:
        seconds = TIMES * found["kgrec"]["train seconds"]
        target = (given.work / "recbole" / DATASET).absolute()
        found["KGIN (RecBole)"] = measure_recbole(given.recbole, graph, test, target, seconds)
    write_text(given.output / "peers.json", json.dumps(found, indent=2) + "\n")
    write_text(given.output / "peers.md", to_markdown(found))


if __name__ == "__main__":
    main()
