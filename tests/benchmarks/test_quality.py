"""The quality benchmark: its controls take away what they say, and its files add up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from benchmarks.datasets import cold_fifth
from benchmarks.protocols import Protocol, prepare, without_cold_fifth
from benchmarks.quality import measure_dataset, read_results, to_markdown, write_text
from benchmarks.quality_run import hidden_recall, run
from kgrec.baselines import Popularity
from kgrec.evaluation import EvaluationReport, evaluate
from kgrec.graph import KnowledgeGraph
from kgrec.sources import read_tables
from kgrec.storage import load_graph
from kgrec.text import TextEncoder

from benchmarks import controls
from tests.evaluation.worlds import make_graph
from tests.films import SCHEMA, film_graph


def test_a_shuffled_graph_keeps_degrees_and_joins_others(debian_graph: KnowledgeGraph) -> None:
    shuffled = controls.shuffle_graph(debian_graph, 0)
    assert controls.shuffle_graph(debian_graph, 0) == shuffled
    assert controls.shuffle_graph(debian_graph, 1) != shuffled
    for kind, table in debian_graph.edges.items():
        others = shuffled.edges[kind]
        assert 0.7 * len(table) <= len(others) <= len(table)  # doubles are merged
        assert set(others.edge_index[1]) == set(table.edge_index[1])
    kind = ("package", "built_from", "source")  # one edge a package: none can become double
    before, after = debian_graph.edges[kind].edge_index, shuffled.edges[kind].edge_index
    assert (np.bincount(before[1]) == np.bincount(after[1])).all()
    assert (before[1] == after[1]).mean() < 0.05


def test_texts_and_edges_can_be_removed() -> None:
    graph = film_graph()
    silent = controls.remove_texts(graph)
    assert all(table.texts.null_count == len(table) for table in silent.nodes.values())
    assert silent.edges is graph.edges
    bare = controls.remove_edges(graph)
    assert set(bare.edges) == set(graph.edges)
    assert not any(len(table) for table in bare.edges.values())
    assert bare.nodes is graph.nodes


def test_distant_texts_are_features_of_the_items(
    debian_graph: KnowledgeGraph, tiny_encoder: TextEncoder
) -> None:
    graph = debian_graph
    farther = controls.add_distant_texts(graph, tiny_encoder)
    features = farther.items.features
    assert features is not None
    assert graph.items.features is None
    assert features.shape[0] == len(graph.items)
    assert np.isfinite(features).all()
    assert features.any()


def test_cold_items_held_back_make_the_graph_again(debian_graph: KnowledgeGraph) -> None:
    before, arriving = controls.hold_back_cold_items(debian_graph)
    assert len(arriving.entities) == 54
    assert len(before.items) == len(debian_graph.items) - 54
    assert not before.is_cold.any()
    cold = set(debian_graph.cold_items.to_pylist())
    ends = zip(
        arriving.relations["head"].to_pylist(), arriving.relations["tail"].to_pylist(), strict=True
    )
    assert all({head, tail} & cold for head, tail in ends)
    assert before.extended(arriving) == debian_graph


def test_cold_items_held_back_where_items_are_heads_alone() -> None:
    graph = make_graph(
        dict.fromkeys(["old", "new"], "a film"), [("ada", "old")], {"old": ["x"], "new": ["x", "y"]}
    )
    before, arriving = controls.hold_back_cold_items(graph)
    assert before.items.ids.to_pylist() == ["old"]
    assert set(arriving.relations["head"].to_pylist()) == {"new"}
    assert before.extended(arriving) == graph


def test_the_mixed_protocol_takes_a_fifth_away() -> None:
    entities = pd.DataFrame({"id": map(str, range(20)), "type": "film", "text": "x"})
    log = pd.DataFrame({"user": "ada", "item": map(str, range(15))})
    graph = read_tables({"entities": entities, "interactions": log}, SCHEMA)
    test = pd.DataFrame({"user": "ada", "item": map(str, range(10, 20))})
    mixed = without_cold_fifth(graph, test)
    cold = cold_fifth([str(n) for n in range(20)])
    assert len(cold) == 4
    untested = {str(n) for n in range(15, 20)}
    assert set(mixed.cold_items.to_pylist()) == cold | untested
    assert len(mixed.interactions) == 15 - len(cold - untested)


def report(rows: list[tuple[str, int, float]]) -> EvaluationReport:
    frame = pd.DataFrame(rows, columns=["user", "positives", "recall@20"])
    return EvaluationReport("x", "all", (20,), 0.95, frame, frame.iloc[:0], {}, 3, 0, 0, 0)


def test_recall_with_cold_items_hidden() -> None:
    of_all = report([("ada", 4, 0.0), ("bob", 1, 1.0)])
    of_warm = report([("ada", 2, 0.5)])  # bob's only pair is cold
    assert hidden_recall(of_all, of_warm) == pytest.approx((1 / 4 + 0) / 2)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Protocol]:
    work = tmp_path_factory.mktemp("work")
    (protocol,) = prepare(work / "nowhere", work, ["debian-python", "ml1m-kg"])
    return work, protocol


def test_prepared_protocols(
    prepared: tuple[Path, Protocol],
    debian_graph: KnowledgeGraph,
    capsys: pytest.CaptureFixture[str],
) -> None:
    work, protocol = prepared
    assert protocol.folder == "debian-python-cold"
    assert load_graph(work / protocol.folder / "graph") == debian_graph
    assert prepare(work / "nowhere", work, ["ml1m-kg"]) == []
    assert "skipped ml1m-kg-warm" in capsys.readouterr().err


def test_a_run_measures_what_evaluate_does(
    prepared: tuple[Path, Protocol], debian_graph: KnowledgeGraph, tmp_path: Path
) -> None:
    work, protocol = prepared
    found = run(work / protocol.folder, "popularity", 0, ["cold", "all", "warm"], tmp_path)
    test = pd.read_parquet(work / protocol.folder / "test.parquet")
    wanted = evaluate(Popularity().fit(debian_graph), test, candidates="cold", k=[20])
    assert found["candidates"]["cold"]["recall@20"]["mean"] == wanted.mean("recall", 20)
    assert found["candidates"]["all"]["cold_recall@20"]["mean"] == 0.0
    assert found["candidates"]["all"]["recall_with_cold_hidden@20"] == 0.0  # all pairs are cold
    assert found["peak_mb"] > 50
    json.dumps(found)


def one_run(recall: float) -> dict[str, Any]:
    metric = {"mean": recall, "low": 0.0, "high": 1.0}
    cold = {"users": 7, "candidate_count": 9, "recall@20": metric}
    return {"fit_seconds": 2.0, "peak_mb": 100.0, "candidates": {"cold": cold}}


def test_the_table_has_mean_and_spread() -> None:
    runs = {"0": one_run(0.1), "1": one_run(0.3)}
    broken = {"0": {"error": "out of memory", "candidates": {}}}
    shown = to_markdown("films", {"cold": {"kgrec": runs, "ease": broken}})
    assert "| model | recall@20 | fit s | peak MB | seeds |" in shown
    assert "| kgrec | 0.2000 ± 0.1414 | 2.0 | 100 | 2 |" in shown
    assert "| ease | out of memory |" in shown
    assert "7 users, 9 candidates" in shown


def test_what_is_measured_stays(prepared: tuple[Path, Protocol], tmp_path: Path) -> None:
    work, protocol = prepared
    path = tmp_path / "debian-python.json"
    results = {"cold": {"popularity": {"0": one_run(0.5)}}}
    write_text(path, json.dumps({"results": results}))
    measure_dataset([protocol], work, ["popularity"], [0], tmp_path, timeout=1)
    assert read_results(path) == results
    measure_dataset([protocol], work, ["popularity"], [0, 1], tmp_path, timeout=0.01)
    assert "took longer" in read_results(path)["cold"]["popularity"]["1"]["error"]
    assert read_results(path)["cold"]["popularity"]["0"] == one_run(0.5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["debian-python.json", "debian-python.md"]
    assert read_results(tmp_path / "nothing.json") == {}
