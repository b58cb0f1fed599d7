"""A schema folder that was guessed reads the very source that it was guessed from."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from benchmarks.bolt_server import BoltServer
from kgrec import datasets
from kgrec.errors import ConfigError, SourceError
from kgrec.graph import KnowledgeGraph
from kgrec.inspection import inspect_source, write_schema_folder
from kgrec.property_graph import EdgeFile, NodeFile, build_cypher_file, load_into_neo4j
from kgrec.schema import load_schema
from kgrec.sources import open_graph

SHOP_NODES = [
    NodeFile(
        "Customer", "customerID", pa.table({"customerID": ["a", "b"], "name": ["Ada", "Bob"]})
    ),
    NodeFile("Order", "orderID", pa.table({"orderID": ["1", "2"], "date": ["2024-05-01"] * 2})),
    NodeFile(
        "Product",
        "sku",
        pa.table(
            {
                "sku": pa.array([7, 8, 9], pa.int64()),
                "title": ["Tea", "Cup", "Pot"],
                "description": [
                    f"A {name} made by hand, in a small town by the sea" for name in "tcp"
                ],
            }
        ),
    ),
    NodeFile("Kind of `thing`", "name", pa.table({"name": ["drink", "ware"]})),
]
SHOP_EDGES = [
    EdgeFile("PLACED", "Customer", "Order", pa.table({"head": ["a", "b"], "tail": ["1", "2"]})),
    EdgeFile(
        "HOLDS",
        "Order",
        "Product",
        pa.table(
            {
                "head": ["1", "1", "2"],
                "tail": pa.array([7, 8, 7], pa.int64()),
                "quantity": pa.array([1, 2, 3], pa.int64()),
            }
        ),
    ),
    EdgeFile(
        "is a",
        "Product",
        "Kind of `thing`",
        pa.table({"head": pa.array([7, 8, 9], pa.int64()), "tail": ["drink", "ware", "ware"]}),
    ),
]


def check_shop(graph: KnowledgeGraph) -> None:
    assert graph.items.ids.to_pylist() == ["7", "8", "9"]
    assert graph.items.texts[0].as_py().startswith("Tea. A t made by hand")
    assert graph.cold_items.to_pylist() == ["9"]
    assert graph.interactions.weight is not None
    assert sorted(graph.interactions.weight.tolist()) == [1, 2, 3]
    assert graph.interactions.time is not None
    assert set(graph.interactions.time.tolist()) == {1_714_521_600}
    assert len(graph.edges["product", "is_a", "kind_of_thing"]) == 3
    assert graph.schema.nodes["product"].key == "sku"
    assert not graph.schema.nodes["customer"].text


def test_embedded_file(tmp_path: Path) -> None:
    nodes = [file for file in SHOP_NODES if "`" not in file.label]
    build_cypher_file(nodes, SHOP_EDGES[:2], tmp_path / "shop.lbug")
    inventory, roles = inspect_source(tmp_path / "shop.lbug")
    write_schema_folder(inventory, roles, tmp_path / "schema", source="shop.lbug")
    graph = open_graph(tmp_path / "shop.lbug", load_schema(tmp_path / "schema"))
    assert graph.items.ids.to_pylist() == ["7", "8", "9"]
    assert graph.cold_items.to_pylist() == ["9"]


def test_bolt(tmp_path: Path, empty_bolt: BoltServer) -> None:
    with pytest.raises(SourceError, match="holds no nodes"):
        inspect_source(empty_bolt.uri, **empty_bolt.where)
    load_into_neo4j(SHOP_NODES, SHOP_EDGES, empty_bolt.uri, **empty_bolt.where)
    inventory, roles = inspect_source(empty_bolt.uri, **empty_bolt.where)
    counts = {kind.name: kind.count for kind in inventory.nodes}
    counts |= {link.name: link.count for link in inventory.links}
    assert counts["Product"] == 3
    assert counts["HOLDS"] == 3
    files = write_schema_folder(inventory, roles, tmp_path / "schema", source="a server")
    assert files == ["schema.toml", "entities.cypher", "relations.cypher", "interactions.cypher"]
    graph = open_graph(empty_bolt.uri, load_schema(tmp_path / "schema"), **empty_bolt.where)
    check_shop(graph)


def test_rdf(tmp_path: Path, debian_graph: KnowledgeGraph) -> None:
    inventory, roles = inspect_source(datasets.debian_rdf(), user="Project")
    write_schema_folder(inventory, roles, tmp_path / "schema", source="debian")
    graph = open_graph(datasets.debian_rdf(), load_schema(tmp_path / "schema"))
    assert graph.schema.interaction == "build_depends_on"
    assert len(graph.interactions) == len(debian_graph.interactions)
    assert len(graph.cold_items) == 54
    counts = {key: len(edges) for key, edges in debian_graph.edges.items()}
    assert {key: len(edges) for key, edges in graph.edges.items()} == counts
    assert graph.items.texts.null_count == 0


def test_rdf_without_users_takes_a_log(tmp_path: Path) -> None:
    inventory, roles = inspect_source(datasets.debian_rdf())
    files = write_schema_folder(inventory, roles, tmp_path / "schema", source="debian")
    assert files == ["schema.toml", "entities.rq", "relations.rq"]
    assert "--interactions FILE" in (tmp_path / "schema" / "schema.toml").read_text()
    schema = load_schema(tmp_path / "schema")
    nobody = pa.table({"user": pa.array([], pa.string()), "item": pa.array([], pa.string())})
    items = open_graph(datasets.debian_rdf(), schema, interactions=nobody).items
    log = pa.table({"user": ["ada"], "item": [items.ids[0].as_py()]})
    graph = open_graph(datasets.debian_rdf(), schema, interactions=log)
    assert len(graph.cold_items) == 566


def test_tables(tmp_path: Path) -> None:
    (tmp_path / "entities.csv").write_text(
        "id,type,text\nalien,film,Alien\nheat,film,Heat\nnoir,genre,Noir\n"
    )
    (tmp_path / "relations.csv").write_text("head,relation,tail\nheat,has_genre,noir\n")
    (tmp_path / "interactions.csv").write_text("user,item\nada,alien\n")
    inventory, roles = inspect_source(tmp_path)
    files = write_schema_folder(inventory, roles, tmp_path / "schema", source="films")
    assert files == ["schema.toml"]
    graph = open_graph(tmp_path, load_schema(tmp_path / "schema"))
    assert graph.cold_items.to_pylist() == ["heat"]
    assert len(graph.edges["film", "has_genre", "genre"]) == 1


def test_spares_other_folders(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    inventory, roles = inspect_source(datasets.debian_rdf())
    with pytest.raises(ConfigError, match="exists and is not empty"):
        write_schema_folder(inventory, roles, tmp_path, source="debian")
    with pytest.raises(SourceError, match="a schema can be guessed from"):
        inspect_source("http://127.0.0.1/sparql")
    (tmp_path / "a.nt").write_text("<http://a> <http://b> <http://c> .\n")
    with pytest.raises(SourceError, match=r"nothing in .*a.nt has an rdf:type"):
        inspect_source(tmp_path / "a.nt")
