"""Pick the reader by the address of the source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from kgrec.errors import SourceError
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.schema import GraphSchema
from kgrec.sources.cypher_file import cypher_file_tables
from kgrec.sources.neo4j import BOLT_SCHEMES, Auth, Database, neo4j_tables
from kgrec.sources.rdf import is_rdf, rdf_tables
from kgrec.sources.sparql import HTTP_SCHEMES, sparql_tables
from kgrec.sources.tables import Table, has_tables, place_of, plain_tables, read_table
from kgrec.storage import is_saved_graph, load_graph


class SourceOptions(TypedDict, total=False):
    """Options of :func:`open_graph`, as the readers describe them.

    ``interactions`` is for all sources, ``parameters`` for Cypher, the rest for servers.
    """

    auth: Auth | str
    database: Database
    parameters: dict[str, object] | None
    interactions: Table | None
    batch_size: int
    page_size: int
    query_timeout: float | None
    connection_timeout: float
    retry_seconds: float


ENDPOINT_OPTIONS = ("auth", "interactions", "page_size", "query_timeout", "connection_timeout")


def open_graph(
    source: str | Path, schema: GraphSchema, **options: Unpack[SourceOptions]
) -> KnowledgeGraph:
    """Read a graph from wherever it is.

    Parameters
    ----------
    source
        ``bolt://`` or ``neo4j://`` address (also ``+s`` and ``+ssc``), ``http://`` or
        ``https://`` address of a SPARQL endpoint, an RDF file by its suffix, a folder of tables,
        of RDF files or one written by :func:`kgrec.storage.save_graph`, or else an embedded
        Cypher database file.
    schema
        A schema; for Bolt, RDF and the Cypher file it must know its folder.
    **options
        ``interactions``: a table of them in place of those of the source; ``parameters`` for
        Cypher; ``auth``, ``page_size``, ``query_timeout`` and ``connection_timeout`` for servers,
        and ``database``, ``batch_size`` and ``retry_seconds`` for Bolt.

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
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if separator:
        return _served_tables(address, scheme, schema, given)
    path = Path(source)
    if not path.exists():
        raise SourceError(
            f"{path} is missing: give a path that exists, or a bolt:// or http:// address"
        )
    if path.is_file() and not is_rdf(path):
        _refuse_options(address, given, ("parameters", "interactions"))
        return cypher_file_tables(path, schema, **given)
    _refuse_options(address, given, ("interactions",))
    if path.is_file():
        return rdf_tables(path, schema, **given)
    return _folder_tables(path, schema, given.get("interactions"))


def _served_tables(
    address: str, scheme: str, schema: GraphSchema, options: dict[str, Any]
) -> GraphTables:
    if scheme in BOLT_SCHEMES:
        return neo4j_tables(address, schema, **options)
    if scheme in HTTP_SCHEMES:
        _refuse_options(address, options, ENDPOINT_OPTIONS)
        return sparql_tables(address, schema, **options)
    raise SourceError(
        f"{address}: the scheme '{scheme}' is not one of "
        f"{', '.join((*BOLT_SCHEMES, *HTTP_SCHEMES))}; give a path for a local source"
    )


def _refuse_options(place: str, options: dict[str, Any], allowed: tuple[str, ...]) -> None:
    unknown = [name for name in options if name not in allowed]
    if unknown:
        raise SourceError(f"{place} takes no {', '.join(unknown)}: leave it out")


def _folder_tables(folder: Path, schema: GraphSchema, interactions: Table | None) -> GraphTables:
    if is_saved_graph(folder):
        tables = load_graph(folder).to_tables()
    elif has_tables(folder):
        tables = plain_tables(folder, interactions=interactions, limits=schema.limits)
    elif any(is_rdf(path) for path in folder.iterdir()):
        return rdf_tables(folder, schema, interactions=interactions)
    else:
        raise SourceError(
            f"{folder} holds neither tables (entities.tsv, interactions.tsv, …) nor RDF files: "
            "name another folder"
        )
    if interactions is None:
        return tables
    places = {**tables.places, "interactions": place_of(interactions, "interactions")}
    log = read_table(interactions, "interactions", schema.limits)
    return replace(tables, interactions=log, places=places)
