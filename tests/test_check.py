"""The check: it counts right, finds every fault at once and agrees with the graph."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kgrec import datasets
from kgrec.check import GraphReport, check_tables
from kgrec.errors import SourceError
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.schema import TABLE_NAMES, GraphSchema
from kgrec.sources import rdf_tables
from rich.console import Console

from tests.films import SCHEMA, film_tables
from tests.test_graph import graph_tables

MAYBE = st.sampled_from(["alien", "heat", "noir", "ada", "", " alien", None])
KINDS = st.sampled_from(["film", "genre", "person", "mood", None])
NAMES = st.sampled_from(["has_genre", "sequel_of", "watched", "has_mood"])
WEIGHTS = st.sampled_from([1.0, 2.0, None, float("nan")])
VECTORS = st.sampled_from([None, [1.0], [2.0], [1.0, 2.0], [float("nan")]])


def table(kinds: dict[str, pa.DataType], rows: list[tuple[object, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(kinds)
    arrays = [pa.array(c, kind) for c, kind in zip(columns, kinds.values(), strict=True)]
    return pa.table(dict(zip(kinds, arrays, strict=True)))


@st.composite
def broken_tables(draw: st.DrawFn) -> GraphTables:
    text, number = pa.string(), pa.float32()
    entity = {"id": text, "type": text, "features": pa.list_(number)}
    edge = {"head": text, "relation": text, "tail": text, "weight": number}
    log = {"user": text, "item": text, "weight": number, "time": pa.int64()}
    entities = draw(st.lists(st.tuples(MAYBE, KINDS, VECTORS), max_size=5))
    relations = draw(st.lists(st.tuples(MAYBE, NAMES, MAYBE, WEIGHTS), max_size=3))
    interactions = draw(
        st.lists(st.tuples(MAYBE, MAYBE, WEIGHTS, st.sampled_from([1, 2, None])), max_size=3)
    )
    return GraphTables(
        table(entity, list(entities)), table(edge, list(relations)), table(log, list(interactions))
    )


def messages(report: GraphReport) -> str:
    return "\n".join(f"{p.severity}: {p.message}; {p.remedy}" for p in report.problems)


@given(broken_tables() | graph_tables())
@settings(max_examples=150, deadline=None)
def test_ok_exactly_if_the_graph_can_be_built(tables: GraphTables) -> None:
    report = check_tables(SCHEMA, tables)
    if report.ok:
        KnowledgeGraph.from_tables(SCHEMA, tables)
    else:
        with pytest.raises(SourceError):
            KnowledgeGraph.from_tables(SCHEMA, tables)


def test_counts() -> None:
    report = check_tables(SCHEMA, film_tables())
    person, film, genre = report.nodes
    assert (person.nodes, film.nodes, genre.nodes) == (1, 3, 2)
    assert (film.isolated, genre.isolated, person.isolated) == (0, 0, 0)
    assert genre.without_text == 1
    assert [r.edges for r in report.relations] == [3, 1]
    log = report.interactions
    assert (log.rows, log.users, log.items, log.cold_items, log.new_users) == (3, 2, 2, 1, 1)
    assert log.density == pytest.approx(3 / 6)
    assert log.per_user == {"min": 1.0, "25%": 1.25, "50%": 1.5, "75%": 1.75, "max": 2.0}
    assert report.ok
    assert "1 of 2 nodes of the type 'genre' have no text: 'noir'" in messages(report)
    assert "1 users of the interactions are not among the entities" in messages(report)


def test_debian_has_no_problem(debian_schema: GraphSchema) -> None:
    report = check_tables(debian_schema, rdf_tables(datasets.debian_rdf(), debian_schema))
    assert report.problems == ()
    assert report.interactions.cold_items == 54


def test_every_fault_at_once() -> None:
    entities = pa.table(
        {
            "id": ["alien", "alien", "heat", "noir", None, "calm", "bare"],
            "type": ["film", "film", "film", "genre", "film", "mood", "film"],
            "text": ["A", "A", "B", "Noir", "C", "D", " "],
            "features": pa.array([[1.0, 2.0], None, [np.nan], None, None, None, None]),
        }
    )
    relations = pa.table(
        {
            "head": ["heat", "jaws", "noir", "heat", "ada"],
            "relation": ["has_genre", "has_genre", "has_genre", "has_mood", "watched"],
            "tail": ["noir", "noir", "noir", "calm", "heat"],
            "weight": [1.0, np.inf, 1.0, 1.0, 1.0],
        }
    )
    log = pa.table({"user": ["ada", "ada"], "item": ["heat", " heat"], "time": [1, None]})
    report = check_tables(SCHEMA, GraphTables(entities, relations, log))
    found = messages(report)
    assert not report.ok
    for expected in (
        "error: the column 'id' of the entities is empty in 1 row",
        "error: 1 row of the entities have the type 'mood'",
        "error: 1 row of the relations have the relation 'has_mood'",
        "error: the relations hold the interaction 'watched'",
        "error: the entities hold 'alien' of the type 'film' more than once",
        "error: features of the type 'film' have different lengths: [1, 2]",
        "error: features of 1 nodes of the type 'film' hold NaN or infinity: 'heat'",
        "error: the weight of the relations is NaN or infinite in 1 row",
        "error: in 2 rows of the relation has_genre the head is no film: 'jaws', 'noir'; "
        "such ids are of the type 'genre'",
        "error: in 1 row of the interactions the item is no film: ' heat'; remove the blanks",
        "error: the time of the interactions is empty in 1 row",
        "warning: the relation 'sequel_of' has no edge",
        "warning: 1 items have no text, no edge and no interaction",
    ):
        assert expected in found, found
    severities = [problem.severity for problem in report.problems]
    assert severities == sorted(severities)  # errors first


def test_wrong_columns_are_a_problem_and_no_exception() -> None:
    tables = replace(film_tables(), interactions=pa.table({"user": ["ada"], "film": ["alien"]}))
    report = check_tables(SCHEMA, tables)
    assert "error: the table interactions lacks the column 'item'" in messages(report)
    assert report.interactions.rows == 0


def test_nothing_at_all() -> None:
    nothing = film_tables()
    empty = GraphTables(*(getattr(nothing, n).slice(0, 0) for n in TABLE_NAMES))
    found = messages(check_tables(SCHEMA, empty))
    assert "error: there are no items: no entity has the type 'film'" in found
    assert "warning: there is no interaction" in found


def test_report_as_values_and_on_a_terminal() -> None:
    report = check_tables(SCHEMA, film_tables())
    values = json.loads(json.dumps(report.to_dict()))
    assert values["ok"] is True
    assert values["nodes"][1]["type"] == "film"
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(report)
    shown = console.export_text()
    assert "has_genre" in shown
    assert "warning: 1 of 2 nodes of the type 'genre' have no text" in shown
