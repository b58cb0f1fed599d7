"""Reasons: what of a history speaks for an item, through which neighbours, and what if not.

The score of an item before mixing is a sum over the history, so each item's contribution is
exact.  That of an item scored by content is a sum over the core items it is like,
``sum_j v_j K_ji`` with v made of the history, and each ``K_ji = exp(sharpness (m - 1))`` is a
function of the sum ``m`` of what the two share.  The one way to hand the rise of a function of a
sum over to the summands that neither depends on an order nor leaves a rest is in proportion to
them (Aumann and Shapley, 1974).  So the path over a shared neighbour or word has a contribution,
and all contributions, with what is left when nothing is shared, sum to the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from kgrec.calibration import SCORE_FLOOR, Mixing
from kgrec.catalogue import Catalogue
from kgrec.graph import KnowledgeGraph
from kgrec.model.channels import NeighbourChannel, NeighbourVectorChannel, RelatedItemChannel
from kgrec.paths import SharedNode, Step, rarest_shared, steps_from
from kgrec.rows import RowParts

USED_TOGETHER = "used together"
NEIGHBOURS = "neighbours"
FAR = "far neighbours"
NOTHING_SHARED = "nothing shared"
REST = "everything else"
REASON_COLUMNS = ["history_item", "contribution", "through", "channel", "shared", "path"]
SMALL = 1e-6
NEAR = NeighbourChannel | NeighbourVectorChannel | RelatedItemChannel

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why somebody is recommended an item.

    Parameters
    ----------
    item
        Id of the item.
    score
        Its score, as in a list.
    base
        Score of an item that nothing of the history speaks for or against.
    reasons
        A row an item of the history, greatest contribution first, with the columns
        ``history_item``, ``contribution`` (in units of the score; with ``base``, those of the
        whole history sum to ``score``), and of its strongest path ``through`` (the item that
        both are like; the history's own, or one that is used by the same people; None for an
        item scored by what is used together), ``channel`` (the way in which the two are alike),
        ``shared`` (``type/id`` of the neighbour or the word, None for a text) and ``path`` in
        words.
    paths
        A row a path, greatest contribution first, same columns; the last row is what all others
        contribute, so that the contributions and ``base`` sum to ``score``.
    """

    item: str
    score: float
    base: float
    reasons: pd.DataFrame
    paths: pd.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What is to be explained.

    Parameters
    ----------
    graph, catalogue, mixing
        Of the recommender.
    history
        Positions of the items that were used, [H].
    item
        Position of the item.
    parts
        For each channel what the row of the item is made of; none for a core item.
    """

    graph: KnowledgeGraph
    catalogue: Catalogue
    mixing: Mixing
    history: NDArray[np.int64]
    item: int
    parts: Sequence[RowParts] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SharedContent:
    """What an item shares with the core items, one column a part.

    Parameters
    ----------
    gains
        [W, T]: they sum over the columns to the kernel less that of items that share nothing.
    channels
        Of each part the way in which it is shared.
    keys
        Of each part a word or ``type/id`` of a node; None for a text or features.
    """

    gains: NDArray[np.float64]
    channels: list[str]
    keys: list[str | None]


def explain_item(subject: Subject, n: int) -> Explanation:
    """Break the score of an item down by the history and by what the items share.

    Parameters
    ----------
    subject
        What is to be explained.
    n
        How many items of the history, and how many paths, to name at most.

    Returns
    -------
    Explanation
        With frames of at most n rows (paths: one more, for the rest).

    Raises
    ------
    ValueError
        If n is negative.
    """
    if n < 0:
        raise ValueError(f"{n} reasons can't be given: ask for 0 or more")
    catalogue = subject.catalogue
    voices = catalogue.voices(subject.history)
    column = catalogue.column(subject.item)
    raw = (voices @ column).astype(np.float64)
    score, base, unit = _to_score_units(subject, raw)
    contributions = raw * unit
    order = np.argsort(-contributions, kind="stable")[:n]
    if catalogue.by_content[subject.item]:
        reasons, paths = _content_reasons(subject, voices, contributions, order, unit, n)
    else:
        reasons = [_used_together(subject, row, contributions[row]) for row in order]
        paths = reasons
    rest = contributions.sum() - sum(float(str(path["contribution"])) for path in paths)
    paths = [*paths, _record(None, rest, None, REST, None, "")]
    return Explanation(
        subject.graph.items.ids[subject.item].as_py(),
        score,
        base,
        pd.DataFrame(reasons, columns=REASON_COLUMNS),
        pd.DataFrame(paths, columns=REASON_COLUMNS),
    )


def _to_score_units(subject: Subject, raw: NDArray[np.float64]) -> tuple[float, float, float]:
    """Give the score, that without a history's say, and what a unit of the raw sum is worth."""
    by_content = bool(subject.catalogue.by_content[subject.item])
    mixing = subject.mixing
    curve, lift = (mixing.cold, mixing.lift) if by_content else (mixing.warm, 0.0)
    total = raw.sum() if len(raw) else float(subject.catalogue.typical_score(subject.item))
    base = curve.level(np.array([len(subject.history)])).item() + lift
    score = curve.slope * np.arcsinh(total / SCORE_FLOOR) + base
    if not len(raw):
        return float(score), float(score), 1.0
    unit = (score - base) / total if abs(total) > SMALL else curve.slope / SCORE_FLOOR
    return float(score), float(base), float(unit)


