"""A knowledge graph as the tensors that a graph neural network is given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from kgrec.baselines.content import Encoder, encode_texts
from kgrec.graph import EdgeType, KnowledgeGraph
from kgrec.model.whitening import Whitening

TEXT_DIMENSIONS = 128
SIGNS = 64  # length of the fixed random vector of a node


@dataclass(frozen=True, eq=False)
class MessageGraph:
    """What flows through a graph neural network, and which way.

    Parameters
    ----------
    item
        Type of the items.
    ids
        Ids of the nodes of each type.
    texts
        Whitened text vectors of the nodes of each type, [N, K] float32; a column of zeros where
        no node has a text.
    edges
        For each way of a relation, named (source type, relation, target type), positions of
        sources and targets, [2, E] int64.
    """

    item: str
    ids: Mapping[str, pa.StringArray]
    texts: Mapping[str, Tensor]
    edges: Mapping[EdgeType, Tensor]

    @property
    def item_count(self) -> int:
        """Number of items."""
        return len(self.ids[self.item])

    def sent_by(self, senders: Tensor) -> dict[EdgeType, Tensor]:
        """Keep the messages of some items; nodes that are no items always send.

        Parameters
        ----------
        senders
            Which items send, [items] bool.

        Returns
        -------
        dict
            As :attr:`edges`.
        """
        return {
            kind: edges[:, senders[edges[0]]] if kind[0] == self.item else edges
            for kind, edges in self.edges.items()
        }

    def log_degrees(self, sent: Mapping[EdgeType, Tensor]) -> Tensor:
        """Count the messages that items receive.

        Parameters
        ----------
        sent
            As :meth:`sent_by` gives them.

        Returns
        -------
        Tensor
            Logarithm of one plus the count, one column a way into items, [items, ways] float32.
        """
        counts = [
            torch.bincount(edges[1], minlength=self.item_count)
            for kind, edges in sent.items()
            if kind[2] == self.item
        ]
        if not counts:
            return torch.zeros(self.item_count, 0)
        return torch.log1p(torch.stack(counts, dim=1).float())

    @cached_property
    def signs(self) -> dict[str, Tensor]:
        """A fixed random vector for each node that depends on its type and id alone.

        By type [N, 64] float32, rows of length one: random signs, drawn by a hash.
        """
        return {kind: _hashed_signs(kind, ids) for kind, ids in self.ids.items()}


def read_messages(
    graph: KnowledgeGraph, encoder: Encoder | None, warm: NDArray[np.bool_]
) -> MessageGraph:
    """Read a graph for a neural network.

    Parameters
    ----------
    graph
        The graph; its interactions are not looked at.
    encoder
        Encodes the texts of all nodes; without one there are no texts.
    warm
        Which items the whitening of texts is learned from, and by what they are joined with,
        [items].

    Returns
    -------
    MessageGraph
        Each relation in the ways in which the schema lets signal travel.
    """
    ways = _ways(graph)
    known = _reached(graph, ways, warm)
    texts = {}
    for node_type, table in graph.nodes.items():
        vectors = _no_texts(len(table)) if encoder is None else encode_texts(table.texts, encoder)
        learned_from = vectors[known[node_type] & vectors.any(axis=1)]
        white = Whitening.learn(learned_from, TEXT_DIMENSIONS).apply(vectors)
        texts[node_type] = torch.from_numpy(white if white.shape[1] else _no_texts(len(table)))
    ids = {node_type: table.ids for node_type, table in graph.nodes.items()}
    edges = {kind: torch.from_numpy(pairs) for kind, pairs in ways.items()}
    return MessageGraph(graph.schema.item, ids, texts, edges)


def rows_among(ids: pa.StringArray, known: pa.StringArray) -> Tensor:
    """Look nodes up among known ones.

    Parameters
    ----------
    ids
        Ids, [N].
    known
        Ids of the known nodes.

    Returns
    -------
    Tensor
        Position among the known ones, [N] int64; their number for an unknown node.
    """
    found = pc.fill_null(pc.index_in(ids, value_set=known), len(known))
    return torch.from_numpy(np.array(found, dtype=np.int64))


def _ways(graph: KnowledgeGraph) -> dict[EdgeType, NDArray[np.int64]]:
    """List both ways of each relation that the schema does not close."""
    ways: dict[EdgeType, NDArray[np.int64]] = {}
    for (head, relation, tail), table in graph.edges.items():
        messages = graph.schema.relations[relation].messages
        if messages in ("both", "forward"):
            ways[head, relation, tail] = table.edge_index.copy()
        if messages in ("both", "backward"):
            ways[tail, f"reversed {relation}", head] = table.edge_index[::-1].copy()
    return ways


def _reached(
    graph: KnowledgeGraph, ways: Mapping[EdgeType, NDArray[np.int64]], warm: NDArray[np.bool_]
) -> dict[str, NDArray[np.bool_]]:
    """Find the nodes that speak to warm items, directly or by way of others that are no items."""
    known = {kind: np.zeros(len(table), bool) for kind, table in graph.nodes.items()}
    known[graph.schema.item] = warm
    grown = True
    while grown:
        grown = False
        for (source, _, target), pairs in ways.items():
            speaking = np.setdiff1d(
                pairs[0][known[target][pairs[1]]], np.flatnonzero(known[source])
            )
            if source != graph.schema.item and len(speaking):
                known[source][speaking] = grown = True
    return known


def _hashed_signs(node_type: str, ids: pa.StringArray) -> Tensor:
    digests = [
        hashlib.blake2b(f"{node_type}/{key}".encode(), digest_size=SIGNS // 8).digest()
        for key in ids.to_pylist()
    ]
    bits = np.unpackbits(np.frombuffer(b"".join(digests), np.uint8)).reshape(-1, SIGNS)
    return torch.from_numpy((2.0 * bits - 1.0).astype(np.float32) / np.float32(np.sqrt(SIGNS)))


def _no_texts(count: int) -> NDArray[np.float32]:
    return np.zeros((count, 1), np.float32)
