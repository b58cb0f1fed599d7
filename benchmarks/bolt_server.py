"""A server that speaks Bolt, started from a package for tests and benchmarks, on loopback alone."""

from __future__ import annotations

import importlib.util
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import neo4j
from neo4j.exceptions import DriverError, Neo4jError

PASSWORD = "loopback-only"  # noqa: S105  of a server that lives as long as who started it
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
    process: subprocess.Popen[bytes] | None = None

    @property
    def where(self) -> Where:
        """Login and database, as readers and writers take them."""
        return {"auth": self.auth, "database": self.database}


def is_installed() -> bool:
    """Tell whether the package with the server is there."""
    return importlib.util.find_spec("arcadedb_embedded") is not None


@contextmanager
def running_server(folder: Path, *, command_timeout_ms: int = 60_000) -> Iterator[BoltServer]:
    """Start a server, and stop it in the end.

    Parameters
    ----------
    folder
        Where its databases go.
    command_timeout_ms
        After how many milliseconds it ends a query.

    Yields
    ------
    BoltServer
        It answers.

    Raises
    ------
    RuntimeError
        If it does not start.
    """
    bolt_port, http_port = _free_ports()
    command = _command(folder, bolt_port, http_port, command_timeout_ms)
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)  # noqa: S603
        uri = f"bolt://127.0.0.1:{bolt_port}"
        server = BoltServer(uri, ("root", PASSWORD), DATABASE, process)
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


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _command(folder: Path, bolt_port: int, http_port: int, timeout_ms: int) -> list[str]:
    found = importlib.util.find_spec("arcadedb_embedded")
    if found is None or found.origin is None:
        raise RuntimeError("the package arcadedb-embedded is not installed")
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
        "command.timeout": timeout_ms,
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
    """Wait until the databases answer: the port opens before they exist."""
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
    raise RuntimeError(f"the Bolt server did not start:\n{log.read_text()[-3000:]}")
