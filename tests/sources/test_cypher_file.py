"""The embedded Cypher database."""

from __future__ import annotations

from pathlib import Path

import ladybug
import pytest
from kgrec.errors import SchemaError, SourceError
from kgrec.sources import cypher_file_tables, read_cypher_file

from tests.sources.folders import schema_with

ENTITIES = "MATCH (f:Film) RETURN f.key AS id, 'film' AS type, f.title AS text, f.v AS features"
RELATIONS = (
    "MATCH (f:Film)-[s:SEQUEL_OF]->(g:Film) "
    "RETURN f.key AS head, 'sequel_of' AS relation, g.key AS tail, s.strength AS weight"
)
INTERACTIONS = (
    "MATCH (p:Person)-[w:WATCHED]->(f:Film) WHERE w.day >= $since "
    "RETURN p.name AS user, f.key AS item, w.day AS time"
)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "films.lbug"
    with ladybug.Database(path) as database, ladybug.Connection(database) as connection:
        for statement in (
            "CREATE NODE TABLE Film(key INT64 PRIMARY KEY, title STRING, v FLOAT[])",
            "CREATE NODE TABLE Person(name STRING PRIMARY KEY)",
            "CREATE REL TABLE WATCHED(FROM Person TO Film, day DATE)",
            "CREATE REL TABLE SEQUEL_OF(FROM Film TO Film, strength DOUBLE)",
            "CREATE (:Film {key: 1, title: 'Alien', v: [0.5, 1.5]})",
            "CREATE (:Film {key: 2, title: 'Aliens'})",
            "CREATE (:Person {name: 'ada'})",
            "MATCH (p:Person), (f:Film {key: 1}) "
            "CREATE (p)-[:WATCHED {day: date('1970-01-03')}]->(f)",
            "MATCH (a:Film {key: 1}), (b:Film {key: 2}) "
            "CREATE (b)-[:SEQUEL_OF {strength: 2.5}]->(a)",
        ):
            connection.execute(statement)
    return path


def test_reads_numbers_vectors_dates_and_parameters(tmp_path: Path, films: Path) -> None:
    schema = schema_with(
        tmp_path,
        "cypher",
        entities=ENTITIES,
        relations=RELATIONS,
        interactions=INTERACTIONS.replace("$since", "date($since)"),
    )
    graph = read_cypher_file(films, schema, parameters={"since": "1970-01-01"})
    assert graph.items.ids.to_pylist() == ["1", "2"]
    assert graph.items.features is not None
    assert graph.items.features[0].tolist() == [0.5, 1.5]
    assert graph.interactions.time is not None
    assert graph.interactions.time.tolist() == [2 * 86400]
    edges = graph.edges["film", "sequel_of", "film"]
    assert edges.edge_index.tolist() == [[1], [0]]
    assert edges.weight is not None
    assert edges.weight.tolist() == [2.5]
    none = cypher_file_tables(films, schema, parameters={"since": "1980-01-01"})
    assert len(none.interactions) == 0


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("MATCH (f:Film RETURN f", r"the query .*entities.cypher failed: Parser exception"),
        ("MATCH (f:Movie) RETURN f.key AS id", r"entities.cypher failed: .*Movie does not exist"),
        (
            "MATCH (f:Film) RETURN f.key AS id, f.title AS text ORDER BY id",
            r"entities.cypher lacks the column 'type': .*; the first row is \(1, Alien\)",
        ),
        (
            "MATCH (f:Film) RETURN f.key AS id, 'film' AS type, f.title",
            r"entities.cypher has the unknown column 'f.title'",
        ),
        (
            "MATCH (f:Film) WHERE f.key > 9 RETURN f.key AS id",
            r"lacks the column 'type': .*; there is no row",
        ),
        (
            "MATCH (f:Film) RETURN f AS id, 'film' AS type",
            r"entities.cypher: the column 'id' of the table entities is struct",
        ),
        ("RETURN 1 AS id; RETURN 2 AS id", r"entities.cypher holds 2 queries"),
        ("CREATE (:Film {key: 3})", r"entities.cypher failed: .*read-only"),
        ("MATCH (f:Film {key: $key}) RETURN f.key AS id", "uses the parameter 'key', which has no"),
        (" ", r"entities.cypher is empty"),
    ],
)
def test_names_the_fault(tmp_path: Path, films: Path, query: str, message: str) -> None:
    schema = schema_with(
        tmp_path, "cypher", entities=query, relations=RELATIONS, interactions=INTERACTIONS
    )
    with pytest.raises((SourceError, SchemaError), match=message):
        read_cypher_file(films, schema)


def test_names_the_query_that_leaves_weights_empty(tmp_path: Path, films: Path) -> None:
    log = (
        "UNWIND [1, 2] AS n RETURN 'ada' AS user, n AS item, "
        "CASE WHEN n = 1 THEN 4.5 ELSE null END AS weight"
    )
    schema = schema_with(
        tmp_path, "cypher", entities=ENTITIES, relations=RELATIONS, interactions=log
    )
    message = (
        r"/interactions.cypher: the weight is empty in 1 of 2 rows, row 2 the first .*item '2'"
    )
    with pytest.raises(SourceError, match=message):
        read_cypher_file(films, schema)


def test_dollar_in_a_string_is_no_parameter(tmp_path: Path, films: Path) -> None:
    query = ENTITIES.replace("f.title", "'a $title' /* $more */") + " // $most"
    log = "MATCH (p:Person)-[:WATCHED]->(f:Film) RETURN p.name AS user, f.key AS item"
    schema = schema_with(tmp_path, "cypher", entities=query, relations=RELATIONS, interactions=log)
    assert read_cypher_file(films, schema).items.texts.to_pylist() == ["a $title"] * 2


def test_names_files_that_are_no_database(tmp_path: Path) -> None:
    schema = schema_with(
        tmp_path, "cypher", entities=ENTITIES, relations=RELATIONS, interactions=INTERACTIONS
    )
    with pytest.raises(SourceError, match=r"films.lbug is not a file"):
        read_cypher_file(tmp_path / "films.lbug", schema)
    (tmp_path / "films.lbug").write_bytes(b"")
    with pytest.raises(SourceError, match=r"films.lbug is empty"):
        read_cypher_file(tmp_path / "films.lbug", schema)
    (tmp_path / "films.lbug").write_bytes(b"nonsense" * 100)
    with pytest.raises(SourceError, match=r"films.lbug can't be opened as a ladybug database"):
        read_cypher_file(tmp_path / "films.lbug", schema)
