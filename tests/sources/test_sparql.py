"""SPARQL endpoints, over real HTTP: Oxigraph behind the protocol of the W3C."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyoxigraph
import pytest
from kgrec import datasets
from kgrec.errors import SourceError
from kgrec.graph import KnowledgeGraph
from kgrec.schema import GraphSchema, RdfSettings
from kgrec.sources import open_graph, read_sparql, sparql_tables
from kgrec.sources.rdf import load_store

LOGIN = "Basic " + base64.b64encode(b"ada:secret").decode()


@dataclass
class Endpoint:
    """A store that answers queries, and how it misbehaves."""

    store: pyoxigraph.Store
    url: str = ""
    most_rows: int | None = None
    busy: int = 0
    cut: int = 0
    silent: bool = False
    requests: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)


@pytest.fixture(scope="module")
def debian_store() -> pyoxigraph.Store:
    return load_store(datasets.debian_rdf(), RdfSettings())


@pytest.fixture
def endpoint(debian_store: pyoxigraph.Store) -> Iterator[Endpoint]:
    served = Endpoint(debian_store)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(urlsplit(self.path).query)

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def answer(self, encoded: str) -> None:
            fields = parse_qs(encoded)
            served.requests.append((self.command, fields))
            if served.silent:
                time.sleep(0.5)
                return
            place = urlsplit(self.path).path
            if place.endswith("secret") and self.headers.get("Authorization") != LOGIN:
                self.send(401, "text/plain", b"who are you")
            elif served.busy:
                served.busy -= 1
                self.send(503, "text/plain", b"busy")
            elif place.endswith("page"):
                self.send(200, "text/html", b"<html>")
            else:
                self.solve(fields["query"][0])

        def solve(self, query: str) -> None:
            try:
                solutions = served.store.query(query)
            except SyntaxError as error:
                self.send(400, "text/plain", str(error).encode())
                return
            assert isinstance(solutions, pyoxigraph.QuerySolutions)
            text = solutions.serialize(format=pyoxigraph.QueryResultsFormat.CSV)
            assert text is not None
            if served.most_rows is not None:
                text = b"".join(text.splitlines(keepends=True)[: served.most_rows + 1])
            self.send(200, "text/csv; charset=utf-8", text)

        def send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if served.cut:
                served.cut -= 1
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                return
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_address[1]}/sparql"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_equals_the_file(
    endpoint: Endpoint, debian_schema: GraphSchema, debian_graph: KnowledgeGraph, method: str
) -> None:
    graph = read_sparql(endpoint.url, debian_schema, method=method)  # type: ignore[arg-type]
    assert graph == debian_graph
    assert {used for used, _ in endpoint.requests} == {method}
    assert open_graph(endpoint.url, debian_schema, page_size=50_000) == debian_graph


def test_an_endpoint_that_sends_less_than_asked_for(
    endpoint: Endpoint, debian_schema: GraphSchema, debian_graph: KnowledgeGraph
) -> None:
    endpoint.most_rows = 3_000
    assert read_sparql(endpoint.url, debian_schema) == debian_graph
    cut = sparql_tables(endpoint.url, debian_schema, page_size=None)
    assert len(cut.interactions) == 3_000


def test_a_query_with_a_limit_is_asked_once(
    tmp_path: Path, endpoint: Endpoint, debian_schema: GraphSchema
) -> None:
    for name in ("entities", "relations", "interactions"):
        query = debian_schema.read_query(name, "sparql").text
        (tmp_path / f"{name}.rq").write_text(f"{query}\nLIMIT 5 # }} LIMIT\n")
    schema = debian_schema.model_copy(update={"folder": tmp_path})
    assert len(sparql_tables(endpoint.url, schema).interactions) == 5
    assert len(endpoint.requests) == 3


def test_asks_again_when_busy_or_cut_off(
    endpoint: Endpoint, debian_schema: GraphSchema, debian_graph: KnowledgeGraph
) -> None:
    endpoint.busy, endpoint.cut = 1, 1
    assert read_sparql(endpoint.url, debian_schema, page_size=50_000) == debian_graph


def test_logins(endpoint: Endpoint, debian_schema: GraphSchema) -> None:
    secret = f"{endpoint.url}/secret"
    with pytest.raises(SourceError, match=r"refused the login \(401\)"):
        read_sparql(secret, debian_schema)
    assert len(read_sparql(secret, debian_schema, auth=("ada", "secret"), page_size=None).items)


def test_asks_for_named_graphs(endpoint: Endpoint, debian_schema: GraphSchema) -> None:
    settings = RdfSettings(graphs=["urn:one", "urn:two"])
    schema = debian_schema.model_copy(update={"rdf": settings})
    sparql_tables(endpoint.url, schema, page_size=None)
    assert endpoint.requests[0][1]["default-graph-uri"] == ["urn:one", "urn:two"]
    settings = RdfSettings(languages=["en"])
    with pytest.raises(SourceError, match=r"languages in \[rdf\] is for files"):
        read_sparql(endpoint.url, debian_schema.model_copy(update={"rdf": settings}))


def test_names_what_goes_wrong(
    tmp_path: Path, endpoint: Endpoint, debian_schema: GraphSchema
) -> None:
    with pytest.raises(SourceError, match=r"answered with text/html where text/csv"):
        read_sparql(f"{endpoint.url}/page", debian_schema)
    (tmp_path / "entities.rq").write_text("SELECT nonsense")
    broken = debian_schema.model_copy(update={"folder": tmp_path})
    for name in ("relations", "interactions"):
        (tmp_path / f"{name}.rq").write_text("ASK {}")
    with pytest.raises(SourceError, match=r"refused the query .*entities.rq \(400\): .*error at"):
        read_sparql(endpoint.url, broken)
    endpoint.silent = True
    with pytest.raises(SourceError, match=r"no SPARQL endpoint answers at .*timed out"):
        read_sparql(endpoint.url, debian_schema, query_timeout=0.1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    start = time.monotonic()
    with pytest.raises(SourceError, match="no SPARQL endpoint answers"):
        read_sparql(f"http://127.0.0.1:{port}/sparql", debian_schema)
    assert time.monotonic() - start < 5
