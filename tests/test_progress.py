"""Progress bars: on terminals alone."""

from __future__ import annotations

import sys

import pytest
from kgrec.progress import track


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
