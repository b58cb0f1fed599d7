"""The command that brings a model up to date."""

from __future__ import annotations

from pathlib import Path

import pytest
from kgrec.exchange.schema_files import schema_toml
from kgrec.recommender import Recommender
from kgrec.text import TextEncoder

from tests.syncing.test_run import changed_shop, write_tables
from tests.test_cli import run, run_json
from tests.writeback.conftest import SCHEMA, model, shop_graph

__all__ = ["model"]  # a fixture


def test_sync(
    model: Recommender,
    tmp_path: Path,
    tiny_encoder: TextEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model.save(tmp_path / "shop.kgrec")
    folder = write_tables(shop_graph().to_tables(), tmp_path / "tables")
    (folder / "schema.toml").write_text(schema_toml(SCHEMA))
    command = ("sync", str(tmp_path / "shop.kgrec"), str(folder))
    monkeypatch.setattr(
        "kgrec.config.TextEncoder", lambda *_, **__: tiny_encoder
    )  # the one that the model was fitted with
    assert "nothing differs" in run(*command).output
    write_tables(changed_shop(), folder)
    shown = run(*command, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "product: 1 added, 1 removed, 1 changed" in shown.output
    assert "nothing was written" in shown.output
    facts = run_json(*command)
    assert facts["saved"]
    assert facts["interactions"] == {"added": 1, "removed": 0, "changed": 0}
    assert run(*command).output.strip() == "nothing differs"
