"""What is written back: recommendations, similar items and vectors, computed before any write."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

from kgrec.graph import KnowledgeGraph
from kgrec.progress import track
from kgrec.recommender import Recommender
from kgrec.schema import GraphSchema
from kgrec.writeback.vectors import compute_vectors

Element = TypeVar("Element")

CHUNK = 2_000  # ids asked for at once
REASONS = 3


@dataclass(frozen=True, slots=True)
class Results:
    """All that one run writes.

    Parameters
    ----------
    schema
        What users and items are, and where their nodes lie.
    model
        Name of the model; results of other models are left alone.
    at
        When the run was, UTC.
    recommendations
        Columns ``user``, ``item``, ``score``, ``rank``, ``cold`` and, where reasons were asked
        for, ``reasons`` (list of string).
    similar_items
        Columns ``item``, ``neighbour``, ``score``, ``rank``; None if not asked for.
    user_vectors, item_vectors
        Columns ``id`` and ``vector`` (list of float32); None if not asked for.
    users
        The users that the run is for; None for all, so that lists of users who are gone go too.
    """

    schema: GraphSchema
    model: str
    at: datetime
    recommendations: pa.Table
    similar_items: pa.Table | None = None
    user_vectors: pa.Table | None = None
    item_vectors: pa.Table | None = None
    users: pa.Array | None = None

    def counts(self) -> dict[str, int]:
        """Count the rows of each table that there is."""
        tables = {
            "recommendations": self.recommendations,
            "similar_items": self.similar_items,
            "user_vectors": self.user_vectors,
            "item_vectors": self.item_vectors,
        }
        return {name: len(table) for name, table in tables.items() if table is not None}


def compute_results(
    recommender: Recommender,
    *,
    model: str = "kgrec",
    n: int = 10,
    similar: int = 0,
    dimensions: int = 0,
    with_reasons: bool = False,
    limit_users: int | None = None,
    at: datetime | None = None,
) -> Results:
    """Compute all that is to be written back.

    Parameters
    ----------
    recommender
        A fitted model.
    model
        Name that the results carry.
    n
        How many items a user gets at most.
    similar
        How many similar items an item gets at most; 0 for none at all.
    dimensions
        Length of the vectors of users and items; 0 for none at all.
    with_reasons
        Say with each recommendation what of the history speaks for it.
    limit_users
        Only the first users by their ids, for a trial.
    at
        When the run is; now by default.

    Returns
    -------
    Results
        In memory.
    """
    graph = recommender.graph
    users: list[str] = graph.users.ids.to_pylist()[:limit_users]
    moment = at or datetime.now(UTC).replace(microsecond=0)
    of_users, of_items = (
        _vectors(recommender, graph, users, dimensions) if dimensions else (None, None)
    )
    return Results(
        graph.schema.without_source(),
        model,
        moment,
        _recommendations(recommender, users, n, with_reasons=with_reasons),
        _similar(recommender, graph.items.ids.to_pylist(), similar) if similar else None,
        of_users,
        of_items,
        None if limit_users is None else pa.array(users, pa.string()),
    )


def _recommendations(
    recommender: Recommender, users: Sequence[str], n: int, *, with_reasons: bool
) -> pa.Table:
    parts = []
    for chunk in track(list(_chunks(users)), "recommending"):
        frame = recommender.recommend(chunk, n)
        if with_reasons:
            frame["reasons"] = _reasons(recommender, frame)
        parts.append(frame)
    kinds = {
        "user": pa.string(),
        "item": pa.string(),
        "score": pa.float32(),
        "rank": pa.int64(),
        "cold": pa.bool_(),
    }
    if with_reasons:
        kinds["reasons"] = pa.list_(pa.string())
    return _table(parts, kinds)


def _reasons(recommender: Recommender, frame: pd.DataFrame) -> list[list[str]]:
    pairs = zip(frame["user"], frame["item"], strict=True)
    return [
        [_sentence(row) for row in recommender.explain(user, item, REASONS).to_dict("records")]
        for user, item in track(list(pairs), "explaining")
    ]


def _sentence(reason: Mapping[Hashable, object]) -> str:
    """Write one reason as a path: from an item of the history to what is shared."""
    steps = [reason["history_item"], reason.get("through"), reason.get("channel")]
    path = " > ".join(str(step) for step in steps if isinstance(step, str) and step)
    shared = reason.get("shared")
    return f"{path}: {shared}" if isinstance(shared, str) and shared else path


def _similar(recommender: Recommender, items: Sequence[str], n: int) -> pa.Table:
    chunks = track(list(_chunks(items)), "finding similar items")
    parts = [recommender.similar_items(chunk, n) for chunk in chunks]
    kinds = {
        "item": pa.string(),
        "neighbour": pa.string(),
        "score": pa.float32(),
        "rank": pa.int64(),
    }
    return _table(parts, kinds)


def _vectors(
    recommender: Recommender, graph: KnowledgeGraph, users: Sequence[str], dimensions: int
) -> tuple[pa.Table, pa.Table]:
    positions = np.arange(len(users), dtype=np.int64)  # the first ones, in the graph's order
    found = compute_vectors(recommender, positions, dimensions)
    return (
        _vector_table(graph.users.ids.slice(0, len(users)), found.users),
        _vector_table(graph.items.ids, found.items),
    )


def _vector_table(ids: pa.Array, vectors: np.ndarray) -> pa.Table:
    length = vectors.shape[1]
    offsets = pa.array(np.arange(len(ids) + 1, dtype=np.int32) * length)
    lists = pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel()))
    return pa.table({"id": ids, "vector": lists})


def _table(frames: Sequence[pd.DataFrame], kinds: dict[str, pa.DataType]) -> pa.Table:
    schema = pa.schema(list(kinds.items()))
    parts = [
        pa.Table.from_pandas(frame[list(kinds)], schema=schema, preserve_index=False)
        for frame in frames
    ]
    return pa.concat_tables([schema.empty_table(), *parts])


def _chunks(values: Sequence[Element]) -> Iterator[Sequence[Element]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
