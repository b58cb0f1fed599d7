"""Graphs as networkx has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

import networkx as nx
import numpy as np
import pyarrow as pa

from kgrec.errors import SourceError
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.schema import GraphSchema

Node = tuple[str, str]


def to_networkx(graph: KnowledgeGraph) -> nx.MultiDiGraph:
    """Give a graph to networkx, the interactions included.

    Parameters
    ----------
    graph
        The graph.

    Returns
    -------
    networkx.MultiDiGraph
        Nodes are (type, id) with attributes ``type``, ``id``, ``text`` and, where there are
        features, ``features`` (list of float).  Edges have the attribute ``relation`` and, where
        there are such, ``weight`` and ``time``; their key is the relation, and (relation, n) for
        the n-th interaction more of the same two.
    """
    result = nx.MultiDiGraph(name=graph.schema.name)
    names = {kind: [(kind, key) for key in t.ids.to_pylist()] for kind, t in graph.nodes.items()}
    for kind, table in graph.nodes.items():
        features = [None] * len(table) if table.features is None else table.features.tolist()
        for node, text, vector in zip(names[kind], table.texts.to_pylist(), features, strict=True):
            result.add_node(node, type=kind, id=node[1], text=text)
            if vector is not None and not np.isnan(vector).all():
                result.nodes[node]["features"] = vector
    for (head, relation, tail), edges in graph.edges.items():
        weights = {"weight": edges.weight}
        _add_edges(result, relation, names[head], names[tail], edges.edge_index, weights)
    log, schema = graph.interactions, graph.schema
    pairs = np.stack([log.user, log.item])
    values: dict[str, np.ndarray | None] = {"weight": log.weight, "time": log.time}
    _add_edges(result, schema.interaction, names[schema.user], names[schema.item], pairs, values)
    return result


def from_networkx(network: nx.MultiDiGraph, schema: GraphSchema) -> KnowledgeGraph:
    """Make a graph of what networkx holds.

    Parameters
    ----------
    network
        As :func:`to_networkx` makes it: nodes with ``type`` and ``id``, edges with ``relation``.
    schema
        What the node types and relations are; edges of its interaction are the interactions.

    Returns
    -------
    KnowledgeGraph
        The checked graph.

    Raises
    ------
    SourceError
        If an attribute is missing, or the network makes no graph
        (see :meth:`KnowledgeGraph.from_tables`).
    """
    entities: list[dict[str, Any]] = []
    for node, attributes in network.nodes(data=True):
        row = {name: attributes.get(name) for name in ("id", "type", "text", "features")}
        if row["id"] is None or row["type"] is None:
            raise SourceError(f"the node {node!r} has no 'id' or no 'type': give it both")
        entities.append(row)
    relations, log = [], []
    for head, tail, attributes in network.edges(data=True):
        ends = network.nodes[head]["id"], network.nodes[tail]["id"]
        relation = attributes.get("relation")
        if relation is None:
            raise SourceError(f"the edge {head!r} to {tail!r} has no 'relation': give it one")
        weight = attributes.get("weight")
        if relation == schema.interaction:
            time = attributes.get("time")
            log.append({"user": ends[0], "item": ends[1], "weight": weight, "time": time})
        else:
            row = {"head": ends[0], "relation": relation, "tail": ends[1], "weight": weight}
            relations.append(row)
    tables = GraphTables(
        _table(entities, ("id", "type", "text"), ("features",)),
        _table(relations, ("head", "relation", "tail"), ("weight",)),
        _table(log, ("user", "item"), ("weight", "time")),
    )
    return KnowledgeGraph.from_tables(schema, tables)


KINDS: Mapping[str, pa.DataType] = {
    "features": pa.list_(pa.float32()),
    "weight": pa.float32(),
    "time": pa.int64(),
}


def _table(
    rows: list[dict[str, Any]], required: tuple[str, ...], optional: tuple[str, ...]
) -> pa.Table:
    """Make a table, without the optional columns that nobody fills."""
    present = [name for name in optional if any(row[name] is not None for row in rows)]
    return pa.table(
        {
            name: pa.array([row[name] for row in rows], KINDS.get(name, pa.string()))
            for name in (*required, *present)
        }
    )


def _add_edges(
    target: nx.MultiDiGraph,
    relation: str,
    heads: list[Node],
    tails: list[Node],
    pairs: np.ndarray,
    values: Mapping[str, np.ndarray | None],
) -> None:
    present = {name: column.tolist() for name, column in values.items() if column is not None}
    seen: Counter[tuple[int, int]] = Counter()
    for row, (head, tail) in enumerate(pairs.T.tolist()):
        count = seen[head, tail]
        seen[head, tail] += 1
        key: Hashable = (relation, count) if count else relation
        attributes = {name: column[row] for name, column in present.items()}
        target.add_edge(heads[head], tails[tail], key=key, relation=relation, **attributes)
