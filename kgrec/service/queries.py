"""What the service reads from a model: plain values, without a data frame in between."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray

from kgrec.errors import ConfigError
from kgrec.filters import Filter
from kgrec.graph import KnowledgeGraph, NodeTable
from kgrec.items import Edge, Item
from kgrec.paths import Step, steps_from
from kgrec.ranker import UserBatch
from kgrec.recommender import Recommender
from kgrec.reranking import Reranking
from kgrec.service.messages import (
    Attributes,
    ExplainRequest,
    Node,
    Reason,
    RecommendRequest,
    Tie,
    WhatIf,
)

SHOWN_TEXT = 300
SOMEBODY = "the item of the attributes"


def recommend(ranker: Recommender, request: RecommendRequest) -> list[dict[str, object]]:
    """Make a list.

    Parameters
    ----------
    ranker
        The model; not changed.
    request
        For whom, and which items.

    Returns
    -------
    list of dict
        Fields of :class:`~kgrec.service.messages.Recommendation`, best first.
    """
    ranker = copy.copy(ranker)
    candidates = Filter(request.items, request.where, request.cold).mask(
        ranker.graph, ranker.is_cold
    )
    if request.attributes is not None:
        batch, candidates = _likes(ranker, request.attributes, candidates)
        name = request.attributes.model_dump_json()
    elif request.user is not None:
        (user,) = ranker.graph.positions(ranker.graph.schema.user, [request.user])
        batch, name = UserBatch.of_user(ranker.histories, user), request.user
    else:
        history = request.history or ()
        batch, name = UserBatch(ranker.history_of(history)), "\n".join(sorted(set(history)))
    reranking = Reranking(request.diversity, request.explore, request.seed)
    items, scores = ranker.make_lists(
        batch, [name], request.n, candidates, request.exclude_seen, reranking
    )
    graph, is_cold = ranker.graph, ranker.is_cold
    return [
        {
            "item": graph.items.ids[item].as_py(),
            "score": score,
            "rank": rank,
            "cold": bool(is_cold[item]),
            "text": _text(graph.items, item),
        }
        for rank, (item, score) in enumerate(
            zip(items[0].tolist(), scores[0].tolist(), strict=True), start=1
        )
        if item >= 0
    ]


def _likes(
    ranker: Recommender, attributes: Attributes, candidates: NDArray[np.bool_] | None
) -> tuple[UserBatch, NDArray[np.bool_]]:
    """Read attributes as an item that somebody has used, for as long as this request takes."""
    ranker.add_items([Item(id=SOMEBODY, text=attributes.text, edges=attributes.edges)])
    (place,) = ranker.graph.items.positions([SOMEBODY])
    allowed = np.ones(len(ranker.graph.items), bool)
    if candidates is not None:
        allowed = np.insert(candidates, place, False)
    allowed[place] = False
    return UserBatch(ranker.history_of([SOMEBODY])), allowed


def explain(
    ranker: Recommender, request: ExplainRequest
) -> tuple[float, float, list[Reason], list[Reason], list[WhatIf]]:
    """Explain a recommendation.

    Parameters
    ----------
    ranker
        The model.
    request
        Whose, and of which item.

    Returns
    -------
    score, base : float
        As in :class:`~kgrec.explain.Explanation`.
    reasons, paths : list of Reason
        Its frames.
    what_if : list of WhatIf
        The score without each of the item's edges, those of the strongest paths first.
    """
    ranker = copy.copy(ranker)
    found = ranker.explanation(
        request.item, user=request.user, history=request.history, n=request.n
    )
    reasons, paths = _reasons(found.reasons), _reasons(found.paths)
    what_if = [
        WhatIf(
            edge=edge,
            score=ranker.score_without(
                request.item, [edge], user=request.user, history=request.history
            ),
        )
        for edge in _edges_by_path(ranker.graph, request.item, paths)[: request.what_if]
    ]
    return found.score, found.base, reasons, paths, what_if


def _reasons(frame: pd.DataFrame) -> list[Reason]:
    plain = frame.astype(object).where(frame.notna(), None)
    return [Reason.model_validate(row) for row in plain.to_dict("records")]


def _edges_by_path(graph: KnowledgeGraph, item: str, paths: list[Reason]) -> list[Edge]:
    (place,) = graph.items.positions([item])
    order = {path.shared: rank for rank, path in reversed(list(enumerate(paths)))}
    steps = steps_from(graph, graph.schema.item, int(place))
    named = [(f"{step.node_type}/{_id(graph, step)}", step) for step in steps]
    named.sort(key=lambda pair: order.get(pair[0], len(paths)))
    return [
        Edge(
            relation=step.relation,
            node=_id(graph, step),
            direction="out" if step.outwards else "in",
        )
        for _, step in named
    ]


def search(
    graph: KnowledgeGraph,
    is_cold: NDArray[np.bool_],
    words: str,
    node_type: str | None,
    limit: int,
) -> list[Node]:
    """Find nodes by their id or text.

    Parameters
    ----------
    graph
        The graph.
    is_cold
        Whether nobody has used an item, [items].
    words
        What the id or the text has in it, whatever the case.
    node_type
        Type of the nodes; None for all types.
    limit
        How many at most.

    Returns
    -------
    list of Node
        Ids that begin with the words first, then ids and then texts that have them.

    Raises
    ------
    ConfigError
        If there is no such type.
    """
    types = list(graph.nodes) if node_type is None else [_known_type(graph, node_type)]
    ranked: list[tuple[int, str, int]] = []
    for name in types:
        table = graph.nodes[name]
        in_id = pc.match_substring(table.ids, words, ignore_case=True)
        in_text = pc.fill_null(pc.match_substring(table.texts, words, ignore_case=True), False)
        begins = pc.starts_with(table.ids, words, ignore_case=True)
        for grade, mask in enumerate((begins, in_id, in_text)):
            rows = np.flatnonzero(np.asarray(mask))[: 3 * limit]
            ranked += [(grade, name, row) for row in rows.tolist()]
    seen: dict[tuple[str, int], None] = {}
    for _, name, row in sorted(ranked, key=lambda found: found[0]):
        seen.setdefault((name, row))
    return [make_node(graph, is_cold, name, row) for name, row in list(seen)[:limit]]


def neighbourhood(
    graph: KnowledgeGraph, is_cold: NDArray[np.bool_], node_type: str, name: str, limit: int
) -> tuple[Node, list[Tie], int]:
    """List what a node is joined with.

    Parameters
    ----------
    graph
        The graph.
    is_cold
        Whether nobody has used an item, [items].
    node_type, name
        Type and id of the node.
    limit
        How many edges at most.

    Returns
    -------
    node : Node
        The node itself.
    ties : list of Tie
        Its edges.
    total : int
        How many it has.

    Raises
    ------
    ConfigError
        If there is no such type.
    UnknownIdError
        If there is no such node.
    """
    (place,) = graph.positions(_known_type(graph, node_type), [name])
    steps = steps_from(graph, node_type, int(place))
    ties = [
        Tie(
            relation=step.relation,
            outwards=step.outwards,
            weight=step.weight,
            node=make_node(graph, is_cold, step.node_type, step.node),
        )
        for step in steps[:limit]
    ]
    return make_node(graph, is_cold, node_type, int(place)), ties, len(steps)


def make_node(
    graph: KnowledgeGraph, is_cold: NDArray[np.bool_], node_type: str, place: int
) -> Node:
    """Describe a node.

    Parameters
    ----------
    graph, is_cold
        As in :func:`search`.
    node_type, place
        Type and position of the node.

    Returns
    -------
    Node
        With its text, cut short.
    """
    table = graph.nodes[node_type]
    cold = bool(is_cold[place]) if node_type == graph.schema.item else None
    return Node(type=node_type, id=table.ids[place].as_py(), text=_text(table, place), cold=cold)


def texts_of(graph: KnowledgeGraph, items: list[str]) -> list[str | None]:
    """Give the texts of items, cut short."""
    return [_text(graph.items, int(place)) for place in graph.items.positions(items)]


def _known_type(graph: KnowledgeGraph, node_type: str) -> str:
    if node_type not in graph.nodes:
        raise ConfigError(
            f"there is no node type '{node_type}': the types are {', '.join(graph.nodes)}"
        )
    return node_type


def _id(graph: KnowledgeGraph, step: Step) -> str:
    return str(graph.nodes[step.node_type].ids[step.node].as_py())


def _text(table: NodeTable, place: int) -> str | None:
    text: str | None = table.texts[place].as_py()
    return text if text is None or len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]}…"
