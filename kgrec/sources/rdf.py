"""Read RDF files or an rdflib graph by SPARQL, with Oxigraph."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, cast

import pyarrow as pa
import pyoxigraph
import rdflib
from pyarrow import csv

from kgrec.errors import SourceError, name_ids
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.limits import Limits
from kgrec.schema import GraphSchema, Query, RdfSettings
from kgrec.sources._common import check_columns
from kgrec.sources._queries import QueryPlan
from kgrec.sources._rdf_store import OTHER_NAMES, RDF_SUFFIXES, Document, load_documents
from kgrec.sources.tables import Table

RdfSource: TypeAlias = str | Path | Sequence[str | Path] | rdflib.Graph

BLOCK_BYTES = 1 << 24


def read_rdf(
    source: RdfSource, schema: GraphSchema, *, interactions: Table | None = None
) -> KnowledgeGraph:
    """Read a graph from RDF by the schema's ``.rq`` queries.

    Parameters
    ----------
    source
        A file, a folder (all RDF files in it are read, blank nodes kept apart), several files,
        or an rdflib Graph or Dataset.  Turtle, N-Triples, N-Quads, TriG, N3, RDF/XML and JSON-LD
        by their suffixes, each also with ``.gz``.
    schema
        A schema loaded from its folder; its ``[rdf]`` says which languages and named graphs are
        wanted, and whether ``owl:sameAs`` and ``rdfs:subClassOf`` count.
    interactions
        A file, frame or Arrow table of interactions, in place of the query for them: for a log
        that lies elsewhere than the graph.

    Returns
    -------
    KnowledgeGraph
        The checked graph.

    Raises
    ------
    SchemaError
        If a query file is missing or empty.
    SourceError
        If a file is missing, empty or malformed (the line is named), a query fails, its columns
        or values break the contract, or the rows make no graph
        (see :meth:`KnowledgeGraph.from_tables`).

    Notes
    -----
    Queries see the triples of all named graphs as well as those of the default graph.  A triple
    in two graphs is found twice: write ``SELECT DISTINCT`` then.  A blank node has no lasting
    name, so it can't be an id; its triples can be used in a query as any others.
    """
    tables = rdf_tables(source, schema, interactions=interactions)
    return KnowledgeGraph.from_tables(schema, tables)


def rdf_tables(
    source: RdfSource, schema: GraphSchema, *, interactions: Table | None = None
) -> GraphTables:
    """Read the three tables of RDF files or an rdflib graph, without checking their ids.

    Parameters
    ----------
    source, schema, interactions
        As :func:`read_rdf`.

    Returns
    -------
    GraphTables
        Rows as the queries give them.

    Raises
    ------
    SchemaError, SourceError
        As :func:`read_rdf`, but for the ids and edges.
    """
    plan = QueryPlan.of(schema, "sparql", interactions)
    store = load_store(source, schema.rdf, schema.limits)
    return plan.run(lambda query, _: _run(store, query))


def load_store(
    source: RdfSource, settings: RdfSettings, limits: Limits | None = None
) -> pyoxigraph.Store:
    """Load RDF into a store in memory.

    Parameters
    ----------
    source
        As :func:`read_rdf`.
    settings
        What to do on the way.
    limits
        How large a file may be; None takes the limits that a schema has by default.

    Returns
    -------
    pyoxigraph.Store
        Not empty.

    Raises
    ------
    SourceError
        If a file is missing, empty or malformed, or there is no triple.
    """
    store = pyoxigraph.Store()
    load_documents(store, rdf_documents(source, limits), settings)
    if not len(store):
        wanted = f" in the graphs {name_ids(settings.graphs)}" if settings.graphs else ""
        raise SourceError(f"{_name(source)} holds no triple{wanted}: give RDF that is not empty")
    return store


def is_rdf(path: Path) -> bool:
    """Tell by its suffix whether a file is RDF.

    Parameters
    ----------
    path
        Name of a file.

    Returns
    -------
    bool
        Whether :func:`read_rdf` reads it.

    Examples
    --------
    >>> is_rdf(Path("films.ttl.gz")), is_rdf(Path("films.lbug"))
    (True, False)
    """
    return _bare(path).suffix in RDF_SUFFIXES


def _name(source: object) -> str:
    return "the rdflib graph" if isinstance(source, rdflib.Graph) else str(source)


def _bare(path: Path) -> Path:
    return path.with_suffix("") if path.suffix == ".gz" else path


def rdf_documents(source: RdfSource, limits: Limits | None = None) -> list[Document]:
    """Find the documents of an RDF source.

    Parameters
    ----------
    source
        As :func:`read_rdf`.
    limits
        How large a file may be; None takes the limits that a schema has by default.

    Returns
    -------
    list of Document
        One a file, or one for an rdflib graph.

    Raises
    ------
    SourceError
        If a file is missing or empty, or is no RDF by its suffix.
    """
    if isinstance(source, rdflib.Graph):
        return [_from_rdflib(source)]
    return [_document(path, limits or Limits()) for path in _files(source)]


def _files(source: str | Path | Sequence[str | Path]) -> list[Path]:
    given = [source] if isinstance(source, str | Path) else list(source)
    files: list[Path] = []
    for path in map(Path, given):
        inside = sorted(filter(is_rdf, path.iterdir())) if path.is_dir() else [path]
        if not inside:
            raise SourceError(f"{path} holds no RDF file: they end in {', '.join(RDF_SUFFIXES)}")
        files += inside
    return files


def _document(path: Path, limits: Limits) -> Document:
    if not path.is_file():
        raise SourceError(f"{path} is missing: give the path of an RDF file or folder")
    if not path.stat().st_size:
        raise SourceError(f"{path} is empty: write it again, or leave it out")
    if not is_rdf(path):
        raise SourceError(f"{path} is no RDF by its suffix: RDF ends in {', '.join(RDF_SUFFIXES)}")
    suffix = _bare(path).suffix
    kind = pyoxigraph.RdfFormat.from_extension(OTHER_NAMES.get(suffix, suffix).removeprefix("."))
    if kind is None:  # pragma: no cover  every suffix above has a format
        raise SourceError(f"{path} is no RDF by its suffix")
    return Document(path, kind, limits=limits)


def _from_rdflib(graph: rdflib.Graph) -> Document:
    if isinstance(graph, rdflib.Dataset):
        with warnings.catch_warnings():  # rdflib's serializer calls what rdflib deprecates
            warnings.simplefilter("ignore", DeprecationWarning)
            text, kind = graph.serialize(format="nquads"), pyoxigraph.RdfFormat.N_QUADS
    else:
        text, kind = graph.serialize(format="nt"), pyoxigraph.RdfFormat.N_TRIPLES
    return Document("the rdflib graph", kind, text.encode())


def _run(store: pyoxigraph.Store, query: Query) -> pa.Table:
    try:
        solutions = store.query(query.text, use_default_graph_as_union=True)
        if not isinstance(solutions, pyoxigraph.QuerySolutions):
            raise SourceError(f"{query.path} is no SELECT query: its rows must have columns")
        # as CSV, the rows go from Oxigraph to Arrow without a Python object each
        text = cast("bytes", solutions.serialize(format=pyoxigraph.QueryResultsFormat.CSV))
    except SyntaxError as error:
        raise SourceError(f"the query {query.path} is not valid SPARQL: {error.msg}") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise SourceError(f"the query {query.path} failed: {error}") from error
    return rows_of_csv(text, query)


def rows_of_csv(text: bytes, query: Query) -> pa.Table:
    """Turn SPARQL results in CSV into a table of strings.

    Parameters
    ----------
    text
        The results, with their header.
    query
        Where they come from.

    Returns
    -------
    pyarrow.Table
        A column a variable.

    Raises
    ------
    SourceError
        If they are no CSV, or the columns are not those of the query's table.
    """
    header, _, _ = text.partition(b"\n")
    names = [name.strip().strip('"') for name in header.decode(errors="replace").split(",")]
    try:
        rows = csv.read_csv(
            pa.py_buffer(text),
            csv.ReadOptions(block_size=BLOCK_BYTES, column_names=names, skip_rows=1),
            csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise SourceError(f"the results of {query.path} are malformed: {error}") from error
    first = [column[0] for column in rows.columns] if len(rows) else None
    check_columns(query.path, names, query.table, first)
    return rows
