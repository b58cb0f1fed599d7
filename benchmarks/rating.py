"""How well ratings are predicted, of warm and of cold items.

``python -m benchmarks.rating --data SOURCE`` measures RMSE and MAE on neo4j-recs with three seeds:

- warm: a fifth of the ratings, drawn with the seed, is held out; those of items that have no
  rating left are left out;
- cold: all ratings of the cold fifth of the items are held out; the seed is that of the fit.

A finished run is kept in the folder of work and not repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kgrec import KnowledgeGraph, RatingModel, TextEncoder
from kgrec.evaluation import mae, rmse
from kgrec.graph import Interactions
from kgrec.storage import load_graph
from numpy.typing import NDArray

from benchmarks.controls import remove_edges, remove_texts
from benchmarks.protocols import prepare
from benchmarks.quality import write_text
from benchmarks.quality_run import make_cached_encoder

DATASET = "neo4j-recs"
PROTOCOLS = ("warm", "cold")
SEEDS = (0, 1, 2)
HELD_OUT = 0.2
SCALE = (0.5, 5.0)  # of the ratings
# factors, epochs and regularisation, the defaults first
SVD_SETTINGS = ((100, 20, 0.02), (100, 20, 0.1), (100, 50, 0.1), (20, 20, 0.02), (20, 50, 0.1))

Ratings = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What is learned from, and what is to be predicted.

    Parameters
    ----------
    graph
        Its interactions have the training ratings as weights.
    test
        Columns ``user``, ``item`` (positions) and ``rating``.
    """

    graph: KnowledgeGraph
    test: pd.DataFrame

    @property
    def train(self) -> pd.DataFrame:
        """The training ratings, with the columns of the test."""
        log = self.graph.interactions
        return pd.DataFrame({"user": log.user, "item": log.item, "rating": log.weight})


Predict = Callable[[Task, int], Ratings]


def read_ratings(source: Path, graph: KnowledgeGraph) -> pd.DataFrame:
    """Read the ratings of the graph's items.

    Parameters
    ----------
    source
        Folder of the raw data set.
    graph
        The prepared graph.

    Returns
    -------
    DataFrame
        Columns ``user``, ``item`` (positions) and ``rating``, sorted.
    """
    kinds = {"user_id": str, "movie_id": str}
    frame = pd.read_csv(source / "ratings.tsv.gz", sep="\t", dtype=kinds)
    ratings = pd.DataFrame(
        {
            "user": graph.users.positions(frame["user_id"]),
            "item": graph.items.positions(frame["movie_id"]),
            "rating": frame["rating"],
        }
    )
    return ratings[ratings["item"] >= 0].sort_values(["user", "item"], ignore_index=True)


def make_task(graph: KnowledgeGraph, ratings: pd.DataFrame, protocol: str, seed: int) -> Task:
    """Split the ratings.

    Parameters
    ----------
    graph
        The graph; its items without interactions are the cold fifth.
    ratings
        From :func:`read_ratings`.
    protocol
        ``warm`` or ``cold``.
    seed
        Seed of the warm split.

    Returns
    -------
    Task
        No rating is on both sides.
    """
    if protocol == "cold":
        held_out = graph.is_cold[ratings["item"]]
    else:
        held_out = np.random.default_rng(seed).random(len(ratings)) < HELD_OUT
    train, test = ratings[~held_out], ratings[held_out]
    if protocol == "warm":
        test = test[test["item"].isin(train["item"])]
    log = Interactions(
        train["user"].to_numpy(),
        train["item"].to_numpy(),
        train["rating"].to_numpy(np.float32),
    )
    return Task(graph.with_interactions(log), test)


def predict_mean(task: Task, seed: int) -> Ratings:  # noqa: ARG001
    """Predict the mean of all ratings."""
    return np.full(len(task.test), task.train["rating"].mean(), np.float64)


def predict_item_mean(task: Task, seed: int) -> Ratings:  # noqa: ARG001
    """Predict the mean of the item's ratings, that of all for an item without."""
    train = task.train
    means = task.test["item"].map(train.groupby("item")["rating"].mean())
    return means.fillna(train["rating"].mean()).to_numpy(np.float64)


def predict_biases(task: Task, seed: int) -> Ratings:
    """Predict by user and item biases: Surprise's BaselineOnly, by alternating least squares."""
    from surprise import BaselineOnly

    del seed
    return _fit_surprise(BaselineOnly(verbose=False), task.train, task.test)


def predict_svd(task: Task, seed: int) -> Ratings:
    """Predict by Surprise's SVD, its settings chosen on a fifth of the training ratings."""
    from surprise import SVD

    def make(settings: tuple[int, int, float]) -> Any:  # noqa: ANN401
        factors, epochs, penalty = settings
        return SVD(n_factors=factors, n_epochs=epochs, reg_all=penalty, random_state=seed)

    train = task.train
    hidden = np.random.default_rng(seed).random(len(train)) < HELD_OUT
    known, validation = train[~hidden], train[hidden]
    errors = [
        rmse(_fit_surprise(make(settings), known, validation), validation["rating"].to_numpy())
        for settings in SVD_SETTINGS
    ]
    return _fit_surprise(make(SVD_SETTINGS[int(np.argmin(errors))]), train, task.test)


