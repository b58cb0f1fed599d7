"""Small graphs with known answers, and rankers with known scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.ranker import Ranker, UserBatch
from kgrec.schema import GraphSchema, NodeSchema, RelationSchema
from numpy.typing import NDArray

SCHEMA = GraphSchema(
    name="films",
    user="person",
    item="film",
    interaction="watched",
    nodes={"person": NodeSchema(text=False), "film": NodeSchema(), "genre": NodeSchema()},
    relations={
        "has_genre": RelationSchema(head="film", tail="genre"),
        "follows": RelationSchema(head="film", tail="film"),
    },
)


def make_graph(
    films: Mapping[str, str | None],
    watched: Iterable[Sequence[object]],
    genres: Mapping[str, Sequence[str]] | None = None,
    follows: Iterable[tuple[str, str]] = (),
) -> KnowledgeGraph:
    """Films with texts, who watched what (user, film[, time]), genres of films, sequels."""
    genres = genres or {}
    names = sorted({genre for listed in genres.values() for genre in listed})
    entities = pa.table(
        {
            "id": pa.array([*films, *names], pa.string()),
            "type": ["film"] * len(films) + ["genre"] * len(names),
            "text": pa.array([*films.values(), *names], pa.string()),
        }
    )
    edges = [(film, "has_genre", genre) for film, listed in genres.items() for genre in listed]
    edges += [(head, "follows", tail) for head, tail in follows]
    return KnowledgeGraph.from_tables(
        SCHEMA,
        GraphTables(
            entities,
            _columns(("head", "relation", "tail"), edges),
            _columns(("user", "item", "time"), list(watched)),
        ),
    )


def _columns(names: Sequence[str], rows: Sequence[Sequence[object]]) -> pa.Table:
    width = len(rows[0]) if rows else min(len(names), 3 if "head" in names else 2)
    columns = list(zip(*rows, strict=True)) if rows else [()] * width
    table = {}
    for name, values in zip(names[:width], columns, strict=True):
        table[name] = pa.array(values, pa.int64() if name == "time" else pa.string())
    return pa.table(table)


def pairs(*rows: tuple[str, str]) -> pd.DataFrame:
    """Held-out pairs by id."""
    return pd.DataFrame(rows, columns=["user", "item"])


class FixedRanker(Ranker):
    """Gives the scores that it was made with, film by film, to everybody."""

    def __init__(self, scores: Mapping[str, float]) -> None:
        self.scores = scores

    def _fit(self, graph: KnowledgeGraph, seed: int) -> None:
        del seed
        listed = [self.scores.get(item, 0.0) for item in graph.items.ids.to_pylist()]
        self.row = np.array(listed, np.float32)

    def _score(self, batch: UserBatch) -> NDArray[np.float32]:
        return np.tile(self.row, (len(batch), 1))

    def _similarity(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        distance: NDArray[np.float32] = np.abs(self.row[items][:, None] - self.row[None])
        return -distance
