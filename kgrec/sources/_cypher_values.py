"""What a Cypher value becomes in a column: text, number, list of numbers, or moment.

===================  =====================  ==========================  ======================
Cypher               id, type, text         weight                      time
===================  =====================  ==========================  ======================
null                 null                   null                        null
STRING               as it is               read as a number            read as a date or number
INTEGER              digits                 as it is                    seconds since 1970
FLOAT                digits, 2.0 as ``2``   as it is                    seconds, rounded down
BOOLEAN              ``true``, ``false``    1, 0                        refused
DATE, DATETIME       ISO 8601               refused                     seconds; UTC without zone
TIME, DURATION       ISO 8601               refused                     refused
POINT                ``POINT(x y)``         refused                     refused
list                 text alone: joined     refused                     refused
NODE, PATH, MAP      refused                refused                     refused
===================  =====================  ==========================  ======================

``features`` takes lists of numbers and, with a driver that knows them, vectors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time

import neo4j
import pyarrow as pa

LIST_SEPARATOR = ", "
ZEROS_OF_A_SECOND = re.compile(r"\.0+(?!\d)|(?<=\.\d{3})0+(?!\d)")


def to_column(values: Sequence[object], name: str) -> pa.Array:
    """Make a column of some rows' values.

    Parameters
    ----------
    values
        As the driver gives them.
    name
        Name of the column, which says what they are to become.

    Returns
    -------
    pyarrow.Array
        Strings, float32, int64 or lists of float32; a time or a weight that came as text stays
        text, to be read with the rest of its column.

    Raises
    ------
    TypeError, ValueError, pyarrow.ArrowException
        If a value can't become that.

    Examples
    --------
    >>> to_column([7, 2.0, "a", True], "id").to_pylist()
    ['7', '2', 'a', 'true']
    """
    match name:
        case "features":
            return pa.array([_vector(value) for value in values], pa.list_(pa.float32()))
        case "weight":
            return _numbers(values)
        case "time":
            return _moments(values)
        case _:
            return _texts(values, with_lists=name == "text")


def _texts(values: Sequence[object], *, with_lists: bool) -> pa.Array:
    try:
        return pa.array(values, pa.string())  # all of them text already: the common case
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([_text(value, with_lists=with_lists) for value in values], pa.string())


def _text(value: object, *, with_lists: bool) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
        case neo4j.spatial.Point():
            return f"POINT({' '.join(f'{part:g}' for part in value)})"
        case list() if with_lists:
            parts = [_text(part, with_lists=False) for part in value]
            return LIST_SEPARATOR.join(part for part in parts if part)
        case date() | time():
            return value.isoformat()
        case neo4j.time.Date() | neo4j.time.Time() | neo4j.time.DateTime() | neo4j.time.Duration():
            return ZEROS_OF_A_SECOND.sub("", value.iso_format())
        case _:
            raise TypeError("return a property, n.name say, and not a node, list, map or bytes")


def _numbers(values: Sequence[object]) -> pa.Array:
    if any(isinstance(value, str) for value in values):
        return pa.array([None if v is None else str(v) for v in values], pa.string())
    return pa.array([_number(value) for value in values], pa.float32())


def _number(value: object) -> float | None:
    match value:
        case None:
            return None
        case bool() | int() | float():
            return float(value)
        case _:
            raise TypeError("return a number")


def _moments(values: Sequence[object]) -> pa.Array:
    if any(isinstance(value, str) for value in values):
        return pa.array(values, pa.string())
    return pa.array([_seconds(value) for value in values], pa.int64())


def _seconds(value: object) -> int | None:
    match value:
        case None:
            return None
        case neo4j.time.DateTime() | neo4j.time.Date():
            return _seconds(value.to_native())
        case datetime():
            return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
        case date():
            return _seconds(datetime.combine(value, time()))
        case int() | float() if not isinstance(value, bool):
            return int(value // 1)
        case _:
            raise TypeError("return a date, a datetime or seconds since 1970")


def _vector(value: object) -> list[float] | None:
    match value:
        case None | list():
            return value
        case str() | bytes() | dict():
            raise TypeError("return a list of numbers")
    native = getattr(value, "to_native", None)  # neo4j.vector.Vector, since release 6 of the driver
    if native is None:
        raise TypeError("return a list of numbers")
    numbers: list[float] = native()
    return numbers
