"""Curves: known counts, the same candidates along a curve, and what a relation gives."""

from __future__ import annotations

import pandas as pd
import pytest
from kgrec import KnowledgeGraph
from kgrec.baselines import GraphNeighbourVote, Popularity, TfidfProfile
from kgrec.evaluation import Split, evaluate, split_cold_items
from kgrec.explore import (
    learning_curve,
    recall_by,
    recall_of_items,
    recall_without_relations,
)

from tests.evaluation.worlds import FixedRanker, make_graph


@pytest.fixture(scope="module")
def split(debian_graph: KnowledgeGraph) -> Split:
    return split_cold_items(debian_graph, 0.2, seed=0)


def test_counts_who_is_shown_an_item() -> None:
    graph = make_graph(
        {"old": "an old film", "good": "new", "poor": None, "alone": "nobody asks"},
        [(user, film) for user in ("ada", "bob") for film in ("old", "good")] + [("ada", "poor")],
        {"good": ["noir", "drama"]},
    )
    split = split_cold_items(graph, items=["good", "poor"])
    model = FixedRanker({"good": 2.0, "poor": 1.0}).fit(split.train)
    frame = recall_of_items({"fixed": model}, split, k=1)
    assert frame.to_numpy().tolist() == [
        ["fixed", "good", 2, 2, 2, 3],
        ["fixed", "poor", 1, 0, 0, 0],
    ]


def test_items_and_users_tell_of_the_same_pairs(split: Split) -> None:
    model = TfidfProfile().fit(split.train)
    report = evaluate(model, split.test, candidates="cold", k=[20])
    frame = recall_of_items({"words": model}, split)
    found = (report.per_user["recall@20"] * report.per_user["positives"]).sum()
    assert frame["found"].sum() == round(found)
    assert frame["pairs"].sum() == report.per_user["positives"].sum()


def test_bands_hold_every_item_once(split: Split) -> None:
    items = recall_of_items({"graph": GraphNeighbourVote().fit(split.train)}, split)
    bands = recall_by(items, "edges", bands=4)
    assert bands["items"].sum() == len(items)
    assert bands["pairs"].sum() == items["pairs"].sum()
    assert len(bands) == 4
    assert bands["low"].le(bands["recall"]).all()
    assert bands["high"].ge(bands["recall"]).all()
    # what is known of an item is what the vote goes by
    assert bands["recall"].iloc[-1] > bands["recall"].iloc[0]


def test_the_interval_of_a_ratio_is_that_of_a_mean_where_items_have_one_pair_each() -> None:
    found = [1, 0, 0, 1, 1, 0, 0, 0, 1, 0]
    items = pd.DataFrame({"model": "m", "pairs": 1, "found": found, "edges": 3})
    (row,) = recall_by(items, "edges", [0]).to_dict("records")
    margin = 1.96 * pd.Series(found).std() / len(found) ** 0.5
    assert row["high"] - row["recall"] == pytest.approx(margin)
    assert row["edges"] == 0


@pytest.mark.parametrize("starts", [[], [3, 3], [5, 1]])
def test_refuses_bands_that_do_not_ascend(starts: list[int]) -> None:
    items = pd.DataFrame({"model": ["m"], "pairs": [1], "found": [1], "edges": [3]})
    with pytest.raises(ValueError, match="ascend"):
        recall_by(items, "edges", starts)


def test_more_interactions_teach_more(split: Split) -> None:
    makers = {"graph": GraphNeighbourVote, "popular": Popularity}
    curve = learning_curve(makers, split, (0.2, 1.0))
    assert curve[["model", "share"]].to_numpy().tolist() == [
        ["graph", 0.2], ["popular", 0.2], ["graph", 1.0], ["popular", 1.0],
    ]  # fmt: skip
    graph = curve[curve["model"] == "graph"]["recall@20"]
    assert graph.is_monotonic_increasing
    whole = evaluate(GraphNeighbourVote().fit(split.train), split.test, candidates="cold", k=[20])
    assert graph.iloc[-1] == whole.mean("recall", 20)
    # popularity ranks nobody's items by nothing: only other candidates could change its recall
    few, many = curve[curve["model"] == "popular"]["recall@20"]
    assert few == many


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1])
def test_refuses_shares_that_are_none(split: Split, share: float) -> None:
    with pytest.raises(ValueError, match="at most 1"):
        learning_curve({"popular": Popularity}, split, [share])


def test_what_falls_is_what_the_relation_gave(split: Split) -> None:
    makers = {"graph": GraphNeighbourVote, "words": TfidfProfile}
    frame = recall_without_relations(makers, split, ["depends_on"])
    graph, without = frame[frame["model"] == "graph"]["recall@20"]
    assert graph > without + 0.05
    words = frame[frame["model"] == "words"]["recall@20"]
    assert words.iloc[0] == words.iloc[1]  # it knows no edges
    edges = sum(len(t) for at, t in split.train.edges.items() if at[1] == "depends_on")
    assert frame["edges"].tolist() == [0, 0, edges, edges]


def test_names_what_is_not_there(split: Split) -> None:
    with pytest.raises(ValueError, match=r"no relation .*'likes'.*depends_on"):
        recall_without_relations({"words": TfidfProfile}, split, ["likes"])
    with pytest.raises(ValueError, match=r"measured by 'luck'.*recall"):
        learning_curve({"words": TfidfProfile}, split, [1.0], metric="luck")
    with pytest.raises(ValueError, match="at least one"):
        recall_of_items({}, split)
