"""Reasons: which items of a history speak for an item, and through what.

The score of an item before mixing is a sum over the history, so each item's contribution is
exact.  A cold item is reached in two steps: the history speaks for a warm item that is used by
the same people, and that one is like the cold item because of what they share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from kgrec.graph import KnowledgeGraph
from kgrec.model.channels import Matrix, keys_of
from kgrec.model.network import ItemWeights, Network
from kgrec.model.propagation import inner_products

USED_TOGETHER = "used together"
NOTHING_SHARED = "nothing shared"


@dataclass(frozen=True, slots=True)
class _Link:
    """What two items share: the channel that says most, and the key in it that weighs most."""

    channel: str
    shared: str | None


def explain_item(
    graph: KnowledgeGraph,
    network: Network,
    item_weights: ItemWeights,
    rows: Sequence[Matrix],
    history: sparse.csr_array,
    item: int,
    n: int,
) -> pd.DataFrame:
    """Break the score of one item down by the history.

    Parameters
    ----------
    graph
        The graph.
    network
        The fitted network.
    item_weights
        The network applied to the graph.
    rows
        For each channel the rows of all items.
    history
        What the user has used, [1, items].
    item
        Position of the item.
    n
        How many items of the history to name at most.

    Returns
    -------
    DataFrame
        Greatest contribution first, with the columns ``history_item``, ``contribution`` (the
        contributions of the whole history sum to the item's score before mixing),
        ``through`` (the warm item that leads to a cold one; None for a warm item), ``channel``
        (the way in which the two are alike, "used together", or "nothing shared") and ``shared``
        (the neighbour or word that weighs most there, None for a text).

    Raises
    ------
    ValueError
        If n is negative.
    """
    if n < 0:
        raise ValueError(f"{n} reasons can't be given: ask for 0 or more")
    used = history.indices[history.data > 0].astype(np.int64)
    contributions = _contributions(item_weights, used, item)
    best = np.argsort(-contributions, kind="stable")[:n]
    ids = graph.items.ids
    records = []
    for index in best:
        through, link = _reason(network, item_weights, rows, int(used[index]), item)
        records.append(
            {
                "history_item": ids[int(used[index])].as_py(),
                "contribution": float(contributions[index]),
                "through": None if through is None else ids[through].as_py(),
                "channel": link.channel,
                "shared": link.shared,
            }
        )
    columns = ["history_item", "contribution", "through", "channel", "shared"]
    return pd.DataFrame(records, columns=columns)


def _contributions(
    item_weights: ItemWeights, used: NDArray[np.int64], item: int
) -> NDArray[np.float32]:
    single = sparse.csr_array(
        (np.ones(len(used), np.float32), (np.arange(len(used)), used)),
        shape=(len(used), item_weights.weights.shape[1]),
    )
    column = item_weights.weights[:, item]
    return np.asarray(item_weights.core_histories(single) @ column, dtype=np.float32)


def _reason(
    network: Network,
    item_weights: ItemWeights,
    rows: Sequence[Matrix],
    source: int,
    item: int,
) -> tuple[int | None, _Link]:
    place = np.searchsorted(item_weights.other, item)
    if place == len(item_weights.other) or item_weights.other[place] != item:
        return None, _Link(USED_TOGETHER, None)
    support = item_weights.projection[:, place]
    position = np.searchsorted(item_weights.core, source)
    if position < len(item_weights.core) and item_weights.core[position] == source:
        support = network.teacher[position].numpy() * support
    through = int(item_weights.core[np.argmax(support)])
    return through, _strongest_link(network, rows, through, item)


def _strongest_link(network: Network, rows: Sequence[Matrix], left: int, right: int) -> _Link:
    shares = network.propagation.shares().tolist()
    parts = [
        share * float(inner_products(matrix[[left]], matrix[[right]])[0, 0])
        for share, matrix in zip(shares, rows, strict=True)
    ]
    strongest = int(np.argmax(parts))
    if parts[strongest] <= 0:
        return _Link(NOTHING_SHARED, None)
    channel, matrix = network.channels[strongest], rows[strongest]
    keys = keys_of(channel)
    if keys is None or not sparse.issparse(matrix):
        return _Link(channel.name, None)
    overlap = matrix[[left]].multiply(matrix[[right]]).toarray()[0]
    return _Link(channel.name, keys[int(np.argmax(overlap))].as_py())
