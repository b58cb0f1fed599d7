"""Channels: the ways in which content reaches an item.

Each channel is one propagation over the graph: it turns what an item carries, or what its
neighbours carry, into one row an item.  What a channel needs to know (vocabulary, rarity,
whitening) is learned from the warm items alone and then frozen, so an item that arrives
later gets the same row as if it had been there from the start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from kgrec.errors import SourceError
from kgrec.graph import EdgeType, KnowledgeGraph
from kgrec.model.message_passing import pass_messages
from kgrec.model.neighbours import Surroundings
from kgrec.model.vocabulary import Vocabulary, count_terms, dampen, normalise_rows
from kgrec.model.whitening import Whitening, unit_rows

Matrix = sparse.csr_array | NDArray[np.float32]
TextVectors = Mapping[str, NDArray[np.float32]]
"""BERT vectors of the texts of each node type, [N, D] float32, zero where there is no text."""

WHITE_DIMENSIONS = 256
HUB_EDGES = 500  # a neighbour shared by more warm items than this says too little
NEIGHBOUR_CHARACTERS = 200  # names and titles, not whole texts


class Channel(Protocol):
    """One way in which content reaches an item."""

    @property
    def name(self) -> str:
        """Name in explanations and reports."""
        ...

    @property
    def comes_along(self) -> bool:
        """Whether an item has all of this when it arrives, and does not gather it as it ages."""
        ...

    def encode(self, around: Surroundings, vectors: TextVectors) -> Matrix:
        """Give the rows of all items of a graph, [items, D], each of length one or zero."""
        ...


@dataclass(frozen=True, slots=True)
class TermChannel:
    """Words of an item's own text, or of it and its neighbours' texts, by tf-idf.

    Parameters
    ----------
    name
        Name of the channel.
    vocabulary
        Terms and their rarity.
    with_neighbours
        Whether the texts of an item's neighbours are read as part of its own.
    """

    name: str
    vocabulary: Vocabulary
    with_neighbours: bool

    @property
    def comes_along(self) -> bool:
        """Whether the words are the item's own."""
        return not self.with_neighbours

    @classmethod
    def learn(cls, name: str, around: Surroundings, *, with_neighbours: bool) -> Self:
        """Learn the terms that at least two warm items have."""
        counts, terms = _item_terms(around, with_neighbours=with_neighbours)
        vocabulary = Vocabulary.learn(counts[~around.graph.is_cold], terms, minimum=2)
        return cls(name, vocabulary, with_neighbours)

    def encode(self, around: Surroundings, vectors: TextVectors) -> sparse.csr_array:  # noqa: ARG002
        """Give the rows of all items, [items, terms]."""
        return self.vocabulary.encode(*_item_terms(around, with_neighbours=self.with_neighbours))


@dataclass(frozen=True, slots=True)
class NeighbourChannel:
    """Which nodes an item is joined with, the rare ones counting more.

    A node counts as itself here, whatever its text says: which director it is matters more
    than what directors are called.

    Parameters
    ----------
    name
        Name of the channel.
    relations
        Relations that are read as one.
    vocabulary
        Neighbours of warm items and their rarity.
    """

    name: str
    relations: tuple[EdgeType, ...]
    vocabulary: Vocabulary

    @property
    def comes_along(self) -> bool:
        """Whether the edges are of one relation to nodes that are no items.

        What other items point to is pointed to more as it ages.
        """
        return len(self.relations) == 1 and self.relations[0][0] != self.relations[0][2]

    @classmethod
    def learn(cls, name: str, around: Surroundings, relations: tuple[EdgeType, ...]) -> Self:
        """Learn the neighbours that warm items have."""
        near = around.joined(relations)
        return cls(
            name, relations, Vocabulary.learn(near.adjacency[~around.graph.is_cold], near.keys)
        )

    def encode(self, around: Surroundings, vectors: TextVectors) -> sparse.csr_array:  # noqa: ARG002
        """Give the rows of all items, [items, neighbours]."""
        near = around.joined(self.relations)
        return self.vocabulary.encode(near.adjacency, near.keys)


