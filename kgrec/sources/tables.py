"""Read the three tables from files or from memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import pandas as pd
import pyarrow as pa
from pyarrow import csv, feather, parquet

from kgrec.errors import SourceError, name_ids
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.limits import Limits, check_rows, check_size, open_limited
from kgrec.progress import counted_rows
from kgrec.schema import COLUMNS, TABLE_NAMES, GraphSchema, TableName
from kgrec.sources._common import check_columns, empty_table, typed_table

Table: TypeAlias = "str | Path | pa.Table | pd.DataFrame"

DELIMITERS: Mapping[str, str] = {".tsv": "\t", ".csv": ","}
ARROW_SUFFIXES = (".arrow", ".feather", ".ipc")
SUFFIXES = (".parquet", *ARROW_SUFFIXES, ".tsv", ".tsv.gz", ".csv", ".csv.gz")
BLOCK_BYTES = 1 << 24  # a row must fit in


def read_tables(
    source: str | Path | Mapping[TableName, Table],
    schema: GraphSchema,
    *,
    interactions: Table | None = None,
) -> KnowledgeGraph:
    """Read a graph from its three tables.

    Parameters
    ----------
    source
        A folder with the files ``entities``, ``relations`` and ``interactions``, or a mapping
        from these names to files, pandas frames or Arrow tables.  Files are ``.parquet``,
        ``.arrow`` (also ``.feather`` and ``.ipc``), ``.tsv`` and ``.csv``, the latter two also
        with ``.gz``.  ``relations`` may be left out.
    schema
        What the node types and relations are; it needs no folder.
    interactions
        Interactions in place of those of the source.

    Returns
    -------
    KnowledgeGraph
        The checked graph.

    Raises
    ------
    SourceError
        If a file is missing, there twice, empty or malformed, its columns or values break the
        contract, or the rows make no graph (see :meth:`KnowledgeGraph.from_tables`).

    Notes
    -----
    Ids are strings, whatever they look like: ``007`` and ``NA`` stay what they are.  Text files
    are UTF-8 with a header; a value with a delimiter, a line break or a quote at its start
    stands in double quotes, and a quote within those is doubled.

    Examples
    --------
    >>> from kgrec.schema import NodeSchema
    >>> schema = GraphSchema(
    ...     name="films", user="person", item="film", interaction="watched",
    ...     nodes={"person": NodeSchema(text=False), "film": NodeSchema()},
    ... )
    >>> entities = pd.DataFrame({"id": [1, 2], "type": "film", "text": ["Alien", "Heat"]})
    >>> interactions = pd.DataFrame({"user": ["ada"], "item": [1]})
    >>> graph = read_tables({"entities": entities, "interactions": interactions}, schema)
    >>> graph.cold_items.to_pylist()
    ['2']
    """
    tables = plain_tables(source, interactions=interactions, limits=schema.limits)
    return KnowledgeGraph.from_tables(schema, tables)


def plain_tables(
    source: str | Path | Mapping[TableName, Table],
    *,
    interactions: Table | None = None,
    limits: Limits | None = None,
) -> GraphTables:
    """Read the three tables from files or memory, without checking their ids.

    Parameters
    ----------
    source, interactions
        As :func:`read_tables`.
    limits
        What the files may hold; None takes the limits that a schema has by default.

    Returns
    -------
    GraphTables
        Rows as they stand.

    Raises
    ------
    SourceError
        As :func:`read_tables`, but for the ids and edges.
    """
    has_own_log = interactions is not None
    given = dict(source) if isinstance(source, Mapping) else _find(Path(source), has_own_log)
    if interactions is not None:
        given["interactions"] = interactions
    unknown = [name for name in given if name not in TABLE_NAMES]
    if unknown:
        raise SourceError(
            f"there is no table named {name_ids(unknown)}: the names are {', '.join(TABLE_NAMES)}"
        )
    for name in ("entities", "interactions"):
        if name not in given:
            raise SourceError(f"the table {name} is missing: give it beside {name_ids(given)}")
    return GraphTables(
        **{
            name: read_table(given[name], name, limits) if name in given else empty_table(name)
            for name in TABLE_NAMES
        },
        places={name: place_of(table, name) for name, table in given.items()},
    )


def _find(folder: Path, has_own_log: bool) -> dict[TableName, Table]:
    if not folder.is_dir():
        raise SourceError(
            f"{folder} is no folder: give one with entities, relations and interactions"
        )
    files: dict[TableName, Table] = {}
    for name in TABLE_NAMES:
        found = [path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").exists()]
        if len(found) > 1:
            names = name_ids(path.name for path in found)
            raise SourceError(f"{folder} holds {name} more than once, {names}: keep one of them")
        is_optional = name == "relations" or (name == "interactions" and has_own_log)
        if not found and not is_optional:
            raise SourceError(
                f"{folder} holds no {name}: it needs {name}.tsv, or another of the suffixes "
                f"{', '.join(SUFFIXES)}"
            )
        if found:
            files[name] = found[0]
    return files


def has_tables(folder: Path) -> bool:
    """Tell whether a folder holds a table of entities, whatever else is in it.

    Parameters
    ----------
    folder
        A folder.

    Returns
    -------
    bool
        Whether there is a file ``entities`` of a kind that :func:`read_tables` reads.
    """
    return any((folder / f"entities{suffix}").exists() for suffix in SUFFIXES)


def read_table(source: Table, name: TableName, limits: Limits | None = None) -> pa.Table:
    """Read one of the three tables from a file or from memory.

    Parameters
    ----------
    source
        A file, a pandas frame or an Arrow table, as for :func:`read_tables`.
    name
        Which of the three tables it is.
    limits
        What a file may hold; None takes the limits that a schema has by default.

    Returns
    -------
    pyarrow.Table
        Its rows, as :func:`kgrec.graph.with_column_types`.

    Raises
    ------
    SourceError
        If a file is missing, empty, malformed or too large, or the columns break the contract.
    """
    place = place_of(source, name)
    match source:
        case pa.Table():
            return typed_table(place, source, name)
        case pd.DataFrame():
            return typed_table(place, _from_pandas(source, name), name)
        case _:
            path = Path(source)
            with counted_rows(path.name):
                return typed_table(place, _read_file(path, name, limits or Limits()), name)


def place_of(source: Table, name: TableName) -> str:
    """Say where a table lies, for errors.

    Parameters
    ----------
    source
        A file, a pandas frame or an Arrow table.
    name
        Which of the three tables it is.

    Returns
    -------
    str
        The path, or what it is in memory.
    """
    match source:
        case pa.Table():
            return f"the table {name}"
        case pd.DataFrame():
            return f"the frame {name}"
        case _:
            return str(source)


def _from_pandas(frame: pd.DataFrame, name: TableName) -> pa.Table:
    first = list(frame.iloc[0]) if len(frame) else None
    check_columns(place_of(frame, name), [str(c) for c in frame.columns], name, first)
    mixed = [
        column
        for column in COLUMNS[name].required
        if frame[column].dtype == object  # 7 and "x" in one column, or strings
    ]
    as_text = {column: frame[column].map(str, na_action="ignore") for column in mixed}
    try:
        return pa.Table.from_pandas(frame.assign(**as_text), preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SourceError(
            f"the frame {name} has a column of mixed values: {error}; give each column one type"
        ) from error


def _read_file(path: Path, name: TableName, limits: Limits) -> pa.Table:
    if not path.is_file():
        raise SourceError(f"{path} is missing: give the path of the {name}")
    if not path.stat().st_size:
        raise SourceError(f"{path} is empty: write at least its header")
    try:
        if path.suffix == ".parquet":
            _check_parquet(path, name, limits)
            return _validated(parquet.read_table(path, partitioning=None))
        if path.suffix in ARROW_SUFFIXES:
            check_size(path, path.stat().st_size, limits)
            return _validated(feather.read_table(path))
        return _read_text(path, name, limits)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError, EOFError) as error:
        raise SourceError(f"{path} is malformed: {error}; correct or write it again") from error


def _check_parquet(path: Path, name: TableName, limits: Limits) -> None:
    """Refuse by its footer a file that unpacks to too much: values that repeat take no room."""
    footer = parquet.read_metadata(path)
    check_rows(str(path), name, footer.num_rows, limits)
    groups = range(footer.num_row_groups)
    check_size(path, sum(footer.row_group(group).total_byte_size for group in groups), limits)


def _validated(table: pa.Table) -> pa.Table:
    """Make sure that texts end where they say: a flipped bit would crash whoever reads on."""
    table.validate(full=True)
    return table


def _read_text(path: Path, name: TableName, limits: Limits) -> pa.Table:
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if suffix not in DELIMITERS:
        raise SourceError(f"{path} is no table by its suffix: tables end in {', '.join(SUFFIXES)}")
    # nothing is guessed from the values: an id may look like a number or like "NA"
    types = dict.fromkeys(COLUMNS[name].all, pa.string())
    parsing = csv.ParseOptions(delimiter=DELIMITERS[suffix], newlines_in_values=True)
    conversion = csv.ConvertOptions(column_types=types, strings_can_be_null=False)

    def read(*, in_parallel: bool) -> pa.Table:
        reading = csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=in_parallel)
        with open_limited(path, limits) as stream:
            return csv.read_csv(pa.PythonFile(stream, mode="r"), reading, parsing, conversion)

    try:
        return read(in_parallel=True)
    except pa.ArrowInvalid:  # only the serial parser knows the row at fault
        return read(in_parallel=False)
