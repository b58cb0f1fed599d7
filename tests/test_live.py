"""A live model: what is acknowledged is there, in every process and after every crash."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.kills import run_rounds
from benchmarks.load import run
from kgrec import Config, Recommender, TextEncoder
from kgrec.errors import ArtifactError, ConfigError, SourceError, UnknownIdError
from kgrec.items import AddInteractions, Edge, Interaction, Item, PutItems, RemoveItems
from kgrec.live import LiveModel, journal_path
from kgrec.ranker import UserBatch

from tests.live_world import live_graph

NEW = Item(id="new", text="a shark", edges=(Edge(relation="has_genre", node="genre1"),))
PUT = PutItems(items=(NEW,))
USE = AddInteractions(interactions=(Interaction(user="stranger", item="new"),))


@pytest.fixture(scope="module")
def original(tiny_encoder: TextEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live") / "model"
    config = Config(steps=2, core_items=20)
    Recommender(config, encoder=tiny_encoder).fit(live_graph(), seed=1).save(folder)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


def same(left: Recommender, right: Recommender) -> bool:
    scores = [ranker._score(UserBatch(ranker.histories)) for ranker in (left, right)]
    return left.graph == right.graph and np.array_equal(scores[0], scores[1])


def test_changes_are_there_after_a_restart(folder: Path, tiny_encoder: TextEncoder) -> None:
    live = LiveModel(folder, encoder=tiny_encoder)
    assert [live.apply(change) for change in (PUT, USE, RemoveItems(ids=("film01",)))] == [1, 2, 3]
    again = LiveModel(folder, encoder=tiny_encoder)
    assert again.position == 3
    assert same(again.current(), live.current())
    assert again.current().recommend("stranger", 3)["item"].tolist()


def test_other_processes_see_a_change_at_once(folder: Path, tiny_encoder: TextEncoder) -> None:
    one, other = (LiveModel(folder, encoder=tiny_encoder) for _ in range(2))
    replica = LiveModel(folder, encoder=tiny_encoder, read_only=True)
    before = replica.current()
    one.apply(PUT)
    for live in (other, replica):
        assert "new" in live.current().graph.items.ids.to_pylist()
    assert "new" not in before.graph.items.ids.to_pylist()
    other.apply(USE)
    assert one.apply(RemoveItems(ids=("film02",))) == 3
    assert same(one.current(), other.current())
    with pytest.raises(ConfigError, match="read-only"):
        replica.apply(PUT)
    with pytest.raises(ConfigError, match="read-only"):
        replica.compact()


def test_what_is_refused_is_not_written_down(folder: Path, tiny_encoder: TextEncoder) -> None:
    live = LiveModel(folder, encoder=tiny_encoder)
    before = journal_path(folder).read_bytes()
    bad = Item(id="bad", edges=(Edge(relation="has_genre", node="nowhere"),))
    with pytest.raises(SourceError, match="nowhere"):
        live.apply(PutItems(items=(NEW, bad)))
    with pytest.raises(UnknownIdError, match="nope"):
        live.apply(RemoveItems(ids=("nope",)))
    assert journal_path(folder).read_bytes() == before
    assert live.position == 0


def test_what_can_not_be_written_down_does_not_happen(
    folder: Path, tiny_encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveModel(folder, encoder=tiny_encoder)
    before = live.current()

    def fail(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(ArtifactError, match="no space left"):
        live.apply(PUT)
    monkeypatch.undo()
    assert live.current() is before
    assert live.apply(PUT) == 1


def test_a_compacted_model_is_the_same(folder: Path, tiny_encoder: TextEncoder) -> None:
    live, other = (LiveModel(folder, encoder=tiny_encoder) for _ in range(2))
    replica = LiveModel(folder, encoder=tiny_encoder, read_only=True)
    live.apply(PUT)
    live.compact()
    assert journal_path(folder).read_bytes().count(b"\n") == 1
    live.apply(USE)
    again = LiveModel(folder, encoder=tiny_encoder)
    for one in (other, replica, again):
        assert same(one.current(), live.current())
        assert one.position == 2
    assert other.apply(RemoveItems(ids=("film03",))) == 3
    other.compact()
    other.compact()
    assert same(LiveModel(folder, encoder=tiny_encoder).current(), live.current())


def test_a_crash_between_saving_and_emptying_the_journal(
    folder: Path, tiny_encoder: TextEncoder
) -> None:
    live = LiveModel(folder, encoder=tiny_encoder)
    live.apply(PUT)
    live.apply(USE)
    written = journal_path(folder).read_bytes()
    live.compact()
    journal_path(folder).write_bytes(written)  # as if it had not been emptied
    again = LiveModel(folder, encoder=tiny_encoder)
    assert same(again.current(), live.current())
    assert again.apply(RemoveItems(ids=("film03",))) == 3


def test_a_crash_between_the_two_renamings(folder: Path, tiny_encoder: TextEncoder) -> None:
    beside = folder.with_name(".model.abc")
    beside.mkdir()
    shutil.copytree(folder, beside / "new")
    folder.rename(beside / "old")
    assert LiveModel(folder, encoder=tiny_encoder).position == 0
    assert not beside.exists()


def test_a_line_that_a_killed_writer_left(folder: Path, tiny_encoder: TextEncoder) -> None:
    live = LiveModel(folder, encoder=tiny_encoder)
    live.apply(PUT)
    with journal_path(folder).open("ab") as file:
        file.write(b'1234abcd {"number":2,"chan')
    assert live.current().graph == LiveModel(folder, encoder=tiny_encoder).current().graph
    with journal_path(folder).open("ab") as file:
        file.write(b'1234abcd {"number":2,"chan')
    assert live.apply(USE) == 2
    assert LiveModel(folder, encoder=tiny_encoder).position == 2


def test_a_journal_of_a_later_model_is_refused(folder: Path, tiny_encoder: TextEncoder) -> None:
    live = LiveModel(folder, encoder=tiny_encoder)
    live.apply(PUT)
    live.compact()
    live.apply(USE)
    live.compact()
    shutil.copytree(folder, folder.with_name("copy"))
    live.apply(RemoveItems(ids=("film03",)))
    live.compact()
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)
    with pytest.raises(ArtifactError, match=r"begins with change 4.*has 2 changes"):
        LiveModel(folder, encoder=tiny_encoder)


def test_a_model_trained_anew_takes_its_place(
    folder: Path, tiny_encoder: TextEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    live = LiveModel(folder, encoder=tiny_encoder)
    live.apply(PUT)
    live.apply(RemoveItems(ids=("film39",)))
    assert not live.reload()
    anew = Recommender(Config(steps=1), encoder=tiny_encoder).fit(live_graph(), seed=2)
    anew.remove_items("film39")
    anew.save(folder)
    assert live.reload()
    assert live.skipped == 1  # the film is gone already
    assert "'film39'" in caplog.text
    assert "new" in live.current().graph.items.ids.to_pylist()
    anew.put_items([NEW])
    assert same(live.current(), anew)


def test_every_answer_under_load_is_that_of_one_version(tmp_path: Path) -> None:
    found = run(tmp_path, 3.0, readers=4, writers=2, compact=False)
    assert found.errors == found.wrong == []
    assert found.answers > 50
    assert found.changes > 5


def test_reading_goes_on_while_changes_are_folded_into_the_model(tmp_path: Path) -> None:
    found = run(tmp_path, 2.0, readers=2, writers=1, compact=True)
    assert found.errors == []
    assert found.answers > 20


def test_a_broken_new_model_is_not_taken(folder: Path, tiny_encoder: TextEncoder) -> None:
    live = LiveModel(folder, encoder=tiny_encoder)
    before = live.current()
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(ArtifactError, match="is broken"):
        live.reload()
    assert live.current() is before


def test_killed_in_the_middle_of_writing() -> None:
    rounds = run_rounds(rounds=3, writes=1000)
    assert all(one.ok for one in rounds)
    assert sum(one.acknowledged for one in rounds) > 30


def test_a_large_catalogue_is_searched_approximately_and_a_small_one_is_not(
    folder: Path, tmp_path: Path, tiny_encoder: TextEncoder
) -> None:
    small = LiveModel(folder, encoder=tiny_encoder, recall=0.9)
    assert small.current()._fitted.index is None
    config = Config(steps=2, core_items=16, catalogue_gigabytes=0, catalogue_components=8)
    Recommender(config, encoder=tiny_encoder).fit(live_graph()).save(tmp_path / "large")
    exact, large = (
        LiveModel(tmp_path / "large", encoder=tiny_encoder, recall=recall) for recall in (None, 0.9)
    )
    large.apply(PUT)
    index = large.current()._fitted.index
    assert index is not None
    assert index.recall == 1.0
    assert exact.current()._fitted.index is None
    users = exact.current().graph.users.ids.to_pylist()
    found, best = (live.current().recommend(users, 5) for live in (large, exact))
    pd.testing.assert_frame_equal(found, best, atol=1e-4, rtol=1e-4)
