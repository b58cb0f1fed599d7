"""Items beside each other: which are alike, of which little is known, and all on a map."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kgrec.explore.neighbourhoods import count_edges, id_of
from kgrec.graph import KnowledgeGraph
from kgrec.ranker import Ranker
from kgrec.recommender import Recommender

COVERAGE_COLUMNS = ["item", "characters", "edges", "missing"]
MAP_ITEMS = 2_000  # more are a grey mass


def nearest(model: Recommender, item: str, n: int = 10) -> pd.DataFrame:
    """List the items whose vectors are most like an item's, and what they share with it.

    Parameters
    ----------
    model
        A fitted recommender.
    item
        Id of the item.
    n
        How many at most.

    Returns
    -------
    DataFrame
        As :meth:`~kgrec.ranker.Ranker.similar_items`, with the column ``shared``: the
        ``type/id`` of all nodes that both are joined with, those with the fewest edges first.

    Raises
    ------
    UnknownIdError
        If the item is not in the graph.
    NotFittedError
        Before ``fit``.
    """
    frame = model.similar_items(item, n)
    graph = model.graph
    degrees = count_edges(graph)
    own = _joined(graph, item)
    shared = []
    for other in frame["neighbour"]:
        both = own & _joined(graph, other)
        ordered = sorted(both, key=lambda node: (degrees[node[0]][node[1]], node))
        shared.append([f"{kind}/{id_of(graph, kind, node)}" for kind, node in ordered])
    return frame.assign(shared=pd.Series(shared, index=frame.index, dtype=object))


def coverage(
    graph: KnowledgeGraph, characters: int = 100, edges: int | None = None
) -> pd.DataFrame:
    """Find cold items of which little is known.

    Parameters
    ----------
    graph
        The graph.
    characters
        A text with fewer is short.
    edges
        An item with fewer has few; None takes the number that three quarters of the warm items
        reach.

    Returns
    -------
    DataFrame
        A row a cold item with a short text or few edges, those with the fewest edges first:
        ``item``, ``characters`` of its text, ``edges`` and what is ``missing`` in words.

    Notes
    -----
    Packages of the Debian data below the default number of edges are found less than half as
    often as others: ``python -m benchmarks.explore``.  :func:`kgrec.explore.recall_by` tells for
    your own data.
    """
    degrees = count_edges(graph)[graph.schema.item]
    if edges is None:
        warm = degrees[~graph.is_cold]
        edges = int(np.quantile(warm, 0.25, method="lower")) if len(warm) else 0
    texts = graph.items.texts.to_pylist()
    records = []
    for position in np.flatnonzero(graph.is_cold).tolist():
        length, degree = len(texts[position] or ""), int(degrees[position])
        missing = [
            words
            for words, lacks in (("text", length < characters), ("edges", degree < edges))
            if lacks
        ]
        if missing:
            name = id_of(graph, graph.schema.item, position)
            records.append((name, length, degree, " and ".join(missing)))
    frame = pd.DataFrame(records, columns=COVERAGE_COLUMNS)
    return frame.sort_values(["edges", "characters", "item"], ignore_index=True)


def vector_map(model: Ranker, items: Iterable[str] | None = None, *, seed: int = 0) -> pd.DataFrame:
    """Lay items out on a plane, those with similar vectors near each other.

    Parameters
    ----------
    model
        A fitted ranker.
    items
        Ids of the items; None takes :data:`MAP_ITEMS` at most, drawn at random.
    seed
        Seed of the draw.

    Returns
    -------
    DataFrame
        A row an item: ``item``, ``x`` and ``y``, ``cold`` and ``text``.  ``attrs["kept"]`` is the
        share of the variance that the plane keeps: near 0, distances on it say little.  The axes
        are the first two principal components of the vectors at length one, found from their
        cosines (Gower 1966); :func:`kgrec.drawing.draw_map` and
        :func:`kgrec.interactive.show_map` draw them.

    Raises
    ------
    UnknownIdError
        If an item is not in the graph.
    NotFittedError
        Before ``fit``.
    ValueError
        If there is no item.
    """
    graph = model.graph
    if items is None:
        drawn = np.random.default_rng(seed).permutation(len(graph.items))[:MAP_ITEMS]
        positions = np.sort(drawn)
    else:
        positions = graph.positions(graph.schema.item, items)
    if not len(positions):
        raise ValueError("there is no item to lay out: name at least one")
    cosines = model.pair_similarity(positions).astype(np.float64)
    centred = cosines - cosines.mean(axis=0) - cosines.mean(axis=1)[:, None] + cosines.mean()
    strengths, axes = np.linalg.eigh(centred)
    strengths, axes = np.maximum(strengths[::-1], 0.0), axes[:, ::-1]
    places = np.zeros((len(positions), 2))
    found = axes[:, :2] * np.sqrt(strengths[:2])
    places[:, : found.shape[1]] = found * _signs(found)
    frame = pd.DataFrame(
        {
            "item": graph.items.ids.take(positions).to_pylist(),
            "x": places[:, 0],
            "y": places[:, 1],
            "cold": graph.is_cold[positions],
            "text": graph.items.texts.take(positions).to_pylist(),
        }
    )
    total = strengths.sum()
    frame.attrs["kept"] = float(strengths[:2].sum() / total) if total else 1.0
    return frame


def _signs(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn each axis so that its longest entry is positive: the solver may give either."""
    longest = np.abs(axes).argmax(axis=0)
    return np.where(axes[longest, np.arange(axes.shape[1])] < 0, -1.0, 1.0)


def _joined(graph: KnowledgeGraph, item: str) -> set[tuple[str, int]]:
    kind, nodes = graph.schema.item, set()
    position = int(graph.positions(kind, [item])[0])
    for (head, _, tail), table in graph.edges.items():
        heads, tails = table.edge_index
        if head == kind:
            nodes |= {(tail, int(node)) for node in tails[heads == position]}
        if tail == kind:
            nodes |= {(head, int(node)) for node in heads[tails == position]}
    return nodes
