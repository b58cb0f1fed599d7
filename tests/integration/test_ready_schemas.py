"""The schemas that come with kgrec, on the databases that they were written for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.bolt_server import BoltServer
from benchmarks.neo4j_examples import (
    PropertyGraph,
    northwind_graph,
    of_first_movies,
    recommendations_graph,
)
from kgrec import datasets
from kgrec.graph import KnowledgeGraph
from kgrec.property_graph import build_cypher_file, load_into_neo4j
from kgrec.schema import load_schema
from kgrec.sources import read_cypher_file, read_neo4j, read_rdf

from tests.real_data import data_folder


@pytest.fixture(scope="module")
def northwind() -> PropertyGraph:
    return northwind_graph(data_folder("neo4j-northwind"))


def sizes(graph: KnowledgeGraph) -> dict[str, int]:
    counts = graph.summary().set_index("name")["count"]
    return {str(name): int(count) for name, count in counts.items()}


def from_file(name: str, data: PropertyGraph, folder: Path) -> KnowledgeGraph:
    build_cypher_file(*data, folder / "graph.lbug")
    return read_cypher_file(folder / "graph.lbug", load_schema(datasets.schema_folder(name)))


def from_server(name: str, data: PropertyGraph, server: BoltServer) -> KnowledgeGraph:
    where = {"auth": server.auth, "database": server.database}
    load_into_neo4j(*data, server.uri, **where)  # type: ignore[arg-type]
    schema = load_schema(datasets.schema_folder(name))
    return read_neo4j(server.uri, schema, **where)  # type: ignore[arg-type]


def test_recommendations(tmp_path: Path, bolt_server: BoltServer) -> None:
    source = data_folder("neo4j-recs")
    graph = from_file("recommendations", recommendations_graph(source), tmp_path)
    assert sizes(graph) == {
        "user": 671,
        "movie": 9125,
        "person": 19_047,
        "genre": 20,
        "person -acted_in-> movie": 35_910,
        "person -directed-> movie": 10_007,
        "movie -in_genre-> genre": 20_340,
        "rated": 100_004,
    }
    assert len(graph.cold_items) == 59
    toy_story = graph.items.texts[int(graph.items.positions(["1"])[0])].as_py()
    assert toy_story.startswith("Toy Story. A cowboy doll is profoundly threatened")
    assert graph.interactions.weight is not None
    assert np.unique(graph.interactions.weight).tolist() == [n / 2 for n in range(1, 11)]
    as_integers = recommendations_graph(source, integer_ids=True)
    if "KGREC_TEST_NEO4J_URI" in os.environ:  # `make test-neo4j` takes its time
        assert from_server("recommendations", as_integers, bolt_server) == graph
        return
    few = of_first_movies(recommendations_graph(source), 100)
    (tmp_path / "few").mkdir()
    on_server = from_server("recommendations", of_first_movies(as_integers, 100), bolt_server)
    assert on_server == from_file("recommendations", few, tmp_path / "few")
    assert len(on_server.items) == 100


def test_northwind(tmp_path: Path, northwind: PropertyGraph, bolt_server: BoltServer) -> None:
    graph = from_file("northwind", northwind, tmp_path)
    assert sizes(graph) == {
        "customer": 91,
        "product": 77,
        "category": 8,
        "supplier": 29,
        "product -part_of-> category": 77,
        "supplier -supplies-> product": 77,
        "ordered": 2155,
    }
    assert graph.interactions.weight is not None
    assert graph.interactions.time is not None
    first = pd.to_datetime(graph.interactions.time.min(), unit="s")
    assert str(first) == "1996-07-04 00:00:00"
    lines = pd.read_csv(data_folder("neo4j-northwind") / "order-details.csv")
    assert graph.interactions.weight.sum() == lines["quantity"].sum()
    assert from_server("northwind", northwind, bolt_server) == graph


def test_ml1m() -> None:
    source = data_folder("ml1m-kg")
    log = pd.read_csv(source / "train.tsv.gz", sep="\t", dtype=str)
    log = log.rename(columns={"user_id": "user", "movie_id": "item"})
    schema = load_schema(datasets.schema_folder("ml1m"))
    graph = read_rdf(source / "kg.nt.gz", schema, interactions=log)
    assert sizes(graph) == {
        "user": 6040,
        "movie": 3883,
        "person": 9648,
        "genre": 18,
        "country": 71,
        "language": 25,
        "decade": 10,
        "movie -actor-> person": 14_824,
        "movie -director-> person": 3783,
        "movie -writer-> person": 2293,
        "movie -genre-> genre": 6408,
        "movie -country-> country": 4781,
        "movie -language-> language": 3805,
        "movie -decade-> decade": 3883,
        "watched": 801_218,
    }
    assert graph.items.texts.null_count == 0
