"""The small data set that comes with kgrec, and ways to put it into a database.

The data are property-graph tables, a file a node label and a file a relationship type, with the
headers of ``neo4j-admin database import``: ``name:ID(Package)`` and ``:START_ID(Package)``.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import ladybug
import neo4j
import pyarrow as pa
from neo4j.exceptions import DriverError, Neo4jError
from pyarrow import csv

from kgrec.errors import SourceError
from kgrec.sources.neo4j import Auth, connect

NODE_HEADER = re.compile(r"(\w+):ID\((\w+)\)")
EDGE_HEADER = re.compile(r":(?:START|END)_ID\((\w+)\)")
BATCH_ROWS = 10_000


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
        A string column a property.
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
        String columns ``head`` and ``tail``: keys of the nodes.
    """

    type: str
    head: str
    tail: str
    rows: pa.Table


def schema_folder(name: str) -> Path:
    """Find a graph schema that comes with kgrec.

    Parameters
    ----------
    name
        Name of its folder.

    Returns
    -------
    Path
        The folder, in the installed package or in the checkout.

    Raises
    ------
    SourceError
        If there is none.

    Examples
    --------
    >>> (schema_folder("debian") / "schema.toml").is_file()
    True
    """
    package = Path(str(resources.files("kgrec")))
    places = (package / "graph_schema" / name, package.parent / "graph_schema" / name)
    for place in places:
        if (place / "schema.toml").is_file():
            return place
    raise SourceError(f"no schema '{name}' comes with kgrec: looked in {places[0]} and {places[1]}")


def debian_folder() -> Path:
    """Find the schema and the data of Debian's Python packages.

    Returns
    -------
    Path
        Folder with ``schema.toml``, queries and ``data``.
    """
    return schema_folder("debian")


def debian_rdf() -> Path:
    """Find the Debian data as RDF.

    Returns
    -------
    Path
        A gzipped N-Triples file for :func:`kgrec.sources.read_rdf`.
    """
    return debian_folder() / "data" / "debian.nt.gz"


def debian_cold_test() -> pa.Table:
    """Read who took up the cold items of the Debian data, which is in no graph.

    Returns
    -------
    pyarrow.Table
        String columns ``user`` and ``item``, 223 rows.

    Examples
    --------
    >>> len(debian_cold_test())
    223
    """
    return _read(debian_folder() / "data" / "cold_test.tsv.gz")


def debian_cypher_file(path: str | Path) -> Path:
    """Build the embedded Cypher database of the Debian data, unless it is there.

    Parameters
    ----------
    path
        Where the database file is to be.

    Returns
    -------
    Path
        The file, for :func:`kgrec.sources.read_cypher_file`.

    Raises
    ------
    SourceError
        If it can't be written.
    """
    target = Path(path)
    if not target.exists():
        build_cypher_file(debian_folder() / "data", target)
    return target


def build_cypher_file(data: str | Path, path: str | Path) -> None:
    """Build an embedded Cypher database from a folder of property-graph tables.

    Parameters
    ----------
    data
        The folder.
    path
        The database file, which must not exist; it appears only when it is complete.

    Raises
    ------
    SourceError
        If the folder holds no tables, or the file exists or can't be written.
    """
    target = Path(path)
    if target.exists():
        raise SourceError(f"{target} exists: delete it first, or name another file")
    nodes, edges = _property_graph(data)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
            unfinished = Path(beside) / target.name
            _fill_cypher_file(unfinished, nodes, edges)
            unfinished.replace(target)
    except (OSError, RuntimeError) as error:
        raise SourceError(f"the database {target} can't be built: {error}") from error


def load_into_neo4j(
    data: str | Path, uri: str, *, auth: Auth = None, database: str | None = None
) -> None:
    """Load a folder of property-graph tables into a server that speaks Bolt.

    Parameters
    ----------
    data
        The folder.
    uri, auth, database
        As :func:`kgrec.sources.read_neo4j`.

    Raises
    ------
    SourceError
        If the server can't be reached or refuses the data.

    Notes
    -----
    What is there already is merged, so that loading twice changes nothing.
    """
    nodes, edges = _property_graph(data)
    keys = {file.label: file.key for file in nodes}
    with connect(uri, auth) as driver, driver.session(database=database) as session:
        try:
            for node_file in nodes:
                session.run(
                    f"CREATE INDEX kgrec_{node_file.label} IF NOT EXISTS "
                    f"FOR (n:{node_file.label}) ON (n.{node_file.key})"
                ).consume()
                _send(session, _merge_nodes(node_file), node_file.rows)
            for edge_file in edges:
                _send(session, _merge_edges(edge_file, keys), edge_file.rows)
        except (Neo4jError, DriverError) as error:
            raise SourceError(f"{uri} refused the data of {data}: {error}") from error


