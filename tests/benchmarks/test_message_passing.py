"""The trial of message passing: each contender gets its due, and what is told was found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from benchmarks.message_passing import (
    NETWORKS,
    ClosedForm,
    Task,
    Trial,
    draw_closed_form,
    draw_networks,
    draw_residual,
    measure,
    race,
    standardised,
    test_task,
    validation_tasks,
)
from kgrec.selection import ColdSettings
from kgrec.text import TextEncoder
from numpy.typing import NDArray

from benchmarks import message_passing
from tests.baselines.worlds import COLD_EACH, TASTES, WordEncoder, checkerboard

test_task.__test__ = False  # type: ignore[attr-defined]  # no test of pytest's

NEW = [f"{taste}_new{i}" for taste in TASTES for i in range(COLD_EACH)]
PAIRS = pd.DataFrame(
    [(f"{taste}_fan{i}", f"{taste}_new{n}") for taste in TASTES for i in range(20) for n in (0, 1)],
    columns=["user", "item"],
)


class ArrowWords(WordEncoder):
    """Counts words of Arrow's texts too, as the real encoder does."""

    def encode(self, texts: Sequence[str] | pa.StringArray) -> NDArray[np.float32]:
        listed = texts.to_pylist() if isinstance(texts, pa.Array) else texts
        return super().encode([text or "" for text in listed])


ENCODER = cast(TextEncoder, ArrowWords())


def test_settings_are_as_many_as_asked_for_and_no_two_alike() -> None:
    drawn: dict[str, Sequence[object]] = {
        "closed form": draw_closed_form([1.0, 1.0], 24),
        "residual": draw_residual(24),
        **{name: draw_networks(name, 24) for name in NETWORKS},
    }
    assert {name: len(set(settings)) for name, settings in drawn.items()} == dict.fromkeys(
        drawn, 24
    )
    assert {one.convolution for one in draw_networks("gat", 24)} == {"gat"}
    assert {one.convolution for one in draw_networks("graphsage", 24)} == {"sage"}
    assert {(one.corrects, one.smoothed) for one in draw_residual(24)} == {
        (corrects, smoothed) for corrects in (True, False) for smoothed in (True, False)
    }
    assert draw_networks("gat", 3) == draw_networks("gat", 3)


def test_hidden_items_leave_the_histories_and_nothing_else() -> None:
    graph = checkerboard()
    first, second = validation_tasks(graph, ENCODER, 2)
    assert len(first.hidden) == len(second.hidden) == 4
    assert not set(first.hidden) & set(second.hidden)
    whole = graph.interaction_matrix()
    for task in (first, second):
        assert not task.matrix[:, task.hidden].nnz
        np.testing.assert_array_equal(
            task.matrix[:, task.known].toarray(), whole[:, task.known].toarray()
        )
        np.testing.assert_array_equal(task.positives, whole[task.users][:, task.hidden].toarray())
        assert set(task.known) | set(task.hidden) == set(np.flatnonzero(~graph.is_cold))


def test_the_test_asks_for_cold_pairs() -> None:
    graph = checkerboard()
    strangers = pd.DataFrame({"user": ["nobody", "heist_fan0"], "item": ["heist_new0", "unheard"]})
    task = test_task(graph, ENCODER, pd.concat([PAIRS, strangers]))
    assert graph.items.ids.take(pa.array(task.hidden)).to_pylist() == sorted(NEW)
    assert len(task.users) == 40
    assert task.positives.sum() == 80


def test_quality_by_hand() -> None:
    task = test_task(checkerboard(), ENCODER, PAIRS.iloc[[0, 3]])  # new0 of one, new1 of another
    quality = measure([task], [np.array([[4.0, 3, 2, 1], [4.0, 3, 2, 1]], np.float32)])
    assert quality.values() == {"recall@20": 1.0, "ndcg@20": round((1 + 1 / np.log2(3)) / 2, 5)}
    assert quality.mean == pytest.approx(quality.both.mean())


