"""Products in which a row depends on itself alone, to the last bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROWS = 8  # rows of a product: a fixed shape takes one path through the BLAS, whoever shares it


def multiply_rows(rows: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiply each row with a matrix, with the same rounding alone or among others.

    A matrix product rounds by its shape: another number of rows takes other kernels.  Here rows
    go through in groups of eight, the last one filled up with zeros, so that an item that
    arrives alone gets the very vector that it would have had in a catalogue of a million.  The
    layout of the matrix counts as well, so another one than row by row costs a copy.

    Parameters
    ----------
    rows
        [N, D].
    matrix
        [D, K].

    Returns
    -------
    ndarray of float32
        [N, K].

    Examples
    --------
    >>> matrix = np.random.default_rng(0).normal(size=(50, 30)).astype(np.float32)
    >>> rows = np.random.default_rng(1).normal(size=(11, 50)).astype(np.float32)
    >>> alone = multiply_rows(rows[9:10], matrix)
    >>> bool((alone == multiply_rows(rows, matrix)[9:10]).all())
    True
    """
    count, width = rows.shape
    groups = -(-count // ROWS)
    if count == groups * ROWS:
        padded = np.ascontiguousarray(rows, np.float32)
    else:
        padded = np.zeros((groups * ROWS, width), np.float32)
        padded[:count] = rows
    product = padded.reshape(groups, ROWS, width) @ np.ascontiguousarray(matrix)
    result: NDArray[np.float32] = product.reshape(groups * ROWS, matrix.shape[1])[:count]
    return result
