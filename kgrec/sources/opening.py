"""Pick the reader by the address of the source."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict, Unpack

from kgrec.errors import SourceError
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.schema import GraphSchema
from kgrec.sources.cypher_file import cypher_file_tables
from kgrec.sources.neo4j import BOLT_SCHEMES, Auth, neo4j_tables
from kgrec.sources.rdf import is_rdf, rdf_tables
from kgrec.sources.tables import plain_tables
from kgrec.storage import is_saved_graph, load_graph


class SourceOptions(TypedDict, total=False):
    """Options of :func:`open_graph`, all but ``parameters`` for Bolt alone.

    As :func:`kgrec.sources.read_neo4j` describes them.
    """

    auth: Auth
    database: str | None
    parameters: dict[str, object] | None
    batch_size: int
    query_timeout: float | None
    connection_timeout: float


def open_graph(
    source: str | Path, schema: GraphSchema, **options: Unpack[SourceOptions]
) -> KnowledgeGraph:
    """Read a graph from wherever it is.

    Parameters
    ----------
    source
        ``bolt://`` or ``neo4j://`` address (also ``+s`` and ``+ssc``), an RDF file by its suffix,
        a folder of tables, of RDF files or one written by :func:`kgrec.storage.save_graph`, or
        else an embedded Cypher database file.
    schema
        A schema; for Bolt, RDF and the Cypher file it must know its folder.
    **options
        ``parameters`` for Cypher; ``auth``, ``database``, ``batch_size``, ``query_timeout`` and
        ``connection_timeout`` for Bolt.

    Returns
    -------
    KnowledgeGraph
        The checked graph.

    Raises
    ------
    SchemaError
        If a query file is missing or empty.
    SourceError
        If there is no such source, it takes no such option, or its reader fails.
    """
    return KnowledgeGraph.from_tables(schema, open_tables(source, schema, **options))


def open_tables(
    source: str | Path, schema: GraphSchema, **options: Unpack[SourceOptions]
) -> GraphTables:
    """Read the three tables from wherever they are, without checking their ids.

    Parameters
    ----------
    source, schema, **options
        As :func:`open_graph`.

    Returns
    -------
    GraphTables
        Rows as the source gives them.

    Raises
    ------
    SchemaError, SourceError
        As :func:`open_graph`, but for the ids and edges.
    """
    address = str(source)
    scheme, separator, _ = address.partition("://")
    if separator:
        if scheme not in BOLT_SCHEMES:
            raise SourceError(
                f"{address}: the scheme '{scheme}' is not one of {', '.join(BOLT_SCHEMES)}; "
                "give a path for a local source"
            )
        return neo4j_tables(address, schema, **options)
    path = Path(source)
    if not path.exists():
        raise SourceError(f"{path} is missing: give a path that exists, or a bolt:// address")
    if path.is_file() and not is_rdf(path):
        parameters = options.pop("parameters", None)
        _refuse_options(path, options)
        return cypher_file_tables(path, schema, parameters=parameters)
    _refuse_options(path, options)
    if path.is_file():
        return rdf_tables(path, schema)
    return _folder_tables(path, schema)


def _refuse_options(path: Path, options: SourceOptions) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise SourceError(f"{path} takes no {', '.join(given)}: leave it out")


def _folder_tables(folder: Path, schema: GraphSchema) -> GraphTables:
    if is_saved_graph(folder):
        return load_graph(folder).to_tables()
    if any(folder.glob("entities.*")):
        return plain_tables(folder)
    if any(is_rdf(path) for path in folder.iterdir()):
        return rdf_tables(folder, schema)
    raise SourceError(
        f"{folder} holds neither tables (entities.tsv, interactions.tsv, …) nor RDF files: "
        "name another folder"
    )
