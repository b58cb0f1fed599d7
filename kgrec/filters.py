"""Which items may be recommended: some by name, by what they are joined with, cold ones or warm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kgrec.errors import ConfigError, name_ids
from kgrec.graph import EdgeType, KnowledgeGraph


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions, all of which an item has to meet.

    Parameters
    ----------
    items
        Ids to choose from; None for all items.
    where
        Ids of nodes that an item must be joined with one of, by the name of a relation or of
        a node type: ``{"has_genre": ["noir", "western"]}`` or ``{"genre": ["noir"]}``.
    cold
        True for items that nobody has used, False for the others, None for both.
    """

    items: Iterable[str] | None = None
    where: Mapping[str, Iterable[str]] = field(default_factory=dict)
    cold: bool | None = None

    def mask(self, graph: KnowledgeGraph, is_cold: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """Find the items that meet the conditions.

        Parameters
        ----------
        graph
            The graph.
        is_cold
            Whether nobody has used an item, [items].

        Returns
        -------
        ndarray of bool or None
            [items]; None where there is no condition.

        Raises
        ------
        UnknownIdError
            If an item or a node is not in the graph.
        ConfigError
            If ``where`` names neither a relation nor a node type that items are joined by.
        """
        masks = [] if self.cold is None else [is_cold == self.cold]
        if self.items is not None:
            named = np.zeros(len(graph.items), bool)
            named[graph.positions(graph.schema.item, self.items)] = True
            masks.append(named)
        masks += [joined_with(graph, name, ids) for name, ids in self.where.items()]
        return np.logical_and.reduce(masks) if masks else None


def joined_with(graph: KnowledgeGraph, name: str, ids: Iterable[str]) -> NDArray[np.bool_]:
    """Find the items that are joined with one of some nodes.

    Parameters
    ----------
    graph
        The graph.
    name
        A relation, or the type of the nodes.
    ids
        Ids of the nodes.

    Returns
    -------
    ndarray of bool
        [items].

    Raises
    ------
    UnknownIdError
        If a node is not in the graph.
    ConfigError
        If items are joined neither by a relation nor with a node type of that name.
    """
    item = graph.schema.item
    ways = [way for way in _ways(graph) if name in (way[0][1], way[1])]
    if not ways:
        known = sorted({part for way in _ways(graph) for part in (way[0][1], way[1])})
        raise ConfigError(
            f"items can't be filtered by '{name}': name a relation or a node type that they are "
            f"joined by, one of {name_ids(known)}"
        )
    listed = list(ids)
    mask = np.zeros(len(graph.items), bool)
    for edge_type, other in ways:
        wanted = np.zeros(len(graph.nodes[other]), bool)
        wanted[graph.positions(other, listed)] = True
        heads, tails = graph.edges[edge_type].edge_index
        if edge_type[0] == item:
            mask[heads[wanted[tails]]] = True
        if edge_type[2] == item:
            mask[tails[wanted[heads]]] = True
    return mask


def _ways(graph: KnowledgeGraph) -> list[tuple[EdgeType, str]]:
    """List the relations of items, each with the node type at its other end."""
    item = graph.schema.item
    return [
        (edge_type, edge_type[2] if edge_type[0] == item else edge_type[0])
        for edge_type in graph.edges
        if item in (edge_type[0], edge_type[2])
    ]
