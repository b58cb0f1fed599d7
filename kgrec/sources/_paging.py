"""Read a query in pages, where it says so by the parameters that it uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import pyarrow as pa

from kgrec.cypher import parameters_of
from kgrec.errors import SourceError
from kgrec.schema import Query

Paging = Literal["keyset", "range"]

CURSOR = "cursor"


def paging_of(query: Query, parameters: Mapping[str, object]) -> Paging | None:
    """Tell how a query wants to be read.

    Parameters
    ----------
    query
        A Cypher query.
    parameters
        Values that the caller gives; one named ``limit`` means that the caller pages.

    Returns
    -------
    str or None
        ``"keyset"`` where the query uses ``$after`` and ``$limit``, ``"range"`` where it uses
        ``$skip`` and ``$limit``, None where it is to be read at once.
    """
    used = parameters_of(query.text)
    if "limit" not in used or "limit" in parameters:
        return None
    if "after" in used:
        return "keyset"
    return "range" if "skip" in used else None


def data_columns(query: Query, names: Sequence[str]) -> list[str]:
    """Leave out the cursor of a query that pages by key: it is no column of the table.

    Parameters
    ----------
    query
        A Cypher query.
    names
        Names of the columns that it returned.

    Returns
    -------
    list of str
        The others, in their order.
    """
    is_paged = paging_of(query, {}) == "keyset"
    return [name for name in names if not (is_paged and name == CURSOR)]


def read_pages(
    query: Query,
    parameters: Mapping[str, object],
    page_size: int,
    read: Callable[[Mapping[str, object]], pa.Table],
) -> Iterator[pa.Table]:
    """Read a query page by page, or at once.

    Parameters
    ----------
    query
        A Cypher query.
    parameters
        Values of its other parameters; ``after`` may say where to begin.
    page_size
        Rows a page.
    read
        Reads one page, given all parameters.

    Yields
    ------
    pyarrow.Table
        A page, without the cursor.

    Raises
    ------
    SourceError
        If a query that pages by key returns no column ``cursor``, or one that doesn't move on.
    """
    paging = paging_of(query, parameters)
    if paging is None:
        yield read(parameters)
        return
    position = parameters.get("after") if paging == "keyset" else parameters.get("skip", 0)
    name = "after" if paging == "keyset" else "skip"
    while True:
        page = read({**parameters, name: position, "limit": page_size})
        last, rows = position, _without_cursor(page)
        yield rows
        if len(page) < page_size:
            return
        position = _next_position(query, paging, page, position)
        if position == last:
            raise SourceError(
                f"{query.path} pages by key, but its cursor stays at {position!r}: order by the "
                "cursor, and ask for rows with a greater one than $after"
            )


def _next_position(query: Query, paging: Paging, page: pa.Table, position: object) -> object:
    if paging == "range":
        return int(str(position)) + len(page)
    if CURSOR not in page.column_names:
        raise SourceError(
            f"{query.path} uses $after and $limit but returns no column '{CURSOR}': return what "
            "it is ordered by under that name"
        )
    return page[CURSOR][-1].as_py()


def _without_cursor(page: pa.Table) -> pa.Table:
    return page.drop_columns([CURSOR]) if CURSOR in page.column_names else page
