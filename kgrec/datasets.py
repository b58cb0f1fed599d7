"""The schemas and the small data set that come with kgrec."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from kgrec.errors import SourceError
from kgrec.property_graph import build_cypher_file, read_property_graph


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
        build_cypher_file(*read_property_graph(debian_folder() / "data"), target)
    return target


def _read(path: Path) -> pa.Table:
    with pa.input_stream(path) as stream:
        names = stream.read().split(b"\n", 1)[0].decode().split("\t")
    return csv.read_csv(
        path,
        parse_options=csv.ParseOptions(delimiter="\t"),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )
