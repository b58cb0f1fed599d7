"""The data that come with kgrec."""

from __future__ import annotations

from pathlib import Path

import pytest
from kgrec import datasets
from kgrec.errors import SourceError
from kgrec.schema import GraphSchema
from kgrec.sources import read_cypher_file


def test_cypher_file_is_built_once(tmp_path: Path, debian_cypher_path: Path) -> None:
    before = debian_cypher_path.stat().st_mtime_ns
    assert datasets.debian_cypher_file(debian_cypher_path) == debian_cypher_path
    assert debian_cypher_path.stat().st_mtime_ns == before
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="can't be built"):
        datasets.debian_cypher_file(tmp_path / "file" / "debian.lbug")
    assert [path.name for path in debian_cypher_path.parent.iterdir()] == ["debian.lbug"]


def test_unknown_schema() -> None:
    with pytest.raises(SourceError, match="no schema 'nowhere' comes with kgrec"):
        datasets.schema_folder("nowhere")


def test_schema_and_data_fit(debian_schema: GraphSchema, debian_cypher_path: Path) -> None:
    graph = read_cypher_file(debian_cypher_path, debian_schema)
    assert all(len(table) for table in graph.nodes.values())
    assert all(len(table) for table in graph.edges.values())
    texts = {name: table.texts.null_count for name, table in graph.nodes.items()}
    assert texts.pop("project") == 1046
    assert set(texts.values()) == {0}


def test_results_can_be_written_back_to_the_debian_graph(debian_schema: GraphSchema) -> None:
    user, item = (debian_schema.nodes[kind] for kind in (debian_schema.user, debian_schema.item))
    assert (user.label, user.key) == ("Project", "name")
    assert (item.label, item.key) == ("Package", "name")
