"""Users whom the model has never met: with nothing, one, three or five known items, or by likes.

``python -m benchmarks.new_users --data SOURCE`` takes a fifth of the users out of a cold protocol
before anything is fitted.  Then each of them comes with so many items, drawn from what they used,
and the rest is to be found: used items among the warm ones, and the held-out pairs among the cold.
*Likes* are the three nodes around the items (genres, people, tags) that are most theirs: they
stand for the attributes that a new user gives, and are drawn from a part of the history that is
not to be found.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from kgrec.config import Config
from kgrec.evaluation import read_pairs
from kgrec.evaluation.metrics import ndcg, recall
from kgrec.graph import KnowledgeGraph
from kgrec.items import Edge, Item
from kgrec.lineup import ranker_makers
from kgrec.model.neighbours import item_relations, joined_neighbours
from kgrec.ranker import Ranker
from kgrec.recommender import Recommender
from kgrec.storage import load_graph
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.protocols import DATASETS, Protocol, prepare
from benchmarks.quality import write_text
from benchmarks.quality_run import make_cached_encoder

MODELS = ("kgrec", "popularity", "itemknn", "ease", "graphneighbourvote", "kernelridgeease")
KNOWN = (0, 1, 3, 5)
LIKES = 3
NEW_SHARE = 5  # one user in five is new
LENGTH = 20
SOMEBODY = "somebody's likes"

Values = dict[str, float]


@dataclass(frozen=True, slots=True)
class NewUser:
    """Somebody who arrives after the fit.

    Parameters
    ----------
    history
        Ids of items that they have used, in an order drawn once, [H].
    warm, cold
        Ids of the warm and of the cold items that are to be found.
    likes
        ``(relation, node)`` of the nodes that are most theirs.
    """

    history: tuple[str, ...]
    warm: frozenset[str]
    cold: frozenset[str]
    likes: tuple[tuple[str, str], ...]


def draw_new_users(
    graph: KnowledgeGraph, test: pd.DataFrame, count: int, seed: int
) -> tuple[KnowledgeGraph, list[NewUser]]:
    """Take users out of a graph.

    Parameters
    ----------
    graph
        The graph of a cold protocol.
    test
        Its held-out pairs, of cold items.
    count
        How many of the new users to measure at most.
    seed
        Seed of every draw.

    Returns
    -------
    rest : KnowledgeGraph
        Without any interaction of the new users.
    users : list of NewUser
        Those with enough used items for a history and for something to find.
    """
    random = np.random.default_rng(seed)
    used = graph.interaction_matrix()
    order = random.permutation(used.shape[0])
    new = order[: used.shape[0] // NEW_SHARE]
    rest = graph.with_interactions(
        graph.interactions.select(~np.isin(graph.interactions.user, new))
    )
    ids = np.asarray(graph.items.ids.to_pylist())
    still_warm = ~rest.is_cold
    cold_pairs = test.groupby("user")["item"].agg(frozenset).to_dict()
    likes = _Likes(rest)
    users = []
    for position in new:
        row = used[[int(position)]].indices
        items = random.permutation(row[still_warm[row]])
        if len(items) < 2 * max(KNOWN):
            continue
        history, wanted = items[: len(items) // 2], items[len(items) // 2 :]
        user = graph.users.ids[int(position)].as_py()
        users.append(
            NewUser(
                tuple(ids[history].tolist()),
                frozenset(ids[wanted].tolist()),
                cold_pairs.get(user, frozenset()),
                likes.of(history),
            )
        )
        if len(users) == count:
            break
    return rest, users


class _Likes:
    """Finds the nodes that are most a user's: how often, against how often by chance."""

    def __init__(self, graph: KnowledgeGraph) -> None:
        self._relations = [kind for kind in item_relations(graph) if kind[2] != graph.schema.item]
        near = [joined_neighbours(graph, [kind]) for kind in self._relations]
        self._names = [
            (kind[1], key.split("/", 1)[1])
            for kind, one in zip(self._relations, near, strict=True)
            for key in one.keys.to_pylist()
        ]
        joined = sparse.hstack([one.adjacency for one in near]) if near else None
        self._edges = None if joined is None else sparse.csr_array(joined)
        if self._edges is not None:
            self._expected = np.asarray(self._edges.sum(axis=0)) + 10.0

    def of(self, history: NDArray[np.int64]) -> tuple[tuple[str, str], ...]:
        if self._edges is None:
            return ()
        count = np.asarray(self._edges[history].sum(axis=0))
        weight = count * np.log(count.sum() + 1.0) - count * np.log(self._expected)
        best = np.argsort(-np.where(count > 0, weight, -np.inf), kind="stable")[:LIKES]
        return tuple(self._names[place] for place in best if count[place] > 0)


