"""Read a SPARQL endpoint over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, TypeAlias
from urllib.parse import urlencode

import pyarrow as pa
import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError

from kgrec.errors import SourceError
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.schema import COLUMNS, GraphSchema, Query, RdfSettings
from kgrec.sources._queries import QueryPlan
from kgrec.sources.rdf import rows_of_csv
from kgrec.sources.tables import Table

HttpAuth: TypeAlias = tuple[str, str] | str | None
Method = Literal["GET", "POST"]

HTTP_SCHEMES = ("http", "https")
PAGE_ROWS = 10_000
CONNECT_SECONDS = 5.0
QUERY_SECONDS = 300.0
RETRIES = 4
PAUSE_SECONDS = 0.5  # doubled from one try to the next
BUSY = (429, 502, 503, 504)
SHOWN_CHARACTERS = 300
COMMENT_OR_TERM = re.compile(
    r"""<[^<>"{}|^`\\\s]*> | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | \#[^\n]*""", re.VERBOSE
)


def read_sparql(
    url: str,
    schema: GraphSchema,
    *,
    auth: HttpAuth = None,
    interactions: Table | None = None,
    method: Method = "POST",
    page_size: int | None = PAGE_ROWS,
    query_timeout: float = QUERY_SECONDS,
    connection_timeout: float = CONNECT_SECONDS,
) -> KnowledgeGraph:
    """Read a graph from a SPARQL endpoint by the schema's ``.rq`` queries.

    Parameters
    ----------
    url
        ``http://`` or ``https://`` address of the endpoint, ``http://host:3030/ds/sparql`` say.
    schema
        A schema loaded from its folder.  Of its ``[rdf]``, ``graphs`` are asked for; the rest is
        for files.
    auth
        User and password, or a token that is sent as ``Bearer``.
    interactions
        A file, frame or Arrow table of interactions, in place of the query for them.
    method
        ``"POST"``, or ``"GET"`` for an endpoint that knows nothing else.
    page_size
        Rows asked for at once.  A query that says itself how many rows it wants (``LIMIT`` at its
        end) is asked once; others are ordered by all columns, unless they are ordered, and read
        until no row comes, so that an endpoint which sends fewer than it was asked for loses
        none.  None asks once.
    query_timeout
        Seconds to wait for an answer.
    connection_timeout
        Seconds to wait for a connection.

    Returns
    -------
    KnowledgeGraph
        The checked graph.

    Raises
    ------
    SchemaError
        If a query file is missing or empty.
    SourceError
        If nobody answers, the login is refused, a query fails, its columns or values break the
        contract, or the rows make no graph (see :meth:`KnowledgeGraph.from_tables`).
    """
    tables = sparql_tables(
        url,
        schema,
        auth=auth,
        interactions=interactions,
        method=method,
        page_size=page_size,
        query_timeout=query_timeout,
        connection_timeout=connection_timeout,
    )
    return KnowledgeGraph.from_tables(schema, tables)


def sparql_tables(
    url: str,
    schema: GraphSchema,
    *,
    auth: HttpAuth = None,
    interactions: Table | None = None,
    method: Method = "POST",
    page_size: int | None = PAGE_ROWS,
    query_timeout: float = QUERY_SECONDS,
    connection_timeout: float = CONNECT_SECONDS,
) -> GraphTables:
    """Read the three tables of a SPARQL endpoint, without checking their ids.

    Parameters
    ----------
    url, schema, auth, interactions, method, page_size, query_timeout, connection_timeout
        As :func:`read_sparql`.

    Returns
    -------
    GraphTables
        Rows as the queries give them.

    Raises
    ------
    SchemaError, SourceError
        As :func:`read_sparql`, but for the ids and edges.
    """
    plan = QueryPlan.of(schema, "sparql", interactions)
    _refuse_settings(url, schema.rdf)
    timeout = urllib3.Timeout(connect=connection_timeout, read=query_timeout)
    retries = urllib3.Retry(
        RETRIES,
        connect=0,
        read=1,  # cut off, or timed out
        backoff_factor=PAUSE_SECONDS,
        status_forcelist=BUSY,
        allowed_methods=None,
        raise_on_status=False,
    )
    with urllib3.PoolManager(timeout=timeout, retries=retries, headers=_headers(auth)) as pool:

        def ask(query: Query, text: str) -> pa.Table:
            return rows_of_csv(_ask(pool, url, query, text, method, schema.rdf.graphs), query)

        def run(query: Query, count: Callable[[int], None]) -> pa.Table:
            return _read_pages(query, ask, page_size, count)

        return plan.run(run)


