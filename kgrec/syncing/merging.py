"""Put what is new into the tables of a graph, so that doing it twice does it once."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from kgrec.graph import GraphTables, conform, join_rows
from kgrec.schema import TableName

SEPARATOR = "\x1f"
KEYS: dict[TableName, tuple[str, ...]] = {
    "entities": ("type", "id"),
    "relations": ("relation", "head", "tail"),
    "interactions": ("user", "item", "time", "weight"),
}


def merge_tables(old: GraphTables, new: GraphTables) -> GraphTables:
    """Replace what is there, and add what is not.

    Parameters
    ----------
    old
        Tables of a graph.
    new
        Rows that are new or have changed.  An entity replaces that of its type and id, an edge
        that of its ends and relation; an interaction is added unless the very same is there.

    Returns
    -------
    GraphTables
        The union.

    Raises
    ------
    SourceError
        If a new table breaks the contract.

    Examples
    --------
    >>> nobody = pa.table({"user": pa.array([], pa.string()), "item": pa.array([], pa.string())})
    >>> nothing = pa.table({n: pa.array([], pa.string()) for n in ("head", "relation", "tail")})
    >>> def entities(text):
    ...     return pa.table({"id": ["heat"], "type": ["film"], "text": [text]})
    >>> old = GraphTables(entities("A heist"), nothing, nobody)
    >>> new = GraphTables(entities("A robbery"), nothing, nobody)
    >>> merge_tables(old, new).entities.to_pylist()
    [{'id': 'heat', 'type': 'film', 'text': 'A robbery'}]
    """
    return GraphTables(
        **{name: _merge(getattr(old, name), getattr(new, name), name) for name in KEYS}
    )


def _merge(old: pa.Table, new: pa.Table, name: TableName) -> pa.Table:
    typed = conform(new, name)
    if not len(typed):
        return old
    kept = old.filter(pc.invert(pc.is_in(_keys(old, name), value_set=_keys(typed, name))))
    return join_rows(conform(kept, name), typed)


def _keys(table: pa.Table, name: TableName) -> pa.Array:
    parts = []
    for column in KEYS[name]:
        if column in table.column_names:
            parts.append(pc.fill_null(pc.cast(table[column], pa.string()), ""))
        else:
            parts.append(pa.array([""] * len(table), pa.string()))
    return pc.binary_join_element_wise(
        *(part.combine_chunks() if isinstance(part, pa.ChunkedArray) else part for part in parts),
        SEPARATOR,
    )
