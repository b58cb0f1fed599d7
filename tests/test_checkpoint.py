"""A fit that was interrupted goes on where it was, to the same bits."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from kgrec import Config, KnowledgeGraph, Recommender, TextEncoder, datasets, fitting
from kgrec.checkpoint import fit_key
from kgrec.ranker import UserBatch

from tests.live_world import live_graph

CONFIG = Config(steps=3, core_items=20)
WAIT_SECONDS = 120


def scores(model: Recommender) -> np.ndarray:
    return model._score(UserBatch(model.histories))


@pytest.fixture(scope="module")
def whole(tiny_encoder: TextEncoder) -> Recommender:
    return Recommender(CONFIG, encoder=tiny_encoder).fit(live_graph(), seed=1)


def interrupt(file: Path, encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "choose_warm_settings", stop)
        with pytest.raises(KeyboardInterrupt):
            Recommender(CONFIG, encoder=encoder, checkpoint=file).fit(live_graph(), seed=1)


def never(*_: object) -> None:
    raise AssertionError("chosen again")


def test_goes_on_to_the_same_bits(
    whole: Recommender, tiny_encoder: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "fit.unfinished"
    interrupt(file, tiny_encoder, monkeypatch)
    assert list(json.loads(file.read_text())["stages"]) == ["ColdSettings"]
    monkeypatch.setattr(fitting, "choose_cold_settings", never)
    again = Recommender(CONFIG, encoder=tiny_encoder, checkpoint=file).fit(live_graph(), seed=1)
    np.testing.assert_array_equal(scores(again), scores(whole))
    assert again.validation == whole.validation
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", ["seed", "config", "graph"])
def test_takes_nothing_from_another_fit(
    other: str, tiny_encoder: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "fit.unfinished"
    interrupt(file, tiny_encoder, monkeypatch)
    config = Config(steps=2, core_items=20) if other == "config" else CONFIG
    graph = live_graph(seed=5) if other == "graph" else live_graph()
    seed = 2 if other == "seed" else 1
    monkeypatch.setattr(fitting, "choose_cold_settings", never)
    with pytest.raises(AssertionError, match="chosen again"):
        Recommender(config, encoder=tiny_encoder, checkpoint=file).fit(graph, seed=seed)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', "\udcff"])
def test_an_unreadable_file_is_passed_over(
    content: str, whole: Recommender, tiny_encoder: TextEncoder, tmp_path: Path
) -> None:
    file = tmp_path / "fit.unfinished"
    file.write_bytes(content.encode(errors="surrogateescape"))
    model = Recommender(CONFIG, encoder=tiny_encoder, checkpoint=file).fit(live_graph(), seed=1)
    np.testing.assert_array_equal(scores(model), scores(whole))


def test_the_key_sees_every_part_of_a_graph() -> None:
    graph = live_graph()
    keys = {fit_key(graph, CONFIG, 1, "bert")}
    for changed in changed_graphs(graph):
        keys.add(fit_key(changed, CONFIG, 1, "bert"))
    keys.add(fit_key(graph, CONFIG, 1, "other bert"))
    assert len(keys) == 5
    assert fit_key(live_graph(), CONFIG, 1, "bert") in keys


def changed_graphs(graph: KnowledgeGraph) -> list[KnowledgeGraph]:
    films, edges = graph.items, dict(graph.edges)
    edge_type = next(iter(edges))
    fewer = {at: table for at, table in edges.items() if at != edge_type}
    texts = films.texts.take(list(reversed(range(len(films)))))
    rewritten = {**graph.nodes, "film": type(films)(films.ids, texts, films.features)}
    return [
        graph.with_edges(fewer),
        graph.with_interactions(graph.interactions.select(np.arange(5))),
        KnowledgeGraph(graph.schema, rewritten, graph.edges, graph.interactions),
    ]


def test_a_terminated_training_is_taken_up_again(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("steps = 4\n", encoding="utf-8")
    kgrec = str(Path(sys.executable).with_name("kgrec"))
    schema = str(datasets.debian_folder())

    def train(output: str) -> subprocess.Popen[str]:
        words = ["train", str(datasets.debian_rdf()), "--schema", schema, "-o", output]
        return subprocess.Popen(  # noqa: S603  our own command line
            [kgrec, *words, "--config", "settings.toml"],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )

    unfinished, begin = tmp_path / "model.unfinished", time.monotonic()
    with train("model") as first:
        while not unfinished.exists() and time.monotonic() - begin < WAIT_SECONDS:
            assert first.poll() is None
            time.sleep(0.005)
        first.send_signal(signal.SIGTERM)
        _, told = first.communicate(timeout=WAIT_SECONDS)
    assert first.returncode == 130
    assert told.splitlines()[-1].endswith("interrupted")
    assert unfinished.exists()
    assert not (tmp_path / "model").exists()
    for output in ("model", "straight"):
        with train(output) as process:
            process.communicate(timeout=WAIT_SECONDS)
        assert process.returncode == 0
    assert not unfinished.exists()
    left, right = (Recommender.load(tmp_path / name) for name in ("model", "straight"))
    np.testing.assert_array_equal(scores(left), scores(right))
