"""Look at an embedded Cypher database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ladybug

from kgrec.cypher import quote_name
from kgrec.errors import SourceError
from kgrec.inspection.inventory import (
    SAMPLE_ROWS,
    Inventory,
    LinkKind,
    NodeKind,
    Property,
    describe_properties,
    most_frequent,
)
from kgrec.sources.cypher_file import open_cypher_file


def inspect_cypher_file(path: str | Path) -> Inventory:
    """Look at an embedded Cypher database: tables, counts and properties.

    Parameters
    ----------
    path
        Its file.

    Returns
    -------
    Inventory
        What it holds.

    Raises
    ------
    SourceError
        If the file is missing, no database, or empty.
    """
    with open_cypher_file(Path(path)) as database, ladybug.Connection(database) as connection:
        tables = _rows(connection, "CALL show_tables() RETURN *")
        names = {
            kind: [row["name"] for row in tables if row["type"] == kind] for kind in ("NODE", "REL")
        }
        nodes = [_node_kind(connection, name) for name in names["NODE"]]
        links = [link for name in names["REL"] for link in _link_kinds(connection, name)]
    if not nodes:
        raise SourceError(f"{path} holds no nodes: name another file, or build it first")
    return Inventory("embedded", most_frequent(nodes), most_frequent(links))


def _node_kind(connection: ladybug.Connection, name: str) -> NodeKind:
    pattern = f"(n:{quote_name(name)})"
    return NodeKind(name, _count(connection, pattern), _properties(connection, name, pattern))


def _link_kinds(connection: ladybug.Connection, name: str) -> list[LinkKind]:
    found = []
    for row in _rows(connection, f"CALL show_connection('{name}') RETURN *"):
        head, tail = row["source table name"], row["destination table name"]
        pattern = f"(:{quote_name(head)})-[n:{quote_name(name)}]->(:{quote_name(tail)})"
        properties = _properties(connection, name, pattern)
        found.append(LinkKind(name, head, tail, _count(connection, pattern), properties))
    return found


def _properties(connection: ladybug.Connection, name: str, pattern: str) -> tuple[Property, ...]:
    declared = [row["name"] for row in _rows(connection, f"CALL table_info('{name}') RETURN *")]
    if not declared:
        return ()
    columns = ", ".join(f"n.{quote_name(column)}" for column in declared)
    query = f"MATCH {pattern} RETURN {columns} LIMIT {SAMPLE_ROWS}"
    rows = [dict(zip(declared, row.values(), strict=True)) for row in _rows(connection, query)]
    return describe_properties(rows)


def _count(connection: ladybug.Connection, pattern: str) -> int:
    return int(_rows(connection, f"MATCH {pattern} RETURN count(*) AS n")[0]["n"])


def _rows(connection: ladybug.Connection, query: str) -> list[dict[str, Any]]:
    result = connection.execute(query)
    if isinstance(result, list):
        raise TypeError("one query gave several results")
    with result:
        rows: list[dict[str, Any]] = result.get_as_arrow().to_pylist()
        return rows
