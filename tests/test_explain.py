"""Reasons: exact contributions, and the planted neighbour that two items share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from kgrec import Config, Recommender, TextEncoder
from kgrec.calibration import Mixing
from kgrec.catalogue import Catalogue, Head
from kgrec.explain import NOTHING_SHARED, USED_TOGETHER, Explanation, Subject, explain_item
from kgrec.fitting import fit_network
from kgrec.graph import KnowledgeGraph
from kgrec.model.channels import (
    Channel,
    Matrix,
    NeighbourChannel,
    RelatedItemChannel,
    TermChannel,
    VectorChannel,
)
from kgrec.model.neighbours import item_relations
from kgrec.model.network import Network
from kgrec.model.prominence import Prominence
from kgrec.model.propagation import Propagation
from kgrec.model.whitening import Whitening
from numpy.typing import NDArray
from scipy import sparse

from tests.baselines.worlds import checkerboard
from tests.evaluation.worlds import make_graph

COLUMNS = ["history_item", "contribution", "through", "channel", "shared", "path"]
GENRES = {
    "a": ["drama", "noir"],
    "b": ["drama", "western"],
    "c": ["drama"],
    "cold": ["drama", "noir"],
    "lonely": [],
}
TEXTS = {
    "a": "the red planet",
    "b": "the grey bank",
    "c": "the end",
    "cold": "a red sky",
    "lonely": None,
}
WATCHED = [("ada", "a"), ("ada", "b"), ("bob", "a"), ("bob", "c"), ("eve", "b"), ("eve", "c")]


@dataclass(frozen=True)
class Fitted:
    """A network of chosen channels, applied to its graph."""

    graph: KnowledgeGraph
    catalogue: Catalogue
    rows: Sequence[Matrix]

    def explain(self, history: Sequence[str], item: str, n: int = 9) -> pd.DataFrame:
        return self.explanation(history, item, n).reasons

    def explanation(self, history: Sequence[str], item: str, n: int = 9) -> Explanation:
        position = int(self.graph.items.positions([item])[0])
        used = np.sort(self.graph.items.positions(history))
        rows = [matrix[[position]] for matrix in self.rows]
        subject = Subject(self.graph, self.catalogue, Mixing(), used, position, rows)
        return explain_item(subject, n)


def fit(kind: str) -> Fitted:
    graph = make_graph(TEXTS, WATCHED, GENRES)
    relations = tuple(item_relations(graph))
    channels: dict[str, Channel] = {
        "neighbours": NeighbourChannel.learn("neighbours", graph, relations),
        "words": TermChannel.learn("words around", graph, with_neighbours=True),
        "related": RelatedItemChannel.learn("related items", graph, relations),
    }
    channel = channels[kind]
    rows = [channel.encode(graph, {})]
    fitted = fit_network(graph, [channel], rows, Config(), 0)
    return apply(graph, fitted.network, fitted.core, rows)


def apply(
    graph: KnowledgeGraph, network: Network, core: NDArray[np.int64], rows: Sequence[Matrix]
) -> Fitted:
    typical = np.zeros(len(core), np.float32)
    head = Head.of(network, [matrix[core] for matrix in rows], typical)
    return Fitted(graph, Catalogue.compute(head, core, rows, len(graph.items)), rows)


@pytest.fixture(scope="module")
def by_neighbours() -> Fitted:
    return fit("neighbours")


def test_a_cold_item_is_reached_through_the_rare_neighbour(by_neighbours: Fitted) -> None:
    frame = by_neighbours.explain(["a"], "cold")
    assert frame.columns.tolist() == COLUMNS
    (reason,) = frame.to_dict("records")
    assert reason["history_item"] == reason["through"] == "a"
    assert reason["channel"] == "neighbours"
    assert reason["shared"] == "genre/noir"  # and not the drama that every film has


def test_a_word_that_two_items_share() -> None:
    (reason,) = fit("words").explain(["a"], "cold").to_dict("records")
    assert reason["channel"] == "words around"
    assert reason["shared"] == "drama"  # 'red' and 'noir' are on one warm film only


def test_a_channel_whose_columns_have_no_names() -> None:
    (reason,) = fit("related").explain(["a"], "cold").to_dict("records")
    assert (reason["channel"], reason["shared"]) == ("related items", None)


def test_items_that_have_nothing_in_common_claim_nothing(by_neighbours: Fitted) -> None:
    frame = by_neighbours.explain(["a", "b"], "lonely")
    assert frame["channel"].tolist() == [NOTHING_SHARED] * 2
    assert frame["shared"].isna().all()


def test_warm_items_are_used_together(by_neighbours: Fitted) -> None:
    frame = by_neighbours.explain(["a", "b"], "c")
    assert frame["channel"].tolist() == [USED_TOGETHER] * 2
    assert frame["through"].isna().all()
    assert frame["shared"].tolist() == ["genre/drama"] * 2
    assert frame["path"].tolist()[0].endswith("→ has_genre → drama ← has_genre ← c")
    assert frame["contribution"].is_monotonic_decreasing


@pytest.mark.parametrize("item", ["c", "cold", "lonely"])
@pytest.mark.parametrize("history", [["a"], ["a", "b"], ["b", "cold"], ["cold", "lonely"]])
def test_contributions_sum_to_the_score(
    history: list[str], item: str, by_neighbours: Fitted
) -> None:
    graph = by_neighbours.graph
    row = np.zeros((1, len(graph.items)), np.float32)
    row[0, graph.items.positions(history)] = 1
    raw = by_neighbours.catalogue.scores(sparse.csr_array(row))
    score = Mixing().mix(raw, by_neighbours.catalogue.by_content)[0, graph.items.positions([item])]
    explanation = by_neighbours.explanation(history, item)
    assert explanation.score == pytest.approx(score[0], rel=1e-5, abs=1e-5)
    assert sorted(explanation.reasons["history_item"]) == sorted(history)
    for frame in (explanation.reasons, explanation.paths):
        total = frame["contribution"].sum() + explanation.base
        assert total == pytest.approx(explanation.score, rel=1e-5, abs=1e-5)


def test_a_history_item_that_is_cold_itself(by_neighbours: Fitted) -> None:
    frame = by_neighbours.explain(["lonely", "cold"], "cold")
    assert frame["history_item"].tolist()[0] == "cold"
    assert frame["through"].tolist()[0] == "a"


def test_the_strongest_reasons_first(by_neighbours: Fitted) -> None:
    whole = by_neighbours.explain(["a", "b", "c"], "cold")
    pd.testing.assert_frame_equal(by_neighbours.explain(["a", "b", "c"], "cold", 2), whole[:2])
    assert by_neighbours.explain(["a", "b", "c"], "cold", 0).empty
    with pytest.raises(ValueError, match="-1"):
        by_neighbours.explain(["a"], "cold", -1)


def by_hand(teacher: list[list[float]], shares: list[float]) -> Fitted:
    """Make three warm films and one cold, of two channels, and say who teaches whom."""
    graph = make_graph(dict.fromkeys(["a", "b", "c", "d"]), [("u", film) for film in "abc"])
    # channels: d is a little like a by the first, and just like b by the second
    rows: list[Matrix] = [
        np.array([[1, 0], [0, 0], [0, 0], [0.3, 0.95]], np.float32),
        np.array([[0.5, 0], [1, 0], [0, 0], [1, 0]], np.float32),
    ]
    channels = [VectorChannel(name, whitening()) for name in ("first", "second")]
    network = Network(
        tuple(channels),
        Propagation(shares, 0.0),
        torch.zeros(3, 3),
        torch.tensor(teacher),
        torch.eye(3),
        Prominence.learn([matrix[:3] for matrix in rows], np.ones(3, np.int64)),
        0.0,
    )
    return apply(graph, network, np.arange(3), rows)


def whitening() -> Whitening:
    return Whitening(np.zeros(2, np.float32), np.eye(2, dtype=np.float32))


def test_through_is_the_item_that_the_history_speaks_for() -> None:
    teacher = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [5.0, 0.1, 0.0]]
    assert by_hand(teacher, [1.0, 1.0]).explain(["c"], "d")["through"].tolist() == ["a"]
    teacher[2] = [0.1, 5.0, 0.0]
    assert by_hand(teacher, [1.0, 1.0]).explain(["c"], "d")["through"].tolist() == ["b"]


def test_the_channel_by_its_share() -> None:
    teacher = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [5.0, 0.0, 0.0]]
    for shares, channel in (([1.0, 1.0], "second"), ([9.0, 1.0], "first")):
        frame = by_hand(teacher, shares).explain(["c"], "d")
        assert frame["channel"].tolist() == [channel]


def test_no_history_no_reasons(by_neighbours: Fitted) -> None:
    frame = by_neighbours.explain([], "cold")
    assert frame.empty
    assert frame.columns.tolist() == COLUMNS


def test_the_verbs(tiny_encoder: TextEncoder) -> None:
    ranker = Recommender(Config(steps=3), encoder=tiny_encoder).fit(checkerboard())
    frame = ranker.explain("heist_fan3", "heist_new0", 3)
    assert frame["history_item"].str.startswith("heist").all()
    assert frame["through"].str.startswith("heist").all()
    assert (frame["contribution"] > 0).all()
    used = [f"heist{i}" for i in range(10) if i != 3]
    pd.testing.assert_frame_equal(ranker.explain_for(used, "heist_new0", 3), frame)
    other = ranker.explain("heist_fan3", "space_new0", 9)["contribution"]
    assert other.sum() < ranker.explain("heist_fan3", "heist_new0", 9)["contribution"].sum()