@dataclass(frozen=True, slots=True)
class FarChannel:
    """Which nodes lie two edges away from an item, by way of a node that is no item.

    Parameters
    ----------
    name
        Name of the channel.
    vocabulary
        Nodes two edges away from warm items and their rarity.
    """

    name: str
    vocabulary: Vocabulary

    @property
    def comes_along(self) -> bool:
        """No: the graph around an item grows."""
        return False

    @classmethod
    def learn(cls, name: str, around: Surroundings) -> Self:
        """Learn the far neighbours that warm items have."""
        far = around.far()
        return cls(name, Vocabulary.learn(far.adjacency[~around.graph.is_cold], far.keys))

    def encode(self, around: Surroundings, vectors: TextVectors) -> sparse.csr_array:  # noqa: ARG002
        """Give the rows of all items, [items, far neighbours]."""
        far = around.far()
        return self.vocabulary.encode(far.adjacency, far.keys)


@dataclass(frozen=True, slots=True)
class RelatedItemChannel:
    """Which warm items share neighbours with an item: two hops from item to item.

    Parameters
    ----------
    name
        Name of the channel.
    relations
        Relations that are walked.
    vocabulary
        Shared neighbours and their rarity; hubs are left out.
    anchors
        Rows of the warm items in that vocabulary, [warm items, neighbours] float32.
    """

    name: str
    relations: tuple[EdgeType, ...]
    vocabulary: Vocabulary
    anchors: sparse.csr_array

    @property
    def comes_along(self) -> bool:
        """No: the graph around an item grows."""
        return False

    @classmethod
    def learn(cls, name: str, around: Surroundings, relations: tuple[EdgeType, ...]) -> Self:
        """Learn the neighbours of warm items that are no hubs."""
        near = around.joined(relations)
        warm = near.adjacency[~around.graph.is_cold]
        vocabulary = Vocabulary.learn(warm, near.keys, minimum=2, maximum=HUB_EDGES)
        return cls(name, relations, vocabulary, vocabulary.encode(warm, near.keys))

    def encode(self, around: Surroundings, vectors: TextVectors) -> sparse.csr_array:  # noqa: ARG002
        """Give the rows of all items, [items, warm items]."""
        near = around.joined(self.relations)
        rows = self.vocabulary.encode(near.adjacency, near.keys)
        return normalise_rows(sparse.csr_array(rows @ self.anchors.T))


@dataclass(frozen=True, slots=True)
class VectorChannel:
    """The BERT vector of an item's own text, whitened.

    Parameters
    ----------
    name
        Name of the channel.
    whitening
        Whitening of the warm items' vectors.
    """

    name: str
    whitening: Whitening

    @property
    def comes_along(self) -> bool:
        """Yes: a text is there or not."""
        return True

    @classmethod
    def learn(cls, name: str, around: Surroundings, vectors: TextVectors) -> Self:
        """Learn the whitening of the warm items' vectors."""
        warm = vectors[around.graph.schema.item][~around.graph.is_cold]
        return cls(name, Whitening.learn(warm[warm.any(axis=1)], WHITE_DIMENSIONS))

    def encode(self, around: Surroundings, vectors: TextVectors) -> NDArray[np.float32]:
        """Give the rows of all items, [items, K]."""
        return self.whitening.apply(vectors[around.graph.schema.item])


