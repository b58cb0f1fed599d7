"""The command that says how a model came about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kgrec.config import Config
from kgrec.recommender import Recommender
from kgrec.text import TextEncoder

from tests.baselines.worlds import checkerboard
from tests.test_cli import refusal, run, run_json


@pytest.fixture(scope="module")
def models(tiny_encoder: TextEncoder, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    for seed in (3, 4):
        model = Recommender(Config(steps=1), encoder=tiny_encoder).fit(checkerboard(), seed=seed)
        model.save(folder / f"{seed}.kgrec")
    return [folder / "3.kgrec", folder / "4.kgrec"]


def test_facts(models: list[Path]) -> None:
    first, other = (run_json("inspect", str(model)) for model in models)
    assert (first["seed"], other["seed"]) == (3, 4)
    assert first["data"] == other["data"]
    assert first["config"]["steps"] == 1
    assert set(first["files"]) >= {"arrays.safetensors", "model.json", "graph/graph.json"}


def test_lines(models: list[Path]) -> None:
    done = run("inspect", str(models[0]))
    assert done.exit_code == 0
    assert "seed: 3" in done.output.splitlines()
    manifest = json.loads((models[0] / "manifest.json").read_text())
    for name, file in manifest["files"].items():
        assert any(
            line.startswith(file["sha256"]) and line.endswith(name)
            for line in done.output.splitlines()
        )


def test_no_model(tmp_path: Path) -> None:
    assert "holds no kgrec model" in refusal("inspect", str(tmp_path))
