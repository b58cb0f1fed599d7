"""Rows of some items: what reaches them through each channel, at the price of those items alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from kgrec.changes import neighbourhood_of
from kgrec.graph import KnowledgeGraph
from kgrec.model.channels import (
    Channel,
    FarChannel,
    Matrix,
    NeighbourChannel,
    NeighbourVectorChannel,
    RelatedItemChannel,
    TermChannel,
    TextVectors,
    learn_candidates,
    says_something,
)
from kgrec.model.neighbours import Surroundings
from kgrec.model.vocabulary import Vocabulary

EncodeGraph = Callable[[KnowledgeGraph], TextVectors]
"""Gives the BERT vectors of all nodes of a graph."""


@dataclass(frozen=True, slots=True)
class IndexedVocabulary(Vocabulary):
    """A vocabulary that finds a few keys without looking at all of its own.

    Parameters
    ----------
    columns
        Column of each key.
    """

    columns: dict[str, int]

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> Self:
        """Index the keys of a vocabulary."""
        keys = vocabulary.keys.to_pylist()
        return cls(vocabulary.keys, vocabulary.weight, {key: i for i, key in enumerate(keys)})

    def columns_of(self, keys: pa.StringArray) -> NDArray[np.int64]:
        """Find the column of each key, [K'], -1 for an unknown one."""
        return np.array([self.columns.get(key, -1) for key in keys.to_pylist()], dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class RowParts:
    """An item's row of one channel, as the sum of what it owes to each key.

    Parameters
    ----------
    rows
        [T, D]: they sum to the item's row.
    keys
        What each comes from, a word or ``type/id`` of a node; None for a text or features.
    """

    rows: Matrix
    keys: list[str | None]

    def total(self) -> Matrix:
        """Sum the parts up to the item's row, [1, D]."""
        if isinstance(self.rows, np.ndarray):
            return np.asarray(self.rows.sum(axis=0, keepdims=True), dtype=np.float32)
        return sparse.csr_array(np.ones((1, self.rows.shape[0]), np.float32) @ self.rows)


@dataclass(frozen=True, slots=True, eq=False)
class RowEncoder:
    """Gives items of a graph their rows, bit for bit as if all items were encoded.

    Parameters
    ----------
    channels
        The channels, their vocabularies indexed.
    """

    channels: tuple[Channel, ...]

    @classmethod
    def of(cls, channels: Sequence[Channel]) -> Self:
        """Index what channels look up.

        Parameters
        ----------
        channels
            Channels as they were learned.

        Returns
        -------
        RowEncoder
            Ready for items that arrive.
        """
        return cls(tuple(_indexed(channel) for channel in channels))

    def encode(
        self, graph: KnowledgeGraph, items: NDArray[np.int64], encode_texts: EncodeGraph
    ) -> list[Matrix]:
        """Encode some items.

        Parameters
        ----------
        graph
            The graph.
        items
            Positions of the items, ascending, [S].
        encode_texts
            Called with the part of the graph that reaches the items.

        Returns
        -------
        list of array
            For each channel the rows of the items, [S, D].
        """
        part, positions = neighbourhood_of(graph, items)
        vectors, around = encode_texts(part), Surroundings(part)
        return [channel.encode(around, vectors)[positions] for channel in self.channels]

    def take_apart(
        self, graph: KnowledgeGraph, item: int, encode_texts: EncodeGraph
    ) -> list[RowParts]:
        """Say what an item's rows are made of.

        Parameters
        ----------
        graph
            The graph.
        item
            Position of the item.
        encode_texts
            Called with the part of the graph that reaches the item.

        Returns
        -------
        list of RowParts
            One a channel.
        """
        part, positions = neighbourhood_of(graph, np.array([item]))
        vectors, around, place = encode_texts(part), Surroundings(part), int(positions[0])
        return [_take_apart(channel, around, place, vectors) for channel in self.channels]


def learn_core_rows(
    graph: KnowledgeGraph,
    vectors: TextVectors,
    core: NDArray[np.int64],
    *,
    hops: int,
    words: bool,
) -> tuple[list[Channel], list[Matrix]]:
    """Learn the channels, and encode the items that a model is fitted on.

    Only their rows are held, however many items the graph has.

    Parameters
    ----------
    graph
        The graph.
    vectors
        BERT vectors of the texts of each node type.
    core
        Positions of the items, ascending, [W].
    hops, words
        As in :func:`~kgrec.model.channels.learn_channels`.

    Returns
    -------
    channels : list of Channel
        Those in which at least one of the items has a row that is not zero; a single silent one
        where the graph has no content at all.
    rows : list of Matrix
        For each channel the rows of the items, [W, D].
    """
    channels = learn_candidates(Surroundings(graph), vectors, hops=hops, words=words)
    rows = RowEncoder.of(channels).encode(graph, core, part_of(graph, vectors))
    kept = [place for place, matrix in enumerate(rows) if says_something(matrix)] or [0]
    return [channels[place] for place in kept], [rows[place] for place in kept]


def part_of(graph: KnowledgeGraph, vectors: TextVectors) -> EncodeGraph:
    """Give what takes the vectors of a part of a graph from those of the whole.

    Parameters
    ----------
    graph
        The whole graph.
    vectors
        BERT vectors of all its nodes, by type.

    Returns
    -------
    callable
        From a part of the graph to the vectors of its nodes, by type.
    """

    def take(part: KnowledgeGraph) -> TextVectors:
        return {
            node_type: vectors[node_type][graph.nodes[node_type].positions(table.ids)]
            for node_type, table in part.nodes.items()
        }

    return take


def _take_apart(
    channel: Channel, around: Surroundings, item: int, vectors: TextVectors
) -> RowParts:
    match channel:
        case TermChannel() | NeighbourChannel() | FarChannel():
            row = channel.encode(around, vectors)[[item]]
            by_key = sparse.csr_array(sparse.diags_array(row.data)) @ _columns(row)
            return RowParts(sparse.csr_array(by_key), _names(channel.vocabulary.keys, row.indices))
        case RelatedItemChannel():
            near = around.joined(channel.relations)
            row = channel.vocabulary.encode(near.adjacency, near.keys)[[item]]
            by_key = sparse.csr_array(channel.anchors.T)[row.indices].multiply(row.data[:, None])
            length = float(np.linalg.norm(by_key.sum(axis=0)))
            keys = _names(channel.vocabulary.keys, row.indices)
            return RowParts(sparse.csr_array(by_key / (length or 1.0)), keys)
        case NeighbourVectorChannel():
            near = around.joined(channel.relations)
            texts = np.concatenate([vectors[node_type] for node_type in near.node_types])
            row = channel.vocabulary.weigh(near.adjacency, near.keys)[[item]]
            by_node = channel.whitening.apply(texts[row.indices]) * row.data[:, None]
            length = float(np.linalg.norm(by_node.sum(axis=0)))
            return RowParts(by_node / np.float32(length or 1.0), _names(near.keys, row.indices))
        case _:
            return RowParts(channel.encode(around, vectors)[[item]], [None])


def _columns(row: sparse.csr_array) -> sparse.csr_array:
    """Give a row for each entry of one row, with a one in its column."""
    count = len(row.indices)
    parts = (np.ones(count, np.float32), row.indices, np.arange(count + 1))
    return sparse.csr_array(parts, shape=(count, row.shape[1]))


def _names(keys: pa.StringArray, columns: NDArray[np.integer]) -> list[str | None]:
    names: list[str | None] = keys.take(pa.array(columns)).to_pylist()
    return names


def _indexed(channel: Channel) -> Channel:
    match channel:
        case RelatedItemChannel():
            # by columns, since a product with the transpose wants that by rows
            anchors = sparse.csc_array(channel.anchors)
            vocabulary = IndexedVocabulary.of(channel.vocabulary)
            return replace(channel, vocabulary=vocabulary, anchors=anchors)  # type: ignore[arg-type]
        case TermChannel() | NeighbourChannel() | FarChannel() | NeighbourVectorChannel():
            return replace(channel, vocabulary=IndexedVocabulary.of(channel.vocabulary))
        case _:
            return channel
