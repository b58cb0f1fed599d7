"""What surrounds an item, as a networkx graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import networkx as nx
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from kgrec.explain import FAR, NEIGHBOURS, Subject
from kgrec.explore.shares import SIGNAL_COLUMNS, shares_of_nodes, split_vector
from kgrec.graph import KnowledgeGraph
from kgrec.recommender import Recommender

Positions = NDArray[np.int64]


def neighbourhood(
    source: Recommender | KnowledgeGraph, item: str, hops: int = 2, limit: int = 30
) -> nx.MultiDiGraph:
    """Take an item and what is around it out of a graph.

    Parameters
    ----------
    source
        A fitted recommender, or a graph alone.
    item
        Id of the item.
    hops
        How many edges away the farthest nodes may be.
    limit
        How many nodes at most, the item included.  Each hop may fill an equal part of what is
        left, with those of the greatest share first, then those with the fewest edges, which say
        more than hubs.

    Returns
    -------
    networkx.MultiDiGraph
        Nodes are (type, id) with the attributes ``type``, ``id``, ``text``, ``hop``, ``cold``
        (False where the node is no item) and, with a recommender, ``score`` for items: the
        cosine of their vector with that of the item.  Edges between them, interactions left
        out, have ``relation``, which is their key, ``weight`` and, with a recommender, ``share``:
        what the neighbour gives the item's vector (see :func:`signal`), in equal parts for edges
        that lead to the same node.  The graph's attribute ``item`` is the item's node.

    Raises
    ------
    UnknownIdError
        If the item is not in the graph.
    NotFittedError
        If the recommender has no model yet.
    ValueError
        If ``hops`` is negative or ``limit`` is not positive.
    """
    if hops < 0 or limit < 1:
        raise ValueError(
            f"no neighbourhood has {hops} hops and {limit} nodes: ask for 1 or more nodes"
        )
    subject = source.subject(item, history=()) if isinstance(source, Recommender) else None
    graph = subject.graph if subject else source
    if not isinstance(graph, KnowledgeGraph):
        raise TypeError(f"neighbourhoods are of a Recommender or a KnowledgeGraph, not {graph!r}")
    position = int(graph.positions(graph.schema.item, [item])[0])
    frame = pd.DataFrame(columns=SIGNAL_COLUMNS) if subject is None else split_vector(subject)
    layers = _Layers(graph, shares_of_nodes(graph, frame)).walk(position, hops, limit)
    result = _induce(graph, layers)
    result.graph["item"] = (graph.schema.item, item)
    if subject is not None:
        _add_scores(result, subject)
        _add_shares(result, frame)
    return result


@dataclass(frozen=True, slots=True)
class _Layers:
    """Walks away from an item, one hop after the other."""

    graph: KnowledgeGraph
    shares: dict[str, NDArray[np.float64]]

    def walk(self, item: int, hops: int, limit: int) -> dict[str, NDArray[np.int64]]:
        """Give the hop of each node of each type, -1 for those that are left out."""
        found = {kind: np.full(len(table), -1) for kind, table in self.graph.nodes.items()}
        found[self.graph.schema.item][item] = 0
        degrees, room = count_edges(self.graph), limit - 1
        for hop in range(1, hops + 1):
            part = -(-room // (hops - hop + 1))
            reached = self._reach(found, hop - 1)
            kinds = np.repeat(list(reached), [len(nodes) for nodes in reached.values()])
            nodes = np.concatenate([np.zeros(0, np.int64), *reached.values()])
            share = np.concatenate([[], *(self.shares[k][v] for k, v in reached.items())])
            degree = np.concatenate([[], *(degrees[k][v] for k, v in reached.items())])
            for place in np.lexsort([degree, -share])[:part].tolist():
                found[kinds[place]][nodes[place]] = hop
            room -= min(part, len(nodes))
        return found

    def _reach(self, found: dict[str, Positions], hop: int) -> dict[str, Positions]:
        """Give the nodes that are not there yet and one edge from those of a hop."""
        near = {kind: np.zeros(len(hops), bool) for kind, hops in found.items()}
        for (head, _, tail), table in self.graph.edges.items():
            heads, tails = table.edge_index
            near[tail][tails[found[head][heads] == hop]] = True
            near[head][heads[found[tail][tails] == hop]] = True
        return {kind: np.flatnonzero(mask & (found[kind] < 0)) for kind, mask in near.items()}


def _induce(graph: KnowledgeGraph, layers: dict[str, Positions]) -> nx.MultiDiGraph:
    result = nx.MultiDiGraph(name=graph.schema.name)
    for kind, hops in layers.items():
        table, kept = graph.nodes[kind], np.flatnonzero(hops >= 0)
        is_cold = graph.is_cold if kind == graph.schema.item else np.zeros(len(table), bool)
        names, texts = table.ids.take(pa.array(kept)), table.texts.take(pa.array(kept))
        for node, name, text in zip(
            kept.tolist(), names.to_pylist(), texts.to_pylist(), strict=True
        ):
            attributes = {"hop": int(hops[node]), "cold": bool(is_cold[node])}
            result.add_node((kind, name), type=kind, id=name, text=text, **attributes)
    for (head, relation, tail), edges in graph.edges.items():
        heads, tails = edges.edge_index
        for row in np.flatnonzero((layers[head][heads] >= 0) & (layers[tail][tails] >= 0)):
            start = (head, id_of(graph, head, int(heads[row])))
            end = (tail, id_of(graph, tail, int(tails[row])))
            weight = 1.0 if edges.weight is None else float(edges.weight[row])
            result.add_edge(start, end, key=relation, relation=relation, weight=weight)
    return result


def _add_scores(result: nx.MultiDiGraph, subject: Subject) -> None:
    graph = subject.graph
    similarity = subject.catalogue.similarity(np.array([subject.item]))[0]
    for (kind, name), attributes in result.nodes(data=True):
        if kind == graph.schema.item:
            attributes["score"] = float(similarity[graph.items.positions([name])[0]])


def _add_shares(result: nx.MultiDiGraph, frame: pd.DataFrame) -> None:
    for _, _, attributes in result.edges(data=True):
        attributes["share"] = 0.0
    hops = result.nodes(data="hop")
    for channel, key, share in frame.itertuples(index=False):
        if channel not in (NEIGHBOURS, FAR):
            continue
        kind, _, name = str(key).partition("/")
        node = (kind, name)
        before = 0 if channel == NEIGHBOURS else 1
        edges = [e for o, e in _edges_at(result, node) if hops[o] == before]
        for attributes in edges:
            attributes["share"] += share / len(edges)


def _edges_at(
    result: nx.MultiDiGraph, node: tuple[str, str]
) -> Iterator[tuple[tuple[str, str], dict[str, float]]]:
    """Give the other end and the attributes of each edge of a node, if it is there."""
    if node in result:
        for start, _, attributes in result.in_edges(node, data=True):
            yield start, attributes
        for _, end, attributes in result.out_edges(node, data=True):
            yield end, attributes


def count_edges(graph: KnowledgeGraph) -> dict[str, Positions]:
    """Count the edges of each node of each type, interactions left out.

    Parameters
    ----------
    graph
        The graph.

    Returns
    -------
    dict
        By node type [nodes] int64.
    """
    degrees = {kind: np.zeros(len(table), np.int64) for kind, table in graph.nodes.items()}
    for (head, _, tail), table in graph.edges.items():
        for kind, ends in zip((head, tail), table.edge_index, strict=True):
            degrees[kind] += np.bincount(ends, minlength=len(degrees[kind]))
    return degrees


def id_of(graph: KnowledgeGraph, kind: str, node: int) -> str:
    """Give the id of a node.

    Parameters
    ----------
    graph
        The graph.
    kind
        Its type.
    node
        Its position.

    Returns
    -------
    str
        Its id.
    """
    return str(graph.nodes[kind].ids[node].as_py())
