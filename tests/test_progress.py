"""Progress bars: on terminals alone."""

from __future__ import annotations

import io
import sys
import time

import pytest
from kgrec import progress
from kgrec.progress import track
from rich.console import Console


def test_every_element_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track("abc", "reading letters")) == ["a", "b", "c"]
    assert list(track([], "reading nothing")) == []
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert list(track([1, 2], "counting")) == [1, 2]
    captured = capsys.readouterr()
    assert "counting" in captured.err
    assert captured.out == ""


def test_work_that_fails_ends_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = track([1, 0], "dividing")
    with pytest.raises(ZeroDivisionError):
        [1 / number for number in bar]
    assert list(track([1], "again")) == [1]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_rows_are_counted_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=is_terminal)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    with progress.counted_rows("films.csv") as count:
        count(3)
        time.sleep(0.2)
    assert ("Reading films.csv" in output.getvalue()) == is_terminal
    assert ("3 rows" in output.getvalue()) == is_terminal
