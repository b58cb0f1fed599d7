"""Bolt, against a real server."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import neo4j
import pytest
from benchmarks.bolt_server import BoltServer
from kgrec.errors import SourceError
from kgrec.graph import KnowledgeGraph
from kgrec.schema import TABLE_NAMES, GraphSchema, TableName
from kgrec.sources import neo4j_tables, read_neo4j

from tests.sources.folders import schema_with
from tests.sources.proxy import breaking_proxy

ENTITIES = "UNWIND range(1, 25) AS n RETURN n AS id, 'film' AS type, 'Film ' + n AS text"
RELATIONS = (
    "UNWIND range(2, 25) AS n RETURN n AS head, 'sequel_of' AS relation, n - 1 AS tail, n AS weight"
)
INTERACTIONS = "UNWIND range(1, $last) AS n RETURN 'ada' AS user, n AS item, n * 10 AS time"


def films(folder: Path, **changed: str) -> GraphSchema:
    queries = {"entities": ENTITIES, "relations": RELATIONS, "interactions": INTERACTIONS}
    return schema_with(folder, "cypher", **(queries | changed))


def read(server: BoltServer, schema: GraphSchema, last: int = 3) -> KnowledgeGraph:
    return read_neo4j(
        server.uri,
        schema,
        auth=server.auth,
        database=server.database,
        parameters={"last": last},
        batch_size=10,
    )


def test_numbers_become_ids_in_batches(tmp_path: Path, bolt_server: BoltServer) -> None:
    graph = read(bolt_server, films(tmp_path))
    assert sorted(map(int, graph.items.ids.to_pylist())) == list(range(1, 26))
    assert graph.items.texts[graph.items.positions(["7"])[0]].as_py() == "Film 7"
    edges = graph.edges["film", "sequel_of", "film"]
    assert len(edges) == 24
    assert edges.weight is not None
    assert sorted(edges.weight.tolist()) == list(range(2, 26))
    assert graph.interactions.time is not None
    assert sorted(graph.interactions.time.tolist()) == [10, 20, 30]


def test_parameters(tmp_path: Path, bolt_server: BoltServer) -> None:
    assert len(read(bolt_server, films(tmp_path), last=20).interactions) == 20
    injected = "x' RETURN 1 //"
    query = "RETURN $last AS user, 1 AS item"
    tables = neo4j_tables(
        bolt_server.uri,
        films(tmp_path, interactions=query),
        auth=bolt_server.auth,
        database=bolt_server.database,
        parameters={"last": injected},
    )
    assert tables.interactions["user"].to_pylist() == [injected]


def test_dates_vectors_and_mixed_ids(tmp_path: Path, bolt_server: BoltServer) -> None:
    schema = films(
        tmp_path,
        entities="UNWIND [1, 'b', 2.0] AS n RETURN n AS id, 'film' AS type, [0.5, 2] AS features",
        relations="UNWIND [] AS n RETURN n AS head, 'sequel_of' AS relation, n AS tail",
        interactions=(
            "UNWIND [date('1970-01-02'), datetime('1970-01-03T00:00:00Z'), "
            "localdatetime('1970-01-04T00:00:00')] AS t "
            "RETURN $last AS user, 'b' AS item, t AS time"
        ),
    )
    graph = read(bolt_server, schema)
    assert graph.items.ids.to_pylist() == ["1", "2", "b"]
    assert graph.items.features is not None
    assert graph.items.features.tolist() == [[0.5, 2.0]] * 3
    assert graph.users.ids.to_pylist() == ["3"]
    assert graph.interactions.time is not None
    assert graph.interactions.time.tolist() == [86400, 2 * 86400, 3 * 86400]


def test_every_type_becomes_text_number_or_moment(tmp_path: Path, bolt_server: BoltServer) -> None:
    values = {
        "null": None,
        "'text'": "text",
        "7": "7",
        "2.0": "2",
        "0.5": "0.5",
        "true": "true",
        "date('2024-05-01')": "2024-05-01",
        "localdatetime('2024-05-01T10:00:00')": "2024-05-01T10:00:00",
        "duration('P1DT2H')": "P1DT2H",
        "['a', 1, 'b']": "a, 1, b",
    }
    rows = ", ".join(values)
    schema = films(
        tmp_path,
        entities=(
            f"UNWIND range(0, {len(values) - 1}) AS n WITH n, [{rows}] AS v "
            "RETURN n AS id, 'film' AS type, v[n] AS text"
        ),
        interactions=(
            "UNWIND [['1', '1970-01-02'], [2, '1970-01-02 00:00:00.000'], [true, '1970-01-02']]"
            " AS v RETURN $last AS user, 1 AS item, v[0] AS weight, v[1] AS time"
        ),
    )
    tables = neo4j_tables(
        bolt_server.uri,
        schema,
        auth=bolt_server.auth,
        database=bolt_server.database,
        parameters={"last": 1},
        batch_size=1,
    )
    assert tables.entities["text"].to_pylist() == list(values.values())
    assert tables.interactions["weight"].to_pylist() == [1.0, 2.0, 1.0]
    assert tables.interactions["time"].to_pylist() == [86400] * 3


PAGED = {
    "keyset": (
        "UNWIND range(1, 25) AS n WITH n WHERE $after IS NULL OR n > $after "
        "RETURN n AS id, 'film' AS type, n AS cursor ORDER BY n LIMIT $limit"
    ),
    "range": (
        "UNWIND range(1, 25) AS n RETURN n AS id, 'film' AS type ORDER BY n SKIP $skip LIMIT $limit"
    ),
}


@pytest.mark.parametrize("paging", PAGED)
@pytest.mark.parametrize("page_size", [7, 25, 100])
def test_pages(tmp_path: Path, bolt_server: BoltServer, paging: str, page_size: int) -> None:
    schema = films(tmp_path, entities=PAGED[paging])
    tables = neo4j_tables(
        bolt_server.uri,
        schema,
        auth=bolt_server.auth,
        database=bolt_server.database,
        parameters={"last": 1},
        page_size=page_size,
    )
    assert tables.entities["id"].to_pylist() == [str(n) for n in range(1, 26)]
    assert tables.entities.column_names == ["id", "type", "text"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "UNWIND range(1, 25) AS n WITH n WHERE $after IS NULL OR n > 0 "
            "RETURN n AS id, 'film' AS type, 1 AS cursor ORDER BY n LIMIT $limit",
            r"entities.cypher pages by key, but its cursor stays at 1",
        ),
        (
            "UNWIND range(1, 25) AS n WITH n WHERE $after IS NULL OR n > $after "
            "RETURN n AS id, 'film' AS type ORDER BY n LIMIT $limit",
            r"uses \$after and \$limit but returns no column 'cursor'",
        ),
    ],
)
def test_pages_that_can_not_be(
    tmp_path: Path, bolt_server: BoltServer, query: str, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        neo4j_tables(
            bolt_server.uri,
            films(tmp_path, entities=query),
            auth=bolt_server.auth,
            database=bolt_server.database,
            parameters={"last": 1},
            page_size=5,
        )


def test_goes_on_where_the_connection_broke(
    tmp_path: Path, bolt_server: BoltServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = PAGED["keyset"].replace("range(1, 25)", "range(1, 5000)")
    schema = films(tmp_path, entities=rows)
    asked: list[object] = []
    run = neo4j.ManagedTransaction.run

    def noted(self: neo4j.ManagedTransaction, query: str, values: dict[str, object]) -> object:
        if "cursor" in query:
            asked.append(values["after"])
        return run(self, query, values)

    monkeypatch.setattr(neo4j.ManagedTransaction, "run", noted)
    with breaking_proxy(bolt_server.uri, after=60_000) as uri:
        tables = neo4j_tables(
            uri, schema, parameters={"last": 1}, page_size=1_000, **bolt_server.where
        )
    assert tables.entities["id"].to_pylist() == [str(n) for n in range(1, 5001)]
    pages = [None, 1000, 2000, 3000, 4000, 5000]
    assert sorted(set(asked), key=str) == sorted(pages, key=str)
    assert len(asked) == len(pages) + 1  # the one that broke was asked for again, and no other


def test_parameters_of_the_schema(tmp_path: Path, bolt_server: BoltServer) -> None:
    schema = films(tmp_path).model_copy(update={"parameters": {"last": 4}})
    where = {"auth": bolt_server.auth, "database": bolt_server.database}
    graph = read_neo4j(bolt_server.uri, schema, **where)  # type: ignore[arg-type]
    assert len(graph.interactions) == 4
    assert graph == read(bolt_server, schema, last=4)
    assert graph.schema.parameters == {}


def test_a_driver_and_a_database_a_table(tmp_path: Path, bolt_server: BoltServer) -> None:
    names: dict[TableName, str] = dict.fromkeys(TABLE_NAMES, bolt_server.database)
    with neo4j.GraphDatabase.driver(bolt_server.uri, auth=bolt_server.auth) as driver:
        schema = films(tmp_path)
        graph = read_neo4j(driver, schema, database=names, parameters={"last": 3})
        assert graph == read(bolt_server, schema)
        driver.verify_connectivity()  # still open
        names["relations"] = "nowhere"
        with pytest.raises(SourceError, match="nowhere"):
            read_neo4j(driver, schema, database=names, parameters={"last": 3})


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("MATCH (f RETURN f", r"the query .*entities.cypher failed"),
        ("RETURN 1 AS id, 'A' AS text", r"entities.cypher lacks the column 'type'.*is \(1, A\)"),
        ("RETURN 1 AS id, 'x' AS type, 'A' AS title", r"has the unknown column 'title'"),
        ("UNWIND [] AS n RETURN n AS id", r"there are no items|lacks the column 'type'"),
        (
            "RETURN [1, 2] AS id, 'film' AS type",
            r"entities.cypher: the column 'id' can't be made text, its first value is \[1, 2\]: "
            "return a property",
        ),
        (
            "RETURN 1 AS id, 'film' AS type, 'x' AS features",
            r"entities.cypher: the column 'features'",
        ),
        (
            "UNWIND [1, 1] AS n RETURN n AS id, 'film' AS type",
            "the entities hold '1' of the type film more than once",
        ),
    ],
)
def test_names_the_fault(tmp_path: Path, bolt_server: BoltServer, query: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(bolt_server, films(tmp_path, entities=query))


def test_dangling_edge(tmp_path: Path, bolt_server: BoltServer) -> None:
    with pytest.raises(SourceError, match="interactions the item is no film: '26', '27'"):
        read(bolt_server, films(tmp_path), last=27)


def test_wrong_password(tmp_path: Path, bolt_server: BoltServer) -> None:
    with pytest.raises(SourceError, match="refused the user or password") as caught:
        read_neo4j(bolt_server.uri, films(tmp_path), auth=("root", "not this one"))
    assert "not this one" not in str(caught.value)


def test_unknown_database(tmp_path: Path, bolt_server: BoltServer) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        read_neo4j(bolt_server.uri, films(tmp_path), auth=bolt_server.auth, database="nowhere")


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(SourceError, match=f"no database answers at bolt://127.0.0.1:{port}"):
        read_neo4j(f"bolt://127.0.0.1:{port}", films(tmp_path))


@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_a_server_that_never_answers_is_given_up(tmp_path: Path, scheme: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        with pytest.raises(SourceError, match="no database answers"):
            read_neo4j(
                f"{scheme}://127.0.0.1:{silent.getsockname()[1]}",
                films(tmp_path),
                connection_timeout=0.5,
            )
        assert time.monotonic() - start < 5


@pytest.mark.parametrize("address", ["http://127.0.0.1", "127.0.0.1:7687"])
def test_no_bolt_address(tmp_path: Path, address: str) -> None:
    with pytest.raises(SourceError, match="is no address of a Bolt server"):
        read_neo4j(address, films(tmp_path))