def node_files(data: str | Path) -> Iterator[NodeFile]:
    """Read the nodes of a folder of property-graph tables.

    Parameters
    ----------
    data
        The folder.

    Yields
    ------
    NodeFile
        One a label.
    """
    for name, rows in _tables(data):
        match_of_key = NODE_HEADER.fullmatch(rows.column_names[0])
        if match_of_key:
            key = match_of_key[1]
            yield NodeFile(name, key, rows.rename_columns([key, *rows.column_names[1:]]))


def edge_files(data: str | Path) -> Iterator[EdgeFile]:
    """Read the relationships of a folder of property-graph tables.

    Parameters
    ----------
    data
        The folder.

    Yields
    ------
    EdgeFile
        One a relationship type.
    """
    for name, rows in _tables(data):
        ends = [found[1] for n in rows.column_names if (found := EDGE_HEADER.fullmatch(n))]
        if len(ends) == 2:
            yield EdgeFile(name, ends[0], ends[1], rows.rename_columns(["head", "tail"]))


def _property_graph(data: str | Path) -> tuple[list[NodeFile], list[EdgeFile]]:
    nodes = list(node_files(data))
    if not nodes:
        raise SourceError(
            f"{data} holds no node tables: they end in .tsv.gz and start with name:ID"
        )
    return nodes, list(edge_files(data))


def _tables(data: str | Path) -> Iterator[tuple[str, pa.Table]]:
    for path in sorted(Path(data).glob("*.tsv.gz")):
        yield path.name.removesuffix(".tsv.gz"), _read(path)


def _read(path: Path) -> pa.Table:
    with pa.input_stream(path) as stream:
        names = stream.read().split(b"\n", 1)[0].decode().split("\t")
    return csv.read_csv(
        path,
        parse_options=csv.ParseOptions(delimiter="\t"),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )


def _fill_cypher_file(path: Path, nodes: list[NodeFile], edges: list[EdgeFile]) -> None:
    with ladybug.Database(path) as database, ladybug.Connection(database) as connection:
        for node_file in nodes:
            columns = ", ".join(f"{name} STRING" for name in node_file.rows.column_names)
            connection.execute(
                f"CREATE NODE TABLE {node_file.label}({columns}, PRIMARY KEY ({node_file.key}))"
            )
            connection.execute(f"COPY {node_file.label} FROM $rows", {"rows": node_file.rows})
        for edge_file in edges:
            ends = f"FROM {edge_file.head} TO {edge_file.tail}"
            connection.execute(f"CREATE REL TABLE {edge_file.type}({ends})")
            connection.execute(f"COPY {edge_file.type} FROM $rows", {"rows": edge_file.rows})


def _merge_nodes(file: NodeFile) -> str:
    others = [name for name in file.rows.column_names if name != file.key]
    sets = ", ".join(f"n.{name} = row.{name}" for name in others)
    merge = f"UNWIND $rows AS row MERGE (n:{file.label} {{{file.key}: row.{file.key}}})"
    return f"{merge} SET {sets}" if sets else merge


def _merge_edges(file: EdgeFile, keys: dict[str, str]) -> str:
    return (
        "UNWIND $rows AS row "
        f"MATCH (h:{file.head} {{{keys[file.head]}: row.head}}) "
        f"MATCH (t:{file.tail} {{{keys[file.tail]}: row.tail}}) "
        f"MERGE (h)-[:{file.type}]->(t)"
    )


def _send(session: neo4j.Session, statement: str, rows: pa.Table) -> None:
    for batch in rows.to_batches(max_chunksize=BATCH_ROWS):
        session.execute_write(_send_batch, statement, batch.to_pylist())


def _send_batch(
    transaction: neo4j.ManagedTransaction, statement: str, rows: list[dict[str, str]]
) -> None:
    transaction.run(statement, rows=rows).consume()
