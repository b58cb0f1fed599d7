"""Validate RDF against SHACL shapes, by pySHACL: ``pip install "kgrec[shacl]"``."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import pyoxigraph
import rdflib
from rdflib.namespace import SH

from kgrec.errors import ConfigError, SourceError
from kgrec.schema import RdfSettings
from kgrec.sources.rdf import RdfSource, load_store


@dataclass(frozen=True, slots=True)
class ShapeViolation:
    """What a shape says against a node.

    Parameters
    ----------
    node
        The node at fault.
    path
        The property, empty where the shape is about the node itself.
    message
        What is wrong.
    severity
        ``"Violation"``, ``"Warning"`` or ``"Info"``.
    """

    node: str
    path: str
    message: str
    severity: str


def find_violations(
    source: RdfSource, shapes: RdfSource, settings: RdfSettings | None = None
) -> list[ShapeViolation]:
    """Validate RDF against shapes.

    Parameters
    ----------
    source
        The data, as for :func:`kgrec.sources.read_rdf`.
    shapes
        The shapes, likewise.
    settings
        What is done with the data beforehand, as the schema's ``[rdf]`` says.

    Returns
    -------
    list of ShapeViolation
        In the order of their nodes; empty if the data conform.

    Raises
    ------
    ConfigError
        If pySHACL is not installed.
    SourceError
        If data or shapes can't be read, or the shapes are no shapes.
    """
    if importlib.util.find_spec("pyshacl") is None:
        raise ConfigError('shapes need pySHACL: pip install "kgrec[shacl]"')
    import pyshacl
    from pyshacl.errors import ReportableRuntimeError, ShapeLoadError

    data = _to_rdflib(source, settings or RdfSettings())
    try:
        _, report, _ = pyshacl.validate(data, shacl_graph=_to_rdflib(shapes, RdfSettings()))
    except (ReportableRuntimeError, ShapeLoadError) as error:
        raise SourceError(f"{shapes} can't be used as shapes: {error}") from error
    found = [_violation(report, result) for result in report.subjects(SH.resultSeverity)]
    return sorted(found, key=lambda violation: (violation.node, violation.path, violation.message))


def _to_rdflib(source: RdfSource, settings: RdfSettings) -> rdflib.Graph:
    if isinstance(source, rdflib.Graph) and settings == RdfSettings():
        return source
    store = load_store(source, settings)
    quads = (quad.triple for quad in store)
    text = pyoxigraph.serialize(quads, format=pyoxigraph.RdfFormat.N_TRIPLES)
    graph = rdflib.Graph()
    graph.parse(data=text or b"", format="nt")
    return graph


def _violation(report: rdflib.Graph, result: rdflib.term.Node) -> ShapeViolation:
    def text(predicate: rdflib.URIRef) -> str:
        value = report.value(result, predicate)
        return "" if value is None else str(value)

    return ShapeViolation(
        text(SH.focusNode),
        text(SH.resultPath),
        text(SH.resultMessage),
        text(SH.resultSeverity).rsplit("#", 1)[-1],
    )
