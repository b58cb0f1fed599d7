"""Keys of an item (words, neighbours) as weighted columns, their statistics frozen once learned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

BETWEEN_WORDS = r"[^\p{L}\p{N}]+"
BETWEEN_ASCII_WORDS = r"[^a-z0-9]+"  # the same where there is nothing else, and quicker to compile


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Keys with a column each, and how much a key says.

    Parameters
    ----------
    keys
        Distinct keys, [K].
    weight
        Inverse document frequency of each key, [K] float32.
    """

    keys: pa.StringArray
    weight: NDArray[np.float32]

    @classmethod
    def learn(
        cls,
        counts: sparse.csr_array,
        keys: pa.StringArray,
        minimum: int = 1,
        maximum: int | None = None,
    ) -> Vocabulary:
        """Keep the keys that occur in enough rows and weigh them by their rarity.

        Parameters
        ----------
        counts
            [rows, K], non-zero where a row has the key.
        keys
            The K keys.
        minimum, maximum
            Least and greatest number of rows that a key may occur in.

        Returns
        -------
        Vocabulary
            Keys in their given order, with weight log(rows / frequency) + .1, so that a key
            which every row has still counts a little.
        """
        frequency = np.bincount(counts.indices, minlength=len(keys))
        kept = frequency >= minimum
        if maximum is not None:
            kept &= frequency <= maximum
        weight = np.log(max(counts.shape[0], 1) / frequency[kept]) + 0.1
        return cls(keys.filter(pa.array(kept)), weight.astype(np.float32))

    def columns_of(self, keys: pa.StringArray) -> NDArray[np.int64]:
        """Find the column of each key, [K'], -1 for an unknown one."""
        found = pc.fill_null(pc.index_in(keys, value_set=self.keys), -1)
        return np.asarray(found, dtype=np.int64)

    def weigh(self, counts: sparse.csr_array, keys: pa.StringArray) -> sparse.csr_array:
        """Multiply each column by its key's weight, an unknown key by zero.

        Parameters
        ----------
        counts
            [rows, K'].
        keys
            The K' keys.

        Returns
        -------
        csr_array
            [rows, K'] float32.
        """
        column = self.columns_of(keys)
        known = column >= 0
        weight = np.zeros(len(keys), np.float32)
        weight[known] = self.weight[column[known]]
        return sparse.csr_array(counts @ sparse.diags_array(weight))

    def encode(self, counts: sparse.csr_array, keys: pa.StringArray) -> sparse.csr_array:
        """Bring counts over other keys to this vocabulary's columns.

        Parameters
        ----------
        counts
            [rows, K'] over other keys.
        keys
            The K' keys; unknown ones are dropped.

        Returns
        -------
        csr_array
            [rows, K] float32: weighted, and each row of length one (or empty).
        """
        entries = counts.tocoo()
        target = self.columns_of(keys)[entries.col]
        known = target >= 0
        values = entries.data[known] * self.weight[target[known]]
        shape = (counts.shape[0], len(self.keys))
        matrix = sparse.csr_array((values, (entries.row[known], target[known])), shape=shape)
        return normalise_rows(matrix)


def normalise_rows(matrix: sparse.csr_array) -> sparse.csr_array:
    """Scale each row to length one; an empty row stays empty.

    Parameters
    ----------
    matrix
        [N, D].

    Returns
    -------
    csr_array
        [N, D] float32.
    """
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    length = np.sqrt(np.bincount(row, np.square(matrix.data), matrix.shape[0]))
    values = (matrix.data / length[row]).astype(np.float32)
    return sparse.csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def count_terms(texts: pa.StringArray) -> tuple[sparse.csr_array, pa.StringArray]:
    """Count the words of texts.

    Parameters
    ----------
    texts
        Texts, [N]; null where there is none.

    Returns
    -------
    counts : csr_array
        [N, T] float32.
    terms : pyarrow.StringArray
        The T distinct words, lower-cased.

    Examples
    --------
    >>> counts, terms = count_terms(pa.array(["Red fox, red den", None]))
    >>> terms.to_pylist(), counts.toarray().tolist()
    (['den', 'fox', 'red'], [[1.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
    """
    lowered = pc.utf8_lower(pc.fill_null(texts, ""))
    is_ascii = pc.all(pc.string_is_ascii(lowered), min_count=0).as_py()
    words = pc.split_pattern_regex(lowered, BETWEEN_ASCII_WORDS if is_ascii else BETWEEN_WORDS)
    row = np.asarray(pc.list_parent_indices(words), dtype=np.int64)
    word = pc.list_flatten(words)
    present = pc.greater(pc.utf8_length(word), 0)
    row, word = row[np.asarray(present)], word.filter(present)
    terms = pc.unique(word)
    terms = terms.take(pc.sort_indices(terms))
    column = np.asarray(pc.index_in(word, value_set=terms), dtype=np.int64)
    shape = (len(texts), len(terms))
    return sparse.csr_array((np.ones(len(row), np.float32), (row, column)), shape=shape), terms


def dampen(counts: sparse.csr_array) -> sparse.csr_array:
    """Replace each count c by 1 + log c, so that repetition counts less and less.

    Parameters
    ----------
    counts
        [N, T], counts of at least one.

    Returns
    -------
    csr_array
        [N, T] float32.
    """
    result = counts.astype(np.float32)
    result.sum_duplicates()
    result.data = 1.0 + np.log(result.data)
    return result
