"""Property graphs as tables, a file a label and a file a relationship type, and ways to load them.

The headers are those of ``neo4j-admin database import``: ``name:ID(Package)`` for the key of a
node, ``:START_ID(Package)`` and ``:END_ID(Team)`` for the ends of a relationship, and
``quantity:long`` for a property that is no text.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import ladybug
import neo4j
import pyarrow as pa
import pyarrow.compute as pc
from neo4j.exceptions import DriverError, Neo4jError
from pyarrow import csv

from kgrec.cypher import quote_name
from kgrec.errors import SourceError
from kgrec.sources.neo4j import Auth, connect

NODE_HEADER = re.compile(r"(\w+):ID\(([^)]+)\)")
EDGE_HEADER = re.compile(r":(START|END)_ID\(([^)]+)\)")
PROPERTY_HEADER = re.compile(r"(?P<name>[^:]+)(?::(?P<kind>\w+(?:\[\])?))?")
DELIMITERS: Mapping[str, str] = MappingProxyType({".tsv": "\t", ".csv": ","})
ARRAY_DELIMITER = ";"
BATCH_ROWS = 10_000

TYPES: Mapping[str, pa.DataType] = MappingProxyType(
    {
        "string": pa.string(),
        "long": pa.int64(),
        "double": pa.float64(),
        "float": pa.float32(),
        "boolean": pa.bool_(),
        "float[]": pa.list_(pa.float32()),
        "string[]": pa.list_(pa.string()),
    }
)
LADYBUG_TYPES: Mapping[pa.DataType, str] = MappingProxyType(
    {
        pa.string(): "STRING",
        pa.int64(): "INT64",
        pa.float64(): "DOUBLE",
        pa.float32(): "FLOAT",
        pa.bool_(): "BOOL",
        pa.list_(pa.float32()): "FLOAT[]",
        pa.list_(pa.string()): "STRING[]",
    }
)


@dataclass(frozen=True, slots=True)
class NodeFile:
    """Nodes of one label.

    Parameters
    ----------
    label
        Their label.
    key
        Property that tells them apart.
    rows
        A column a property, of the types in :data:`TYPES`.
    """

    label: str
    key: str
    rows: pa.Table


@dataclass(frozen=True, slots=True)
class EdgeFile:
    """Relationships of one type.

    Parameters
    ----------
    type
        Their type.
    head, tail
        Labels of the nodes that they join.
    rows
        Columns ``head`` and ``tail``, keys of the nodes, and one a property.
    """

    type: str
    head: str
    tail: str
    rows: pa.Table

    @property
    def properties(self) -> list[str]:
        """Names of the properties."""
        return [name for name in self.rows.column_names if name not in ("head", "tail")]


def read_property_graph(folder: str | Path) -> tuple[list[NodeFile], list[EdgeFile]]:
    """Read a folder of property-graph tables.

    Parameters
    ----------
    folder
        Holds ``LABEL.tsv``, ``TYPE.tsv`` and so on, also ``.csv`` and each with ``.gz``; files
        with other headers are passed over.

    Returns
    -------
    tuple of list
        The nodes, one entry a label, and the relationships, one entry a type.

    Raises
    ------
    SourceError
        If the folder holds no nodes.
    """
    nodes: list[NodeFile] = []
    edges: list[EdgeFile] = []
    for name, rows in _tables(Path(folder)):
        key = NODE_HEADER.fullmatch(rows.column_names[0])
        ends = [EDGE_HEADER.fullmatch(column) for column in rows.column_names[:2]]
        if key:
            typed = _with_types(rows, [key[1]])
            nodes.append(NodeFile(name, key[1], typed))
        elif len(ends) == 2 and ends[0] and ends[1]:
            typed = _with_types(rows, ["head", "tail"])
            edges.append(EdgeFile(name, ends[0][2], ends[1][2], typed))
    if not nodes:
        raise SourceError(
            f"{folder} holds no node tables: they end in .tsv or .csv, also with .gz, and their "
            "header starts with name:ID(Label)"
        )
    return nodes, edges


def write_property_graph(
    nodes: Sequence[NodeFile], edges: Sequence[EdgeFile], folder: str | Path
) -> None:
    """Write property-graph tables as ``neo4j-admin database import`` reads them.

    Parameters
    ----------
    nodes, edges
        What to write.
    folder
        An existing folder; ``LABEL.csv`` and ``TYPE.csv`` are written into it.

    Raises
    ------
    SourceError
        If a file can't be written, or a name makes no file name.
    """
    kinds = {kind: name for name, kind in TYPES.items()}
    for file in nodes:
        header = [
            f"{name}:ID({file.label})" if name == file.key else _header(name, column.type, kinds)
            for name, column in zip(file.rows.column_names, file.rows.columns, strict=True)
        ]
        _write_csv(file.rows, header, Path(folder), file.label)
    for edge_file in edges:
        ends = {"head": f":START_ID({edge_file.head})", "tail": f":END_ID({edge_file.tail})"}
        header = [
            ends.get(name) or _header(name, edge_file.rows[name].type, kinds)
            for name in edge_file.rows.column_names
        ]
        _write_csv(edge_file.rows, header, Path(folder), edge_file.type)


def build_cypher_file(
    nodes: Sequence[NodeFile], edges: Sequence[EdgeFile], path: str | Path
) -> None:
    """Build an embedded Cypher database.

    Parameters
    ----------
    nodes, edges
        What it is to hold.
    path
        The database file, which must not exist; it appears only when it is complete.

    Raises
    ------
    SourceError
        If the file exists or can't be written.
    """
    target = Path(path)
    if target.exists():
        raise SourceError(f"{target} exists: delete it first, or name another file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
            unfinished = Path(beside) / target.name
            _fill_cypher_file(unfinished, nodes, edges)
            unfinished.replace(target)
    except (OSError, RuntimeError) as error:
        raise SourceError(f"the database {target} can't be built: {error}") from error


def load_into_neo4j(
    nodes: Sequence[NodeFile],
    edges: Sequence[EdgeFile],
    uri: str,
    *,
    auth: Auth = None,
    database: str | None = None,
) -> None:
    """Load a property graph into a server that speaks Bolt.

    Parameters
    ----------
    nodes, edges
        What to load.
    uri, auth, database
        As :func:`kgrec.sources.read_neo4j`.

    Raises
    ------
    SourceError
        If the server can't be reached or refuses the data.

    Notes
    -----
    What is there already is merged, so that loading twice changes nothing; two relationships of
    a type between the same nodes become one.
    """
    keys = {file.label: file.key for file in nodes}
    with connect(uri, auth) as driver, driver.session(database=database) as session:
        try:
            for file in nodes:
                session.run(_create_index(file)).consume()
                _send(session, _merge_nodes(file), file.rows)
            for edge_file in edges:
                _send(session, _merge_edges(edge_file, keys), edge_file.rows)
        except (Neo4jError, DriverError) as error:
            raise SourceError(f"{uri} refused the data: {error}") from error


def _tables(folder: Path) -> Iterator[tuple[str, pa.Table]]:
    for path in sorted(folder.glob("*")):
        bare = path.with_suffix("") if path.suffix == ".gz" else path
        if bare.suffix in DELIMITERS:
            yield bare.stem, _read_csv(path, DELIMITERS[bare.suffix])


def _read_csv(path: Path, delimiter: str) -> pa.Table:
    with pa.input_stream(path) as stream:
        parsing = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        reader = csv.open_csv(stream, parse_options=parsing)
        names = reader.schema.names
    try:
        return csv.read_csv(
            path,
            parse_options=parsing,
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        )
    except pa.ArrowInvalid as error:
        raise SourceError(f"{path} is malformed: {error}; correct or write it again") from error


def _with_types(rows: pa.Table, first: list[str]) -> pa.Table:
    columns = dict(zip(first, rows.columns, strict=False))
    for header in rows.column_names[len(first) :]:
        found = PROPERTY_HEADER.fullmatch(header)
        name, kind = (header, None) if found is None else (found["name"], found["kind"])
        columns[name] = _typed(rows[header], TYPES.get(kind or "string", pa.string()))
    return pa.table(columns)


def _typed(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_list(kind):
        return pc.cast(pc.split_pattern(values, ARRAY_DELIMITER), kind)
    return pc.cast(values, kind)


def _header(name: str, kind: pa.DataType, kinds: Mapping[pa.DataType, str]) -> str:
    return name if kind == pa.string() else f"{name}:{kinds[kind]}"


def _write_csv(rows: pa.Table, header: list[str], folder: Path, name: str) -> None:
    if Path(name).name != name or name.startswith("."):
        raise SourceError(f"'{name}' makes no file name: rename it in the schema")
    columns = [
        _joined(column) if pa.types.is_list(column.type) else column for column in rows.columns
    ]
    try:
        csv.write_csv(pa.table(columns, names=header), folder / f"{name}.csv")
    except OSError as error:
        raise SourceError(f"{folder / name}.csv can't be written: {error}") from error


def _joined(values: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pc.cast(values, pa.list_(pa.string()))
    return pc.binary_join(text, ARRAY_DELIMITER)


def _fill_cypher_file(path: Path, nodes: Sequence[NodeFile], edges: Sequence[EdgeFile]) -> None:
    with ladybug.Database(path) as database, ladybug.Connection(database) as connection:
        for file in nodes:
            label = quote_name(file.label)
            columns = _declare(file.rows, file.rows.column_names)
            key = f"PRIMARY KEY ({quote_name(file.key)})"
            connection.execute(f"CREATE NODE TABLE {label}({', '.join([*columns, key])})")
            connection.execute(f"COPY {label} FROM $rows", {"rows": file.rows})
        for edge_file in edges:
            name = quote_name(edge_file.type)
            ends = f"FROM {quote_name(edge_file.head)} TO {quote_name(edge_file.tail)}"
            columns = _declare(edge_file.rows, edge_file.properties)
            connection.execute(f"CREATE REL TABLE {name}({', '.join([ends, *columns])})")
            connection.execute(f"COPY {name} FROM $rows", {"rows": edge_file.rows})


def _declare(rows: pa.Table, names: Sequence[str]) -> list[str]:
    return [f"{quote_name(name)} {LADYBUG_TYPES[rows[name].type]}" for name in names]


def _create_index(file: NodeFile) -> str:
    return (
        f"CREATE INDEX {quote_name(f'kgrec_{file.label}')} IF NOT EXISTS "
        f"FOR (n:{quote_name(file.label)}) ON (n.{quote_name(file.key)})"
    )


def _merge_nodes(file: NodeFile) -> str:
    others = [quote_name(name) for name in file.rows.column_names if name != file.key]
    sets = ", ".join(f"n.{name} = row.{name}" for name in others)
    key = quote_name(file.key)
    merge = f"UNWIND $rows AS row MERGE (n:{quote_name(file.label)} {{{key}: row.{key}}})"
    return f"{merge} SET {sets}" if sets else merge


def _merge_edges(file: EdgeFile, keys: Mapping[str, str]) -> str:
    sets = ", ".join(f"r.{quote_name(name)} = row.{quote_name(name)}" for name in file.properties)
    merge = (
        "UNWIND $rows AS row "
        f"MATCH (h:{quote_name(file.head)} {{{quote_name(keys[file.head])}: row.head}}) "
        f"MATCH (t:{quote_name(file.tail)} {{{quote_name(keys[file.tail])}: row.tail}}) "
        f"MERGE (h)-[r:{quote_name(file.type)}]->(t)"
    )
    return f"{merge} SET {sets}" if sets else merge


def _send(session: neo4j.Session, statement: str, rows: pa.Table) -> None:
    for batch in rows.to_batches(max_chunksize=BATCH_ROWS):
        session.execute_write(_send_batch, statement, batch.to_pylist())


def _send_batch(
    transaction: neo4j.ManagedTransaction, statement: str, rows: list[dict[str, object]]
) -> None:
    transaction.run(statement, rows=rows).consume()
