"""What goes wrong is told clearly and soon: broken inputs, and servers that fail."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from benchmarks.bolt_server import BoltServer, is_installed, running_server
from benchmarks.faults import count_kinds, read_broken
from kgrec.errors import SourceError
from kgrec.sources import neo4j_tables

from tests.sources.folders import schema_with

MANY = "UNWIND range(1, 5000) AS a UNWIND range(1, 5000) AS b "
COUNTED = f"{MANY} UNWIND range(1, 100) AS c WITH count(*) AS n RETURN n AS id, 'film' AS type"
STREAMED = f"{MANY} RETURN a * 5000 + b AS id, 'film' AS type"
LOG = "RETURN 'ada' AS user, 1 AS item"


def test_broken_inputs_are_refused_or_harmless(tmp_path: Path) -> None:
    outcomes = list(read_broken(tmp_path, 200))
    defects = [outcome for outcome in outcomes if outcome.kind not in ("refused", "read")]
    assert defects == []
    assert count_kinds(outcomes)["refused"] > 120
    assert max(outcome.seconds for outcome in outcomes) < 10
    refusals = [outcome for outcome in outcomes if outcome.kind == "refused"]
    vague = [outcome for outcome in refusals if ":" not in outcome.message]
    assert vague == []


def test_a_long_text(tmp_path: Path, bolt_server: BoltServer) -> None:
    schema = schema_with(
        tmp_path,
        "cypher",
        entities="UNWIND [1, 2] AS n RETURN n AS id, 'film' AS type, $text AS text",
        relations="UNWIND [] AS n RETURN n AS head, 'sequel_of' AS relation, n AS tail",
        interactions=LOG,
    )
    text = "a" * 10_000_000
    where = bolt_server.where
    tables = neo4j_tables(bolt_server.uri, schema, parameters={"text": text}, **where)
    assert tables.entities["text"].to_pylist() == [text, text]
    (tmp_path / "entities.cypher").write_text("WITH $text AS text RETURN text AS wrong, 1 AS type")
    with pytest.raises(SourceError, match=r"lacks the column .*first row is \(aaaa") as caught:
        neo4j_tables(bolt_server.uri, schema, parameters={"text": text}, **where)
    assert len(str(caught.value)) < 500


@pytest.mark.skipif(not is_installed(), reason="needs arcadedb-embedded")
def test_a_server_that_ends_queries_or_stops(tmp_path: Path) -> None:
    schema = schema_with(
        tmp_path, "cypher", entities=COUNTED, relations="RETURN 1", interactions=LOG
    )
    folder = tmp_path / "server"
    folder.mkdir()
    with running_server(folder, command_timeout_ms=300) as server:
        start = time.monotonic()
        with pytest.raises(SourceError, match=r"entities.cypher.*(time|Time)"):
            neo4j_tables(server.uri, schema, retry_seconds=1, **server.where)
        assert time.monotonic() - start < 30
    (tmp_path / "entities.cypher").write_text(STREAMED)
    folder = tmp_path / "other"
    folder.mkdir()
    with running_server(folder) as server:
        assert server.process is not None
        stopping = threading.Timer(1.0, server.process.kill)
        stopping.start()
        start = time.monotonic()
        with pytest.raises(SourceError, match=r"the server failed at the query .*entities.cypher"):
            neo4j_tables(server.uri, schema, retry_seconds=2, connection_timeout=1, **server.where)
        assert time.monotonic() - start < 30
        stopping.join()
