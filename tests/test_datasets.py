"""The data that come with kgrec, and how they get into a database."""

from __future__ import annotations

from pathlib import Path

import pytest
from kgrec import datasets
from kgrec.errors import SourceError
from kgrec.graph import KnowledgeGraph
from kgrec.schema import GraphSchema
from kgrec.sources import read_cypher_file, read_neo4j

from tests.conftest import BoltServer


def test_files_name_labels_and_ends() -> None:
    data = datasets.debian_folder() / "data"
    nodes = {file.label: file for file in datasets.node_files(data)}
    assert len(nodes) == 8
    assert nodes["Package"].key == "name"
    assert nodes["Package"].rows.column_names == ["name", "summary", "description"]
    edges = {file.type: (file.head, file.tail) for file in datasets.edge_files(data)}
    assert len(edges) == 8
    assert edges["BUILD_DEPENDS_ON"] == ("Project", "Package")
    assert edges["MAINTAINED_BY"] == ("Package", "Team")


def test_cypher_file_is_built_once(tmp_path: Path, debian_cypher_path: Path) -> None:
    before = debian_cypher_path.stat().st_mtime_ns
    assert datasets.debian_cypher_file(debian_cypher_path) == debian_cypher_path
    assert debian_cypher_path.stat().st_mtime_ns == before
    with pytest.raises(SourceError, match="exists: delete it first"):
        datasets.build_cypher_file(datasets.debian_folder() / "data", debian_cypher_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="can't be built"):
        datasets.debian_cypher_file(tmp_path / "file" / "debian.lbug")
    assert [path.name for path in debian_cypher_path.parent.iterdir()] == ["debian.lbug"]


def test_loading_twice_changes_nothing(
    debian_schema: GraphSchema, debian_graph: KnowledgeGraph, debian_bolt: BoltServer
) -> None:
    where = {"auth": debian_bolt.auth, "database": debian_bolt.database}
    data = datasets.debian_folder() / "data"
    datasets.load_into_neo4j(data, debian_bolt.uri, **where)  # type: ignore[arg-type]
    graph = read_neo4j(debian_bolt.uri, debian_schema, **where)  # type: ignore[arg-type]
    assert graph == debian_graph


def test_unknown_schema() -> None:
    with pytest.raises(SourceError, match="no schema 'nowhere' comes with kgrec"):
        datasets.schema_folder("nowhere")


def test_a_folder_without_tables(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no node tables"):
        datasets.build_cypher_file(tmp_path, tmp_path / "empty.lbug")


def test_schema_and_data_fit(debian_schema: GraphSchema, debian_cypher_path: Path) -> None:
    graph = read_cypher_file(debian_cypher_path, debian_schema)
    assert all(len(table) for table in graph.nodes.values())
    assert all(len(table) for table in graph.edges.values())
    texts = {name: table.texts.null_count for name, table in graph.nodes.items()}
    assert texts.pop("project") == 1046
    assert set(texts.values()) == {0}
