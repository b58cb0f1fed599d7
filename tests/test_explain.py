"""Reasons: exact contributions, and the planted neighbour that two items share."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch
from kgrec import Config, Recommender, TextEncoder
from kgrec.calibration import Mixing
from kgrec.catalogue import Catalogue, Head
from kgrec.changes import without_edges
from kgrec.errors import SourceError
from kgrec.explain import NOTHING_SHARED, USED_TOGETHER, Explanation, Subject, explain_item
from kgrec.fitting import choose_core, fit_network
from kgrec.graph import KnowledgeGraph
from kgrec.items import Edge
from kgrec.model.channels import (
    Channel,
    Matrix,
    NeighbourChannel,
    RelatedItemChannel,
    TermChannel,
    VectorChannel,
)
from kgrec.model.neighbours import Surroundings
from kgrec.model.network import Network
from kgrec.model.prominence import Prominence
from kgrec.model.propagation import Propagation
from kgrec.model.whitening import Whitening
from kgrec.paths import steps_from
from kgrec.rows import RowEncoder, RowParts
from numpy.typing import NDArray
from scipy import sparse

from tests.baselines.worlds import checkerboard
from tests.evaluation.worlds import make_graph
from tests.live_world import live_graph

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
    by_hand: bool = False

    def explain(self, history: Sequence[str], item: str, n: int = 9) -> pd.DataFrame:
        return self.explanation(history, item, n).reasons

    def explanation(self, history: Sequence[str], item: str, n: int = 9) -> Explanation:
        position = int(self.graph.items.positions([item])[0])
        used = np.sort(self.graph.items.positions(history))
        encoder = RowEncoder(self.catalogue.head.network.channels)
        parts = (
            [RowParts(matrix[[position]], [None]) for matrix in self.rows]
            if self.by_hand
            else encoder.take_apart(self.graph, position, lambda _: {})
        )
        subject = Subject(self.graph, self.catalogue, Mixing(), used, position, parts)
        return explain_item(subject, n)


def fit(kind: str) -> Fitted:
    graph = make_graph(TEXTS, WATCHED, GENRES)
    around = Surroundings(graph)
    channels: dict[str, Channel] = {
        "neighbours": NeighbourChannel.learn("neighbours", around, around.relations),
        "words": TermChannel.learn("words around", around, with_neighbours=True),
        "related": RelatedItemChannel.learn("related items", around, around.relations),
    }
    channel = channels[kind]
    rows = [channel.encode(around, {})]
    core = choose_core(graph.interaction_matrix(), 99)
    fitted = fit_network(graph, core, [channel], [rows[0][core]], Config(), 0)
    return apply(graph, fitted.network, fitted.core, rows)


def apply(
    graph: KnowledgeGraph, network: Network, core: NDArray[np.int64], rows: Sequence[Matrix]
) -> Fitted:
    typical = np.zeros(len(core), np.float32)
    head = Head.of(network, [matrix[core] for matrix in rows], typical)
    catalogue = Catalogue.compute(
        head, core, lambda items: [matrix[items] for matrix in rows], len(graph.items)
    )
    return Fitted(graph, catalogue, rows)


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


def test_related_items_are_told_by_the_neighbour_that_relates_them() -> None:
    (reason,) = fit("related").explain(["a"], "cold").to_dict("records")
    assert (reason["channel"], reason["shared"]) == ("neighbours", "genre/drama")
    assert reason["path"] == "a → has_genre → drama ← has_genre ← cold"


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
    score = Mixing().mix(raw, by_neighbours.catalogue.by_content, np.array([1]))[
        0, graph.items.positions([item])
    ]
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


def by_hand(teacher: list[list[float]], shares: list[float], strength: float = 0.0) -> Fitted:
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
        Prominence.learn([matrix[:3] for matrix in rows], np.array([9, 3, 1])),
        strength,
    )
    return replace(apply(graph, network, np.arange(3), rows), by_hand=True)


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


def test_paths_of_a_prominent_item_leave_no_rest() -> None:
    """The plain kernel of items that share something: all of the score runs over paths."""
    teacher = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [5.0, 0.1, 0.0]]
    for strength in (0.0, 20.0):
        explained = by_hand(teacher, [1.0, 1.0], strength)
        explanation = explained.explanation(["c"], "d")
        rest = explanation.paths["contribution"].iloc[-1]
        assert rest == pytest.approx(0, abs=1e-5)
        assert explanation.score - explanation.base > 1
    rows = [matrix[[3]] for matrix in explained.rows]
    assert explained.catalogue.head.network.gain(rows).item() > 1.1


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


@pytest.fixture(scope="module")
def live(tiny_encoder: TextEncoder) -> Recommender:
    config = Config(steps=3, core_items=20)
    return Recommender(config, encoder=tiny_encoder).fit(live_graph(), seed=1)


@pytest.mark.parametrize("sharpness", [0.0, 2.5])
@pytest.mark.parametrize("item", ["film01", "film36", "film39"])
def test_all_paths_together_are_the_score(item: str, sharpness: float, live: Recommender) -> None:
    """By every kind of channel, whether the kernel is sharp or plain."""
    ranker = copy.copy(live)
    state = live._fitted
    head = state.catalogue.head
    propagation = copy.deepcopy(head.network.propagation)
    propagation.sharpness = sharpness
    network = replace(head.network, propagation=propagation, prominence_strength=0.5)
    sharp = replace(head, network=network)
    ranker._state = replace(state, catalogue=replace(state.catalogue, head=sharp))
    ranker.update(ranker.graph)
    assert len(head.network.channels) > 8
    for user in ("person01", "person17"):
        explanation = ranker.explanation(item, user=user, n=400)
        listed = ranker.recommend(user, 1, items=[item], exclude_seen=False)["score"][0]
        assert explanation.score == pytest.approx(listed, abs=1e-4)
        for frame in (explanation.reasons, explanation.paths):
            total = frame["contribution"].sum() + explanation.base
            assert total == pytest.approx(listed, abs=1e-4)


def test_paths_run_over_edges_of_the_graph(live: Recommender) -> None:
    graph = live.graph
    item = int(graph.items.positions(["film36"])[0])
    joined = {
        f"{step.node_type}/{graph.nodes[step.node_type].ids[step.node].as_py()}"
        for step in steps_from(graph, "film", item)
    }
    paths = live.explanation("film36", user="person01", n=60).paths
    named = paths[paths["channel"] == "neighbours"]
    assert len(named) > 5
    assert set(named["shared"]) <= joined | {"film/film36"}
    assert named["path"].str.endswith("film36").all()


def test_a_score_without_an_edge_is_that_of_a_graph_without_it(live: Recommender) -> None:
    edge = Edge(relation="has_genre", node=genres_of(live.graph, "film36")[0])
    claimed = live.score_without("film36", [edge], user="person01")
    other = copy.copy(live)
    other.update(without_edges(live.graph, "film36", [edge]))
    (actual,) = other.recommend("person01", 1, items=["film36"])["score"]
    assert claimed == pytest.approx(float(actual), abs=1e-6)
    (score,) = live.recommend("person01", 1, items=["film36"])["score"]
    assert claimed != pytest.approx(float(score), abs=1e-6)
    warm = Edge(relation="has_genre", node=genres_of(live.graph, "film01")[0])
    kept = live.score_without("film01", [warm], user="person01")
    assert kept == pytest.approx(live.explanation("film01", user="person01").score, abs=1e-4)


def test_an_edge_that_is_not_there(live: Recommender) -> None:
    with pytest.raises(SourceError, match="lacks one of those edges"):
        live.score_without("film36", [Edge(relation="follows", node="film01")], user="person01")
    with pytest.raises(ValueError, match="either a user or a history"):
        live.explanation("film36")


def genres_of(graph: KnowledgeGraph, film: str) -> list[str]:
    item = int(graph.items.positions([film])[0])
    steps = steps_from(graph, "film", item)
    ids = graph.nodes["genre"].ids
    return [ids[step.node].as_py() for step in steps if step.relation == "has_genre"]


def test_removing_the_top_path_costs_more_than_removing_another(live: Recommender) -> None:
    """Deletion: what the explanation calls most important is what the score rests on most."""
    first, other = [], []
    for item in ("film33", "film35", "film36", "film37", "film38", "film39"):
        genres = genres_of(live.graph, item)
        for user in [f"person{i:02}" for i in range(0, 30, 3)]:
            explanation = live.explanation(item, user=user, n=60)
            named = [str(key).removeprefix("genre/") for key in explanation.paths["shared"]]
            ranked = [genre for genre in named if genre in genres]
            if not ranked:
                continue
            drops = {
                genre: explanation.score
                - live.score_without(item, [Edge(relation="has_genre", node=genre)], user=user)
                for genre in genres
            }
            first.append(drops[ranked[0]])
            other.append(np.mean([drops[genre] for genre in genres if genre != ranked[0]]))
    assert len(first) > 30
    assert np.mean(first) > np.mean(other) + 0.02
