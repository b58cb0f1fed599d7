"""Graphs out and in again: equal, whatever they hold."""

from __future__ import annotations

import tempfile
from pathlib import Path

import networkx as nx
import pyarrow as pa
import pytest
import rdflib
from benchmarks.bolt_server import BoltServer
from hypothesis import given, settings
from kgrec.errors import ArtifactError, SourceError
from kgrec.exchange import (
    export_neo4j_csv,
    export_rdf,
    from_hetero_data,
    from_networkx,
    to_property_graph,
)
from kgrec.exchange.schema_files import schema_toml
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.property_graph import build_cypher_file, load_into_neo4j, read_property_graph
from kgrec.schema import load_schema
from kgrec.sources import open_graph, read_cypher_file, read_neo4j, read_rdf
from torch_geometric.data import HeteroData

from tests.films import SCHEMA, film_graph
from tests.test_graph import graph_tables


def graph_of(tables: GraphTables) -> KnowledgeGraph:
    """Make a graph; a log without rows has no column of times to come back."""
    log = tables.interactions if len(tables.interactions) else NOBODY
    return KnowledgeGraph.from_tables(SCHEMA, GraphTables(tables.entities, tables.relations, log))


NOBODY = pa.table({"user": pa.array([], pa.string()), "item": pa.array([], pa.string())})


@given(graph_tables())
@settings(max_examples=40, deadline=None)
def test_hetero_data_and_networkx(tables: GraphTables) -> None:
    graph = graph_of(tables)
    assert KnowledgeGraph.from_hetero_data(graph.to_hetero_data(), SCHEMA) == graph
    assert from_networkx(graph.to_networkx(), SCHEMA) == graph


@given(graph_tables())
@settings(max_examples=20, deadline=None)
def test_rdf(tables: GraphTables) -> None:
    graph = graph_of(tables)
    with tempfile.TemporaryDirectory() as folder:
        export_rdf(graph, Path(folder) / "films")
        schema = load_schema(Path(folder) / "films")
        assert open_graph(Path(folder) / "films", schema) == graph
        assert read_rdf(graph.to_rdf(), schema) == graph


@given(graph_tables())
@settings(max_examples=8, deadline=None)
def test_neo4j_csv_through_an_embedded_database(tables: GraphTables) -> None:
    graph = graph_of(tables)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_neo4j_csv(graph, folder / "csv")
        build_cypher_file(*read_property_graph(folder / "csv"), folder / "films.lbug")
        schema = load_schema(folder / "csv")
        read = read_cypher_file(folder / "films.lbug", schema)
        assert KnowledgeGraph.from_tables(SCHEMA, read.to_tables()) == graph
        assert read.schema.nodes["film"].label == "Film"


def test_neo4j_csv_through_a_server(tmp_path: Path, empty_bolt: BoltServer) -> None:
    export_neo4j_csv(film_graph(), tmp_path / "csv")
    load_into_neo4j(*read_property_graph(tmp_path / "csv"), empty_bolt.uri, **empty_bolt.where)
    schema = load_schema(tmp_path / "csv")
    graph = read_neo4j(empty_bolt.uri, schema, **empty_bolt.where)
    assert KnowledgeGraph.from_tables(SCHEMA, graph.to_tables()) == film_graph()


def test_debian(tmp_path: Path, debian_graph: KnowledgeGraph) -> None:
    export_rdf(debian_graph, tmp_path / "rdf")
    assert open_graph(tmp_path / "rdf", load_schema(tmp_path / "rdf")) == debian_graph
    assert from_hetero_data(debian_graph.to_hetero_data(), debian_graph.schema) == debian_graph
    assert from_networkx(debian_graph.to_networkx(), debian_graph.schema) == debian_graph
    nodes, edges = to_property_graph(debian_graph)
    assert sum(len(file.rows) for file in nodes) == 2939
    assert sum(len(file.rows) for file in edges) == 5805 + 11_311


def test_ids_that_are_iris_stay_so_unless_two_types_share_one() -> None:
    entities = pa.table(
        {
            "id": ["http://a.example/1", "http://a.example/2", "http://a.example/2"],
            "type": ["film", "film", "genre"],
        }
    )
    empty = {name: pa.array([], pa.string()) for name in ("head", "relation", "tail")}
    graph = KnowledgeGraph.from_tables(SCHEMA, GraphTables(entities, pa.table(empty), NOBODY))
    subjects = {str(subject) for subject in graph.to_rdf().subjects(rdflib.RDF.type)}
    assert "http://a.example/1" in subjects
    assert "http://a.example/2" not in subjects
    assert len(subjects) == 3


def test_repeated_interactions_are_edges_of_their_own() -> None:
    log = pa.table({"user": ["ada"] * 3, "item": ["heat"] * 3, "time": [1, 1, 2]})
    tables = film_graph().to_tables()
    graph = KnowledgeGraph.from_tables(SCHEMA, GraphTables(tables.entities, tables.relations, log))
    network = graph.to_networkx()
    edges = network.get_edge_data(("person", "ada"), ("film", "heat"))
    assert list(edges) == ["watched", ("watched", 1), ("watched", 2)]
    assert [edge["time"] for edge in edges.values()] == [1, 1, 2]


def test_exports_replace_exports_alone(tmp_path: Path) -> None:
    for export in (export_rdf, export_neo4j_csv):
        export(film_graph(), tmp_path / export.__name__)
        export(film_graph(), tmp_path / export.__name__)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("years of work")
    for export in (export_rdf, export_neo4j_csv):
        with pytest.raises(ArtifactError, match="holds something else than an export"):
            export(film_graph(), tmp_path / "other")


def test_schema_toml_is_read_again(tmp_path: Path) -> None:
    nodes = {**SCHEMA.nodes, 'a "b"': SCHEMA.nodes["film"]}
    schema = SCHEMA.model_copy(
        update={"nodes": nodes, "parameters": {"since": 3, "names": ["ä"], "share": 0.5}}
    )
    (tmp_path / "schema.toml").write_text(schema_toml(schema))
    assert load_schema(tmp_path).model_copy(update={"folder": None}) == schema


def test_names_what_is_missing() -> None:
    data = HeteroData()
    data["person"].num_nodes, data["film"].num_nodes = 1, 1
    with pytest.raises(SourceError, match=r"no edges \('person', 'watched', 'film'\)"):
        from_hetero_data(data, SCHEMA)
    data = film_graph().to_hetero_data()
    data["film", "likes", "film"].edge_index = data["film", "sequel_of", "film"].edge_index
    with pytest.raises(SourceError, match=r"\(film, likes, film\) are not in the schema 'films'"):
        from_hetero_data(data, SCHEMA)
    data = film_graph().to_hetero_data()
    data["film"].node_id = ["alien"]
    with pytest.raises(SourceError, match="'film' has 3 nodes and 1 ids"):
        from_hetero_data(data, SCHEMA)
    network = film_graph().to_networkx()
    network.add_edge(("film", "heat"), ("film", "alien"))
    with pytest.raises(SourceError, match="has no 'relation': give it one"):
        from_networkx(network, SCHEMA)
    with pytest.raises(SourceError, match="the node 1 has no 'id'"):
        from_networkx(nx.MultiDiGraph([(1, 2)]), SCHEMA)
