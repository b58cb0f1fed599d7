"""What items are joined with: adjacency of items and the nodes around them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from kgrec.graph import EdgeType, KnowledgeGraph


def item_relations(graph: KnowledgeGraph) -> list[EdgeType]:
    """List the relations that bring signal to items.

    Parameters
    ----------
    graph
        The graph.

    Returns
    -------
    list of (head type, relation, tail type)
        In the order of the schema.
    """
    item = graph.schema.item
    return [
        edge_type
        for edge_type in graph.edges
        if (edge_type[0] == item and _reaches_head(graph, edge_type))
        or (edge_type[2] == item and _reaches_tail(graph, edge_type))
    ]


def item_neighbours(graph: KnowledgeGraph, edge_type: EdgeType) -> tuple[str, sparse.csr_array]:
    """Find what items are joined with by one relation.

    Where both ends are items the edge counts the ways that the schema lets messages travel,
    and an item that has any such edge is also its own neighbour: two items of which one points
    to the other share a neighbour then.

    Parameters
    ----------
    graph
        The graph.
    edge_type
        A relation that touches items.

    Returns
    -------
    neighbour_type : str
        Node type at the other end.
    adjacency : csr_array
        [items, nodes of that type] float32.
    """
    head_type, _, tail_type = edge_type
    adjacency = edge_matrix(graph, edge_type)
    if head_type == tail_type:
        ways = [adjacency] if _reaches_head(graph, edge_type) else []
        ways += [sparse.csr_array(adjacency.T)] if _reaches_tail(graph, edge_type) else []
        joined = ways[0].maximum(ways[-1])
        touched = np.diff(ways[0].indptr) + np.bincount(ways[0].indices, minlength=len(graph.items))
        itself = sparse.csr_array(sparse.diags_array((touched > 0).astype(np.float32)))
        return head_type, sparse.csr_array(joined.maximum(itself))
    if head_type == graph.schema.item:
        return tail_type, adjacency
    return head_type, sparse.csr_array(adjacency.T)


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The nodes that items are joined with, side by side.

    Parameters
    ----------
    adjacency
        [items, K] float32: edge weights.
    node_types
        Types of the columns: all nodes of the first, then all of the second, and so on.
    keys
        ``type/id`` of each column, [K].
    """

    adjacency: sparse.csr_array
    node_types: tuple[str, ...]
    keys: pa.StringArray


def joined_neighbours(graph: KnowledgeGraph, edge_types: Iterable[EdgeType]) -> Neighbourhood:
    """Put the neighbours by several relations side by side.

    Parameters
    ----------
    graph
        The graph.
    edge_types
        Relations that touch items; a node reached by two of them is one column.

    Returns
    -------
    Neighbourhood
        All nodes of every type that is reached, types in the order of the relations.
    """
    by_type: dict[str, sparse.csr_array] = {}
    for edge_type in edge_types:
        node_type, adjacency = item_neighbours(graph, edge_type)
        known = by_type.get(node_type)
        by_type[node_type] = adjacency if known is None else known.maximum(adjacency)
    return _side_by_side(graph, by_type)


def far_neighbours(graph: KnowledgeGraph, near: Neighbourhood) -> Neighbourhood:
    """Find the nodes two edges away from items, by way of nodes that are no items.

    Parameters
    ----------
    graph
        The graph.
    near
        The items' neighbours by all relations that bring signal to them.

    Returns
    -------
    Neighbourhood
        As :func:`joined_neighbours`; weights are products of the two edges' weights.
    """
    start = dict(zip(near.node_types, _column_blocks(graph, near), strict=True))
    by_type: dict[str, sparse.csr_array] = {}
    for edge_type in graph.edges:
        head_type, _, tail_type = edge_type
        if graph.schema.item in (head_type, tail_type):
            continue
        step = edge_matrix(graph, edge_type)
        for source, target, matrix, travels in (
            (head_type, tail_type, step, _reaches_head(graph, edge_type)),
            (tail_type, head_type, step.T, _reaches_tail(graph, edge_type)),
        ):
            if travels and source in start:
                reached = sparse.csr_array(start[source] @ matrix)
                known = by_type.get(target)
                by_type[target] = reached if known is None else known.maximum(reached)
    return _side_by_side(graph, by_type)


class Surroundings:
    """What lies around the items of a graph; what several ask for is put together once.

    Parameters
    ----------
    graph
        The graph.
    """

    def __init__(self, graph: KnowledgeGraph) -> None:
        self.graph = graph
        self.relations = tuple(item_relations(graph))
        self._joined: dict[tuple[EdgeType, ...], Neighbourhood] = {}

    def joined(self, edge_types: tuple[EdgeType, ...]) -> Neighbourhood:
        """Put the neighbours by several relations side by side, see :func:`joined_neighbours`."""
        if edge_types not in self._joined:
            self._joined[edge_types] = joined_neighbours(self.graph, edge_types)
        return self._joined[edge_types]

    def far(self) -> Neighbourhood:
        """Find the nodes two edges away, see :func:`far_neighbours`."""
        return far_neighbours(self.graph, self.joined(self.relations))


def edge_matrix(graph: KnowledgeGraph, edge_type: EdgeType) -> sparse.csr_array:
    """Write one relation as a sparse matrix.

    Parameters
    ----------
    graph
        The graph.
    edge_type
        The relation.

    Returns
    -------
    csr_array
        [heads, tails] float32: edge weights, 1 where the relation has none.
    """
    table = graph.edges[edge_type]
    weight = np.ones(len(table), np.float32) if table.weight is None else table.weight
    shape = (len(graph.nodes[edge_type[0]]), len(graph.nodes[edge_type[2]]))
    return sparse.csr_array((weight, tuple(table.edge_index)), shape=shape)


def _reaches_head(graph: KnowledgeGraph, edge_type: EdgeType) -> bool:
    return graph.schema.relations[edge_type[1]].messages in ("both", "backward")


def _reaches_tail(graph: KnowledgeGraph, edge_type: EdgeType) -> bool:
    return graph.schema.relations[edge_type[1]].messages in ("both", "forward")


def _column_blocks(graph: KnowledgeGraph, near: Neighbourhood) -> list[sparse.csr_array]:
    ends = np.cumsum([len(graph.nodes[node_type]) for node_type in near.node_types])
    by_column = sparse.csc_array(near.adjacency)
    starts = np.concatenate([[0], ends[:-1]]).astype(int) if len(ends) else ends
    return [
        sparse.csr_array(by_column[:, start:end])
        for start, end in zip(starts, ends.astype(int), strict=True)
    ]


def _side_by_side(graph: KnowledgeGraph, by_type: dict[str, sparse.csr_array]) -> Neighbourhood:
    if not by_type:
        nothing = sparse.csr_array(np.zeros((len(graph.items), 0), np.float32))
        return Neighbourhood(nothing, (), pa.array([], pa.string()))
    adjacency = sparse.csr_array(sparse.hstack(list(by_type.values())))
    keys = pa.concat_arrays([node_keys(graph, node_type) for node_type in by_type])
    return Neighbourhood(adjacency, tuple(by_type), keys)


def node_keys(graph: KnowledgeGraph, node_type: str) -> pa.StringArray:
    """Name nodes uniquely across types.

    Parameters
    ----------
    graph
        The graph.
    node_type
        Type of the nodes.

    Returns
    -------
    pyarrow.StringArray
        ``type/id`` of each node of the type, [N].
    """
    ids = graph.nodes[node_type].ids
    return pc.binary_join_element_wise(pa.scalar(node_type), ids, "/")