@dataclass(frozen=True, slots=True)
class NeighbourVectorChannel:
    """The mean of the whitened BERT vectors of an item's neighbours, the rare ones counting more.

    Parameters
    ----------
    name
        Name of the channel.
    relations
        Relations that are read as one.
    vocabulary
        Neighbours of warm items and their rarity.
    whitening
        Whitening of the neighbours' vectors.
    """

    name: str
    relations: tuple[EdgeType, ...]
    vocabulary: Vocabulary
    whitening: Whitening

    @property
    def comes_along(self) -> bool:
        """No: the graph around an item grows."""
        return False

    @classmethod
    def learn(
        cls,
        name: str,
        around: Surroundings,
        vectors: TextVectors,
        relations: tuple[EdgeType, ...],
    ) -> Self:
        """Learn the whitening of the vectors of the warm items' neighbours."""
        near = around.joined(relations)
        warm = near.adjacency[~around.graph.is_cold]
        texts = np.concatenate([vectors[node_type] for node_type in near.node_types])
        reached = (np.bincount(warm.indices, minlength=len(near.keys)) > 0) & texts.any(axis=1)
        whitening = Whitening.learn(texts[reached], WHITE_DIMENSIONS)
        return cls(name, relations, Vocabulary.learn(warm, near.keys), whitening)

    def encode(self, around: Surroundings, vectors: TextVectors) -> NDArray[np.float32]:
        """Give the rows of all items, [items, K]."""
        near = around.joined(self.relations)
        texts = np.concatenate([vectors[node_type] for node_type in near.node_types])
        white = self.whitening.apply(texts)
        weighted = self.vocabulary.weigh(near.adjacency, near.keys)
        return unit_rows(pass_messages(weighted, white))


@dataclass(frozen=True, slots=True)
class FeatureChannel:
    """Numeric features of the items (image, audio, measurements), whitened or standardised.

    Parameters
    ----------
    name
        Name of the channel.
    whitening
        Whitening of the warm items' features, or their standardisation.
    """

    name: str
    whitening: Whitening

    @property
    def comes_along(self) -> bool:
        """Yes: features are there or not."""
        return True

    @classmethod
    def learn(cls, name: str, around: Surroundings, *, whiten: bool) -> Self:
        """Learn the whitening of the warm items' features; the graph must have some."""
        warm = _features(around.graph)[~around.graph.is_cold]
        known = warm[warm.any(axis=1)]
        if not whiten:
            return cls(name, Whitening.standardise(known))
        return cls(name, Whitening.learn(known, WHITE_DIMENSIONS))

    def encode(self, around: Surroundings, vectors: TextVectors) -> NDArray[np.float32]:  # noqa: ARG002
        """Give the rows of all items, [items, K].

        Raises
        ------
        SourceError
            If the features have another width than those that were learned from.
        """
        graph = around.graph
        if graph.items.features is None:
            return np.zeros((len(graph.items), self.whitening.projection.shape[1]), np.float32)
        given, learned = graph.items.features.shape[1], len(self.whitening.mean)
        if given != learned:
            raise SourceError(
                f"features of type {graph.schema.item} have {given} numbers, and the model was "
                f"learned from {learned}: give the same features, or fit a new model"
            )
        return self.whitening.apply(_features(graph))


def learn_channels(
    graph: KnowledgeGraph, vectors: TextVectors, *, hops: int = 2, words: bool = True
) -> tuple[list[Channel], list[Matrix]]:
    """Learn every channel that the graph has content for.

    Parameters
    ----------
    graph
        The graph; its warm items give the statistics.
    vectors
        BERT vectors of the texts of each node type.
    hops
        How many edges content may travel to an item: 0, 1 or 2.
    words
        Whether words count beside the vectors of texts.

    Returns
    -------
    channels : list of Channel
        Channels in which at least one warm item has a row that is not zero; a single silent one
        where the graph has no content at all.
    rows : list of Matrix
        For each channel the rows of all items, [items, D].
    """
    around = Surroundings(graph)
    candidates = learn_candidates(around, vectors, hops=hops, words=words)
    encoded = [channel.encode(around, vectors) for channel in candidates]
    warm = ~graph.is_cold
    kept = [place for place, rows in enumerate(encoded) if says_something(rows[warm])] or [0]
    return [candidates[place] for place in kept], [encoded[place] for place in kept]