def _read_pages(
    query: Query,
    ask: Callable[[Query, str], pa.Table],
    page_size: int | None,
    count: Callable[[int], None],
) -> pa.Table:
    ordered = None if page_size is None else _ordered(query)
    if ordered is None:
        rows = ask(query, query.text)
        count(len(rows))
        return rows
    pages: list[pa.Table] = []
    position = 0
    while not pages or len(pages[-1]):
        page = ask(query, f"{ordered}\nLIMIT {page_size}\nOFFSET {position}")
        pages.append(page)
        position += len(page)
        count(len(page))
    return pa.concat_tables(pages)


def _ordered(query: Query) -> str | None:
    """Give the query an order, so that pages fit together; None if it is not to be paged."""
    bare = COMMENT_OR_TERM.sub(lambda found: " " * len(found[0]), query.text)
    modifiers = bare[bare.rfind("}") + 1 :].upper()
    if any(re.search(rf"\b{word}\b", modifiers) for word in ("LIMIT", "OFFSET", "VALUES")):
        return None
    if re.search(r"\bORDER\b", modifiers):
        return query.text
    keys = " ".join(f"?{column}" for column in COLUMNS[query.table].all)
    return f"{query.text}\nORDER BY {keys}"


def _headers(auth: HttpAuth) -> dict[str, str]:
    headers = {"Accept": "text/csv", "User-Agent": "kgrec"}
    match auth:
        case None:
            return headers
        case str():
            return {**headers, "Authorization": f"Bearer {auth}"}
        case (user, password):
            return {**headers, **urllib3.make_headers(basic_auth=f"{user}:{password}")}


def _ask(
    pool: urllib3.PoolManager,
    url: str,
    query: Query,
    text: str,
    method: Method,
    graphs: list[str],
) -> bytes:
    fields = urlencode([("query", text), *(("default-graph-uri", graph) for graph in graphs)])
    try:
        if method == "GET":
            separator = "&" if "?" in url else "?"
            answer = pool.request("GET", f"{url}{separator}{fields}")
        else:
            kind = {**pool.headers, "Content-Type": "application/x-www-form-urlencoded"}
            answer = pool.request("POST", url, body=fields, headers=kind)
    except (HTTPError, MaxRetryError) as error:
        raise SourceError(
            f"no SPARQL endpoint answers at {url}: {_reason(error)}; start it, check the address, "
            "or give it more time with query_timeout"
        ) from error
    if answer.status in (401, 403):
        raise SourceError(f"{url} refused the login ({answer.status}): check user and password")
    if answer.status != 200:
        said = answer.data.decode(errors="replace").strip()[:SHOWN_CHARACTERS]
        raise SourceError(f"{url} refused the query {query.path} ({answer.status}): {said}")
    kind_of_answer = answer.headers.get("Content-Type", "")
    if not kind_of_answer.startswith("text/csv"):
        raise SourceError(
            f"{url} answered with {kind_of_answer or 'no content type'} where text/csv was asked "
            "for: give the address of the SPARQL endpoint itself, and a SELECT query"
        )
    return answer.data


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", error) or error)


def _refuse_settings(url: str, settings: RdfSettings) -> None:
    wanted = [name for name in ("languages", "same_as", "subclasses") if getattr(settings, name)]
    if wanted:
        raise SourceError(
            f"{url} is an endpoint, and {', '.join(wanted)} in [rdf] is for files: say it in the "
            "queries, by FILTER(LANG(...)) or rdfs:subClassOf* say"
        )
