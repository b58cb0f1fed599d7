"""The rating benchmark: its splits, its simplest models and its table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.rating import (
    main,
    make_task,
    measure,
    models,
    predict_item_mean,
    predict_mean,
    to_markdown,
)
from kgrec import TextEncoder
from kgrec.graph import Interactions, KnowledgeGraph

from tests.evaluation.worlds import make_graph


@pytest.fixture
def ratings() -> pd.DataFrame:
    """Forty users rate twenty items, the last four of which are cold in the graph."""
    user, item = np.divmod(np.arange(800), 20)
    return pd.DataFrame({"user": user, "item": item, "rating": 1.0 + item % 5})


@pytest.fixture
def graph(ratings: pd.DataFrame) -> KnowledgeGraph:
    users = [(f"user{place:02}", "film00") for place in range(40)]
    whole = make_graph({f"film{place:02}": None for place in range(20)}, users)
    warm = ratings[ratings["item"] < 16]
    return whole.with_interactions(Interactions(warm["user"].to_numpy(), warm["item"].to_numpy()))


def test_the_cold_split_holds_out_all_ratings_of_the_cold_items(
    graph: KnowledgeGraph, ratings: pd.DataFrame
) -> None:
    task = make_task(graph, ratings, "cold", 0)
    assert set(task.test["item"]) == {16, 17, 18, 19}
    assert set(task.train["item"]) == set(range(16))
    assert len(task.train) + len(task.test) == len(ratings)


def test_the_warm_split_holds_out_a_fifth_by_the_seed(
    graph: KnowledgeGraph, ratings: pd.DataFrame
) -> None:
    task = make_task(graph, ratings, "warm", 0)
    assert len(task.test) == pytest.approx(160, abs=40)
    both = pd.concat([task.train, task.test])[["user", "item"]]
    assert not both.duplicated().any()
    assert len(both) == len(ratings)
    other = make_task(graph, ratings, "warm", 1)
    assert not task.test.index.equals(other.test.index)


def test_means_are_of_the_training_ratings(graph: KnowledgeGraph, ratings: pd.DataFrame) -> None:
    warm, cold = (make_task(graph, ratings, protocol, 0) for protocol in ("warm", "cold"))
    assert predict_item_mean(warm, 0) == pytest.approx(warm.test["rating"].to_numpy())
    mean = cold.train["rating"].mean()
    assert predict_item_mean(cold, 0) == pytest.approx(np.full(160, mean))
    assert predict_mean(cold, 0) == pytest.approx(np.full(160, mean))


def test_finished_runs_are_kept(
    graph: KnowledgeGraph, ratings: pd.DataFrame, tmp_path: Path
) -> None:
    models = {"item mean": predict_item_mean}
    results = list(measure(graph, ratings, models, ["warm"], tmp_path))
    assert [one["seed"] for one in results] == [0, 1, 2]
    assert [one["rmse"] for one in results] == [0.0, 0.0, 0.0]
    path = tmp_path / "warm-1-item-mean.json"
    path.write_text(json.dumps(results[1] | {"mae": 9.0}), encoding="utf-8")
    again = list(measure(graph, ratings, models, ["warm"], tmp_path))
    assert [one["mae"] for one in again] == [0.0, 9.0, 0.0]


def test_the_table_gives_mean_and_spread() -> None:
    one = {"protocol": "cold", "model": "kgrec", "ratings": 1200, "mae": 0.5, "seconds": 2.0}
    shown = to_markdown([one | {"seed": 0, "rmse": 0.8}, one | {"seed": 1, "rmse": 0.9}])
    assert "| cold | kgrec | 0.8500 ± 0.0707 | 0.5000 ± 0.0000 | 2.0 | 1,200 | 2 |" in shown


def test_what_needs_surprise_is_skipped_without_it(
    tiny_encoder: TextEncoder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("benchmarks.rating.find_spec", dict[str, None]().get)
    assert [name for name in models(tiny_encoder) if "Surprise" in name] == []
    assert "pip install 'kgrec[bench]'" in capsys.readouterr().out


def test_no_data_no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["rating", "--data", str(tmp_path), "--work", str(tmp_path)])
    with pytest.raises(SystemExit, match="neo4j-recs is not in"):
        main()
