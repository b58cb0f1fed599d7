"""Read an embedded Cypher database: one ladybug file, no server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import ladybug
import pyarrow as pa

from kgrec.cypher import parameters_of
from kgrec.errors import SourceError, name_ids
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.schema import GraphSchema, Query
from kgrec.sources._common import check_columns
from kgrec.sources._paging import data_columns, read_pages
from kgrec.sources._queries import QueryPlan
from kgrec.sources.tables import Table

PAGE_ROWS = 1_000_000


def read_cypher_file(
    path: str | Path,
    schema: GraphSchema,
    *,
    parameters: Mapping[str, object] | None = None,
    interactions: Table | None = None,
) -> KnowledgeGraph:
    """Read a graph from an embedded Cypher database by the schema's ``.cypher`` queries.

    Parameters
    ----------
    path
        A ladybug database file; it is opened read-only.
    schema
        A schema loaded from its folder.
    parameters
        Values of the ``$parameters`` of the queries, in place of those of the schema.
    interactions
        A file, frame or Arrow table of interactions, in place of the query for them: for a log
        that lies elsewhere than the graph.

    Returns
    -------
    KnowledgeGraph
        The checked graph.

    Raises
    ------
    SchemaError
        If a query file is missing or empty.
    SourceError
        If the file is missing or no database, a query fails, its columns or values break the
        contract, or the rows make no graph (see :meth:`KnowledgeGraph.from_tables`).
    """
    tables = cypher_file_tables(path, schema, parameters=parameters, interactions=interactions)
    return KnowledgeGraph.from_tables(schema, tables)


def cypher_file_tables(
    path: str | Path,
    schema: GraphSchema,
    *,
    parameters: Mapping[str, object] | None = None,
    interactions: Table | None = None,
) -> GraphTables:
    """Read the three tables of an embedded Cypher database, without checking their ids.

    Parameters
    ----------
    path, schema, parameters, interactions
        As :func:`read_cypher_file`.

    Returns
    -------
    GraphTables
        Rows as the queries give them.

    Raises
    ------
    SchemaError, SourceError
        As :func:`read_cypher_file`, but for the ids and edges.
    """
    plan = QueryPlan.of(schema, "cypher", interactions, parameters)
    with open_cypher_file(Path(path)) as database, ladybug.Connection(database) as connection:

        def run(query: Query, count: Callable[[int], None]) -> pa.Table:
            read = partial(_run, connection, query)
            pages = list(read_pages(query, plan.parameters, PAGE_ROWS, read))
            rows = pa.concat_tables(pages)
            count(len(rows))
            return rows

        return plan.run(run)


def open_cypher_file(path: Path) -> ladybug.Database:
    """Open an embedded Cypher database to read it.

    Parameters
    ----------
    path
        Its file.

    Returns
    -------
    ladybug.Database
        To be closed by the caller.

    Raises
    ------
    SourceError
        If the file is missing or no database.
    """
    if not path.is_file():
        raise SourceError(f"{path} is not a file: give the path of a ladybug database file")
    if not path.stat().st_size:
        raise SourceError(f"{path} is empty: build the database again")
    try:
        return ladybug.Database(path, read_only=True)
    except RuntimeError as error:
        raise SourceError(
            f"{path} can't be opened as a ladybug database: {_first_line(error)}; give another "
            "file, close the program that writes to it, or rebuild it with the ladybug installed "
            f"here ({ladybug.__version__})"
        ) from error


def _run(
    connection: ladybug.Connection, query: Query, parameters: Mapping[str, object]
) -> pa.Table:
    wanted = parameters_of(query.text)
    absent = sorted(wanted - set(parameters))
    if absent:  # ladybug would take them as null and find nothing
        raise SourceError(
            f"{query.path} uses the parameter {name_ids(absent)}, which has no value: "
            "give it in parameters, or in the schema's [parameters]"
        )
    given = {name: value for name, value in parameters.items() if name in wanted}
    try:
        result = connection.execute(query.text, given)
    except RuntimeError as error:
        raise SourceError(
            f"the query {query.path} failed: {error}; correct the query, or its folder's schema"
        ) from error
    if isinstance(result, list):
        raise SourceError(f"{query.path} holds {len(result)} queries: leave one of them")
    with result:
        names = result.get_column_names()
        data = data_columns(query, names)
        check_columns(query.path, data, query.table, _first_row(result))
        return result.get_as_arrow()


def _first_row(result: ladybug.QueryResult) -> list[object] | None:
    row = result.get_next() if result.has_next() else None
    result.reset_iterator()
    return list(row) if row is not None else None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
