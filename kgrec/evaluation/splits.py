"""Splits of a graph into what is learned from and what is asked for.

Interactions that are held out leave the graph, and with it the histories and the messages.
Nodes and edges stay, so that positions mean the same in both parts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kgrec.graph import Interactions, KnowledgeGraph


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A graph to learn from and the interactions that were taken out of it.

    Parameters
    ----------
    train
        The graph without the held-out interactions.
    test
        The held-out interactions; positions refer to the nodes of ``train``.
    """

    train: KnowledgeGraph
    test: Interactions

    def test_pairs(self) -> pd.DataFrame:
        """Held-out interactions by their ids.

        Returns
        -------
        DataFrame
            Columns ``user`` and ``item``.
        """
        return pd.DataFrame(
            {
                "user": self.train.users.ids.to_numpy(zero_copy_only=False)[self.test.user],
                "item": self.train.items.ids.to_numpy(zero_copy_only=False)[self.test.item],
            }
        )


def split_cold_items(
    graph: KnowledgeGraph,
    fraction: float = 0.2,
    *,
    items: Iterable[str] | None = None,
    newest: bool = False,
    seed: int = 0,
) -> Split:
    """Make some items cold: all their interactions are held out.

    Parameters
    ----------
    graph
        The graph to split.
    fraction
        Share of the warm items that become cold.
    items
        Ids of the items that become cold; the fraction and the seed are then not used.
    newest
        Take the items whose first interaction is the newest, as new items arrive, rather than
        items drawn at random.
    seed
        Seed of the draw.

    Returns
    -------
    Split
        Every held-out item is cold in ``train``.

    Raises
    ------
    ValueError
        If the fraction is not between 0 and 1, nothing or everything would be held out, or
        ``newest`` is asked of interactions without times.
    UnknownIdError
        If one of ``items`` is not in the graph.
    """
    held_out = np.zeros(len(graph.items), bool)
    if items is not None:
        held_out[graph.positions(graph.schema.item, items)] = True
    else:
        warm = np.flatnonzero(~graph.is_cold)
        order = (
            _by_first_use(graph, warm) if newest else np.random.default_rng(seed).permutation(warm)
        )
        held_out[order[: _share(fraction, len(warm))]] = True
    return _split(graph, held_out[graph.interactions.item])


def split_by_time(graph: KnowledgeGraph, fraction: float = 0.2) -> Split:
    """Hold the newest interactions out, over all users.

    Parameters
    ----------
    graph
        The graph to split.
    fraction
        Share of the interactions that is held out, the newest of them.  Interactions of the
        same second stay together: on which side, the older ones decide.

    Returns
    -------
    Split
        No interaction of ``train`` is newer than one of ``test``.

    Raises
    ------
    ValueError
        If the fraction is not between 0 and 1, the interactions have no times, or nothing or
        everything would be held out.
    """
    time = _times(graph)
    count = _share(fraction, len(time))
    boundary = np.sort(time)[len(time) - count] if count else np.iinfo(np.int64).max
    return _split(graph, time >= boundary)


def split_interactions(graph: KnowledgeGraph, fraction: float = 0.2, *, seed: int = 0) -> Split:
    """Hold a share of every user's items out.

    Parameters
    ----------
    graph
        The graph to split.
    fraction
        Share of a user's items that is held out, rounded; a user keeps at least one item.
        All interactions of one user with one item go to the same side.
    seed
        Seed of the draw.

    Returns
    -------
    Split
        Users of ``test`` have a history in ``train``.

    Raises
    ------
    ValueError
        If the fraction is not between 0 and 1, or nothing would be held out.
    """
    _share(fraction, 0)
    log = graph.interactions
    pairs, row_pair = np.unique(log.user * len(graph.items) + log.item, return_inverse=True)
    pair_user = pairs // len(graph.items)
    counts = np.bincount(pair_user, minlength=len(graph.users))
    quota = np.minimum(np.rint(fraction * counts), np.maximum(counts - 1, 0))
    order = np.lexsort((np.random.default_rng(seed).random(len(pairs)), pair_user))
    place = np.empty(len(pairs), np.int64)
    place[order] = np.arange(len(pairs)) - (np.cumsum(counts) - counts)[pair_user[order]]
    return _split(graph, (place < quota[pair_user])[row_pair])


def _split(graph: KnowledgeGraph, held_out: NDArray[np.bool_]) -> Split:
    if held_out.all() or not held_out.any():
        raise ValueError(
            f"{int(held_out.sum()):,} of {len(held_out):,} interactions would be held out: "
            "choose another fraction or other items"
        )
    log = graph.interactions
    return Split(graph.with_interactions(log.select(~held_out)), log.select(held_out))


def _share(fraction: float, count: int) -> int:
    if not 0 < fraction < 1:
        raise ValueError(f"fraction = {fraction} must lie between 0 and 1, both excluded")
    return round(fraction * count)


def _times(graph: KnowledgeGraph) -> NDArray[np.int64]:
    if graph.interactions.time is None:
        raise ValueError(
            "the interactions have no times: fill the column 'time' in the interactions query, "
            "or split at random"
        )
    return graph.interactions.time


def _by_first_use(graph: KnowledgeGraph, warm: NDArray[np.int64]) -> NDArray[np.int64]:
    first = np.full(len(graph.items), np.iinfo(np.int64).max)
    np.minimum.at(first, graph.interactions.item, _times(graph))
    return warm[np.argsort(-first[warm], kind="stable")]
