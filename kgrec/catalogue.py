"""The network applied to the items of a graph: a column of weights an item, in any number.

``scores = histories @ weights``.  The columns of the core items (warm, and used often enough)
are collaborative; every other column is the head's answer to the item's content,
``teacher @ (K_ww + ridge)^-1 @ K_wi`` times the gain of its prominence, and depends on that item
alone.  So an item that arrives is one column more, and nobody who reads meanwhile sees anything
but the columns of before.

A column has a number for each core item, which a catalogue of a million items has no room for:
there it is written over the leading principal components of the columns instead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from kgrec.model.channels import Matrix
from kgrec.model.network import Network
from kgrec.model.rowwise import multiply_rows
from kgrec.progress import track
from kgrec.workers import Alone, Workers

ENCODED_ITEMS = 16_384  # items whose rows are held at once
CHUNK_ITEMS = 512  # items whose kernel rows are held at once
ROOM = 64  # columns that a buffer starts with; it doubles when it is full
SMALLEST_STRENGTH = 1e-9  # of a component, relative to the strongest
SAMPLE_ITEMS = 2_048  # whose columns the components are learned from
FEWEST_DEAD = 1_024  # columns of nobody that are put up with before the others are copied together

Positions = NDArray[np.int64]
Vectors = NDArray[np.float32]
EncodeItems = Callable[[Positions], Sequence[Matrix]]


@dataclass(frozen=True, slots=True, eq=False)
class Compression:
    """The leading principal components of the columns, which a large catalogue is written over.

    Parameters
    ----------
    components
        [W, R], of length one and orthogonal: a column is ``components @ its numbers``.
    encoder
        [W, R]: ``kernel row @ encoder`` gives an item's numbers, before its gain.
    decoder
        [R, W]: ``numbers @ decoder`` gives what of each core item an item counts as.
    """

    components: Vectors
    encoder: Vectors
    decoder: Vectors

    @classmethod
    def learn(cls, network: Network, projection: Vectors, components: int) -> tuple[Self, float]:
        """Learn the components.

        Parameters
        ----------
        network
            Of the columns.
        projection
            [S, W]: what of each core item some items count as.
        components
            How many components, or fewer where the sample has fewer.

        Returns
        -------
        compression : Compression
            Of the leading components.
        kept : float
            Share of the sample's squared weights that they keep.
        """
        teacher, inverse = network.teacher.numpy(), network.inverse.numpy()
        columns = (teacher @ projection.T).astype(np.float64)
        strengths, vectors = np.linalg.eigh(columns.T @ columns)
        kept = np.flatnonzero(strengths > SMALLEST_STRENGTH * strengths[-1])[::-1][:components]
        scaled = vectors[:, kept] / np.sqrt(strengths[kept])
        leading = (columns @ scaled).astype(np.float32)
        # least squares: the components of the sample are orthogonal over its items as well
        decoder = scaled.T @ projection
        share = float(strengths[kept].sum() / max(strengths.sum(), np.finfo(np.float64).tiny))
        encoder = inverse @ (teacher.T @ leading)
        return cls(leading, encoder, decoder.astype(np.float32)), share


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """Histories as scores are computed from them.

    Items beyond the core speak through the core items that they are like.  That is kept as the
    sum of their numbers: over the core items it would be a full row for each of them.

    Parameters
    ----------
    known
        What of them are core items, [B, W].
    rows
        Histories with other items, [S].
    spoken
        Summed numbers of those other items, [S, width]; None where no history has any.
    """

    known: sparse.csr_array
    rows: Positions
    spoken: Vectors | None


@dataclass(frozen=True, eq=False)
class Head:
    """What turns an item's rows into its column; the same from one fit to the next.

    Parameters
    ----------
    network
        The fitted network.
    anchors
        For each channel the rows of the core items as they were learned from, the other way
        round: [D, W].
    typical
        Share of the users of the fit who used each core item, [W] float32.
    compression
        How columns are written; None writes a number for each core item.
    """

    network: Network
    anchors: tuple[Matrix, ...]
    typical: Vectors
    compression: Compression | None = None

    @classmethod
    def of(cls, network: Network, core_rows: Sequence[Matrix], typical: Vectors) -> Self:
        """Keep the rows of the core items.

        Parameters
        ----------
        network
            The fitted network.
        core_rows
            For each channel the rows of the core items, [W, D].
        typical
            [W] float32.

        Returns
        -------
        Head
            Ready to make columns.
        """
        anchors = tuple(
            sparse.csr_array(rows.T) if sparse.issparse(rows) else np.ascontiguousarray(rows.T)
            for rows in core_rows
        )
        return cls(network, anchors, typical)

    def compressed(self, rows: Sequence[Matrix], components: int) -> tuple[Self, float]:
        """Write columns over their principal components.

        Parameters
        ----------
        rows
            For each channel the rows of some items that stand for those to come, [S, D].
        components
            How many components at most.

        Returns
        -------
        head : Head
            The same, for a large catalogue.
        kept : float
            Share of the squared weights of those items that the components keep.
        """
        compression, kept = Compression.learn(self.network, self._project(rows), components)
        return replace(self, compression=compression), kept

    def should_compress(self, items: int, gigabytes: float, components: int) -> bool:
        """Tell whether so many columns take more memory than they may, and would take half.

        A short history reads few numbers of full columns and all of compressed ones, so that
        these are slower for one user.
        """
        size = items * 2 * self.core_size * np.dtype(np.float32).itemsize
        return self.core_size >= 2 * components and size > gigabytes * 1e9

    @property
    def core_size(self) -> int:
        """Number of core items W."""
        return len(self.typical)

    @property
    def width(self) -> int:
        """Numbers of a column: W, or R where columns are compressed."""
        compression = self.compression
        return self.core_size if compression is None else compression.components.shape[1]

    def multiply(self, written: Written, weights: Vectors) -> Vectors:
        """Score columns for histories.

        Parameters
        ----------
        written
            B histories.
        weights
            Numbers of the columns, [width, N].

        Returns
        -------
        ndarray of float32
            [B, N].
        """
        if self.compression is not None:
            return self.ask(written) @ weights
        scores = np.asarray(written.known @ weights)
        if written.spoken is not None:
            scores[written.rows] += multiply_rows(written.spoken, weights)
        return scores

    def ask(self, written: Written) -> Vectors:
        """Tell what the numbers of columns are multiplied with, [B, width]."""
        if self.compression is None:
            return self.over_core(written)
        asked = np.asarray(written.known @ self.compression.components)
        if written.spoken is not None:
            asked[written.rows] += multiply_rows(written.spoken, self._spoken_components)
        return asked

    def over_core(self, written: Written) -> Vectors:
        """Write histories over the core items, [B, W]."""
        total: Vectors = written.known.toarray()
        if written.spoken is not None:
            total[written.rows] += self.project(written.spoken)
        return total

    def narrow(self, columns: Vectors) -> Vectors:
        """Write rows over the core items as columns are written, [N, W] -> [N, width]."""
        if self.compression is None:
            return columns
        narrowed: Vectors = columns @ self.compression.components
        return narrowed

    def core_scores(self, written: Written) -> Vectors:
        """Score all core items for histories, [B, W]."""
        scores = np.asarray(written.known @ self.network.core_weights.numpy())
        if written.spoken is not None:
            scores[written.rows] += multiply_rows(written.spoken, self._spoken_core)
        return scores

    def column_scores(self, written: Written, column: Vectors) -> Vectors:
        """Score one item for histories, of its weights [W] -> [B]."""
        scores = np.asarray(written.known @ column, np.float32)
        if written.spoken is not None:
            decoder = None if self.compression is None else self.compression.decoder
            scores[written.rows] += written.spoken @ (
                column if decoder is None else decoder @ column
            )
        return scores

    def widen(self, numbers: Vectors) -> Vectors:
        """Give columns a weight for each core item, [width, ...] -> [W, ...]."""
        if self.compression is None:
            return numbers
        columns: Vectors = self.compression.components @ numbers
        return columns

    def project(self, numbers: Vectors) -> Vectors:
        """Tell what of each core item items count as, of their numbers [N, width] -> [N, W]."""
        if self.compression is None:
            return numbers
        return multiply_rows(numbers, self.compression.decoder)

    def similarity(self, rows: Sequence[Matrix]) -> Vectors:
        """Mix the inner products of items with the core items over the channels, [N, W]."""
        count = rows[0].shape[0]
        mixture = np.zeros((count, self.core_size), np.float32)
        shares = self.network.propagation.shares().tolist()
        for share, anchor, own in zip(shares, self.anchors, rows, strict=True):
            mixture += np.float32(share) * _inner_products(own, anchor)
        return mixture

    def kernel(self, rows: Sequence[Matrix]) -> Vectors:
        """Compute the kernel between items and the core items, [N, W]."""
        mixture = self.similarity(rows)
        sharpness = self.network.propagation.sharpness
        return np.exp(np.float32(sharpness) * (mixture - 1)) if sharpness else mixture

    def columns(self, rows: Sequence[Matrix]) -> Columns:
        """Make the columns of items of their content.

        Parameters
        ----------
        rows
            For each channel the rows of the items, [N, D].

        Returns
        -------
        Columns
            N of them; each depends on its own item alone, to the last bit.
        """
        projection = self._project(rows)
        weights = np.empty((self.width + 1, len(projection)), np.float32)
        for start in range(0, len(projection), CHUNK_ITEMS):
            part = slice(start, start + CHUNK_ITEMS)
            numbers = projection[part]
            if self.compression is None:
                numbers = multiply_rows(numbers, self.network.teacher.numpy().T)
            weights[:-1, part] = numbers.T
            weights[-1:, part] = multiply_rows(projection[part], self._typical_question[:, None]).T
        weights *= self.network.gain(rows).numpy()
        return Columns(weights, projection, _lengths(weights[:-1]))

    def _project(self, rows: Sequence[Matrix]) -> Vectors:
        compression, count = self.compression, rows[0].shape[0]
        encoder = self.network.inverse.numpy() if compression is None else compression.encoder
        projection = np.empty((count, self.width), np.float32)
        for start in range(0, count, CHUNK_ITEMS):
            part = slice(start, min(start + CHUNK_ITEMS, count))
            projection[part] = multiply_rows(
                self.kernel([matrix[part] for matrix in rows]), encoder
            )
        return projection

    @cached_property
    def core_lengths(self) -> Vectors:
        """Length of the columns of the core items, [W]."""
        return _lengths(self.network.core_weights.numpy())

    @cached_property
    def typical_core_scores(self) -> Vectors:
        """Scores of the core items for somebody without a history, [W]."""
        scores: Vectors = self.typical @ self.network.core_weights.numpy()
        return scores

    @cached_property
    def _spoken_core(self) -> Vectors:
        """Scores of the core items for each number of an item in a history, [width, W]."""
        weights = self.network.core_weights.numpy()
        return weights if self.compression is None else self.compression.decoder @ weights

    @cached_property
    def _spoken_components(self) -> Vectors:
        """What each number of an item in a history asks of a column, [R, R]."""
        return self.narrow(self.project(np.eye(self.width, dtype=np.float32)))

    @cached_property
    def _typical_question(self) -> Vectors:
        """What the projection of an item is multiplied with for nobody's history, [width]."""
        compression = self.compression
        matrix = self.network.teacher.numpy() if compression is None else compression.components
        question: Vectors = self.typical @ matrix
        return question


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Some items' weights.

    Parameters
    ----------
    weights
        [width + 1, N]: the numbers of each column; the last row is the score for somebody
        without a history.
    projection
        [N, width]: what of each core item an item in a history counts as, as
        :meth:`Head.project` reads it.
    lengths
        [N]: length of each column, the last row left out.
    """

    weights: Vectors
    projection: Vectors
    lengths: Vectors

    def __len__(self) -> int:
        return int(self.weights.shape[1])


class _Buffer:
    """Columns that arrive, with room for more; those that are there never change."""

    def __init__(self, width: int, room: int) -> None:
        self.weights = np.zeros((width + 1, room), np.float32)
        self.projection = np.zeros((room, width), np.float32)
        self.lengths = np.zeros(room, np.float32)
        self.used = 0
        self.lock = threading.Lock()

    def append(self, known: int, columns: Columns) -> _Buffer:
        """Add columns behind the ``known`` first ones, here or in a greater copy."""
        end = known + len(columns)
        with self.lock:
            fits = known == self.used and end <= self.weights.shape[1]
            target = self if fits else self._copy(known, max(end, ROOM))
            target.weights[:, known:end] = columns.weights
            target.projection[known:end] = columns.projection
            target.lengths[known:end] = columns.lengths
            target.used = end
        return target

    def _copy(self, known: int, least: int) -> _Buffer:
        target = _Buffer(self.projection.shape[1], 2 * least)
        target.weights[:, :known] = self.weights[:, :known]
        target.projection[:known] = self.projection[:known]
        target.lengths[:known] = self.lengths[:known]
        return target


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Columns of all items of a graph.  Never changed: a change makes another one.

    An item's place among the columns is its *slot*: core items have the first W, all others
    follow as they came.

    Parameters
    ----------
    head
        Makes columns.
    base
        Columns of the items that are no core items, as they were saved or computed together.
    buffer, recent
        Columns that came later: a buffer that others may share, and how many of it count here.
    slots
        Slot of each item of the graph, [items].
    """

    head: Head
    base: Columns
    buffer: _Buffer
    recent: int
    slots: Positions

    @classmethod
    def of(cls, head: Head, base: Columns, slots: Positions) -> Self:
        """Make a catalogue without later columns.

        Parameters
        ----------
        head
            Makes columns.
        base
            Columns of all items that are no core items.
        slots
            Slot of each item, [items].

        Returns
        -------
        Catalogue
            Ready to score.
        """
        return cls(head, base, _Buffer(head.width, 0), 0, slots)

    @classmethod
    def compute(
        cls,
        head: Head,
        core: Positions,
        encode: EncodeItems,
        items: int,
        workers: Workers | None = None,
    ) -> Self:
        """Compute the columns of all items, holding the rows of some at a time.

        Parameters
        ----------
        head
            Makes columns.
        core
            Position of each core item, [W], -1 for one that the graph has no longer.
        encode
            From positions of items, ascending, to their rows, one matrix a channel.
        items
            How many there are.
        workers
            Processes that share out the items; this one alone by default.

        Returns
        -------
        Catalogue
            Items outside the core in the order of their positions.
        """
        workers = workers or Alone()
        slots = np.full(items, -1)
        slots[core[core >= 0]] = np.flatnonzero(core >= 0)
        others = np.flatnonzero(slots < 0)
        slots[others] = head.core_size + np.arange(len(others))
        weights = np.empty((head.width + 1, len(others)), np.float32)
        projection = np.empty((len(others), head.width), np.float32)
        lengths = np.empty(len(others), np.float32)
        parts = [
            slice(start, start + ENCODED_ITEMS) for start in range(0, len(others), ENCODED_ITEMS)
        ]
        for turn in track(
            range(0, len(parts), workers.count), "computing the columns of the catalogue"
        ):
            now = parts[turn : turn + workers.count]
            made = workers.share_out(now, lambda part: head.columns(encode(others[part])))
            for part, columns in zip(now, made, strict=True):
                weights[:, part] = columns.weights
                projection[part] = columns.projection
                lengths[part] = columns.lengths
        return cls.of(head, Columns(weights, projection, lengths), slots)

    def moved(
        self,
        moves: Positions,
        core: Positions,
        stale: Positions,
        rows: Sequence[Matrix],
        items: int,
    ) -> Self:
        """Follow a change of the graph.

        Parameters
        ----------
        moves
            New position of each item, [old items], -1 for one that is gone.
        core
            New position of each core item, [W], -1 for one that the graph does not have.
        stale
            New positions of the items that get new columns, ascending; core items, which keep
            theirs, are not among them.
        rows
            For each channel the rows of those, [S, D].
        items
            How many items there are now.

        Returns
        -------
        Catalogue
            Shares all other columns with this one.
        """
        slots = np.full(items, -1)
        slots[moves[moves >= 0]] = self.slots[moves >= 0]
        slots[core[core >= 0]] = np.flatnonzero(core >= 0)
        if not len(stale):
            return replace(self, slots=slots)
        buffer = self.buffer.append(self.recent, self.head.columns(rows))
        first = self.head.core_size + len(self.base) + self.recent
        slots[stale] = first + np.arange(len(stale))
        return replace(self, buffer=buffer, recent=self.recent + len(stale), slots=slots)

    def compact(self) -> Self:
        """Put the columns of all items into the order of their positions, and drop others."""
        others, places = self.content_positions, self._content_slots
        if places is None:
            return self
        base, recent = self.base, self.buffer
        inside = places < len(base)
        weights = np.empty((self.head.width + 1, len(others)), np.float32)
        lengths = np.empty(len(others), np.float32)
        for target, old, new in (
            (weights, base.weights, recent.weights),
            (lengths, base.lengths, recent.lengths),
        ):
            target[..., inside] = old[..., places[inside]]
            target[..., ~inside] = new[..., places[~inside] - len(base)]
        slots = self.slots.copy()
        slots[others] = self.head.core_size + np.arange(len(others))
        return self.of(self.head, Columns(weights, self._projections(others), lengths), slots)

    @property
    def is_sparse(self) -> bool:
        """Whether so many columns belong to nobody that the others should be copied together."""
        live = int(self.by_content.sum())
        return len(self.base) + self.recent - live > max(live, FEWEST_DEAD)

    @cached_property
    def by_content(self) -> NDArray[np.bool_]:
        """Whether an item is scored by its content alone, [items]."""
        return np.greater_equal(self.slots, self.head.core_size)

    @cached_property
    def core(self) -> Positions:
        """Position of each core item, [W], -1 for one that the graph has no longer."""
        core = np.full(self.head.core_size, -1)
        known = np.flatnonzero(~self.by_content)
        core[self.slots[known]] = known
        return core

    @cached_property
    def core_positions(self) -> Positions:
        """Positions of the core items that the graph has, ascending."""
        return np.flatnonzero(~self.by_content)

    @cached_property
    def content_positions(self) -> Positions:
        """Positions of all other items, ascending."""
        return np.flatnonzero(self.by_content)

    @cached_property
    def _core_slots(self) -> Positions | None:
        slots = self.slots[self.core_positions]
        return None if len(slots) == self.head.core_size else slots

    @cached_property
    def _content_slots(self) -> Positions | None:
        """Where the columns beyond the core lie in the order of positions; None if they are."""
        slots = self.slots[self.content_positions] - self.head.core_size
        is_plain = not self.recent and len(slots) == len(self.base)
        return None if is_plain else slots

    def column(self, item: int) -> Vectors:
        """Give the weights of one item, [W]."""
        slot = int(self.slots[item])
        if slot < self.head.core_size:
            return self.head.network.core_weights.numpy()[:, slot]
        place = slot - self.head.core_size
        inside = place < len(self.base)
        return self.head.widen(
            self.base.weights[:-1, place]
            if inside
            else self.buffer.weights[:-1, place - len(self.base)]
        )

    def voices(self, items: Positions) -> Vectors:
        """Write each item of a history over the core items, [H, W]."""
        single = sparse.csr_array(
            (np.ones(len(items), np.float32), items, np.arange(len(items) + 1)),
            shape=(len(items), len(self.slots)),
        )
        return self.head.over_core(self.write(single))

    def column_scores(self, histories: sparse.csr_array, item: int) -> Vectors:
        """Score one item for histories that are not empty, [B]."""
        return self.head.column_scores(self.write(histories), self.column(item))

    def typical_score(self, item: int) -> float:
        """Score of an item for somebody without a history."""
        slot = int(self.slots[item])
        place = slot - self.head.core_size
        if place < 0:
            return float(self.head.typical_core_scores[slot])
        if place < len(self.base):
            return float(self.base.weights[-1, place])
        return float(self.buffer.weights[-1, place - len(self.base)])

    def write(self, histories: sparse.csr_array) -> Written:
        """Write histories as scores are computed from them.

        Parameters
        ----------
        histories
            [B, items].

        Returns
        -------
        Written
            Each row depends on its own history alone, to the last bit.
        """
        size = self.head.core_size
        slots = self.slots[histories.indices]
        known = _select(histories, slots < size, slots, size)
        beyond = slots >= size
        if not beyond.any():
            return Written(known, np.empty(0, np.int64), None)
        # in the order of positions, so that the rounding does not depend on who came first
        items = np.unique(histories.indices[beyond]).astype(np.int64)
        columns = np.searchsorted(items, histories.indices)
        others = _select(histories, beyond, columns, len(items))
        rows = np.flatnonzero(np.diff(others.indptr))
        spoken = np.asarray(others[rows] @ self._projections(items), np.float32)
        return Written(known, rows, spoken)

    def projections(self, items: Positions) -> Vectors:
        """Write items over the core items, [N, W].

        Parameters
        ----------
        items
            Positions of items that are no core items, [N].
        """
        return self.head.project(self._projections(items))

    def _projections(self, items: Positions) -> Vectors:
        places = self.slots[items] - self.head.core_size
        result = np.empty((len(items), self.head.width), np.float32)
        inside = places < len(self.base)
        result[inside] = self.base.projection[places[inside]]
        result[~inside] = self.buffer.projection[places[~inside] - len(self.base)]
        return result

    def core_scores(self, histories: sparse.csr_array, written: Written) -> Vectors:
        """Score the core items, in units of the spread of warm scores.

        Parameters
        ----------
        histories
            [B, items].
        written
            The same, from :meth:`write`.

        Returns
        -------
        ndarray of float32
            [B, core items], in the order of :attr:`core_positions`; a history with nothing in it
            gets the scores of the typical one.
        """
        scores = self.head.core_scores(written)
        nothing = np.flatnonzero(np.diff(histories.indptr) == 0)
        if len(nothing):
            scores[nothing] = self.head.typical_core_scores
        return _in_order(scores, self._core_slots)

    def content_scores(self, histories: sparse.csr_array, written: Written) -> Vectors:
        """Score all other items, in the order of :attr:`content_positions`.

        Parameters
        ----------
        histories, written
            As in :meth:`core_scores`.

        Returns
        -------
        ndarray of float32
            [B, other items].
        """
        scores = self.head.multiply(written, self.base.weights[:-1])
        if self.recent:
            scores = np.concatenate([scores, self.recent_scores(written)], axis=1)
        nothing = np.flatnonzero(np.diff(histories.indptr) == 0)
        if len(nothing):
            later = self.buffer.weights[-1, : self.recent]
            scores[nothing] = np.concatenate([self.base.weights[-1], later])
        return _in_order(scores, self._content_slots)

    def recent_scores(self, written: Written) -> Vectors:
        """Score the columns that came later, [B, recent]."""
        # a part of the buffer would be copied before it is multiplied
        return self.head.multiply(written, self.buffer.weights[:-1])[:, : self.recent]

    @cached_property
    def owners(self) -> Positions:
        """Position of the item of each column beyond the core, -1 for nobody's, [base + recent]."""
        owners = np.full(len(self.base) + self.recent, -1)
        items = self.content_positions
        owners[self.slots[items] - self.head.core_size] = items
        return owners

    def scores(self, histories: sparse.csr_array) -> Vectors:
        """Score every item, [B, items] float32, in units of the spread of warm scores."""
        written = self.write(histories)
        scores = np.empty((histories.shape[0], len(self.slots)), np.float32)
        scores[:, self.core_positions] = self.core_scores(histories, written)
        scores[:, self.content_positions] = self.content_scores(histories, written)
        return scores

    def similarity(self, items: Positions) -> Vectors:
        """Cosine of the columns of some items with those of all items, [N, items]."""
        wanted = np.stack([self.column(int(item)) for item in items])
        core = self.head.network.core_weights.numpy()
        later = self.buffer.weights[:-1, : self.recent]
        asked = self.head.narrow(wanted)
        products = [wanted @ core, asked @ self.base.weights[:-1], asked @ later]
        length = self.lengths
        scale = length[items][:, None] * length
        product = np.concatenate(products, axis=1)[:, self.slots]
        return _cosines(product, scale)

    def pair_similarity(self, items: Positions) -> Vectors:
        """Cosine of the columns of some items with each other, [N, N]."""
        wanted = np.stack([self.column(int(item)) for item in items])
        length = self.lengths[items]
        scale = length[:, None] * length
        product = wanted @ wanted.T
        return _cosines(product, scale)

    @cached_property
    def lengths(self) -> Vectors:
        """Length of the column of each item, [items]."""
        later = self.buffer.lengths[: self.recent]
        return np.concatenate([self.head.core_lengths, self.base.lengths, later])[self.slots]


def _inner_products(rows: Matrix, anchor: Matrix) -> Vectors:
    """Multiply rows [N, D] with those of the core items [D, W]."""
    if isinstance(rows, np.ndarray) and isinstance(anchor, np.ndarray):
        return multiply_rows(rows, anchor)
    product: Vectors = sparse.csr_array(rows @ anchor).toarray()
    return product


def _select(
    histories: sparse.csr_array, chosen: NDArray[np.bool_], columns: Positions, width: int
) -> sparse.csr_array:
    """Keep some entries of histories under other columns, in the order in which they are."""
    indptr = np.concatenate([[0], np.cumsum(chosen)])[histories.indptr]
    shape = (histories.shape[0], width)
    return sparse.csr_array((histories.data[chosen], columns[chosen], indptr), shape=shape)


def _cosines(products: Vectors, scale: Vectors) -> Vectors:
    cosines: Vectors = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    return cosines


def _lengths(weights: Vectors) -> Vectors:
    squares = np.einsum("ij,ij->j", weights, weights, dtype=np.float64)
    lengths: Vectors = np.sqrt(squares).astype(np.float32)
    return lengths


def _in_order(scores: Vectors, slots: Positions | None) -> Vectors:
    return scores if slots is None else scores[:, slots]
