"""Edges of one node, and ways from one item to another over what they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgrec.graph import KnowledgeGraph


@dataclass(frozen=True, slots=True)
class Step:
    """An edge as one of its ends sees it.

    Parameters
    ----------
    relation
        Name of the relation.
    outwards
        Whether the edge goes from here to the other end.
    node_type, node
        Type and position of the other end.
    weight
        Strength of the edge.
    """

    relation: str
    outwards: bool
    node_type: str
    node: int
    weight: float = 1.0

    def arrow(self) -> str:
        """Write the edge as the way from here: ``→ relation →`` or ``← relation ←``."""
        return f"→ {self.relation} →" if self.outwards else f"← {self.relation} ←"

    def arrow_back(self) -> str:
        """Write the edge as the way to here."""
        return f"← {self.relation} ←" if self.outwards else f"→ {self.relation} →"


def steps_from(graph: KnowledgeGraph, node_type: str, node: int) -> list[Step]:
    """List the edges of a node.

    Parameters
    ----------
    graph
        The graph.
    node_type
        Type of the node.
    node
        Its position.

    Returns
    -------
    list of Step
        Relations in the order of the schema, outgoing edges of one before incoming ones.
    """
    steps = []
    for (head, relation, tail), table in graph.edges.items():
        heads, tails = table.edge_index
        weight = table.weight
        if head == node_type:  # edges are sorted by their heads
            low, high = np.searchsorted(heads, [node, node + 1])
            rows = np.arange(low, high)
            steps += [_step(relation, True, tail, tails, weight, row) for row in rows.tolist()]
        if tail == node_type:
            rows = np.flatnonzero(tails == node)
            steps += [_step(relation, False, head, heads, weight, row) for row in rows.tolist()]
    return steps


def _step(
    relation: str,
    outwards: bool,
    node_type: str,
    ends: NDArray[np.int64],
    weight: NDArray[np.float32] | None,
    row: int,
) -> Step:
    strength = 1.0 if weight is None else float(weight[row])
    return Step(relation, outwards, node_type, int(ends[row]), strength)


@dataclass(frozen=True, slots=True)
class SharedNode:
    """A node that two items are joined with.

    Parameters
    ----------
    left, right
        The edge of each item to it.
    """

    left: Step
    right: Step


def rarest_shared(graph: KnowledgeGraph, left: int, right: int) -> SharedNode | None:
    """Find the node with the fewest edges among those that two items share.

    Parameters
    ----------
    graph
        The graph.
    left, right
        Positions of the items.

    Returns
    -------
    SharedNode or None
        None where they share nothing.
    """
    item = graph.schema.item
    ways = {(step.node_type, step.node): step for step in steps_from(graph, item, left)}
    shared = [
        SharedNode(ways[step.node_type, step.node], step)
        for step in steps_from(graph, item, right)
        if (step.node_type, step.node) in ways
    ]
    return min(shared, key=lambda node: _degree(graph, node.right), default=None)


def _degree(graph: KnowledgeGraph, step: Step) -> int:
    return sum(
        int(np.count_nonzero(table.edge_index[side] == step.node))
        for (head, _, tail), table in graph.edges.items()
        for side, node_type in enumerate((head, tail))
        if node_type == step.node_type
    )
