"""What all sources share: tables with checked columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from kgrec.errors import SourceError
from kgrec.graph import fault_of_columns, with_column_types
from kgrec.schema import COLUMNS, TableName

SHOWN_CHARACTERS = 40


def check_columns(
    place: str | Path, found: Sequence[str], name: TableName, first_row: Sequence[object] | None
) -> None:
    """Refuse a table whose columns are not those of the contract.

    Parameters
    ----------
    place
        Query file, table file or name that the error shows.
    found
        Names of the columns.
    name
        Which of the three tables it is.
    first_row
        Its first values, shown in the error; None if there are no rows.

    Raises
    ------
    SourceError
        If a required column is missing, or a column is unknown or there twice.
    """
    fault = fault_of_columns(found, name)
    if fault:
        shown = "there is no row" if first_row is None else f"the first row is {_show(first_row)}"
        raise SourceError(f"{place} {fault}; {shown}")


def typed_table(place: str | Path, table: pa.Table, name: TableName) -> pa.Table:
    """Check the columns of a table and give them their fixed types.

    Parameters
    ----------
    place
        Query file, table file or name that an error shows.
    table
        What the source gave.
    name
        Which of the three tables it is.

    Returns
    -------
    pyarrow.Table
        As :func:`kgrec.graph.with_column_types`.

    Raises
    ------
    SourceError
        If a column is missing, unknown or of a type that can't be converted.
    """
    first = [column[0] for column in table.columns] if len(table) else None
    check_columns(place, table.column_names, name, first)
    try:
        return with_column_types(table, name)
    except SourceError as error:
        raise SourceError(f"{place}: {error}") from error


def empty_table(name: TableName) -> pa.Table:
    """Make a table without rows.

    Parameters
    ----------
    name
        Which of the three tables.

    Returns
    -------
    pyarrow.Table
        The required columns, empty.
    """
    return pa.table({column: pa.array([], pa.string()) for column in COLUMNS[name].required})


def _show(row: Sequence[object]) -> str:
    values = [str(value) for value in row]
    cut = [v if len(v) <= SHOWN_CHARACTERS else f"{v[:SHOWN_CHARACTERS]}…" for v in values]
    return f"({', '.join(cut)})"
