"""Lists for all users, in parts that are whole or not there."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from kgrec import Config, Recommender, TextEncoder
from kgrec.errors import ArtifactError
from kgrec.everybody import cut_into_shards, missing_shards, recommend_to_everybody

from tests.live_world import live_graph
from tests.test_cli import run


@pytest.fixture(scope="module")
def model(tiny_encoder: TextEncoder) -> Recommender:
    return Recommender(Config(steps=2), encoder=tiny_encoder).fit(live_graph(), seed=1)


def test_every_user_is_in_one_shard() -> None:
    shards = cut_into_shards(10, 4)
    assert [(shard.start, shard.end) for shard in shards] == [(0, 4), (4, 8), (8, 10)]
    assert cut_into_shards(0) == []


def test_parts_hold_the_lists_of_everybody(model: Recommender, tmp_path: Path) -> None:
    users = model.graph.users.ids.to_pylist()
    expected = model.recommend(users, 3)
    assert recommend_to_everybody(model, tmp_path / "lists", 3, shard_users=7) == len(expected)
    assert len(list((tmp_path / "lists").iterdir())) == -(-len(users) // 7)
    written = pd.read_parquet(tmp_path / "lists")
    pd.testing.assert_frame_equal(written, expected, check_dtype=False)


def test_an_interrupted_run_goes_on_with_what_is_missing(
    model: Recommender, tmp_path: Path
) -> None:
    recommend_to_everybody(model, tmp_path, 3, shard_users=7)
    lost, kept = tmp_path / "part-00001.parquet", tmp_path / "part-00000.parquet"
    before, old = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    (tmp_path / "part-00001.parquet.0.partial").write_bytes(b"half")
    assert recommend_to_everybody(model, tmp_path, 3, shard_users=7) == 21
    assert lost.read_bytes() == old
    assert kept.stat().st_mtime_ns == before
    assert recommend_to_everybody(model, tmp_path, 3, shard_users=7) == 0


def test_a_folder_with_something_else_is_left_alone(model: Recommender, tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(ArtifactError, match=r"letters\.txt, which is no part"):
        recommend_to_everybody(model, tmp_path)
    with pytest.raises(ArtifactError, match="can't be used"):
        missing_shards([], tmp_path / "letters.txt")


def test_the_command(model: Recommender, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    lists = str(tmp_path / "lists")
    done = run("recommend-all", str(tmp_path / "model"), "--output", lists, "-n", "4", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"output": lists, "rows": len(pd.read_parquet(lists))}
