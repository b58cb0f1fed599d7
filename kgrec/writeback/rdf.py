"""Results as RDF: triples in a named graph of their own."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import quote

import pyarrow as pa
import pyoxigraph as ox

from kgrec.errors import ArtifactError, ConfigError
from kgrec.iris import node_iri
from kgrec.writeback.results import Results

FORMATS = {
    ".trig": ox.RdfFormat.TRIG,
    ".nq": ox.RdfFormat.N_QUADS,
    ".ttl": ox.RdfFormat.TURTLE,
    ".nt": ox.RdfFormat.N_TRIPLES,
}
WITH_GRAPHS = (".trig", ".nq")
VOCABULARY = "urn:kgrec:vocab/"
XSD = "http://www.w3.org/2001/XMLSchema#"
RDF_TYPE = ox.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")


def write_rdf(results: Results, path: str | Path) -> None:
    """Write results as RDF, the whole file or none of it.

    Parameters
    ----------
    results
        What to write.
    path
        A file that ends in ``.trig`` or ``.nq``, where the triples are in the named graph
        ``urn:kgrec:results/MODEL``, or in ``.ttl`` or ``.nt``; each also with ``.gz``.  A file
        that is there is replaced.

    Raises
    ------
    ConfigError
        If the file ends otherwise.
    ArtifactError
        If it can't be written; what was there is intact.

    Notes
    -----
    ``USER kgrec:recommended ITEM`` is there for short queries, and beside it a
    ``kgrec:Recommendation`` with ``user``, ``item``, ``score``, ``rank``, ``cold`` and
    ``reason``; likewise ``kgrec:similar`` and ``kgrec:Similarity``.  The prefix ``kgrec:`` is
    ``urn:kgrec:vocab/``.
    """
    target = Path(path)
    suffix = target.with_suffix("").suffix if target.suffix == ".gz" else target.suffix
    if suffix not in FORMATS:
        raise ConfigError(f"{target} must end in one of {', '.join(FORMATS)}, also with .gz")
    graph = ox.NamedNode(f"urn:kgrec:results/{quote(results.model, safe='')}")
    place = graph if suffix in WITH_GRAPHS else ox.DefaultGraph()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
            unfinished = Path(beside) / target.name
            opened = gzip.open if target.suffix == ".gz" else open
            with opened(unfinished, "wb") as stream:
                ox.serialize(
                    _quads(results, graph, place),
                    cast("IO[bytes]", stream),
                    format=FORMATS[suffix],
                    prefixes={"kgrec": VOCABULARY, "xsd": XSD},
                )
            unfinished.replace(target)
    except OSError as error:
        raise ArtifactError(f"{target} can't be written: {error}; name another file") from error


def _quads(
    results: Results, graph: ox.NamedNode, place: ox.NamedNode | ox.DefaultGraph
) -> Iterator[ox.Quad]:
    for triple in _triples(results, graph):
        yield ox.Quad(*triple, place)


Triple = tuple[ox.NamedNode, ox.NamedNode, ox.NamedNode | ox.Literal]


def _triples(results: Results, graph: ox.NamedNode) -> Iterator[Triple]:
    schema = results.schema
    yield graph, _term("model"), ox.Literal(results.model)
    yield graph, _term("at"), ox.Literal(results.at.isoformat(), datatype=_xsd("dateTime"))
    for row in _rows(results.recommendations):
        user = node_iri(schema, schema.user, str(row["user"]))
        item = node_iri(schema, schema.item, str(row["item"]))
        node = _part(graph, "recommendation", row["user"], row["item"])
        yield user, _term("recommended"), item
        yield node, RDF_TYPE, _term("Recommendation")
        yield node, _term("user"), user
        yield node, _term("item"), item
        yield from _values(node, row, ("score", "rank", "cold"))
        for reason in row.get("reasons") or ():
            yield node, _term("reason"), ox.Literal(reason)
    for row in _rows(results.similar_items):
        item = node_iri(schema, schema.item, str(row["item"]))
        neighbour = node_iri(schema, schema.item, str(row["neighbour"]))
        node = _part(graph, "similarity", row["item"], row["neighbour"])
        yield item, _term("similar"), neighbour
        yield node, RDF_TYPE, _term("Similarity")
        yield node, _term("item"), item
        yield node, _term("neighbour"), neighbour
        yield from _values(node, row, ("score", "rank"))
    for rows, node_type in (
        (results.user_vectors, schema.user),
        (results.item_vectors, schema.item),
    ):
        for row in _rows(rows):
            text = " ".join(f"{number:.7g}" for number in row["vector"])
            yield node_iri(schema, node_type, str(row["id"])), _term("vector"), ox.Literal(text)


def _rows(table: pa.Table | None) -> Iterator[dict[str, Any]]:
    if table is not None:
        for batch in table.to_batches(max_chunksize=10_000):
            yield from batch.to_pylist()


def _values(node: ox.NamedNode, row: dict[str, object], names: tuple[str, ...]) -> Iterator[Triple]:
    for name in names:
        yield node, _term(name), _literal(row[name])


def _literal(value: object) -> ox.Literal:
    match value:
        case bool() | int():
            return ox.Literal(value)
        case float():
            return ox.Literal(f"{value:.7g}", datatype=_xsd("float"))
        case _:
            return ox.Literal(str(value))


def _part(graph: ox.NamedNode, kind: str, *keys: object) -> ox.NamedNode:
    path = "/".join(quote(str(key), safe="") for key in keys)
    return ox.NamedNode(f"{graph.value}/{kind}/{path}")


def _term(name: str) -> ox.NamedNode:
    return ox.NamedNode(f"{VOCABULARY}{name}")


def _xsd(name: str) -> ox.NamedNode:
    return ox.NamedNode(f"{XSD}{name}")
