"""What differs between two states of a graph.

Edges are compared as pairs of positions, so that no string is made an edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kgrec.graph import EdgeTable, KnowledgeGraph, NodeTable


@dataclass(frozen=True, slots=True)
class Counts:
    """How many are new, gone, or the same in name and different in content."""

    added: int
    removed: int
    changed: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class GraphDiff:
    """What differs.

    Parameters
    ----------
    nodes
        By type; changed are nodes with another text or other features.
    relations
        By relation; changed are edges with another weight.
    interactions
        All together.
    texts
        How many different texts the new state has that the old one has not.
    removed_items
        Share of the old state's items that are gone.
    """

    nodes: Mapping[str, Counts]
    relations: Mapping[str, Counts]
    interactions: Counts
    texts: int
    removed_items: float

    def __bool__(self) -> bool:
        return any((*self.nodes.values(), *self.relations.values(), self.interactions))

    def to_dict(self) -> dict[str, object]:
        """Give what differs as plain values, without what does not."""
        return {
            "nodes": {name: asdict(counts) for name, counts in self.nodes.items() if counts},
            "relations": {n: asdict(counts) for n, counts in self.relations.items() if counts},
            "interactions": asdict(self.interactions),
            "new_texts": self.texts,
        }


def diff_graphs(old: KnowledgeGraph, new: KnowledgeGraph) -> GraphDiff:
    """Compare two states of a graph.

    Parameters
    ----------
    old, new
        Graphs of one schema.

    Returns
    -------
    GraphDiff
        Counts of what differs.
    """
    moves = {name: new.nodes[name].positions(table.ids) for name, table in old.nodes.items()}
    relations = {
        key[1]: _diff_edges(old.edges[key], new.edges[key], moves[key[0]], moves[key[2]])
        for key in old.edges
    }
    item = moves[old.schema.item]
    return GraphDiff(
        {name: _diff_nodes(t, new.nodes[name], moves[name]) for name, t in old.nodes.items()},
        relations,
        _diff_interactions(old, new, moves[old.schema.user], item),
        _new_texts(old, new),
        float((item < 0).mean()) if len(item) else 0.0,
    )


def _diff_nodes(old: NodeTable, new: NodeTable, move: NDArray[np.int64]) -> Counts:
    kept = np.flatnonzero(move >= 0)
    before, after = old.texts.take(pa.array(kept)), new.texts.take(pa.array(move[kept]))
    is_other = np.asarray(pc.not_equal(pc.fill_null(before, ""), pc.fill_null(after, "")))
    if old.features is not None and new.features is not None and _are_alike(old, new):
        same = np.isclose(
            old.features[kept], new.features[move[kept]], rtol=0, atol=0, equal_nan=True
        )
        is_other |= ~same.all(axis=1)
    elif (old.features is None) != (new.features is None) or not _are_alike(old, new):
        is_other[:] = True
    return Counts(len(new) - len(kept), len(old) - len(kept), int(is_other.sum()))


def _are_alike(old: NodeTable, new: NodeTable) -> bool:
    if old.features is None or new.features is None:
        return old.features is new.features
    return bool(old.features.shape[1] == new.features.shape[1])


def _diff_edges(
    old: EdgeTable, new: EdgeTable, heads: NDArray[np.int64], tails: NDArray[np.int64]
) -> Counts:
    head, tail = heads[old.edge_index[0]], tails[old.edge_index[1]]
    kept = (head >= 0) & (tail >= 0)
    before = _codes(np.stack([head[kept], tail[kept]]))
    after = _codes(new.edge_index)
    place = np.searchsorted(after, before)  # edges are sorted by head and tail
    place_inside = np.minimum(place, max(len(after) - 1, 0))
    found = (after[place_inside] == before) if len(after) else np.zeros(len(before), bool)
    common = int(found.sum())
    weight_before = _weights(old)[kept][found]
    weight_after = _weights(new)[place_inside[found]] if common else weight_before
    changed = int((weight_before != weight_after).sum())
    return Counts(len(new) - common, len(old) - common, changed)


def _diff_interactions(
    old: KnowledgeGraph, new: KnowledgeGraph, users: NDArray[np.int64], items: NDArray[np.int64]
) -> Counts:
    log = old.interactions
    user, item = users[log.user], items[log.item]
    before = _rows(user, item, log.time, log.weight)
    after = _rows(
        new.interactions.user, new.interactions.item, new.interactions.time, new.interactions.weight
    )
    rows, which = np.unique(np.concatenate([before, after]), return_inverse=True)
    surplus = np.bincount(which[len(before) :], minlength=len(rows)) - np.bincount(
        which[: len(before)], minlength=len(rows)
    )
    return Counts(int(surplus[surplus > 0].sum()), int(-surplus[surplus < 0].sum()))


def _rows(
    user: NDArray[np.int64],
    item: NDArray[np.int64],
    time: NDArray[np.int64] | None,
    weight: NDArray[np.float32] | None,
) -> NDArray[np.void]:
    """Make one value of each interaction, its time and weight included."""
    rows = np.zeros(len(user), [("user", "i8"), ("item", "i8"), ("time", "i8"), ("weight", "f4")])
    rows["user"], rows["item"] = user, item
    if time is not None:
        rows["time"] = time
    rows["weight"] = 1.0 if weight is None else weight
    return rows


def _codes(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(pairs[0] * np.int64(2**31) + pairs[1])


def _weights(edges: EdgeTable) -> NDArray[np.float32]:
    return np.ones(len(edges), np.float32) if edges.weight is None else edges.weight


def _new_texts(old: KnowledgeGraph, new: KnowledgeGraph) -> int:
    before, after = (
        pc.unique(pa.chunked_array([t.texts for t in graph.nodes.values()])).drop_null()
        for graph in (old, new)
    )
    return int(pc.sum(pc.invert(pc.is_in(after, value_set=before))).as_py() or 0)