def test_standardised_by_hand() -> None:
    scores = standardised(np.array([[1.0, 3.0], [5.0, 5.0]], np.float32))
    assert scores.tolist() == [[-1.0, 1.0], [0.0, 0.0]]


def test_the_closed_form_as_the_equation_has_it() -> None:
    task = test_task(checkerboard(), ENCODER, PAIRS)
    shares = tuple(np.full(len(task.rows), 1 / len(task.rows)).tolist())
    form = ClosedForm(task, 0)
    scores = form.scores(ColdSettings(10.0, shares, 1.0, 0.3, 0.0, 0.0))
    mixture = np.zeros((len(task.graph.items),) * 2)
    for matrix in task.rows:
        dense = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
        mixture += dense @ dense.T / len(task.rows)
    kernel = np.exp(mixture - 1)
    inverse = np.linalg.inv(kernel[np.ix_(task.known, task.known)] + 0.3 * np.eye(len(task.known)))
    expected = form.teacher(10.0) @ inverse @ kernel[np.ix_(task.known, task.hidden)]
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-4)


@dataclass(frozen=True)
class Form:
    """The steps at which somebody is in form."""

    first: int
    last: int


class Sprinter:
    """Finds what was used when in form, and only then."""

    def __init__(self, task: Task, form: Form) -> None:
        self.task, self.form, self.done = task, form, 0

    def advance(self, steps: int) -> None:
        self.done += steps

    def scores(self) -> NDArray[np.float32]:
        sign = 1 if self.form.first <= self.done <= self.form.last else -1
        return np.asarray(sign * self.task.positives, np.float32)


def test_the_race_trains_the_best_to_the_end_and_keeps_each_at_its_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(message_passing, "RUNGS", (10, 20, 40))
    tasks = validation_tasks(checkerboard(), ENCODER, 1)
    late, early, never, soon = Form(30, 99), Form(20, 20), Form(99, 99), Form(10, 10)
    settings = [never, late, early, never, early, never, never, never, soon]
    entries = race(tasks, settings, lambda form: [Sprinter(tasks[0], form)], "sprinters")
    assert sorted(entry.trained for entry in entries) == [10] * 6 + [20] * 2 + [40]
    assert entries[0].settings == soon  # the only one in form when the first six had to stop
    assert entries[0].trained == 40
    assert entries[0].steps == 10
    assert entries[0].quality.mean > entries[-1].quality.mean
    np.testing.assert_array_equal(entries[0].scores[0], tasks[0].positives)


def test_the_whole_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_passing, "RUNGS", (10, 20))
    path = tmp_path / "results" / "message-passing.json"
    kept = tmp_path / "kept"
    trial = Trial("board", checkerboard(), PAIRS, ENCODER, kept, path, draws=2, seeds=[0, 1])
    for contender in ("closed-form", "graphsage", "residual", "mixture"):
        trial.run(contender)
    found = json.loads(path.read_text(encoding="utf-8"))["board"]
    mixtures = ["closed-form + graphsage", "closed-form + residual"]
    assert list(found) == ["closed-form", "graphsage", "residual", *mixtures]
    for name, entry in found.items():
        assert list(entry["test"]) == ["0", "1"]
        sums = [one["recall@20"] + one["ndcg@20"] for one in entry["configurations"]]
        assert sums == sorted(sums, reverse=True)
        assert sums[0] == pytest.approx(sum(entry["validation"].values()))
        assert len(sums) == (len(message_passing.WEIGHTS) if name in mixtures else 2)
    assert found["closed-form"]["test"]["0"]["ndcg@20"] == 1.0
    for name in mixtures:
        assert found[name]["validation_gain"]["mean"] >= 0
    table = path.with_suffix(".md").read_text(encoding="utf-8")
    assert table.count("| closed-form + ") == 2
    assert table.count("- closed-form + ") == 2
