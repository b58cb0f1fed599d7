"""The command that writes results back."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.bolt_server import BoltServer
from kgrec.recommender import Recommender
from pyarrow import parquet

from tests.test_cli import refusal, run, run_json
from tests.writeback.conftest import SCHEMA, model, shop_server

__all__ = ["model", "shop_server"]  # fixtures


@pytest.fixture(scope="module")
def folder(model: Recommender, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "shop.kgrec"
    model.save(path)
    return str(path)


def test_parquet_and_rdf(folder: str, tmp_path: Path) -> None:
    target = str(tmp_path / "out")
    facts = run_json("write-back", folder, target, "-n", "2", "--similar", "1", "--vectors", "4")
    assert facts["recommendations"] == 24
    assert facts["similar_items"] == 20
    assert len(parquet.read_table(tmp_path / "out" / "item_vectors.parquet")) == 20
    shown = run("write-back", folder, str(tmp_path / "out.trig.gz"), "--limit-users", "3")
    assert shown.exit_code == 0, shown.output
    assert "recommendations: 30" in shown.output
    assert (tmp_path / "out.trig.gz").is_file()
    assert run("write-back", folder, str(tmp_path / "none"), "--dry-run").exit_code == 0
    assert not (tmp_path / "none").exists()


def test_neo4j(folder: str, shop_server: BoltServer, monkeypatch: pytest.MonkeyPatch) -> None:
    user, password = shop_server.auth
    login = ("--username", user, "--password", password, "--database", shop_server.database)
    command = ("write-back", folder, shop_server.uri, "-n", "2", *login)
    dry = run(*command, "--dry-run")
    assert ":begin" in dry.output
    assert "UNWIND $rows AS row" in dry.output
    facts = run_json(*command)
    assert facts["recommendations"] == 24
    assert "recommendations_without_node" not in facts
    monkeypatch.setattr("kgrec.writeback.neo4j.OWNERS_A_COMMIT", 5)
    assert run_json(*command, "--by-user", "--name", "trial")["recommendations"] == 24


def test_a_schema_that_says_where(folder: str, tmp_path: Path) -> None:
    (tmp_path / "schema.toml").write_text(
        f'name = "shop"\nuser = "{SCHEMA.user}"\nitem = "kind"\ninteraction = "bought"\n'
        "[nodes.customer]\n[nodes.kind]\n"
    )
    line = refusal("write-back", folder, "bolt://127.0.0.1:1", "--schema", str(tmp_path))
    assert "recommends kind to customer, and the model product to customer" in line
    assert "can't be written to" in refusal("write-back", folder, "http://127.0.0.1/sparql")
    assert "no database answers at" in refusal("write-back", folder, "bolt://127.0.0.1:1")
