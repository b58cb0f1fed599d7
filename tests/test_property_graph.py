"""Property-graph tables, and how they get into a database."""

from __future__ import annotations

from pathlib import Path

import ladybug
import pyarrow as pa
import pytest
from benchmarks.bolt_server import BoltServer
from kgrec import datasets
from kgrec.errors import SourceError
from kgrec.graph import KnowledgeGraph
from kgrec.property_graph import (
    EdgeFile,
    NodeFile,
    build_cypher_file,
    load_into_neo4j,
    read_property_graph,
    write_property_graph,
)
from kgrec.schema import GraphSchema
from kgrec.sources import read_neo4j

NODES = [
    NodeFile(
        "Film",
        "id",
        pa.table(
            {
                "id": pa.array(["alien", "heat"]),
                "title": pa.array(['A "crew",\nand a stranger', None]),
                "year": pa.array([1979, None], pa.int64()),
                "vector": pa.array([[0.5, 1.5], None], pa.list_(pa.float32())),
            }
        ),
    )
]
EDGES = [
    EdgeFile(
        "LIKE",
        "Film",
        "Film",
        pa.table({"head": ["alien"], "tail": ["heat"], "weight": pa.array([0.25], pa.float64())}),
    )
]


def test_files_name_labels_and_ends() -> None:
    nodes, edges = read_property_graph(datasets.debian_folder() / "data")
    by_label = {file.label: file for file in nodes}
    assert len(by_label) == 8
    assert by_label["Package"].key == "name"
    assert by_label["Package"].rows.column_names == ["name", "summary", "description"]
    ends = {file.type: (file.head, file.tail) for file in edges}
    assert len(ends) == 8
    assert ends["BUILD_DEPENDS_ON"] == ("Project", "Package")
    assert ends["MAINTAINED_BY"] == ("Package", "Team")


def test_round_trip_keeps_types_and_blanks(tmp_path: Path) -> None:
    write_property_graph(NODES, EDGES, tmp_path)
    header = (tmp_path / "Film.csv").read_text().splitlines()[0]
    assert header == '"id:ID(Film)","title","year:long","vector:float[]"'
    nodes, edges = read_property_graph(tmp_path)
    assert nodes[0].rows.equals(NODES[0].rows)
    assert edges[0].rows.equals(EDGES[0].rows)
    assert (edges[0].head, edges[0].tail, edges[0].properties) == ("Film", "Film", ["weight"])


def test_cypher_file_holds_types(tmp_path: Path) -> None:
    build_cypher_file(NODES, EDGES, tmp_path / "films.lbug")
    with (
        ladybug.Database(tmp_path / "films.lbug", read_only=True) as database,
        ladybug.Connection(database) as connection,
    ):
        query = "MATCH (a:Film)-[r:LIKE]->(b:Film) RETURN a.year, a.vector, r.weight, b.title"
        result = connection.execute(query)
        assert isinstance(result, ladybug.QueryResult)
        assert result.get_next() == [1979, [0.5, 1.5], 0.25, None]


def test_refuses_to_overwrite_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "films.lbug").write_text("years of work")
    with pytest.raises(SourceError, match="exists: delete it first"):
        build_cypher_file(NODES, EDGES, tmp_path / "films.lbug")
    with pytest.raises(SourceError, match="can't be built"):
        build_cypher_file([], EDGES, tmp_path / "broken.lbug")
    assert [path.name for path in tmp_path.iterdir()] == ["films.lbug"]


def test_loading_twice_changes_nothing(
    debian_schema: GraphSchema, debian_graph: KnowledgeGraph, debian_bolt: BoltServer
) -> None:
    nodes, edges = read_property_graph(datasets.debian_folder() / "data")
    auth, database = debian_bolt.auth, debian_bolt.database
    load_into_neo4j(nodes, edges, debian_bolt.uri, auth=auth, database=database)
    graph = read_neo4j(debian_bolt.uri, debian_schema, auth=auth, database=database)
    assert graph == debian_graph


def test_a_folder_without_tables(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match="holds no node tables"):
        read_property_graph(tmp_path)
