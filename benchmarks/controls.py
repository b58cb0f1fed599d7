"""Graphs with something taken away, so that it shows what kgrec owes to it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from kgrec.graph import EdgeTable, GraphTables, KnowledgeGraph
from kgrec.model.channels import NeighbourVectorChannel, RelatedItemChannel
from kgrec.model.neighbours import Surroundings
from kgrec.text import TextEncoder


def shuffle_graph(graph: KnowledgeGraph, seed: int) -> KnowledgeGraph:
    """Permute the tails within each relation: degrees stay, what is joined does not.

    Parameters
    ----------
    graph
        The graph.
    seed
        Seed of the permutations.

    Returns
    -------
    KnowledgeGraph
        The same nodes, texts and interactions; pairs that the permutation makes twice are merged.
    """
    rng = np.random.default_rng(seed)
    edges = {}
    for kind, table in graph.edges.items():
        heads, tails = table.edge_index
        pairs, first = np.unique(
            np.stack([heads, rng.permutation(tails)]), axis=1, return_index=True
        )
        weight = None if table.weight is None else table.weight[first]
        edges[kind] = EdgeTable(np.ascontiguousarray(pairs), weight)
    return graph.with_edges(edges)


def remove_edges(graph: KnowledgeGraph) -> KnowledgeGraph:
    """Take all edges away.

    Parameters
    ----------
    graph
        The graph.

    Returns
    -------
    KnowledgeGraph
        Texts and interactions alone.
    """
    nothing = EdgeTable(np.empty((2, 0), np.int64))
    return graph.with_edges(dict.fromkeys(graph.edges, nothing))


def remove_texts(graph: KnowledgeGraph) -> KnowledgeGraph:
    """Take all texts away.

    Parameters
    ----------
    graph
        The graph.

    Returns
    -------
    KnowledgeGraph
        Edges and interactions alone.
    """
    nodes = {
        kind: replace(table, texts=pa.nulls(len(table), pa.string()))
        for kind, table in graph.nodes.items()
    }
    return KnowledgeGraph(graph.schema, MappingProxyType(nodes), graph.edges, graph.interactions)


def add_distant_texts(graph: KnowledgeGraph, encoder: TextEncoder) -> KnowledgeGraph:
    """Let content travel a third edge: the texts around related items become features.

    Parameters
    ----------
    graph
        The graph.
    encoder
        Encodes the texts.

    Returns
    -------
    KnowledgeGraph
        Whose items have the mean vector of the texts around the items that they share
        neighbours with, beside the features that they have already.
    """
    vectors = {kind: encoder.encode(table.texts) for kind, table in graph.nodes.items()}
    around = Surroundings(graph)
    texts = NeighbourVectorChannel.learn("texts around", around, vectors, around.relations)
    related = RelatedItemChannel.learn("related items", around, around.relations)
    distant = related.encode(around, vectors) @ texts.encode(around, vectors)[~graph.is_cold]
    items = graph.items
    parts = [distant] if items.features is None else [items.features, distant]
    features = np.concatenate(parts, axis=1).astype(np.float32)
    nodes = {**graph.nodes, graph.schema.item: replace(items, features=features)}
    return KnowledgeGraph(graph.schema, MappingProxyType(nodes), graph.edges, graph.interactions)


def hold_back_cold_items(graph: KnowledgeGraph) -> tuple[KnowledgeGraph, GraphTables]:
    """Part a graph in the state before its cold items came, and what comes with them.

    Parameters
    ----------
    graph
        The graph.

    Returns
    -------
    before : KnowledgeGraph
        Without the cold items and their edges.
    arriving : GraphTables
        The cold items and their edges, for ``add_items``.
    """
    tables, schema = graph.to_tables(), graph.schema
    cold = graph.cold_items
    is_item = pc.equal(tables.entities["type"], schema.item)
    entities = pc.and_(is_item, pc.is_in(tables.entities["id"], cold))
    touched = [
        pc.and_(
            pc.is_in(
                tables.relations["relation"], pa.array(_with_items_as(graph, side), pa.string())
            ),
            pc.is_in(tables.relations[side], cold),
        )
        for side in ("head", "tail")
    ]
    relations = pc.or_(*touched)
    before = GraphTables(
        tables.entities.filter(pc.invert(entities)),
        tables.relations.filter(pc.invert(relations)),
        tables.interactions,
    )
    arriving = GraphTables(
        tables.entities.filter(entities),
        tables.relations.filter(relations),
        tables.interactions.slice(0, 0),
    )
    return KnowledgeGraph.from_tables(schema, before), arriving


def _with_items_as(graph: KnowledgeGraph, side: str) -> list[str]:
    """Relations whose heads, or tails, are items: ids of other types may look alike."""
    place = {"head": 0, "tail": 2}[side]
    return [kind[1] for kind in graph.edges if kind[place] == graph.schema.item]
