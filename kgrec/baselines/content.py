"""What is known of an item apart from its interactions: words, neighbours, a text vector."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from kgrec.graph import KnowledgeGraph
from kgrec.model.whitening import unit_rows

WORD = re.compile(r"\w+")
MIN_ITEMS = 2  # a word of a single item joins it to nothing
WHITENED_SIZE = 256
KERNEL_COLUMNS = 1024  # made dense at a time


class Encoder(Protocol):
    """Whatever turns texts into vectors."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts.

        Parameters
        ----------
        texts
            N texts.

        Returns
        -------
        ndarray of float32
            [N, D].
        """


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """Feature blocks of the items, each row of length one, or zero where there is nothing.

    Parameters
    ----------
    blocks
        Matrices [items, D_b], sparse or dense, float32.
    """

    blocks: tuple[sparse.csr_array | NDArray[np.float32], ...]

    def kernel(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Sum the inner products over all blocks.

        Parameters
        ----------
        rows, columns
            Positions of items, [R] and [C].

        Returns
        -------
        ndarray of float32
            [R, C].
        """
        total = np.zeros((len(rows), len(columns)), np.float32)
        for block in self.blocks:
            left = block[rows]
            # a sparse product of common words would be dense anyway, and far slower
            for start in range(0, len(columns), KERNEL_COLUMNS):
                part = slice(start, start + KERNEL_COLUMNS)
                right = block[columns[part]]
                dense = right if isinstance(right, np.ndarray) else right.toarray()
                total[:, part] += left @ dense.T
        return total

    def cosine(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Cosine of some items with all, over all blocks side by side.

        Parameters
        ----------
        items
            Positions of items, [R].

        Returns
        -------
        ndarray of float32
            [R, items], 0 where an item has no content.
        """
        squares = sum(_square_lengths(block) for block in self.blocks)
        length = np.sqrt(squares)
        product = self.kernel(items, np.arange(len(length)))
        scale = length[items][:, None] * length[None]
        cosine: NDArray[np.float32] = np.divide(
            product, scale, out=np.zeros_like(product), where=scale > 0
        )
        return cosine

    def matrix(self) -> sparse.csr_array:
        """Put the blocks side by side, without columns that join no two items.

        Returns
        -------
        csr_array
            [items, D] float32.
        """
        parts = [sparse.csr_array(block) for block in self.blocks]
        joined = sparse.csr_array(sparse.hstack(parts).astype(np.float32))
        joined.eliminate_zeros()
        used_by = np.bincount(joined.indices, minlength=joined.shape[1])
        return joined[:, np.flatnonzero(used_by >= MIN_ITEMS)]


def read_content(graph: KnowledgeGraph, encoder: Encoder | None = None) -> Content:
    """Make the features that the content-based baselines share.

    Parameters
    ----------
    graph
        The graph.
    encoder
        Adds whitened text vectors; left out by default.

    Returns
    -------
    Content
        tf-idf of the items' texts, the bag of their neighbours, and the text vectors if any.
    """
    blocks: list[sparse.csr_array | NDArray[np.float32]] = [
        tfidf(graph.items.texts),
        neighbour_bag(graph),
    ]
    if encoder is not None:
        blocks.append(whiten(encode_items(graph, encoder)))
    return Content(tuple(blocks))


def tfidf(texts: pa.StringArray) -> sparse.csr_array:
    """Weigh the words of texts by how rare they are.

    A word's weight is (1 + log count) · log(N / texts with the word), so that a word of every
    text counts nothing and no list of stop words is needed.

    Parameters
    ----------
    texts
        N texts, null where there is none.

    Returns
    -------
    csr_array
        [N, words] float32, rows of length one; a text without a word is a zero row.

    Examples
    --------
    >>> (tfidf(pa.array(["red fox", "red den", "den", None])).toarray() > 0).tolist()
    [[False, True], [True, True], [True, False], [False, False]]
    """
    counts = [Counter(WORD.findall((text or "").lower())) for text in texts.to_pylist()]
    used_by = Counter(word for count in counts for word in count)
    kept = sorted(word for word, items in used_by.items() if items >= MIN_ITEMS)
    column = {word: place for place, word in enumerate(kept)}
    entries = [
        (row, column[word], 1 + np.log(times))
        for row, count in enumerate(counts)
        for word, times in count.items()
        if word in column
    ]
    rows, columns, values = zip(*entries, strict=True) if entries else ((), (), ())
    matrix = sparse.csr_array((values, (rows, columns)), shape=(len(counts), len(kept)))
    return _idf_rows(matrix)


def neighbour_bag(graph: KnowledgeGraph) -> sparse.csr_array:
    """Describe each item by the nodes that it is joined with, over all relations at once.

    A column is a node, whatever relation leads to it and in which direction; edge weights are
    not used.  An item that other items point to, or that points to items, also carries itself,
    so that it is alike to those.  Columns are weighted by log(N / items with the node).

    Parameters
    ----------
    graph
        The graph; interactions are not looked at.

    Returns
    -------
    csr_array
        [items, nodes] float32, rows of length one, or zero for an item without edges.
    """
    item_type = graph.schema.item
    offsets = np.cumsum([0, *(len(table) for table in graph.nodes.values())])
    offset = dict(zip(graph.nodes, offsets.tolist(), strict=False))
    parts = []
    for (head_type, _, tail_type), edges in graph.edges.items():
        head, tail = edges.edge_index
        if head_type == item_type:
            parts.append((head, tail + offset[tail_type]))
        if tail_type == item_type:
            parts.append((tail, head + offset[head_type]))
        if head_type == tail_type == item_type:
            touched = np.union1d(head, tail)
            parts.append((touched, touched + offset[item_type]))
    rows = np.concatenate([np.empty(0, np.int64), *(row for row, _ in parts)])
    columns = np.concatenate([np.empty(0, np.int64), *(column for _, column in parts)])
    bag = sparse.csr_array(
        (np.ones(len(rows)), (rows, columns)), shape=(len(graph.items), int(offsets[-1]))
    )
    bag.sum_duplicates()
    bag.data[:] = 1.0
    return _idf_rows(bag)


def encode_items(graph: KnowledgeGraph, encoder: Encoder) -> NDArray[np.float32]:
    """Encode the items' texts, as :func:`encode_texts` does.

    Parameters
    ----------
    graph
        The graph.
    encoder
        Turns texts into vectors.

    Returns
    -------
    ndarray of float32
        [items, D], zero rows for items without a text.
    """
    return encode_texts(graph.items.texts, encoder)


def encode_texts(texts: pa.StringArray, encoder: Encoder) -> NDArray[np.float32]:
    """Encode texts, each distinct one once.

    Parameters
    ----------
    texts
        N texts, null where there is none.
    encoder
        Turns texts into vectors.

    Returns
    -------
    ndarray of float32
        [N, D], zero rows where there is no text.
    """
    distinct = texts.dictionary_encode()
    vectors = np.asarray(encoder.encode(distinct.dictionary.to_pylist()), dtype=np.float32)
    padded = np.vstack([vectors, np.zeros((1, vectors.shape[1]), np.float32)])
    rows = np.asarray(distinct.indices.fill_null(-1), dtype=np.int64)
    return padded[rows]


def whiten(vectors: NDArray[np.float32], size: int = WHITENED_SIZE) -> NDArray[np.float32]:
    """Make the leading components of vectors uncorrelated and alike in variance (PCA whitening).

    Parameters
    ----------
    vectors
        [N, D]; zero rows are taken for missing and stay zero.
    size
        How many components to keep at most.

    Returns
    -------
    ndarray of float32
        [N, min(size, rank)], rows of length one.
    """
    present = vectors.any(axis=1)
    count = max(1, int(present.sum()))
    centred = vectors[present].astype(np.float64) - vectors.sum(axis=0, dtype=np.float64) / count
    variance, directions = np.linalg.eigh(centred.T @ centred / count)
    order = np.argsort(-variance)[:size]
    order = order[variance[order] > 1e-9 * variance.max(initial=0.0)]
    result = np.zeros((len(vectors), len(order)), np.float32)
    result[present] = unit_rows(
        (centred @ directions[:, order] / np.sqrt(variance[order])).astype(np.float32)
    )
    return result


def sparse_unit_rows(matrix: sparse.csr_array) -> sparse.csr_array:
    """Scale rows to length one; a zero row stays zero.

    Parameters
    ----------
    matrix
        [N, D].

    Returns
    -------
    csr_array
        [N, D] float32.
    """
    length = np.sqrt(_square_lengths(matrix))
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    return sparse.csr_array(sparse.diags_array(scale) @ matrix, dtype=np.float32)


def _idf_rows(matrix: sparse.csr_array) -> sparse.csr_array:
    used_by = np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1)
    weighted = matrix @ sparse.diags_array(np.log(matrix.shape[0] / used_by))
    return sparse_unit_rows(sparse.csr_array(weighted))


def _square_lengths(block: sparse.csr_array | NDArray[np.float32]) -> NDArray[np.float32]:
    squares = block.multiply(block) if sparse.issparse(block) else block * block
    return np.asarray(squares.sum(axis=1))
