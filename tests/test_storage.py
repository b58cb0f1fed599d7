"""Saved graphs: equal when loaded, never half there, and broken ones are named."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from kgrec.errors import ArtifactError
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.storage import is_saved_graph, load_graph, save_graph

from tests.films import SCHEMA, film_graph, film_tables
from tests.test_graph import graph_tables


@given(graph_tables())
@settings(max_examples=15, deadline=None)
def test_round_trip(tables: GraphTables) -> None:
    graph = KnowledgeGraph.from_tables(SCHEMA, tables)
    with tempfile.TemporaryDirectory() as folder:
        save_graph(graph, Path(folder) / "graph")
        assert load_graph(Path(folder) / "graph") == graph


def test_replaces_a_saved_graph_and_leaves_nothing_beside(tmp_path: Path) -> None:
    save_graph(film_graph(), tmp_path / "graph")
    tables = film_tables()
    smaller = replace(tables, interactions=tables.interactions.slice(0, 1))
    graph = KnowledgeGraph.from_tables(SCHEMA, smaller)
    save_graph(graph, tmp_path / "graph")
    assert load_graph(tmp_path / "graph") == graph
    assert [path.name for path in tmp_path.iterdir()] == ["graph"]


def test_a_failed_save_leaves_the_old_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_graph(film_graph(), tmp_path / "graph")

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left on the device")

    monkeypatch.setattr("kgrec.storage.parquet.write_table", fail)
    with pytest.raises(ArtifactError, match=r"can't be saved to .*no space left"):
        save_graph(film_graph(), tmp_path / "graph")
    assert load_graph(tmp_path / "graph") == film_graph()
    assert [path.name for path in tmp_path.iterdir()] == ["graph"]


def test_spares_other_folders(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtifactError, match="holds something else than a graph"):
        save_graph(film_graph(), tmp_path)
    assert (tmp_path / "thesis.txt").exists()
    (tmp_path / "empty").mkdir()
    save_graph(film_graph(), tmp_path / "empty")
    assert is_saved_graph(tmp_path / "empty")


def test_names_what_is_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds no saved graph: graph.json is missing"):
        load_graph(tmp_path)
    folder = tmp_path / "graph"
    save_graph(film_graph(), folder)
    (folder / "relations.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArtifactError, match=r"the graph in .* is broken"):
        load_graph(folder)
    (folder / "relations.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"relations.parquet"):
        load_graph(folder)
    content = json.loads((folder / "graph.json").read_text())
    (folder / "graph.json").write_text(json.dumps(content | {"format": 99}))
    with pytest.raises(ArtifactError, match="has the format 99, and this kgrec reads 1"):
        load_graph(folder)
    (folder / "graph.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"graph.json is broken"):
        load_graph(folder)
    (folder / "graph.json").write_text('{"format": 1, "schema": {"name": "films"}}')
    with pytest.raises(ArtifactError, match=r"graph.json is broken"):
        load_graph(folder)
