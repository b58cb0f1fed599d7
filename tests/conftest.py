"""Real components for the tests: a Bolt server, an embedded database, the Debian graph."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import neo4j
import pytest
import torch
from benchmarks.bolt_server import OTHER_DATABASE, BoltServer, is_installed, running_server
from kgrec import datasets
from kgrec.graph import KnowledgeGraph
from kgrec.property_graph import load_into_neo4j, read_property_graph
from kgrec.schema import GraphSchema, load_schema
from kgrec.sources import read_rdf
from kgrec.text import TextEncoder

from tests.bert import save_random_bert


@pytest.fixture(scope="session")
def debian_schema() -> GraphSchema:
    return load_schema(datasets.debian_folder())


@pytest.fixture(scope="session")
def debian_graph(debian_schema: GraphSchema) -> KnowledgeGraph:
    return read_rdf(datasets.debian_rdf(), debian_schema)


@pytest.fixture(scope="session")
def debian_cypher_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return datasets.debian_cypher_file(tmp_path_factory.mktemp("cypher") / "debian.lbug")


@pytest.fixture(scope="session")
def bolt_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoltServer]:
    """Give the server of KGREC_TEST_NEO4J_URI, or else start one that speaks Bolt."""
    uri = os.environ.get("KGREC_TEST_NEO4J_URI")
    if uri:
        user = os.environ.get("KGREC_TEST_NEO4J_USER", "neo4j")
        password = os.environ.get("KGREC_TEST_NEO4J_PASSWORD", "")
        yield BoltServer(
            uri, (user, password), os.environ.get("KGREC_TEST_NEO4J_DATABASE", "neo4j")
        )
        return
    if not is_installed():
        pytest.skip("needs arcadedb-embedded, or a server in KGREC_TEST_NEO4J_URI")
    with running_server(tmp_path_factory.mktemp("bolt")) as server:
        yield server


@pytest.fixture
def empty_bolt(bolt_server: BoltServer) -> Iterator[BoltServer]:
    """Give a database with nothing in it: another one of our server, the only one of a real one.

    A real one is emptied, but only if ``KGREC_TEST_NEO4J_MAY_DELETE`` says that it may be.
    """
    is_real = "KGREC_TEST_NEO4J_URI" in os.environ
    if is_real and not os.environ.get("KGREC_TEST_NEO4J_MAY_DELETE"):
        pytest.skip("empties the database: allow it with KGREC_TEST_NEO4J_MAY_DELETE=1")
    server = bolt_server if is_real else replace(bolt_server, database=OTHER_DATABASE)
    with neo4j.GraphDatabase.driver(server.uri, auth=server.auth) as driver:
        driver.execute_query("MATCH (n) DETACH DELETE n", database_=server.database)
        yield server
        driver.execute_query("MATCH (n) DETACH DELETE n", database_=server.database)


def _scope_of_debian_bolt(
    fixture_name: str, config: pytest.Config
) -> Literal["function", "session"]:
    """Load anew for each test where the database is emptied in between."""
    del fixture_name, config
    return "function" if "KGREC_TEST_NEO4J_URI" in os.environ else "session"


@pytest.fixture(scope=_scope_of_debian_bolt)
def debian_bolt(bolt_server: BoltServer) -> BoltServer:
    """Load the Debian data into the server."""
    load_into_neo4j(
        *read_property_graph(datasets.debian_folder() / "data"),
        bolt_server.uri,
        auth=bolt_server.auth,
        database=bolt_server.database,
    )
    return bolt_server


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: on tensors this small, more only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    """Encode by a random BERT, where it doesn't matter what texts mean."""
    folder = save_random_bert(tmp_path_factory.mktemp("bert"))
    return TextEncoder(folder, max_length=32, cache_dir=False)
