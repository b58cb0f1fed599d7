"""Look at RDF: classes, predicates between them, and literals."""

from __future__ import annotations

from collections import defaultdict

import pyoxigraph as ox

from kgrec.errors import SourceError
from kgrec.inspection.inventory import (
    SAMPLE_ROWS,
    Inventory,
    LinkKind,
    NodeKind,
    describe_properties,
    most_frequent,
)
from kgrec.schema import RdfSettings
from kgrec.sources.rdf import RdfSource, load_store

CLASSES = "SELECT ?class (COUNT(*) AS ?n) WHERE { ?node a ?class } GROUP BY ?class"
LINKS = """
SELECT ?property ?head ?tail (COUNT(*) AS ?n) WHERE {
  ?from ?property ?to . ?from a ?head . ?to a ?tail .
} GROUP BY ?property ?head ?tail"""
LITERALS = """
SELECT ?node ?property ?value WHERE {{
  {{ SELECT ?node WHERE {{ ?node a <{name}> }} LIMIT {rows} }}
  ?node ?property ?value . FILTER(isLiteral(?value))
}}"""
NUMBERS = {
    f"http://www.w3.org/2001/XMLSchema#{name}": convert
    for name, convert in (
        ("integer", int),
        ("int", int),
        ("long", int),
        ("gYear", int),
        ("decimal", float),
        ("double", float),
        ("float", float),
    )
}


def inspect_rdf(source: RdfSource) -> Inventory:
    """Look at RDF: classes, predicates and literals, with counts.

    Parameters
    ----------
    source
        As for :func:`kgrec.sources.read_rdf`.

    Returns
    -------
    Inventory
        Kinds of nodes are classes; what has no ``rdf:type`` is passed over.

    Raises
    ------
    SourceError
        If the RDF can't be read, or nothing in it has a type.
    """
    store = load_store(source, RdfSettings())
    nodes = []
    for (name,), count in _counts(store, CLASSES, ["class"]):
        nodes.append(NodeKind(name, count, describe_properties(_literals(store, name))))
    if not nodes:
        raise SourceError(
            f"nothing in {source} has an rdf:type, so there are no kinds of nodes to see: add the "
            "types, or write the schema by hand"
        )
    links = [
        LinkKind(name, head, tail, count)
        for (name, head, tail), count in _counts(store, LINKS, ["property", "head", "tail"])
    ]
    return Inventory("sparql", most_frequent(nodes), most_frequent(links))


def _counts(store: ox.Store, query: str, names: list[str]) -> list[tuple[tuple[str, ...], int]]:
    found = []
    for solution in _solutions(store, query):
        terms = [solution[name] for name in names]
        if all(isinstance(term, ox.NamedNode) for term in terms):
            found.append((tuple(term.value for term in terms), int(solution["n"].value)))
    return found


def _literals(store: ox.Store, name: str) -> list[dict[str, object]]:
    """Sample the literals of a class, a row a node; its first value where it has several."""
    rows: dict[object, dict[str, object]] = defaultdict(dict)
    for solution in _solutions(store, LITERALS.format(name=name, rows=SAMPLE_ROWS)):
        value = solution["value"]
        rows[solution["node"]].setdefault(solution["property"].value, _native(value))
    return list(rows.values())


def _native(value: ox.Literal) -> object:
    convert = NUMBERS.get(value.datatype.value, str)
    try:
        return convert(value.value)
    except ValueError:
        return value.value


def _solutions(store: ox.Store, query: str) -> ox.QuerySolutions:
    solutions = store.query(query, use_default_graph_as_union=True)
    if not isinstance(solutions, ox.QuerySolutions):
        raise TypeError("a SELECT query gave no solutions")
    return solutions
