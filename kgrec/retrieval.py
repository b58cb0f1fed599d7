"""Exact top-k: of scores that are there, and of inner products too many to hold at once."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEAST_COLUMNS = 256  # fewer are sorted as they are
QUERY_BLOCK = 256
ITEM_BLOCK = 65_536  # scores held at once: 64 MB of float32 with a block of queries


def top_k(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the k best columns of each row.

    Ties go to the lower column, so that the same scores always give the same list.

    Parameters
    ----------
    scores
        [B, N]; a column at minus infinity is never returned.
    k
        How many columns to return at most.

    Returns
    -------
    columns : ndarray of int64
        [B, min(k, N)], best first; -1 where a row has fewer than k finite scores.
    values : ndarray of float32
        Their scores, minus infinity where the column is -1.

    Raises
    ------
    ValueError
        If k is negative.

    Examples
    --------
    >>> columns, values = top_k(np.array([[0.1, 0.9, 0.5]], dtype=np.float32), 2)
    >>> columns.tolist()
    [[1, 2]]
    """
    columns, values = top_columns(torch.from_numpy(np.ascontiguousarray(scores)), k)
    return columns.numpy(), values.numpy()


def top_columns(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the k best columns of each row of a tensor, on its device.

    The columns are cut into pieces, and of the pieces only the k with the greatest maxima are
    looked into: any column among the k best lies in one of those, for each piece before its own
    would hold a better one.

    Parameters
    ----------
    scores
        [B, N] float32.
    k
        How many columns to return at most.

    Returns
    -------
    columns, values : Tensor
        As :func:`top_k`.

    Raises
    ------
    ValueError
        If k is negative.
    """
    if k < 0:
        raise ValueError(f"a list of {k} items can't be made: ask for 0 or more")
    rows, width = scores.shape
    k = min(k, width)
    if k == 0 or rows == 0:
        return scores.new_zeros((rows, k), dtype=torch.int64), scores.new_zeros((rows, k))
    columns = _best_columns(scores, k)
    values = scores.gather(1, columns)
    return columns.masked_fill(values == -torch.inf, -1), values


def _best_columns(scores: Tensor, k: int) -> Tensor:
    rows, width = scores.shape
    piece = _piece_width(width, k)
    whole = width // piece
    if width < LEAST_COLUMNS or whole <= k:
        return scores.sort(dim=1, descending=True, stable=True).indices[:, :k]
    pieces = scores[:, : whole * piece].reshape(rows, whole, piece)
    best = _best_columns(pieces.amax(dim=2), k).sort(dim=1).values
    inside = torch.arange(piece, device=scores.device)
    columns = (best[:, :, None] * piece + inside).flatten(1)
    rest = torch.arange(whole * piece, width, device=scores.device).expand(rows, -1)
    columns = torch.cat([columns, rest], dim=1)
    order = scores.gather(1, columns).sort(dim=1, descending=True, stable=True).indices[:, :k]
    return columns.gather(1, order)


def _piece_width(width: int, k: int) -> int:
    """Balance how many pieces there are with how many columns the k best of them have."""
    return max(2, int((width / k) ** 0.5))


def top_products(
    queries: NDArray[np.float32],
    items: NDArray[np.float32],
    k: int,
    *,
    device: str = "cpu",
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the k items with the greatest inner products, by blocks of queries and of items.

    Exact, in memory that depends on neither the number of queries nor that of items.

    Parameters
    ----------
    queries
        [Q, D] float32.
    items
        [N, D] float32; may be a mapped file.
    k
        How many items to return at most.
    device
        Where to multiply, ``"cpu"`` or ``"cuda"`` say.

    Returns
    -------
    items : ndarray of int64
        [Q, min(k, N)], best first, ties to the lower one.
    products : ndarray of float32
        Their inner products.

    Raises
    ------
    ValueError
        If k is negative.

    Examples
    --------
    >>> items = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    >>> top_products(np.array([[2, 1]], np.float32), items, 2)[0].tolist()
    [[2, 0]]
    """
    if k < 0:
        raise ValueError(f"a list of {k} items can't be made: ask for 0 or more")
    k = min(k, len(items))
    columns = np.empty((len(queries), k), np.int64)
    products = np.empty((len(queries), k), np.float32)
    for start in range(0, len(queries) if k else 0, QUERY_BLOCK):
        part = slice(start, start + QUERY_BLOCK)
        block = torch.from_numpy(np.ascontiguousarray(queries[part])).to(device)
        found, values = _scan(block, items, k)
        columns[part], products[part] = found.cpu().numpy(), values.cpu().numpy()
    return columns, products


def _scan(queries: Tensor, items: NDArray[np.float32], k: int) -> tuple[Tensor, Tensor]:
    found = queries.new_zeros((len(queries), 0), dtype=torch.int64)
    values = queries.new_zeros((len(queries), 0))
    for start in range(0, len(items), ITEM_BLOCK):
        block = torch.from_numpy(np.ascontiguousarray(items[start : start + ITEM_BLOCK]))
        scores = queries @ block.to(queries.device).T
        best = _best_columns(scores, min(k, scores.shape[1]))
        found = torch.cat([found, best + start], dim=1)
        values = torch.cat([values, scores.gather(1, best)], dim=1)
        order = values.sort(dim=1, descending=True, stable=True).indices[:, :k]
        found, values = found.gather(1, order), values.gather(1, order)
    return found, values
