"""What is written back, and vectors that rank as the model does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from kgrec.errors import ArtifactError
from kgrec.recommender import Recommender
from kgrec.writeback import compute_results, write_parquet
from kgrec.writeback.vectors import compute_vectors
from pyarrow import parquet

AT = datetime(2024, 5, 1, tzinfo=UTC)


def test_tables_are_what_the_verbs_say(model: Recommender) -> None:
    results = compute_results(model, n=3, similar=2, dimensions=4, at=AT)
    users = model.graph.users.ids.to_pylist()
    frame = model.recommend(users, 3)
    assert results.recommendations.to_pandas()["item"].tolist() == frame["item"].tolist()
    assert results.counts() == {
        "recommendations": len(users) * 3,
        "similar_items": len(model.graph.items) * 2,
        "user_vectors": len(users),
        "item_vectors": len(model.graph.items),
    }
    assert results.users is None
    some = compute_results(model, n=3, limit_users=2, with_reasons=True, at=AT)
    assert pc.unique(some.recommendations["user"]).to_pylist() == users[:2]
    reasons = some.recommendations["reasons"].to_pylist()
    assert all(reasons)
    bought = model.graph.items.ids.to_pylist()
    assert all(reason.split(" ")[0].rstrip(":") in bought for reason in reasons[0])


def test_cosines_rank_as_the_model_does(model: Recommender) -> None:
    users = np.arange(len(model.graph.users))
    scores = model.score(users)
    exact = compute_vectors(model, users, len(model.graph.items) + 1)
    assert exact.kept == pytest.approx(1.0)
    lengths = np.linalg.norm(exact.items, axis=1)
    np.testing.assert_allclose(lengths, lengths[0], rtol=1e-4)
    centred = scores - scores.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(exact.users @ exact.items.T, centred, atol=2e-3)
    short = compute_vectors(model, users, 3)
    assert short.items.shape == (len(model.graph.items), 3)
    assert 0.5 < short.kept <= exact.kept
    kept = 1 - np.square(centred - short.users @ short.items.T).sum() / np.square(centred).sum()
    assert short.kept == pytest.approx(kept, abs=1e-3)
    with pytest.raises(ValueError, match="ask for 2 or more"):
        compute_vectors(model, users, 1)


def test_parquet_is_replaced_as_a_whole(
    tmp_path: Path, model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    write_parquet(compute_results(model, n=3, similar=1, at=AT), folder)
    results = compute_results(model, n=2, at=AT)
    write_parquet(results, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["recommendations.parquet", "run.json"]
    assert parquet.read_table(folder / "recommendations.parquet").equals(results.recommendations)
    facts = json.loads((folder / "run.json").read_text())
    assert facts["at"] == "2024-05-01T00:00:00+00:00"
    assert facts["rows"] == results.counts()

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left on the device")

    monkeypatch.setattr("kgrec.writeback.files.parquet.write_table", fail)
    with pytest.raises(ArtifactError, match="no space left"):
        write_parquet(compute_results(model, n=1, at=AT), folder)
    assert json.loads((folder / "run.json").read_text()) == facts
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_parquet_spares_other_folders(tmp_path: Path, model: Recommender) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtifactError, match="holds something else than results"):
        write_parquet(compute_results(model, n=1, at=AT), tmp_path)


def test_vector_column_is_float32(model: Recommender) -> None:
    vectors = compute_results(model, dimensions=4, at=AT).item_vectors
    assert vectors is not None
    assert vectors.schema.field("vector").type == pa.list_(pa.float32())
