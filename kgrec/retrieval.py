"""Exact top-k: of scores that are there, and of inner products too many to hold at once."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PIECE = 64  # columns of which only the greatest is looked at first
FEWEST_PIECES = 3  # times k: with fewer, all columns are looked at
FEW_SCORES = 262_144  # that are looked at row by row
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
    if k > 0 and 0 < scores.size <= FEW_SCORES:
        return _best_of_rows(scores, min(k, scores.shape[1]))
    columns, values = top_columns(torch.from_numpy(np.ascontiguousarray(scores)), k)
    return columns.numpy(), values.numpy()


def _best_of_rows(
    scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the best columns row by row: for one list a tenth of the price of ten tensors."""
    width = scores.shape[1]
    least = np.partition(scores, width - k, axis=1)[:, width - k]
    columns = np.empty((len(scores), k), np.int64)
    for row, own in enumerate(scores):
        eligible = np.flatnonzero(own >= least[row])
        columns[row] = eligible[np.argsort(-own[eligible], kind="stable")[:k]]
    values = np.take_along_axis(scores, columns, axis=1)
    return np.where(values == -np.inf, -1, columns), values


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
    whole = width // PIECE
    if whole < FEWEST_PIECES * k:
        return _best_of_few(scores, k)
    pieces = scores[:, : whole * PIECE].reshape(rows, whole, PIECE)
    best = _best_columns(pieces.amax(dim=2), k).sort(dim=1).values
    inside = torch.arange(PIECE, device=scores.device)
    columns = (best[:, :, None] * PIECE + inside).flatten(1)
    rest = torch.arange(whole * PIECE, width, device=scores.device).expand(rows, -1)
    columns = torch.cat([columns, rest], dim=1)
    return columns.gather(1, _best_of_few(scores.gather(1, columns), k))


def _best_of_few(scores: Tensor, k: int) -> Tensor:
    """Find the best columns with ties to the lower one, which ``topk`` alone does not promise."""
    if scores.shape[1] <= k:
        return scores.sort(dim=1, descending=True, stable=True).indices[:, :k]
    values, columns = scores.topk(k + 1, dim=1)
    columns = columns[:, :k].sort(dim=1).values
    order = scores.gather(1, columns).sort(dim=1, descending=True, stable=True).indices
    columns = columns.gather(1, order)
    # where the best that is left out is as good as the worst that is not, all columns count
    tied = (values[:, k - 1] == values[:, k]) & (values[:, k] > -torch.inf)
    if tied.any():
        among = scores[tied].sort(dim=1, descending=True, stable=True).indices
        columns[tied] = among[:, :k]
    return columns


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
    # one buffer for all blocks: memory that is new each time costs as much as the search in it
    buffer = np.empty(min(QUERY_BLOCK, len(queries)) * min(ITEM_BLOCK, len(items)), np.float32)
    for start in range(0, len(queries) if k else 0, QUERY_BLOCK):
        part = slice(start, start + QUERY_BLOCK)
        found, values = _scan(
            np.ascontiguousarray(queries[part], np.float32), items, k, device, buffer
        )
        columns[part], products[part] = found.cpu().numpy(), values.cpu().numpy()
    return columns, products


def _scan(
    queries: NDArray[np.float32],
    items: NDArray[np.float32],
    k: int,
    device: str,
    buffer: NDArray[np.float32],
) -> tuple[Tensor, Tensor]:
    found = torch.zeros((len(queries), 0), dtype=torch.int64, device=device)
    values = torch.zeros((len(queries), 0), device=device)
    for start in range(0, len(items), ITEM_BLOCK):
        scores = _multiply(queries, items[start : start + ITEM_BLOCK], device, buffer)
        best = _best_columns(scores, min(k, scores.shape[1]))
        if not start:
            found, values = best, scores.gather(1, best)
            continue
        found = torch.cat([found, best + start], dim=1)
        values = torch.cat([values, scores.gather(1, best)], dim=1)
        order = values.sort(dim=1, descending=True, stable=True).indices[:, :k]
        found, values = found.gather(1, order), values.gather(1, order)
    return found, values


def _multiply(
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    device: str,
    buffer: NDArray[np.float32],
) -> Tensor:
    if device == "cpu":  # where the BLAS of NumPy is quicker than that of torch, on AMD say
        product = buffer[: len(left) * len(right)].reshape(len(left), len(right))
        return torch.from_numpy(np.matmul(left, right.T, out=product))
    block = torch.from_numpy(np.ascontiguousarray(right)).to(device)
    return torch.from_numpy(left).to(device) @ block.T
