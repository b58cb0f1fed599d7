"""Read a Neo4j database, or another that speaks Bolt and Cypher, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import neo4j
import pyarrow as pa
from neo4j.exceptions import (
    AuthError,
    ClientError,
    ConfigurationError,
    DriverError,
    Neo4jError,
    ServiceUnavailable,
)

from kgrec.errors import SourceError
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.schema import GraphSchema, Query, TableName
from kgrec.sources._common import (
    SHOWN_CHARACTERS,
    check_columns,
    empty_table,
    typed_table,
)
from kgrec.sources._cypher_values import to_column
from kgrec.sources._paging import CURSOR, data_columns, read_pages
from kgrec.sources._queries import QueryPlan
from kgrec.sources.tables import Table

if TYPE_CHECKING:
    from neo4j import Driver, ManagedTransaction, Result, Session

Auth: TypeAlias = tuple[str, str] | neo4j.Auth | neo4j.auth_management.AuthManager | None
Database: TypeAlias = str | Mapping[TableName, str] | None

BOLT_SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
BATCH_ROWS = 10_000
PAGE_ROWS = 100_000
CONNECT_SECONDS = 5.0
RETRY_SECONDS = 30.0


def read_neo4j(
    uri: str | Driver,
    schema: GraphSchema,
    *,
    auth: Auth = None,
    database: Database = None,
    parameters: Mapping[str, object] | None = None,
    interactions: Table | None = None,
    batch_size: int = BATCH_ROWS,
    page_size: int = PAGE_ROWS,
    query_timeout: float | None = None,
    connection_timeout: float = CONNECT_SECONDS,
    retry_seconds: float = RETRY_SECONDS,
) -> KnowledgeGraph:
    """Read a graph over Bolt by the schema's ``.cypher`` queries.

    Rows go to columns in batches, so that memory holds a batch of Python objects and no more.
    A query that fails for a passing reason (a deadlock, a lost connection, a change of leader)
    is asked again after a growing pause.

    Parameters
    ----------
    uri
        ``bolt://host:7687``, ``neo4j://…``, or one of their ``+s`` and ``+ssc`` variants; or a
        :class:`neo4j.Driver`, with whatever encryption, certificates and login it was made with,
        which stays open.
    schema
        A schema loaded from its folder.
    auth
        User and password, another :class:`neo4j.Auth` (``neo4j.bearer_auth(...)`` say), an
        auth manager, or None for a server without passwords.
    database
        Name of the database, or of one a table; None for the user's home database.
    parameters
        Values of the ``$parameters`` of the queries, in place of those of the schema.
    interactions
        A file, frame or Arrow table of interactions, in place of the query for them: for a log
        that lies elsewhere than the graph.
    batch_size
        Rows fetched at once.
    page_size
        Rows a page, for queries that page (see Notes).
    query_timeout
        Seconds after which the server ends a query; None for the server's own limit.
    connection_timeout
        Seconds to wait for the server to answer.
    retry_seconds
        For how long a query, or a page of it, is tried again.

    Returns
    -------
    KnowledgeGraph
        The checked graph.

    Raises
    ------
    SchemaError
        If a query file is missing or empty.
    SourceError
        If the server can't be reached or refuses the password, a query fails, its columns or
        values break the contract, or the rows make no graph
        (see :meth:`KnowledgeGraph.from_tables`).

    Notes
    -----
    A query that uses ``$after`` and ``$limit`` is read in pages by a key: it orders by a key,
    returns it also as ``cursor``, and asks for rows with ``key > $after``, which is null at first
    or what ``parameters`` say.  One that uses ``$skip`` and ``$limit`` is read by position, and
    must order its rows too.  Each page is a transaction of its own, so that a read whose
    connection breaks goes on where it was.  Other queries begin again.
    """
    tables = neo4j_tables(
        uri,
        schema,
        auth=auth,
        database=database,
        parameters=parameters,
        interactions=interactions,
        batch_size=batch_size,
        page_size=page_size,
        query_timeout=query_timeout,
        connection_timeout=connection_timeout,
        retry_seconds=retry_seconds,
    )
    return KnowledgeGraph.from_tables(schema, tables)


def neo4j_tables(
    uri: str | Driver,
    schema: GraphSchema,
    *,
    auth: Auth = None,
    database: Database = None,
    parameters: Mapping[str, object] | None = None,
    interactions: Table | None = None,
    batch_size: int = BATCH_ROWS,
    page_size: int = PAGE_ROWS,
    query_timeout: float | None = None,
    connection_timeout: float = CONNECT_SECONDS,
    retry_seconds: float = RETRY_SECONDS,
) -> GraphTables:
    """Read the three tables over Bolt, without checking their ids.

    Parameters
    ----------
    uri, schema, auth, database, parameters, interactions, batch_size, page_size, query_timeout, \
