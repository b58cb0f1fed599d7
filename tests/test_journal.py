"""A journal gives back what was written, cuts off what was not finished, and refuses the rest."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kgrec.errors import ArtifactError
from kgrec.items import AddInteractions, Change, Edge, Interaction, Item, PutItems, RemoveItems
from kgrec.journal import Header, Journal

CHANGES: list[Change] = [
    PutItems(items=(Item(id="a", text="line\nbreak ♥", edges=(Edge(relation="r", node="b"),)),)),
    RemoveItems(ids=("a",)),
    AddInteractions(interactions=(Interaction(user="u", item="b", weight=0.1, time=7),)),
]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "model.journal")
    with journal.lock():
        journal.begin(Header("abc", 5))
        for number, change in enumerate(CHANGES):
            journal.append(5 + number, change)
    return journal


def test_what_was_written_is_read(journal: Journal) -> None:
    header, entries, place = journal.read()
    assert header == Header("abc", 5)
    assert [entry.change for entry in entries] == CHANGES
    assert [entry.number for entry in entries] == [5, 6, 7]
    assert place is not None
    assert place.offset == journal.path.stat().st_size
    assert not journal.has_more(place)
    journal.append(8, CHANGES[1])
    assert journal.has_more(place)
    assert [entry.number for entry in journal.read(place)[1]] == [8]


def test_no_journal(tmp_path: Path) -> None:
    assert Journal(tmp_path / "none").read() == (None, [], None)
    assert not Journal(tmp_path / "none").has_more(None)


def test_another_file_is_read_from_its_start(journal: Journal) -> None:
    _, _, place = journal.read()
    journal.begin(Header("def", 8))
    journal.append(8, CHANGES[1])
    assert journal.has_more(place)
    header, entries, _ = journal.read(place)
    assert header == Header("def", 8)
    assert [entry.number for entry in entries] == [8]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(cut=st.integers(1, 400))
def test_a_file_cut_short_gives_the_whole_changes_before(cut: int, journal: Journal) -> None:
    content = journal.path.read_bytes()
    first = content.index(b"\n") + 1
    kept = max(first, len(content) - cut)
    short = Journal(journal.path.with_name("short"))
    short.path.write_bytes(content[:kept])
    _, entries, place = short.read()
    assert [entry.change for entry in entries] == CHANGES[: len(entries)]
    assert len(entries) == content[first:kept].count(b"\n")
    assert place is not None
    short.cut_torn_line(place)
    short.append(5 + len(entries), CHANGES[2])
    assert len(short.read()[1]) == len(entries) + 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_an_altered_byte_is_refused(data: st.DataObject, journal: Journal) -> None:
    content = bytearray(journal.path.read_bytes())
    first = content.index(b"\n") + 1
    # the very last byte ends the last line: without it that line was never finished
    place = data.draw(st.integers(first, len(content) - 2))
    content[place] ^= data.draw(st.integers(1, 255))
    other = Journal(journal.path.with_name("altered"))
    other.path.write_bytes(content)
    with pytest.raises(ArtifactError, match="was altered at byte"):
        other.read()


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"", "first line is broken"),
        (b"{}\n", "first line is broken"),
        (b'{"format": "a cake"}\n', "no kgrec journal"),
        (b'{"format": "kgrec journal", "version": 9}\n', "format 9, and this kgrec reads 1"),
    ],
)
def test_what_is_no_journal(header: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(header)
    with pytest.raises(ArtifactError, match=said):
        Journal(tmp_path / "file").read()


def test_changes_that_are_missing_in_between(journal: Journal) -> None:
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    with pytest.raises(ArtifactError, match="change 7 follows 5"):
        journal.read()


def test_a_full_disk_leaves_the_journal_as_it_was(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = journal.path.read_bytes()

    def fail(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ArtifactError, match=r"no space left.*was not accepted"):
        journal.append(8, CHANGES[0])
    assert journal.path.read_bytes() == before


def _append(path: Path, count: int) -> None:
    journal = Journal(path)
    for _ in range(count):
        with journal.lock():
            _, entries, _ = journal.read()
            journal.append(entries[-1].number + 1, CHANGES[1])


def test_writers_wait_for_each_other(journal: Journal) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append, args=(journal.path, 20)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [entry.number for entry in journal.read()[1]] == list(range(5, 68))
