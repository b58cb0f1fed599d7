"""The same data give an equal graph, whatever source they come through."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyoxigraph
import pytest
import rdflib
from benchmarks.bolt_server import BoltServer
from kgrec import datasets
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.property_graph import read_property_graph
from kgrec.schema import TABLE_NAMES, GraphSchema
from kgrec.sources import open_graph, read_cypher_file, read_neo4j, read_rdf, read_tables
from kgrec.storage import load_graph, save_graph
from pyarrow import csv, feather, parquet

SERIALISATIONS = {
    "ttl": pyoxigraph.RdfFormat.TURTLE,
    "nq": pyoxigraph.RdfFormat.N_QUADS,
    "trig": pyoxigraph.RdfFormat.TRIG,
    "rdf": pyoxigraph.RdfFormat.RDF_XML,
    "jsonld": pyoxigraph.RdfFormat.JSON_LD,
}


def tables_of_files() -> GraphTables:
    """Make the three tables straight from the shipped files, with no query in between."""
    data = datasets.debian_folder() / "data"
    entities = []
    node_files, edge_files = read_property_graph(data)
    for nodes in node_files:
        rows = nodes.rows.to_pandas()
        text = rows["label" if nodes.label == "Debtag" else nodes.key]
        if nodes.label == "Package":
            text = rows["summary"] + ". " + rows["description"]
        columns = {"id": rows[nodes.key], "type": nodes.label.lower(), "text": text}
        frame = rows.assign(**columns)[["id", "type", "text"]]
        if nodes.label == "Project":
            frame["text"] = ""
        entities.append(pa.Table.from_pandas(frame, preserve_index=False))
    relations = []
    for edges in edge_files:
        names = pa.repeat(edges.type.lower(), len(edges.rows))
        if edges.head == "Project":
            interactions = edges.rows.rename_columns(["user", "item"])
        else:
            relations.append(edges.rows.append_column("relation", names))
    return GraphTables(pa.concat_tables(entities), pa.concat_tables(relations), interactions)


def debian_triples() -> bytes:
    return gzip.decompress(datasets.debian_rdf().read_bytes())


def test_known_counts(debian_graph: KnowledgeGraph) -> None:
    assert len(debian_graph.users) == 1046
    assert len(debian_graph.items) == 567
    assert len(debian_graph.cold_items) == 54
    assert len(debian_graph.interactions) == 11_311
    assert sum(map(len, debian_graph.edges.values())) == 5805
    cold = datasets.debian_cold_test()
    assert set(cold["item"].to_pylist()) == set(debian_graph.cold_items.to_pylist())
    assert (debian_graph.users.positions(cold["user"]) >= 0).all()


def test_embedded_file(
    debian_schema: GraphSchema, debian_graph: KnowledgeGraph, debian_cypher_path: Path
) -> None:
    assert read_cypher_file(debian_cypher_path, debian_schema) == debian_graph
    assert open_graph(debian_cypher_path, debian_schema) == debian_graph


@pytest.mark.parametrize("batch_size", [10_000, 999])
def test_bolt(
    debian_schema: GraphSchema,
    debian_graph: KnowledgeGraph,
    debian_bolt: BoltServer,
    batch_size: int,
) -> None:
    graph = read_neo4j(
        debian_bolt.uri,
        debian_schema,
        auth=debian_bolt.auth,
        database=debian_bolt.database,
        batch_size=batch_size,
    )
    assert graph == debian_graph


def test_bolt_opened_by_address(
    debian_schema: GraphSchema, debian_graph: KnowledgeGraph, debian_bolt: BoltServer
) -> None:
    graph = open_graph(
        debian_bolt.uri, debian_schema, auth=debian_bolt.auth, database=debian_bolt.database
    )
    assert graph == debian_graph


@pytest.mark.parametrize("suffix", SERIALISATIONS)
def test_rdf_serialisation(
    tmp_path: Path, debian_schema: GraphSchema, debian_graph: KnowledgeGraph, suffix: str
) -> None:
    triples = pyoxigraph.parse(debian_triples(), pyoxigraph.RdfFormat.N_TRIPLES)
    path = tmp_path / f"debian.{suffix}"
    pyoxigraph.serialize(triples, path, format=SERIALISATIONS[suffix])
    assert open_graph(path, debian_schema) == debian_graph
    assert open_graph(tmp_path, debian_schema) == debian_graph


def test_rdflib_graph(debian_schema: GraphSchema, debian_graph: KnowledgeGraph) -> None:
    graph = rdflib.Graph()
    graph.parse(data=debian_triples(), format="nt")
    assert read_rdf(graph, debian_schema) == debian_graph


def test_tables_in_memory(debian_schema: GraphSchema, debian_graph: KnowledgeGraph) -> None:
    tables = tables_of_files()
    arrow = {name: getattr(tables, name) for name in TABLE_NAMES}
    assert read_tables(arrow, debian_schema) == debian_graph
    frames = {name: table.to_pandas() for name, table in arrow.items()}
    assert read_tables(frames, debian_schema) == debian_graph


@pytest.mark.parametrize("suffix", ["tsv", "csv", "tsv.gz", "csv.gz", "parquet", "arrow"])
def test_tables_in_files(
    tmp_path: Path, debian_schema: GraphSchema, debian_graph: KnowledgeGraph, suffix: str
) -> None:
    tables = tables_of_files()
    for name in TABLE_NAMES:
        write_table(getattr(tables, name), tmp_path / f"{name}.{suffix}")
    assert read_tables(tmp_path, debian_schema) == debian_graph
    assert open_graph(tmp_path, debian_schema) == debian_graph


def test_saved_graph(
    tmp_path: Path, debian_schema: GraphSchema, debian_graph: KnowledgeGraph
) -> None:
    save_graph(debian_graph, tmp_path / "saved")
    assert load_graph(tmp_path / "saved") == debian_graph
    assert open_graph(tmp_path / "saved", debian_schema) == debian_graph


def write_table(table: pa.Table, path: Path) -> None:
    match path.suffix:
        case ".parquet":
            parquet.write_table(table, path)
        case ".arrow":
            feather.write_feather(table, str(path), compression="uncompressed")
        case _:
            delimiter = "\t" if ".tsv" in path.suffixes else ","
            with pa.output_stream(path) as stream:
                csv.write_csv(table, stream, csv.WriteOptions(delimiter=delimiter))
