"""Read a Neo4j database, or another that speaks Bolt and Cypher, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from functools import partial
from typing import TYPE_CHECKING

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
from kgrec.graph import COLUMN_TYPES, GraphTables, KnowledgeGraph
from kgrec.schema import GraphSchema, Query
from kgrec.sources._common import check_columns, empty_table, read_queries, run_queries

if TYPE_CHECKING:
    from neo4j import Driver, ManagedTransaction, Record, Session

Auth = tuple[str, str] | neo4j.Auth | None
Converter = Callable[[object], object]

BOLT_SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
BATCH_ROWS = 10_000
CONNECT_SECONDS = 5.0


def read_neo4j(
    uri: str,
    schema: GraphSchema,
    *,
    auth: Auth = None,
    database: str | None = None,
    parameters: Mapping[str, object] | None = None,
    batch_size: int = BATCH_ROWS,
    query_timeout: float | None = None,
    connection_timeout: float = CONNECT_SECONDS,
) -> KnowledgeGraph:
    """Read a graph over Bolt by the schema's ``.cypher`` queries.

    Parameters
    ----------
    uri
        ``bolt://host:7687``, ``neo4j://…``, or one of their ``+s`` and ``+ssc`` variants.
    schema
        A schema loaded from its folder.
    auth
        User and password, another :class:`neo4j.Auth`, or None for a server without passwords.
    database
        Name of the database; None for the user's home database.
    parameters
        Values of the ``$parameters`` of the queries.
    batch_size
        Rows fetched at once.
    query_timeout
        Seconds after which the server ends a query; None for the server's own limit.
    connection_timeout
        Seconds to wait for the server to answer.

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
    """
    tables = neo4j_tables(
        uri,
        schema,
        auth=auth,
        database=database,
        parameters=parameters,
        batch_size=batch_size,
        query_timeout=query_timeout,
        connection_timeout=connection_timeout,
    )
    return KnowledgeGraph.from_tables(schema, tables)


def neo4j_tables(
    uri: str,
    schema: GraphSchema,
    *,
    auth: Auth = None,
    database: str | None = None,
    parameters: Mapping[str, object] | None = None,
    batch_size: int = BATCH_ROWS,
    query_timeout: float | None = None,
    connection_timeout: float = CONNECT_SECONDS,
) -> GraphTables:
    """Read the three tables over Bolt, without checking their ids.

    Parameters
    ----------
    uri, schema, auth, database, parameters, batch_size, query_timeout, connection_timeout
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
    queries = read_queries(schema, "cypher")
    with (
        connect(uri, auth, connection_timeout=connection_timeout) as driver,
        driver.session(
            database=database, default_access_mode=neo4j.READ_ACCESS, fetch_size=batch_size
        ) as session,
    ):
        read = partial(_run, session, parameters or {}, batch_size, query_timeout)
        return run_queries(queries, read)


def connect(uri: str, auth: Auth, *, connection_timeout: float = CONNECT_SECONDS) -> Driver:
    """Open a driver whose server has answered.

    Parameters
    ----------
    uri, auth, connection_timeout
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
            max_transaction_retry_time=connection_timeout,
        )
    except (ConfigurationError, ValueError) as error:
        raise SourceError(
            f"{uri} is no address of a Bolt server: {error}; write bolt://host:7687 or "
            "neo4j://host:7687"
        ) from error
    try:
        driver.verify_connectivity()
    except (Neo4jError, DriverError) as error:
        driver.close()
        raise _connection_error(uri, error) from error
    return driver


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


def _run(
    session: Session,
    parameters: Mapping[str, object],
    batch_size: int,
    timeout: float | None,
    query: Query,
) -> pa.Table:
    @neo4j.unit_of_work(timeout=timeout)
    def work(transaction: ManagedTransaction) -> pa.Table:
        return _fetch(transaction, query, parameters, batch_size)

    try:
        return session.execute_read(work)
    except AuthError as error:
        raise SourceError(f"the server refused the user or password: {error}") from error
    except ClientError as error:
        raise SourceError(
            f"the query {query.path} failed: {error.message}; correct the query, its parameters "
            "or the name of the database"
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
) -> pa.Table:
    # the text is a file of the schema's folder and holds no value: values are parameters
    result = transaction.run(query.text, dict(parameters))
    names = list(result.keys())
    first = result.peek()
    row = None if first is None else first.values()
    if row is None and not names:  # some servers send no names where there are no rows
        return empty_table(query.table)
    check_columns(query.path, names, query.table, row)
    types = {name: COLUMN_TYPES.get(name, pa.string()) for name in names}
    batches = [
        _to_arrow(batch, types, query) for batch in _batches(partial(result.fetch, batch_size))
    ]
    empty = pa.schema(list(types.items())).empty_table()
    return pa.concat_tables([empty, *batches])


def _batches(fetch: Callable[[], list[Record]]) -> Iterator[list[Record]]:
    while batch := fetch():
        yield batch


def _to_arrow(batch: list[Record], types: Mapping[str, pa.DataType], query: Query) -> pa.Table:
    columns = zip(*batch, strict=True)
    arrays = {
        name: _column(values, name, kind, query)
        for (name, kind), values in zip(types.items(), columns, strict=True)
    }
    return pa.table(arrays)


def _column(values: Sequence[object], name: str, kind: pa.DataType, query: Query) -> pa.Array:
    try:
        if kind == pa.string():
            return _text_column(values)
        return pa.array([_number(value) for value in values], kind)
    except (TypeError, ValueError, pa.ArrowException) as error:
        example = next(value for value in values if value is not None)
        raise SourceError(
            f"{query.path}: the column '{name}' can't be made {kind}, its first value is "
            f"{example!r}: {error}"
        ) from error


def _text_column(values: Sequence[object]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # integer ids, or a mixture
        return pa.array([_text(value) for value in values], pa.string())


def _text(value: object) -> str | None:
    match value:
        case None:
            return None
        case float() if value.is_integer():
            return str(int(value))
        case bool() | str() | int() | float() | date():
            return str(value)
        case list() | dict() | neo4j.graph.Entity() | neo4j.graph.Path():
            raise TypeError("return a property, n.name say, and not a node, list or map")
        case _:
            return str(value)


def _number(value: object) -> object:
    match value:
        case neo4j.time.DateTime() | neo4j.time.Date():
            return _seconds(value.to_native())
        case datetime() | date():
            return _seconds(value)
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _seconds(value: date) -> int:
    moment = value if isinstance(value, datetime) else datetime.combine(value, time())
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
