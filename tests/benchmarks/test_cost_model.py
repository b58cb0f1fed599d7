"""The cost model finds the constants that a run was made with."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks.cost_model import LARGE, Sizes, predict_gigabytes, predict_seconds, to_markdown
from kgrec.config import Config

CUBE, OTHER, EACH = 2e-10, 3e-4, 1e-6


def run(items: int) -> dict[str, Any]:
    """Make up a run whose stages cost so much a unit."""
    edges, interactions, cold = 10 * items, 50 * items, items // 20
    core = min(Config().core_items, items - cold)
    seconds = {
        "load": EACH * (edges + interactions),
        "encode, cached": EACH * 2 * items,
        "propagate": EACH * edges,
        "fit": CUBE * core**3 + OTHER * (items - core),
        "evaluate 2000 users": EACH * items,
    }
    return {
        "items": items,
        "nodes": 2 * items,
        "edges": edges,
        "interactions": interactions,
        "cold_items": cold,
        "stages": {name: {"cpu_seconds": taken} for name, taken in seconds.items()},
    }


SMALL, MIDDLE, LARGEST = run(10_000), run(100_000), run(1_000_000)


@pytest.mark.parametrize("stage", list(SMALL["stages"]))
def test_predictions_are_what_the_constants_give(stage: str) -> None:
    expected = LARGEST["stages"][stage]["cpu_seconds"]
    predicted = predict_seconds(stage, Sizes.of(LARGEST), SMALL, MIDDLE)
    assert predicted == pytest.approx(expected, rel=0.03)  # of the small one, some are not core


def test_memory_grows_with_what_it_is_made_of() -> None:
    million = predict_gigabytes(Sizes.of(LARGEST))
    assert million["columns of items outside the core"] == pytest.approx(4.03, abs=0.01)
    assert million["matrices of the core, while fitting"] == pytest.approx(7.5, abs=0.1)
    far = predict_gigabytes(LARGE)
    assert far["edges, and their matrices"] == pytest.approx(280)
    assert (
        far["matrices of the core, while fitting"] == million["matrices of the core, while fitting"]
    )


def test_the_table_holds_predictions_against_measurements() -> None:
    lines = to_markdown({"a": SMALL, "b": MIDDLE, "c": LARGEST})
    assert "| load | 60 | 60 | 11,000 |" in lines
    assert lines[-2].startswith("| together |")
    assert "for 50,000,000 users 694" in lines[-1]  # 25,000 times 100 seconds
