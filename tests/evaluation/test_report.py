"""Evaluation of rankers whose lists are known beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kgrec.errors import NotFittedError, SourceError, UnknownIdError
from kgrec.evaluation import compare, evaluate, read_pairs, split_cold_items
from kgrec.graph import Interactions

from tests.evaluation.worlds import FixedRanker, make_graph, pairs

FILMS: dict[str, str | None] = dict.fromkeys(("cold1", "cold2", "cold3", "warm1", "warm2", "warm3"))
WATCHED = [("ada", "warm1"), ("bob", "warm1"), ("bob", "warm2"), ("eve", "warm3")]
SCORES = {"cold1": 3.0, "cold2": 2.0, "cold3": 1.0, "warm1": 6.0, "warm2": 5.0, "warm3": 4.0}
TEST = pairs(("ada", "cold1"), ("ada", "warm2"), ("bob", "cold3"), ("bob", "cold2"))


def ranker(**changed: float) -> FixedRanker:
    return FixedRanker(SCORES | changed).fit(make_graph(FILMS, WATCHED))


def test_cold_candidates() -> None:
    report = evaluate(ranker(), TEST, k=(2, 1))
    assert report.k == (1, 2)
    assert report.users == 2
    assert report.candidate_count == 3
    assert report.per_user["user"].tolist() == ["ada", "bob"]
    assert report.per_user["recall@2"].tolist() == [1.0, 0.5]
    assert report.per_user["mrr@2"].tolist() == [1.0, 0.5]
    assert report.mean("hit_rate", 1) == 0.5
    assert report.coverage == {1: 1 / 3, 2: 2 / 3}


def test_a_notebook_shows_means_and_intervals() -> None:
    assert "per_user" not in repr(evaluate(ranker(), TEST, k=[1]))
    shown = "".join(evaluate(ranker(), TEST, k=[1])._repr_html_().split())
    assert "3candidates(cold)rankedfor2users,95%intervals" in shown
    assert "<td>hit_rate</td><td>1</td><td>0.5000</td>" in shown


def test_warm_candidates_leave_the_seen_out() -> None:
    report = evaluate(ranker(), TEST, candidates="warm", k=[1])
    assert report.per_user["user"].tolist() == ["ada"]
    assert report.mean("recall", 1) == 1.0  # warm1 scores more, but ada has watched it
    assert report.users_without_pair == 1
    kept = evaluate(ranker(), TEST, candidates="warm", k=[1], exclude_seen=False)
    assert kept.mean("recall", 1) == 0.0


def test_all_candidates_split_the_recall() -> None:
    report = evaluate(ranker(), TEST, candidates="all", k=[3])
    assert report.per_user["recall@3"].tolist() == [1.0, 0.5]
    assert report.per_user["cold_recall@3"].tolist() == [1.0, 0.5]
    assert report.per_user["warm_recall@3"].tolist()[0] == 1.0
    assert np.isnan(report.per_user["warm_recall@3"].tolist()[1])
    frame = report.to_frame().set_index("metric")
    assert frame.loc["warm_recall", "users"] == 1


def test_lists_longer_than_the_candidates() -> None:
    report = evaluate(ranker(), TEST, k=[20])
    assert report.mean("recall", 20) == 1.0
    assert report.mean("precision", 20) == pytest.approx((1 + 2) / 2 / 20)


def test_who_is_left_out_is_counted() -> None:
    graph = make_graph(FILMS, [*WATCHED, ("new", "cold1"), ("new", "cold2")])
    split = split_cold_items(graph, items=["cold1", "cold2"])
    log = split.test
    seen = Interactions(
        np.append(log.user, graph.users.positions(["ada"])),
        np.append(log.item, graph.items.positions(["warm1"])),
    )
    report = evaluate(FixedRanker(SCORES).fit(split.train), seen)
    assert report.users == 0
    assert report.users_without_history == 1
    assert report.users_without_pair == 1
    assert report.seen_pairs == 1
    assert np.isnan(report.mean("recall", 20))


def test_interval_is_the_normal_approximation() -> None:
    report = evaluate(ranker(), TEST, k=[2], confidence=0.9)
    row = report.to_frame().set_index("metric").loc["recall"]
    margin = 1.6448536 * np.std([1.0, 0.5], ddof=1) / np.sqrt(2)
    assert row["mean"] == 0.75
    assert row["high"] - 0.75 == pytest.approx(margin)
    assert 0.75 - row["low"] == pytest.approx(margin)


def test_dict_is_json() -> None:
    content = json.loads(json.dumps(evaluate(ranker(), TEST).to_dict(), allow_nan=False))
    assert content["ranker"] == "FixedRanker"
    assert content["users"] == 2
    coverage = [row for row in content["metrics"] if row["metric"] == "coverage"]
    assert coverage == [
        {"metric": "coverage", "k": 20, "mean": 1.0, "low": None, "high": None, "users": 2}
    ]


def test_positions_and_ids_are_the_same_test() -> None:
    fitted = ranker()
    graph = fitted.graph
    positions = Interactions(
        graph.users.positions(TEST["user"]), graph.items.positions(TEST["item"])
    )
    by_id, by_position = evaluate(fitted, TEST), evaluate(fitted, positions)
    pd.testing.assert_frame_equal(by_id.per_user, by_position.per_user)


def test_unknown_ids() -> None:
    with pytest.raises(UnknownIdError, match="nobody"):
        evaluate(ranker(), pairs(("nobody", "cold1")))
    with pytest.raises(UnknownIdError, match="nothing"):
        evaluate(ranker(), pairs(("ada", "nothing")))
    with pytest.raises(UnknownIdError, match="'99'"):
        evaluate(ranker(), Interactions(np.array([0]), np.array([99])))


def test_arguments_out_of_range() -> None:
    with pytest.raises(NotFittedError):
        evaluate(FixedRanker({}), TEST)
    with pytest.raises(ValueError, match="at least 1"):
        evaluate(ranker(), TEST, k=[0])
    with pytest.raises(ValueError, match="confidence"):
        evaluate(ranker(), TEST, confidence=95)
    with pytest.raises(ValueError, match="'lukewarm'"):
        evaluate(ranker(), TEST, candidates="lukewarm")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lack the column 'item'"):
        evaluate(ranker(), TEST[["user"]])


def test_compare_pairs_the_users() -> None:
    frame = compare({"first": ranker(), "second": ranker(cold3=9.0)}, TEST, k=[1])
    assert frame["ranker"].tolist() == ["first", "second"]
    assert frame["recall@1"].tolist() == [0.5, 0.25]
    assert frame["recall@1_difference"].tolist() == [0.0, -0.25]
    assert frame["recall@1_difference_low"].tolist()[0] == 0.0
    assert frame["recall@1_difference_low"].tolist()[1] < -0.25


def test_compare_refuses() -> None:
    with pytest.raises(ValueError, match="'accuracy'"):
        compare({"first": ranker()}, TEST, metric=["accuracy"])
    with pytest.raises(ValueError, match="no ranker"):
        compare({}, TEST)
    other = FixedRanker(SCORES).fit(make_graph(FILMS, [*WATCHED, ("ada", "cold1")]))
    with pytest.raises(ValueError, match="same graph"):
        compare({"first": ranker(), "other": other}, TEST)


@pytest.mark.parametrize("name", ["t.tsv", "t.csv", "t.tsv.gz", "t.csv.gz", "t.parquet"])
def test_read_pairs(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"item": ["007", "NA"], "time": [1, 2], "user": ["1", "u"]})
    path = tmp_path / name
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="\t" if ".tsv" in name else ",", index=False)
    read = read_pairs(path)
    assert read["item"].tolist() == ["007", "NA"]
    assert read["user"].tolist() == ["1", "u"]
    assert list(read.columns) == ["user", "item"]


def test_read_pairs_refuses(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="can't be read"):
        read_pairs(tmp_path / "missing.tsv")
    with pytest.raises(SourceError, match="neither"):
        read_pairs(tmp_path / "pairs.json")
    path = tmp_path / "pairs.csv"
    path.write_text("user,film\nada,alien\n", encoding="utf-8")
    with pytest.raises(SourceError, match="lacks the column 'item'"):
        read_pairs(path)
    path.write_text("user,item\nada,alien\nada,\n", encoding="utf-8")
    with pytest.raises(SourceError, match="row 1 the first"):
        read_pairs(path)
