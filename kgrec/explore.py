"""What surrounds an item, for notebooks: where its vector comes from, and a picture of it.

An item outside the core has a column of weights ``v = sum_t v_t``, a summand for each word, text
and neighbour that it shares with core items (:mod:`kgrec.explain`).  The share of a summand is
``v_t . v / v . v``, its projection on the whole, so that all shares sum to one; that of something
that draws the item away from where it is is negative.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import networkx as nx
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from kgrec.explain import FAR, NEIGHBOURS, NOTHING_SHARED, USED_TOGETHER, Subject, find_shared
from kgrec.graph import KnowledgeGraph
from kgrec.recommender import Recommender

SIGNAL_COLUMNS = ["channel", "shared", "share"]
COVERAGE_COLUMNS = ["item", "characters", "edges", "missing"]

Positions = NDArray[np.int64]


def signal(model: Recommender, item: str) -> pd.DataFrame:
    """Say where an item's vector comes from.

    Parameters
    ----------
    model
        A fitted recommender.
    item
        Id of the item.

    Returns
    -------
    DataFrame
        A row a summand, greatest share first: ``channel``, ``shared`` (a word or ``type/id`` of
        a neighbour; None for a text or features) and ``share`` of the vector.  The shares sum to
        one.  An item that the model learned from has a single row: its vector is made of those
        who used it.

    Raises
    ------
    UnknownIdError
        If the item is not in the graph.
    NotFittedError
        Before ``fit``.
    """
    return _signal(model.subject(item, history=()))


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
    frame = pd.DataFrame(columns=SIGNAL_COLUMNS) if subject is None else _signal(subject)
    layers = _Layers(graph, _node_shares(graph, frame)).walk(position, hops, limit)
    result = _induce(graph, layers)
    result.graph["item"] = (graph.schema.item, item)
    if subject is not None:
        _add_scores(result, subject)
        _add_shares(result, frame)
    return result


def nearest(model: Recommender, item: str, n: int = 10) -> pd.DataFrame:
    """List the items whose vectors are most like an item's, and what they share with it.

    Parameters
    ----------
    model
        A fitted recommender.
    item
        Id of the item.
    n
        How many at most.

    Returns
    -------
    DataFrame
        As :meth:`~kgrec.ranker.Ranker.similar_items`, with the column ``shared``: the
        ``type/id`` of all nodes that both are joined with, those with the fewest edges first.

    Raises
    ------
    UnknownIdError
        If the item is not in the graph.
    NotFittedError
        Before ``fit``.
    """
    frame = model.similar_items(item, n)
    graph = model.graph
    degrees = _degrees(graph)
    own = _joined(graph, item)
    shared = []
    for other in frame["neighbour"]:
        both = own & _joined(graph, other)
        ordered = sorted(both, key=lambda node: (degrees[node[0]][node[1]], node))
        shared.append([f"{kind}/{_id(graph, kind, node)}" for kind, node in ordered])
    return frame.assign(shared=pd.Series(shared, index=frame.index, dtype=object))


def coverage(graph: KnowledgeGraph, characters: int = 40, edges: int = 2) -> pd.DataFrame:
    """Find cold items of which little is known.

    Parameters
    ----------
    graph
        The graph.
    characters
        A text with fewer is short.
    edges
        An item with fewer has few.

    Returns
    -------
    DataFrame
        A row a cold item with a short text or few edges, those with the fewest edges first:
        ``item``, ``characters`` of its text, ``edges`` and what is ``missing`` in words.
    """
    degrees = _degrees(graph)[graph.schema.item]
    texts = graph.items.texts.to_pylist()
    records = []
    for position in np.flatnonzero(graph.is_cold).tolist():
        length, degree = len(texts[position] or ""), int(degrees[position])
        missing = [
            words
            for words, lacks in (("text", length < characters), ("edges", degree < edges))
            if lacks
        ]
        if missing:
            name = _id(graph, graph.schema.item, position)
            records.append((name, length, degree, " and ".join(missing)))
    frame = pd.DataFrame(records, columns=COVERAGE_COLUMNS)
    return frame.sort_values(["edges", "characters", "item"], ignore_index=True)


def _signal(subject: Subject) -> pd.DataFrame:
    if not subject.parts:
        return pd.DataFrame([(USED_TOGETHER, None, 1.0)], columns=SIGNAL_COLUMNS)
    network = subject.catalogue.head.network
    shared = find_shared(subject)
    sharpness = network.propagation.sharpness
    alike = np.exp(-sharpness) if sharpness else 0.0  # the kernel of what shares nothing
    gains = np.column_stack([shared.gains, np.full(len(shared.gains), alike)])
    answer = network.teacher.numpy().astype(np.float64) @ network.inverse.numpy()
    vector = answer @ gains.sum(axis=1)
    square = float(vector @ vector)
    shares = (vector @ answer) @ gains / square if square else np.zeros(gains.shape[1])
    channels, keys = [*shared.channels, NOTHING_SHARED], [*shared.keys, None]
    frame = pd.DataFrame({"channel": channels, "shared": keys, "share": shares})
    return frame.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def _node_shares(graph: KnowledgeGraph, frame: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Give what each node of each type brings to the vector."""
    shares = {kind: np.zeros(len(table)) for kind, table in graph.nodes.items()}
    rows = frame[frame["channel"].isin([NEIGHBOURS, FAR])]
    for key, share in zip(rows["shared"], rows["share"], strict=True):
        kind, _, name = str(key).partition("/")
        shares[kind][graph.nodes[kind].positions([name])] += share
    return shares


@dataclass(frozen=True, slots=True)
class _Layers:
    """Walks away from an item, one hop after the other."""

    graph: KnowledgeGraph
    shares: dict[str, NDArray[np.float64]]

    def walk(self, item: int, hops: int, limit: int) -> dict[str, NDArray[np.int64]]:
        """Give the hop of each node of each type, -1 for those that are left out."""
        found = {kind: np.full(len(table), -1) for kind, table in self.graph.nodes.items()}
        found[self.graph.schema.item][item] = 0
        degrees, room = _degrees(self.graph), limit - 1
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
            start = (head, _id(graph, head, int(heads[row])))
            end = (tail, _id(graph, tail, int(tails[row])))
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


def _degrees(graph: KnowledgeGraph) -> dict[str, Positions]:
    degrees = {kind: np.zeros(len(table), np.int64) for kind, table in graph.nodes.items()}
    for (head, _, tail), table in graph.edges.items():
        for kind, ends in zip((head, tail), table.edge_index, strict=True):
            degrees[kind] += np.bincount(ends, minlength=len(degrees[kind]))
    return degrees


def _joined(graph: KnowledgeGraph, item: str) -> set[tuple[str, int]]:
    kind, nodes = graph.schema.item, set()
    position = int(graph.positions(kind, [item])[0])
    for (head, _, tail), table in graph.edges.items():
        heads, tails = table.edge_index
        if head == kind:
            nodes |= {(tail, int(node)) for node in tails[heads == position]}
        if tail == kind:
            nodes |= {(head, int(node)) for node in heads[tails == position]}
    return nodes


def _id(graph: KnowledgeGraph, kind: str, node: int) -> str:
    return str(graph.nodes[kind].ids[node].as_py())
