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
)
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
        vectors = encode_texts(part)
        return [channel.encode(part, vectors)[positions] for channel in self.channels]


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