def _content_reasons(
    subject: Subject,
    voices: Vectors,
    contributions: NDArray[np.float64],
    order: NDArray[np.int64],
    unit: float,
    n: int,
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    catalogue = subject.catalogue
    network = catalogue.head.network
    shared = find_shared(subject)
    # what each history item makes of being like each core item, [H, W]
    reach = (voices @ network.teacher.numpy()) @ network.inverse.numpy()
    prominence = network.gain([parts.total() for parts in subject.parts]).item()
    shares = reach.astype(np.float64) @ shared.gains * prominence * unit  # [H, T]
    describe = _Describer(subject, shared, reach)
    reasons = []
    for row in order:
        best = int(np.argmax(shares[row])) if shares.shape[1] else -1
        if best < 0 or shares[row, best] <= 0:
            record = _record(subject, contributions[row], row, NOTHING_SHARED, None, "")
        else:
            record = describe(int(row), best, contributions[row])
        reasons.append(record)
    flat = np.argsort(-shares, axis=None, kind="stable")[:n]
    paths = []
    for place in flat.tolist():
        row, part = divmod(place, shares.shape[1])
        if shares[row, part] > 0:
            paths.append(describe(row, part, shares[row, part]))
    return reasons, paths


def find_shared(subject: Subject) -> SharedContent:
    """Take apart what an item outside the core shares with each core item.

    Parameters
    ----------
    subject
        The item, with its parts.

    Returns
    -------
    SharedContent
        A neighbour has one part, in however many channels it speaks.
    """
    head = subject.catalogue.head
    columns: dict[tuple[str, str | None], NDArray[np.float64]] = {}
    shares = head.network.propagation.shares().tolist()
    for share, channel, anchor, parts in zip(
        shares, head.network.channels, head.anchors, subject.parts, strict=True
    ):
        product = parts.rows @ anchor
        dense = product.toarray() if sparse.issparse(product) else np.asarray(product)
        for key, gain in zip(parts.keys, share * dense.astype(np.float64), strict=True):
            # a neighbour counts once, in however many channels it speaks
            place = (NEIGHBOURS if isinstance(channel, NEAR) and key else channel.name, key)
            columns[place] = columns[place] + gain if place in columns else gain
    if not columns:
        return SharedContent(np.zeros((head.core_size, 0)), [], [])
    gains = np.stack(list(columns.values()), axis=1)
    sharpness = head.network.propagation.sharpness
    if sharpness:
        total = gains.sum(axis=1)
        rise = np.exp(sharpness * (total - 1.0)) - np.exp(-sharpness)
        some = np.abs(total) > SMALL
        gains = gains * np.where(some, rise / np.where(some, total, 1.0), 0.0)[:, None]
    return SharedContent(gains, [name for name, _ in columns], [key for _, key in columns])


@dataclass(frozen=True, slots=True, eq=False)
class _Describer:
    """Puts a path into words."""

    subject: Subject
    shared: SharedContent
    reach: Vectors

    def __call__(self, row: int, part: int, contribution: float) -> dict[str, object]:
        subject, core = self.subject, self.subject.catalogue.core
        by_anchor = self.reach[row] * self.shared.gains[:, part]
        by_anchor[core < 0] = -np.inf
        source = int(subject.history[row])
        through = int(core[int(np.argmax(by_anchor))])
        channel, key = self.shared.channels[part], self.shared.keys[part]
        words = self._words(source, through, channel, key)
        record = _record(subject, contribution, row, channel, key, words)
        return record | {"through": _name(subject.graph, through)}

    def _words(self, source: int, through: int, channel: str, key: str | None) -> str:
        graph, item = self.subject.graph, self.subject.item
        start, end = _name(graph, source), _name(graph, item)
        if through != source:
            start = f"{start} → used together → {_name(graph, through)}"
        if key is None:
            return f"{start} → {channel} ← {end}"
        if channel not in (NEIGHBOURS, FAR):
            return f"{start} → the word '{key}' ← {end}"
        node_type, _, name = key.partition("/")
        left, right = (_step_to(graph, one, node_type, name) for one in (through, item))
        out = left.arrow() if left else "→ … →"
        back = right.arrow_back() if right else "← … ←"
        if (node_type, name) == (graph.schema.item, end):
            return f"{start} {out} {end}"
        if (node_type, name) == (graph.schema.item, _name(graph, through)):
            return f"{start} {back} {end}"
        return f"{start} {out} {name} {back} {end}"


def _step_to(graph: KnowledgeGraph, item: int, node_type: str, name: str) -> Step | None:
    position = int(graph.nodes[node_type].positions([name])[0])
    steps = steps_from(graph, graph.schema.item, item)
    return next((s for s in steps if (s.node_type, s.node) == (node_type, position)), None)


def _used_together(subject: Subject, row: int, contribution: float) -> dict[str, object]:
    graph, source = subject.graph, int(subject.history[row])
    shared = rarest_shared(graph, source, subject.item)
    words, key = f"{_name(graph, source)} → used together → {_name(graph, subject.item)}", None
    if shared is not None:
        key = f"{shared.right.node_type}/{_name_of(graph, shared.right)}"
        words = f"{words}; both: {_join(graph, source, shared, subject.item)}"
    return _record(subject, contribution, row, USED_TOGETHER, key, words)


def _join(graph: KnowledgeGraph, left: int, shared: SharedNode, right: int) -> str:
    return " ".join(
        (
            _name(graph, left),
            shared.left.arrow(),
            _name_of(graph, shared.right),
            shared.right.arrow_back(),
            _name(graph, right),
        )
    )


def _record(
    subject: Subject | None,
    contribution: float,
    row: int | np.integer | None,
    channel: str,
    shared: str | None,
    path: str,
) -> dict[str, object]:
    named = (
        None
        if subject is None or row is None
        else _name(subject.graph, int(subject.history[int(row)]))
    )
    return {
        "history_item": named,
        "contribution": float(contribution),
        "through": None,
        "channel": channel,
        "shared": shared,
        "path": path,
    }


def _name(graph: KnowledgeGraph, item: int) -> str:
    return str(graph.items.ids[item].as_py())


def _name_of(graph: KnowledgeGraph, step: Step) -> str:
    return str(graph.nodes[step.node_type].ids[step.node].as_py())