connection_timeout, retry_seconds
        As :func:`read_neo4j`.

    Returns
    -------
    GraphTables
        Rows as the queries give them.

    Raises
    ------
    SchemaError, SourceError
        As :func:`read_neo4j`, but for the ids and edges.
    """
    plan = QueryPlan.of(schema, "cypher", interactions, parameters)
    with open_driver(
        uri, auth, connection_timeout=connection_timeout, retry_seconds=retry_seconds
    ) as driver:

        def run(query: Query, count: Callable[[int], None]) -> pa.Table:
            with driver.session(
                database=_database_of(database, query.table),
                default_access_mode=neo4j.READ_ACCESS,
                fetch_size=batch_size,
            ) as session:
                read = partial(_read_page, session, query, batch_size, query_timeout, count)
                pages = list(read_pages(query, plan.parameters, page_size, read))
            return pa.concat_tables(pages, promote_options="default")

        return plan.run(run)


@contextmanager
def open_driver(
    uri: str | Driver,
    auth: Auth = None,
    *,
    connection_timeout: float = CONNECT_SECONDS,
    retry_seconds: float = RETRY_SECONDS,
) -> Iterator[Driver]:
    """Open a driver and close it in the end, or use one that is open and leave it so.

    Parameters
    ----------
    uri, auth, connection_timeout, retry_seconds
        As :func:`read_neo4j`.

    Yields
    ------
    neo4j.Driver
        Its server has answered.

    Raises
    ------
    SourceError
        As :func:`connect`.
    """
    if isinstance(uri, neo4j.Driver):
        _verify(uri, "the server of the driver")
        yield uri
        return
    with connect(
        uri, auth, connection_timeout=connection_timeout, retry_seconds=retry_seconds
    ) as driver:
        yield driver


def connect(
    uri: str,
    auth: Auth,
    *,
    connection_timeout: float = CONNECT_SECONDS,
    retry_seconds: float = RETRY_SECONDS,
) -> Driver:
    """Open a driver whose server has answered.

    Parameters
    ----------
    uri, auth, connection_timeout, retry_seconds
        As :func:`read_neo4j`.

    Returns
    -------
    neo4j.Driver
        To be closed by the caller.

    Raises
    ------
    SourceError
        If the address is no Bolt address, nobody answers there, or the password is refused.
    """
    scheme = uri.partition("://")[0]
    if scheme not in BOLT_SCHEMES:
        raise SourceError(
            f"{uri} is no address of a Bolt server: write bolt://host:7687 or neo4j://host:7687, "
            f"or another of the schemes {', '.join(BOLT_SCHEMES)}"
        )
    try:
        driver = neo4j.GraphDatabase.driver(
            uri,
            auth=auth,
            connection_timeout=connection_timeout,
            connection_acquisition_timeout=connection_timeout * 2,
            max_transaction_retry_time=retry_seconds,
        )
    except (ConfigurationError, ValueError) as error:
        raise SourceError(
            f"{uri} is no address of a Bolt server: {error}; write bolt://host:7687 or "
            "neo4j://host:7687"
        ) from error
    try:
        _verify(driver, uri)
    except SourceError:
        driver.close()
        raise
    return driver


def _verify(driver: Driver, place: str) -> None:
    try:
        driver.verify_connectivity()
    except (Neo4jError, DriverError) as error:
        raise _connection_error(place, error) from error


def _database_of(database: Database, table: TableName) -> str | None:
    return database.get(table) if isinstance(database, Mapping) else database


def _connection_error(uri: str, error: Exception) -> SourceError:
    match error:
        case AuthError():
            return SourceError(f"{uri} refused the user or password: check both ({error})")
        case ServiceUnavailable():
            return SourceError(
                f"no database answers at {uri}: start it, or check the host, the port and, for "
                f"an encrypted server, the +s in the scheme ({error})"
            )
        case _:
            return SourceError(f"{uri} can't be used: {error}")


def _read_page(
    session: Session,
    query: Query,
    batch_size: int,
    timeout: float | None,
    count: Callable[[int], None],
    parameters: Mapping[str, object],
) -> pa.Table:
    @neo4j.unit_of_work(timeout=timeout)
    def work(transaction: ManagedTransaction) -> pa.Table:
        return _fetch(transaction, query, parameters, batch_size, count)

    try:
        return session.execute_read(work)
    except AuthError as error:
        raise SourceError(f"the server refused the user or password: {error}") from error
    except ClientError as error:
        raise SourceError(
            f"the query {query.path} failed: {error.message}; correct the query, its parameters "
            "or the name of the database, or give it more time with query_timeout"
        ) from error
    except (Neo4jError, DriverError) as error:
        raise SourceError(
            f"the server failed at the query {query.path}: {error}; try again, or give it more "
            "time with query_timeout"
        ) from error


def _fetch(
    transaction: ManagedTransaction,
    query: Query,
    parameters: Mapping[str, object],
    batch_size: int,
    count: Callable[[int], None],
) -> pa.Table:
    # the text is a file of the schema's folder and holds no value: values are parameters
    result = transaction.run(query.text, dict(parameters))
    names = list(result.keys())
    first = result.peek()
    row = None if first is None else first.values()
    if row is None and not names:  # some servers send no names where there are no rows
        return empty_table(query.table)
    data = data_columns(query, names)
    check_columns(query.path, data, query.table, row)
    batches = []
    for columns in _batches(result, len(names), batch_size):
        batches.append(_to_arrow(dict(zip(names, columns, strict=True)), query))
        count(len(columns[0]))
    if not batches:
        return typed_table(query.path, _empty(data), query.table)
    return pa.concat_tables(batches, promote_options="default")


def _empty(names: list[str]) -> pa.Table:
    return pa.table({name: to_column([], name) for name in names})


def _batches(result: Result, width: int, size: int) -> Iterator[list[list[object]]]:
    """Gather rows by columns: records that are kept cost the garbage collector as much again."""
    rows = iter(result)
    while True:
        columns: list[list[object]] = [[] for _ in range(width)]
        appends = [column.append for column in columns]
        for record in islice(rows, size):
            # a record is a tuple, whose own iterator is faster than the generator of records
            for append, value in zip(appends, tuple.__iter__(record), strict=True):
                append(value)
        if not columns[0]:
            return
        yield columns


def _to_arrow(columns: dict[str, list[object]], query: Query) -> pa.Table:
    cursor = columns.pop(CURSOR, None)
    arrays = {name: _column(values, name, query) for name, values in columns.items()}
    table = typed_table(query.path, pa.table(arrays), query.table)
    return table if cursor is None else table.append_column(CURSOR, pa.array(cursor))


def _column(values: list[object], name: str, query: Query) -> pa.Array:
    try:
        return to_column(values, name)
    except (TypeError, ValueError, pa.ArrowException) as error:
        example = next(value for value in values if value is not None)
        wanted = {"features": "a vector", "weight": "a number", "time": "a moment"}
        raise SourceError(
            f"{query.path}: the column '{name}' can't be made {wanted.get(name, 'text')}, its "
            f"first value is {_shortened(example)}: {error}"
        ) from error


def _shortened(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}…"