def _fit_surprise(model: Any, train: pd.DataFrame, test: pd.DataFrame) -> Ratings:  # noqa: ANN401
    from surprise import Dataset, Reader

    data = Dataset.load_from_df(train[["user", "item", "rating"]], Reader(rating_scale=SCALE))
    model.fit(data.build_full_trainset())
    pairs = zip(test["user"], test["item"], strict=True)
    return np.array([model.predict(user, item).est for user, item in pairs])


def kgrec_with(encoder: TextEncoder, *, content: bool = True) -> Predict:
    """Make the prediction by kgrec, on the graph or without its texts and edges."""

    def predict(task: Task, seed: int) -> Ratings:
        graph = task.graph if content else remove_texts(remove_edges(task.graph))
        model = RatingModel(encoder=encoder).fit(graph, seed=seed)
        users = task.graph.users.ids.take(task.test["user"].to_numpy()).to_pylist()
        items = task.graph.items.ids.take(task.test["item"].to_numpy()).to_pylist()
        return model.predict(users, items)["rating"].to_numpy()

    return predict


def models(encoder: TextEncoder) -> dict[str, Predict]:
    """Name what is measured; without Surprise, what needs it is left out.

    Parameters
    ----------
    encoder
        Encodes the texts.

    Returns
    -------
    dict
        From names to functions that give the ratings of the test.
    """
    peers: dict[str, Predict] = {}
    if find_spec("surprise") is None:
        print("skipped biases and Surprise's SVD: pip install 'kgrec[bench]' brings Surprise")
    else:
        peers = {"biases (Surprise's BaselineOnly)": predict_biases, "Surprise's SVD": predict_svd}
    return {
        "global mean": predict_mean,
        "item mean": predict_item_mean,
        **peers,
        "kgrec": kgrec_with(encoder),
        "kgrec without content": kgrec_with(encoder, content=False),
    }


def measure(
    graph: KnowledgeGraph,
    ratings: pd.DataFrame,
    predictions: Mapping[str, Predict],
    protocols: Sequence[str],
    kept: Path,
) -> Iterator[dict[str, Any]]:
    """Measure every model with every seed.

    Parameters
    ----------
    graph, ratings
        The data.
    predictions
        Models by name.
    protocols
        ``warm``, ``cold`` or both.
    kept
        Folder of finished runs.

    Yields
    ------
    dict
        ``protocol``, ``model``, ``seed``, ``ratings``, ``rmse``, ``mae`` and ``seconds``.
    """
    for protocol in protocols:
        for seed in SEEDS:
            task = make_task(graph, ratings, protocol, seed)
            for name, predict in predictions.items():
                path = kept / f"{protocol}-{seed}-{name.replace(' ', '-')}.json"
                if not path.is_file():
                    result = {"protocol": protocol, "model": name, "seed": seed}
                    write_text(path, json.dumps(result | _measure(task, predict, seed)))
                yield json.loads(path.read_text(encoding="utf-8"))


def _measure(task: Task, predict: Predict, seed: int) -> dict[str, float]:
    start = time.perf_counter()
    predicted = np.clip(predict(task, seed), *SCALE)
    seconds = time.perf_counter() - start
    truth = task.test["rating"].to_numpy()
    return {
        "ratings": len(truth),
        "rmse": rmse(predicted, truth),
        "mae": mae(predicted, truth),
        "seconds": round(seconds, 2),
    }


def to_markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """Show the results as a table.

    Parameters
    ----------
    results
        From :func:`measure`.

    Returns
    -------
    str
        A row a protocol and model: means over the seeds, and their standard deviation.
    """
    lines = [
        f"# {DATASET}: ratings\n",
        "| items | model | RMSE | MAE | seconds | held-out ratings | seeds |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for protocol, name in dict.fromkeys((one["protocol"], one["model"]) for one in results):
        runs = [one for one in results if (one["protocol"], one["model"]) == (protocol, name)]
        errors = (_spread([run[key] for run in runs]) for key in ("rmse", "mae"))
        seconds, count = (
            statistics.fmean(run[key] for run in runs) for key in ("seconds", "ratings")
        )
        lines.append(
            f"| {protocol} | {name} | {' | '.join(errors)} | {seconds:.1f} "
            f"| {count:,.0f} | {len(runs)} |"
        )
    return "\n".join([*lines, ""])


def _spread(values: Sequence[float]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.4f} ± {spread:.4f}"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("benchmarks/data"))
    parser.add_argument("--work", type=Path, default=Path("build/quality"))
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=PROTOCOLS)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    ready = prepare(given.data, given.work, [DATASET])
    if not ready:
        raise SystemExit(f"{DATASET} is not in {given.data}: name its folder with --data")
    graph = load_graph(given.work / ready[0].folder / "graph")
    encoder = make_cached_encoder(given.work / "texts")
    for table in graph.nodes.values():
        encoder.encode(table.texts)
    ratings = read_ratings(given.data / DATASET, graph)
    kept = given.work / "rating"
    results = list(measure(graph, ratings, models(encoder), given.protocols, kept))
    write_text(given.output / "rating.json", json.dumps(results, indent=2) + "\n")
    write_text(given.output / "rating.md", to_markdown(results))


if __name__ == "__main__":
    main()
