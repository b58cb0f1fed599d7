"""The frontier: its points on a ranking known beforehand, its table and its picture."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from benchmarks.frontier import draw, measure_point, to_markdown
from kgrec.baselines import Popularity
from kgrec.sources import read_tables

from tests.films import SCHEMA

FOUND = {
    "cold_tolerance 0": {"0": {"overall": 0.24, "cold": 0.02, "hidden": 0.24}},
    "cold_tolerance 0.1": {
        "0": {"overall": 0.22, "cold": 0.1, "hidden": 0.24},
        "1": {"overall": 0.20, "cold": 0.2, "hidden": 0.24},
    },
    "ease": {"0": {"overall": 0.23, "cold": 0.0, "hidden": 0.23}},
}


def test_a_ranker_that_never_shows_a_cold_item() -> None:
    films = [f"film {number:02}" for number in range(30)]
    entities = pd.DataFrame({"id": films, "type": "film", "text": "x"})
    log = pd.DataFrame({"user": "bob", "item": films[:25]})
    log.loc[len(log)] = ["ada", films[0]]
    popular = Popularity().fit(read_tables({"entities": entities, "interactions": log}, SCHEMA))
    test = pd.DataFrame({"user": "ada", "item": [films[1], films[29]]})
    point = measure_point(popular, test)
    assert point == {"overall": 0.5, "cold": 0.0, "hidden": 0.5}


def test_the_table_compares_with_hiding() -> None:
    shown = to_markdown(FOUND)
    assert "| cold_tolerance 0.1 | 0.2100 | -12.5% | 0.1500 | 2 |" in shown
    assert "| ease | 0.2300 | +0.0% | 0.0000 | 1 |" in shown


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    draw(FOUND, tmp_path / "new" / "frontier.svg")
    picture = (tmp_path / "new" / "frontier.svg").read_text(encoding="utf-8")
    assert "<svg" in picture
    assert picture.count("<path") > 10


def test_no_data_no_frontier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import frontier

    monkeypatch.setattr("sys.argv", ["frontier", "--data", str(tmp_path), "--work", str(tmp_path)])
    with pytest.raises(SystemExit, match="ml1m-kg is not in"):
        frontier.main()
