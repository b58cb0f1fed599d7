"""Real components for the tests: a Bolt server, an embedded database, the Debian graph."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import neo4j
import pytest
import torch
from kgrec import datasets
from kgrec.graph import KnowledgeGraph
from kgrec.property_graph import load_into_neo4j, read_property_graph
from kgrec.schema import GraphSchema, load_schema
from kgrec.sources import read_rdf
from kgrec.text import TextEncoder
from neo4j.exceptions import DriverError, Neo4jError

from tests.bert import save_random_bert

PASSWORD = "loopback-only"  # noqa: S105  of a server that lives as long as the tests
DATABASE = "kgrec"
OTHER_DATABASE = "other"
START_SECONDS = 60.0


class Where(TypedDict):
    """Login and database of a server."""

    auth: tuple[str, str]
    database: str


@dataclass(frozen=True)
class BoltServer:
    """Where a server listens, and how to enter."""

    uri: str
    auth: tuple[str, str]
    database: str

    @property
    def where(self) -> Where:
        """Login and database, as readers and writers take them."""
        return {"auth": self.auth, "database": self.database}


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
    folder = tmp_path_factory.mktemp("bolt")
    bolt_port, http_port = _free_ports()
    server = BoltServer(f"bolt://127.0.0.1:{bolt_port}", ("root", PASSWORD), DATABASE)
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own command line
            _command(folder, bolt_port, http_port), cwd=folder, stdout=log, stderr=log
        )
        try:
            _wait(server, process, folder / "log.txt")
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


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


@pytest.fixture(scope="session")
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


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _command(folder: Path, bolt_port: int, http_port: int) -> list[str]:
    found = importlib.util.find_spec("arcadedb_embedded")
    if found is None or found.origin is None:
        pytest.skip("needs arcadedb-embedded, or a server in KGREC_TEST_NEO4J_URI")
    package = Path(found.origin).parent
    settings = {
        "server.rootPath": folder,
        "server.databaseDirectory": folder / "databases",
        "server.rootPassword": PASSWORD,
        "server.mode": "development",
        "server.httpIncomingHost": "127.0.0.1",
        "server.httpIncomingPort": http_port,
        "server.plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
        "server.defaultDatabases": f"{DATABASE}[root];{OTHER_DATABASE}[root]",
        "bolt.host": "127.0.0.1",
        "bolt.port": bolt_port,
        "bolt.defaultDatabase": DATABASE,
        "command.timeout": 60_000,
    }
    return [
        str(package / "jre" / "bin" / "java"),
        "-Xmx1g",
        "-XX:+UseSerialGC",
        "--add-modules",
        "jdk.incubator.vector",
        "--enable-native-access=ALL-UNNAMED",
        *(f"-Darcadedb.{name}={value}" for name, value in settings.items()),
        "-cp",
        str(package / "jars" / "*"),
        "com.arcadedb.server.ArcadeDBServer",
    ]


def _wait(server: BoltServer, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the database answers: the port opens before it exists."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with neo4j.GraphDatabase.driver(
                server.uri, auth=server.auth, max_transaction_retry_time=0
            ) as driver:
                for database in (DATABASE, OTHER_DATABASE):
                    driver.execute_query("RETURN 1", database_=database)
                return
        except (Neo4jError, DriverError):
            time.sleep(0.2)
    pytest.fail(f"the Bolt server did not start:\n{log.read_text()[-3000:]}")