def learn_candidates(
    around: Surroundings, vectors: TextVectors, *, hops: int = 2, words: bool = True
) -> list[Channel]:
    """Learn every channel that the graph may have content for.

    Parameters
    ----------
    around
        What lies around the items; the warm ones give the statistics.
    vectors, hops, words
        As in :func:`learn_channels`.

    Returns
    -------
    list of Channel
        At least one; in some of them no item may have anything.
    """
    relations = around.relations
    candidates = [*_own_channels(around, vectors, words=words)]
    if relations and hops >= 1:
        candidates += _near_channels(around, vectors, words=words)
    if relations and hops >= 2:
        candidates += [
            RelatedItemChannel.learn("related items", around, relations),
            FarChannel.learn("far neighbours", around),
        ]
    if len(relations) > 1 and hops >= 1:
        candidates += [
            NeighbourChannel.learn(f"{h} {r} {t}", around, ((h, r, t),)) for h, r, t in relations
        ]
    return candidates


def _own_channels(around: Surroundings, vectors: TextVectors, *, words: bool) -> list[Channel]:
    channels: list[Channel] = []
    if words:
        channels.append(TermChannel.learn("own words", around, with_neighbours=False))
    channels.append(VectorChannel.learn("own text", around, vectors))
    if around.graph.items.features is not None:
        channels.append(FeatureChannel.learn("features", around, whiten=True))
        channels.append(FeatureChannel.learn("plain features", around, whiten=False))
    return channels


def _near_channels(around: Surroundings, vectors: TextVectors, *, words: bool) -> list[Channel]:
    channels: list[Channel] = []
    if words:
        channels.append(TermChannel.learn("words around", around, with_neighbours=True))
    channels.append(NeighbourVectorChannel.learn("texts around", around, vectors, around.relations))
    channels.append(NeighbourChannel.learn("neighbours", around, around.relations))
    return channels


def what_comes_along(channels: Sequence[Channel], rows: Sequence[Matrix]) -> list[Matrix]:
    """Empty the rows of what items gather as they age.

    Parameters
    ----------
    channels
        C channels.
    rows
        For each channel the rows of the items, [N, D].

    Returns
    -------
    list of Matrix
        C matrices, those of the other channels without columns, [N, 0].
    """
    count = rows[0].shape[0] if rows else 0
    nothing: Matrix = sparse.csr_array(np.zeros((count, 0), np.float32))
    return [
        matrix if channel.comes_along else nothing
        for channel, matrix in zip(channels, rows, strict=True)
    ]


def keys_of(channel: Channel) -> pa.StringArray | None:
    """Name the columns of a channel, where they have names.

    Parameters
    ----------
    channel
        Any channel.

    Returns
    -------
    pyarrow.StringArray or None
        Words, or ``type/id`` of the neighbours, one a column; None where the columns are
        directions of a vector space or warm items.
    """
    if isinstance(channel, TermChannel | NeighbourChannel | FarChannel):
        return channel.vocabulary.keys
    return None


def says_something(rows: Matrix) -> bool:
    """Tell whether any row of a channel is not zero."""
    return bool(rows.nnz if sparse.issparse(rows) else rows.any())


def _features(graph: KnowledgeGraph) -> NDArray[np.float32]:
    features = graph.items.features
    if features is None:
        return np.zeros((len(graph.items), 1), np.float32)
    return np.nan_to_num(features)


def _item_terms(
    around: Surroundings, *, with_neighbours: bool
) -> tuple[sparse.csr_array, pa.StringArray]:
    graph = around.graph
    if not with_neighbours:
        counts, terms = count_terms(graph.items.texts)
        return dampen(counts), terms
    near = around.joined(around.relations)
    texts = [
        pc.utf8_slice_codeunits(graph.nodes[node_type].texts, 0, NEIGHBOUR_CHARACTERS)
        for node_type in near.node_types
    ]
    counts, terms = count_terms(pa.concat_arrays([graph.items.texts, *texts]))
    own, others = counts[: len(graph.items)], counts[len(graph.items) :]
    edges = near.adjacency.copy()
    edges.data[:] = 1.0
    return dampen(sparse.csr_array(own + edges @ others)), terms
