"""Tuning finds what was planted, on items that the outcome is not judged on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.synthetic import SCHEMA, make_synthetic
from kgrec import Config, KnowledgeGraph, TextEncoder
from kgrec.config import load_config
from kgrec.errors import ArtifactError, ConfigError
from kgrec.evaluation import split_cold_items
from kgrec.storage import save_graph
from kgrec.tuning import HELD_OUT, SPACE, Searched, tune, write_config

from tests.bert import save_random_bert
from tests.test_cli import run

BLIND = Config(hops=0, words=False, steps=0, low_pass_rank=0)  # texts of a random BERT say little
HOPS = (Searched("hops", (0, 1)),)


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    return KnowledgeGraph.from_tables(SCHEMA, make_synthetic(600).tables)


def test_finds_the_edges_that_carry_the_signal(
    graph: KnowledgeGraph, tiny_encoder: TextEncoder, tmp_path: Path
) -> None:
    store = tmp_path / "trials.db"
    first = tune(graph, config=BLIND, space=HOPS, trials=3, encoder=tiny_encoder, storage=store)
    assert first.config == BLIND.model_copy(update={"hops": 1})
    assert first.is_clear
    assert first.trials["hops"].tolist()[0] == 1
    assert first.trials["quality"].is_monotonic_decreasing
    outer = split_cold_items(graph, HELD_OUT, seed=0)
    assert first.gain["users"].tolist() == [outer.test_pairs()["user"].nunique()] * 2
    again = tune(graph, config=BLIND, space=HOPS, trials=3, encoder=tiny_encoder, storage=store)
    assert again.trials.equals(first.trials)  # nothing was left to try
    with pytest.raises(ConfigError, match="trials of another search"):
        tune(graph, config=BLIND, space=HOPS, encoder=tiny_encoder, storage=store, seed=1)


def test_the_start_is_tried_first(graph: KnowledgeGraph, tiny_encoder: TextEncoder) -> None:
    found = tune(graph, config=BLIND, space=HOPS, trials=1, encoder=tiny_encoder)
    assert found.config == BLIND
    assert not found.is_clear
    assert found.gain["recall@20_difference"].tolist() == [0.0, 0.0]


def test_the_space_fits_the_settings() -> None:
    assert {one.field for one in SPACE} <= set(Config.model_fields)
    with pytest.raises(ConfigError, match="hopps"):
        Searched("hopps", (1, 2))
    with pytest.raises(ConfigError, match="hops"):
        Searched("hops", (1, 7))
    with pytest.raises(ConfigError, match="the smaller one first"):
        Searched("learning_rate", (0.3, 0.1), is_range=True)


def test_settings_are_written_as_they_are_read(tmp_path: Path) -> None:
    config = Config(text_model='a "b" \\ c', steps=3, words=False, learning_rate=0.05)
    write_config(config, tmp_path / "best.toml")
    assert load_config(tmp_path / "best.toml") == config
    write_config(Config(), tmp_path / "best.toml")
    assert load_config(tmp_path / "best.toml") == Config()
    with pytest.raises(ArtifactError, match="can't be written"):
        write_config(config, tmp_path / "nowhere" / "best.toml")


def test_the_command(graph: KnowledgeGraph, tmp_path: Path) -> None:
    save_graph(graph, tmp_path / "graph")
    (tmp_path / "bert").mkdir()
    write_config(
        Config(text_model=str(save_random_bert(tmp_path / "bert")), max_length=32),
        tmp_path / "start.toml",
    )
    best = tmp_path / "best.toml"
    command = ["tune", str(tmp_path / "graph"), "--config", str(tmp_path / "start.toml")]
    done = run(*command, "--trials", "1", "-o", str(best), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["config"] == load_config(best).model_dump(exclude_defaults=True)
    assert [row["ranker"] for row in told["gain"]] == ["start", "tuned"]
    assert run(*command, "-o", str(tmp_path / "no" / "best.toml")).exit_code == 2
    elsewhere = run(*command, "-o", str(best), "--device", "nowhere")
    assert elsewhere.exit_code == 2
    assert "'nowhere' is not to be had" in elsewhere.output
