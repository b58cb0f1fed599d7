"""Where an item's vector comes from.

An item outside the core has a column of weights ``v = sum_t v_t``, a summand for each word, text
and neighbour that it shares with core items (:mod:`kgrec.explain`).  The share of a summand is
``v_t . v / v . v``, its projection on the whole, so that all shares sum to one; that of something
that draws the item away from where it is is negative.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kgrec.explain import FAR, NEIGHBOURS, NOTHING_SHARED, USED_TOGETHER, Subject, find_shared
from kgrec.graph import KnowledgeGraph
from kgrec.recommender import Recommender

SIGNAL_COLUMNS = ["channel", "shared", "share"]
SOURCE_COLUMNS = ["hop", "source", "share"]
AROUND = ("words around", "texts around")  # channels of the texts one edge away
ITSELF = "itself"

Masks = dict[str, NDArray[np.bool_]]
Positions = NDArray[np.int64]


def signal(model: Recommender, item: str) -> pd.DataFrame:
    """Say where an item's vector comes from.

    Parameters
    ----------
    model
        A fitted recommender.
    item
        Id of the item.

    Returns
    -------
    DataFrame
        A row a summand, greatest share first: ``channel``, ``shared`` (a word or ``type/id`` of
        a neighbour; None for a text or features) and ``share`` of the vector.  The shares sum to
        one.  An item that the model learned from has a single row: its vector is made of those
        who used it.

    Raises
    ------
    UnknownIdError
        If the item is not in the graph.
    NotFittedError
        Before ``fit``.
    """
    return split_vector(model.subject(item, history=()))


def signal_by_relation(model: Recommender, item: str) -> pd.DataFrame:
    """Say how much of an item's vector came by each relation, from one edge away or from two.

    Parameters
    ----------
    model
        A fitted recommender.
    item
        Id of the item.

    Returns
    -------
    DataFrame
        A row a source, greatest share first: ``hop`` (0 for what is the item's own, 1 and 2 for
        what came over so many edges), ``source`` (the relation of the last of those edges, or
        the channel, as in :func:`signal`, of texts) and ``share`` of the vector.  What several
        edges lead to is divided among them equally.  ``itself`` is what the item shares with
        those that are joined with it.  The shares sum to one.

    Raises
    ------
    UnknownIdError
        If the item is not in the graph.
    NotFittedError
        Before ``fit``.
    """
    subject = model.subject(item, history=())
    frame = split_vector(subject)
    shares = [*_own_shares(frame), *_shares_over_edges(subject, frame)]
    summed = pd.DataFrame(shares, columns=SOURCE_COLUMNS).groupby(["hop", "source"], as_index=False)
    result = pd.DataFrame(summed["share"].sum(), columns=SOURCE_COLUMNS)
    some = result[result["share"] != 0]
    return some.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def split_vector(subject: Subject) -> pd.DataFrame:
    """Split the vector of an item into its summands.

    Parameters
    ----------
    subject
        The item, with its parts.

    Returns
    -------
    DataFrame
        As :func:`signal`.
    """
    if not subject.parts:
        return pd.DataFrame([(USED_TOGETHER, None, 1.0)], columns=SIGNAL_COLUMNS)
    network = subject.catalogue.head.network
    shared = find_shared(subject)
    sharpness = network.propagation.sharpness
    alike = np.exp(-sharpness) if sharpness else 0.0  # the kernel of what shares nothing
    gains = np.column_stack([shared.gains, np.full(len(shared.gains), alike)])
    answer = network.teacher.numpy().astype(np.float64) @ network.inverse.numpy()
    vector = answer @ gains.sum(axis=1)
    square = float(vector @ vector)
    shares = (vector @ answer) @ gains / square if square else np.zeros(gains.shape[1])
    channels, keys = [*shared.channels, NOTHING_SHARED], [*shared.keys, None]
    frame = pd.DataFrame({"channel": channels, "shared": keys, "share": shares})
    return frame.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def shares_of_nodes(graph: KnowledgeGraph, frame: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Give what each node of each type brings to a vector.

    Parameters
    ----------
    graph
        The graph.
    frame
        Rows of :func:`signal`.

    Returns
    -------
    dict
        By node type a share for each node, 0 where it brings nothing.
    """
    shares = {kind: np.zeros(len(table)) for kind, table in graph.nodes.items()}
    rows = frame[frame["channel"].isin([NEIGHBOURS, FAR])]
    for key, share in zip(rows["shared"], rows["share"], strict=True):
        kind, _, name = str(key).partition("/")
        shares[kind][graph.nodes[kind].positions([name])] += share
    return shares


def _own_shares(frame: pd.DataFrame) -> Iterator[tuple[int, str, float]]:
    rest = frame[~frame["channel"].isin([NEIGHBOURS, FAR])]
    for channel, share in zip(rest["channel"], rest["share"], strict=True):
        yield int(channel in AROUND), channel, share


def _shares_over_edges(subject: Subject, frame: pd.DataFrame) -> Iterator[tuple[int, str, float]]:
    graph, kind = subject.graph, subject.graph.schema.item
    reached = {kind: np.zeros(len(table), bool) for kind, table in graph.nodes.items()}
    reached[kind][subject.item] = True
    for hop, channel in ((1, NEIGHBOURS), (2, FAR)):
        shares = shares_of_nodes(graph, frame[frame["channel"] == channel])
        if hop == 1:
            yield 0, ITSELF, float(shares[kind][subject.item])
            shares[kind][subject.item] = 0.0
        crossings = list(_crossings(graph, reached))
        yield from _divide(hop, shares, crossings)
        for _, end, nodes in crossings:
            reached[end][nodes] = True


def _crossings(graph: KnowledgeGraph, reached: Masks) -> Iterator[tuple[str, str, Positions]]:
    """Give for each relation, both ways, the type and positions of nodes one edge on."""
    for (head, relation, tail), table in graph.edges.items():
        heads, tails = table.edge_index
        yield relation, tail, tails[reached[head][heads]]
        yield relation, head, heads[reached[tail][tails]]


def _divide(
    hop: int,
    shares: dict[str, NDArray[np.float64]],
    crossings: Sequence[tuple[str, str, Positions]],
) -> Iterator[tuple[int, str, float]]:
    """Divide what each node brings among the edges that lead to it."""
    counts = {kind: np.zeros(len(share)) for kind, share in shares.items()}
    for _, end, nodes in crossings:
        counts[end] += np.bincount(nodes, minlength=len(counts[end]))
    for relation, end, nodes in crossings:
        yield hop, relation, float((shares[end][nodes] / counts[end][nodes]).sum())