def measure(ranker: Ranker, users: Sequence[NewUser]) -> dict[str, Values]:
    """Recommend to new users, with more and more known of them.

    Parameters
    ----------
    ranker
        Fitted without them.
    users
        The new users.

    Returns
    -------
    dict
        From what is known to ``<warm or cold> recall@20`` and ``... ndcg@20``.
    """
    found = {f"{known} items": _means(users, partial(_list, ranker, known)) for known in KNOWN}
    if isinstance(ranker, Recommender) and any(user.likes for user in users):
        found["likes"] = _means(users, partial(_list_by_likes, ranker))
    return found


def _list(ranker: Ranker, known: int, user: NewUser, cold: bool) -> list[str]:
    frame = ranker.recommend_for(user.history[:known], LENGTH, cold=cold)
    return [str(item) for item in frame["item"]]


def _list_by_likes(ranker: Recommender, user: NewUser, cold: bool) -> list[str]:
    edges = tuple(Edge(relation=relation, node=node) for relation, node in user.likes)
    ranker.add_items([Item(id=SOMEBODY, edges=edges)])
    try:
        frame = ranker.recommend_for([SOMEBODY], LENGTH, cold=cold)
    finally:
        ranker.remove_items(SOMEBODY)
    return [str(item) for item in frame["item"]]


def _means(users: Sequence[NewUser], recommend: Callable[[NewUser, bool], list[str]]) -> Values:
    values: Values = {}
    for name, cold in (("warm", False), ("cold", True)):
        wanted = [(user, user.cold if cold else user.warm) for user in users]
        wanted = [(user, items) for user, items in wanted if items]
        if not wanted:
            continue
        lists = [recommend(user, cold) for user, _ in wanted]
        hits = np.array(
            [
                [place < len(listed) and listed[place] in items for place in range(LENGTH)]
                for listed, (_, items) in zip(lists, wanted, strict=True)
            ],
            dtype=np.bool_,
        ).reshape(len(wanted), LENGTH)
        count = np.array([len(items) for _, items in wanted], dtype=np.int64)
        values[f"{name} recall@20"] = float(recall(hits, count).mean())
        values[f"{name} ndcg@20"] = float(ndcg(hits, count).mean())
    return values


def to_markdown(results: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Values]]]]) -> str:
    """Show the results as tables.

    Parameters
    ----------
    results
        By data set, model, seed and what is known of the users.

    Returns
    -------
    str
        A table a data set: means over the seeds.
    """
    lines = ["# New users\n"]
    columns = [
        f"{name} {metric}" for name in ("warm", "cold") for metric in ("recall@20", "ndcg@20")
    ]
    for dataset, models in results.items():
        lines += [
            f"## {dataset}\n",
            f"| known | model | {' | '.join(columns)} | seeds |",
            f"|---|---|{'---:|' * (len(columns) + 1)}",
        ]
        known = dict.fromkeys(
            name for runs in models.values() for run in runs.values() for name in run
        )
        for name in known:
            for model, runs in models.items():
                values = [run[name] for run in runs.values() if name in run]
                if values:
                    cells = [_mean(values, column) for column in columns]
                    lines.append(f"| {name} | {model} | {' | '.join(cells)} | {len(values)} |")
        lines.append("")
    return "\n".join(lines)


def _mean(values: Sequence[Values], column: str) -> str:
    there = [value[column] for value in values if column in value]
    return f"{statistics.fmean(there):.4f}" if there else ""


def measure_dataset(
    protocol: Protocol, work: Path, models: Sequence[str], seeds: Sequence[int], count: int
) -> dict[str, dict[str, dict[str, Values]]]:
    """Measure models on new users of one data set.

    Parameters
    ----------
    protocol
        A cold protocol, prepared.
    work
        Where it is, and the cache of texts.
    models, seeds
        What to fit; the seed draws the new users too.
    count
        How many users to measure at most.

    Returns
    -------
    dict
        By model, seed and what is known of the users.
    """
    graph = load_graph(work / protocol.folder / "graph")
    test = read_pairs(work / protocol.folder / "test.parquet")
    makers = ranker_makers(make_cached_encoder(work / "texts"), Config())
    found: dict[str, dict[str, dict[str, Values]]] = {}
    for seed in seeds:
        rest, users = draw_new_users(graph, test, count, seed)
        for model in models:
            ranker = makers[model]().fit(rest, seed=seed)
            found.setdefault(model, {})[str(seed)] = measure(ranker, users)
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("benchmarks/data"))
    parser.add_argument("--work", type=Path, default=Path("build/quality"))
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=["debian-python"])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--users", type=int, default=300, help="how many to measure at most")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    path = given.output / "new-users.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for protocol in prepare(given.data, given.work, given.datasets):
        if protocol.name == "cold":
            results[protocol.dataset] = measure_dataset(
                protocol, given.work, given.models, given.seeds, given.users
            )
            write_text(path, json.dumps(results, indent=2) + "\n")
            write_text(path.with_suffix(".md"), to_markdown(results))


if __name__ == "__main__":
    main()
