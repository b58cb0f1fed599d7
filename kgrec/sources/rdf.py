"""Read RDF files or an rdflib graph by SPARQL, with Oxigraph."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyoxigraph
import rdflib
from pyarrow import csv

from kgrec.errors import SourceError
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.schema import GraphSchema, Query
from kgrec.sources._common import check_columns, progress, read_queries, run_queries

RDF_SUFFIXES = (".ttl", ".nt", ".nq", ".trig", ".rdf", ".xml", ".owl", ".jsonld")
BLOCK_BYTES = 1 << 24


def read_rdf(
    source: str | Path | Sequence[str | Path] | rdflib.Graph, schema: GraphSchema
) -> KnowledgeGraph:
    """Read a graph from RDF by the schema's ``.rq`` queries.

    Parameters
    ----------
    source
        A file, a folder (all RDF files in it are read, blank nodes kept apart), several files,
        or an rdflib Graph or Dataset.  Turtle, N-Triples, N-Quads, TriG, RDF/XML and JSON-LD by
        their suffixes, each also with ``.gz``.
    schema
        A schema loaded from its folder.

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
    in two graphs is found twice: write ``SELECT DISTINCT`` then.
    """
    return KnowledgeGraph.from_tables(schema, rdf_tables(source, schema))


def rdf_tables(
    source: str | Path | Sequence[str | Path] | rdflib.Graph, schema: GraphSchema
) -> GraphTables:
    """Read the three tables of RDF files or an rdflib graph, without checking their ids.

    Parameters
    ----------
    source, schema
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
    queries = read_queries(schema, "sparql")
    store = pyoxigraph.Store()
    if isinstance(source, rdflib.Graph):
        _load_rdflib(store, source)
    else:
        for path in _files(source):
            with progress(path.name):
                _load_file(store, path)
    if not len(store):
        raise SourceError(f"{_name(source)} holds no triple: give RDF that is not empty")
    return run_queries(queries, lambda query: _run(store, query))


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


def _files(source: str | Path | Sequence[str | Path]) -> list[Path]:
    given = [source] if isinstance(source, str | Path) else list(source)
    files: list[Path] = []
    for path in map(Path, given):
        inside = sorted(filter(is_rdf, path.iterdir())) if path.is_dir() else [path]
        if not inside:
            raise SourceError(f"{path} holds no RDF file: they end in {', '.join(RDF_SUFFIXES)}")
        files += inside
    return files


def _load_file(store: pyoxigraph.Store, path: Path) -> None:
    if not path.is_file():
        raise SourceError(f"{path} is missing: give the path of an RDF file or folder")
    if not path.stat().st_size:
        raise SourceError(f"{path} is empty: write it again, or leave it out")
    if not is_rdf(path):
        raise SourceError(f"{path} is no RDF by its suffix: RDF ends in {', '.join(RDF_SUFFIXES)}")
    suffix = _bare(path).suffix
    if suffix == ".owl":
        suffix = ".rdf"
    kind = pyoxigraph.RdfFormat.from_extension(suffix.removeprefix("."))
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            store.bulk_load(cast("IO[bytes]", stream), kind)
    except SyntaxError as error:
        line = "" if error.lineno is None else f", line {error.lineno}"
        raise SourceError(f"{path}{line} is not valid {kind}: {error.msg}") from error
    except (OSError, EOFError, ValueError) as error:
        raise SourceError(f"{path} can't be read: {error}; write it again") from error


def _load_rdflib(store: pyoxigraph.Store, graph: rdflib.Graph) -> None:
    if isinstance(graph, rdflib.Dataset):
        with warnings.catch_warnings():  # rdflib's serializer calls what rdflib deprecates
            warnings.simplefilter("ignore", DeprecationWarning)
            text, kind = graph.serialize(format="nquads"), pyoxigraph.RdfFormat.N_QUADS
    else:
        text, kind = graph.serialize(format="nt"), pyoxigraph.RdfFormat.N_TRIPLES
    try:
        store.bulk_load(text, kind)
    except SyntaxError as error:
        shown = text.splitlines()[(error.lineno or 1) - 1]
        raise SourceError(
            f"the rdflib graph holds a triple that is not valid RDF: {shown} ({error.msg})"
        ) from error


def _run(store: pyoxigraph.Store, query: Query) -> pa.Table:
    try:
        solutions = store.query(query.text, use_default_graph_as_union=True)
        if not isinstance(solutions, pyoxigraph.QuerySolutions):
            raise SourceError(f"{query.path} is no SELECT query: its rows must have columns")
        names = [variable.value for variable in solutions.variables]
        # as CSV, the rows go from Oxigraph to Arrow without a Python object each
        text = cast("bytes", solutions.serialize(format=pyoxigraph.QueryResultsFormat.CSV))
    except SyntaxError as error:
        raise SourceError(f"the query {query.path} is not valid SPARQL: {error.msg}") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise SourceError(f"the query {query.path} failed: {error}") from error
    rows = csv.read_csv(
        pa.py_buffer(text),
        csv.ReadOptions(block_size=BLOCK_BYTES, column_names=names, skip_rows=1),
        csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )
    first = [column[0] for column in rows.columns] if len(rows) else None
    check_columns(query.path, names, query.table, first)
    return rows
