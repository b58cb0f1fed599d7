"""Graphs as RDF."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyoxigraph as ox
import rdflib

from kgrec.errors import ArtifactError
from kgrec.exchange.schema_files import write_schema
from kgrec.graph import EdgeType, KnowledgeGraph
from kgrec.iris import node_iri
from kgrec.schema import GraphSchema
from kgrec.storage import is_empty_folder, replace_folder

VOCABULARY = "urn:kgrec:vocab/"
XSD = "http://www.w3.org/2001/XMLSchema#"
RDF_TYPE = ox.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")
DATA = "graph.nt"

Nodes = Mapping[str, list[ox.NamedNode]]


def to_rdf(graph: KnowledgeGraph) -> rdflib.Graph:
    """Give a graph to rdflib.

    Parameters
    ----------
    graph
        The graph.

    Returns
    -------
    rdflib.Graph
        A node has its class, ``kgrec:id``, ``kgrec:text`` and ``kgrec:features``; an edge is a
        triple and, where it has a weight, also a ``kgrec:Edge``; each interaction is a
        ``kgrec:Interaction``.  Classes and predicates are ``urn:kgrec:SCHEMA:vocab/NAME``,
        ``kgrec:`` is ``urn:kgrec:vocab/``.
    """
    result = rdflib.Graph()
    text = ox.serialize(_triples(graph), format=ox.RdfFormat.N_TRIPLES)
    result.parse(data=text or b"", format="nt")
    return result


def export_rdf(graph: KnowledgeGraph, folder: str | Path) -> None:
    """Write a graph as N-Triples, with the schema and queries that read it again.

    Parameters
    ----------
    graph
        The graph.
    folder
        Where to; an earlier export is replaced.

    Raises
    ------
    ArtifactError
        If the folder holds something else, or can't be written.
    """
    target = Path(folder)
    if target.exists() and not ((target / DATA).is_file() or is_empty_folder(target)):
        raise ArtifactError(f"{target} holds something else than an export: name another folder")

    def write(new: Path) -> None:
        new.mkdir()
        ox.serialize(_triples(graph), new / DATA, format=ox.RdfFormat.N_TRIPLES)
        write_schema(graph.schema, _queries(graph), new)

    try:
        replace_folder(target, write)
    except OSError as error:
        raise ArtifactError(f"{target} can't be written: {error}; name another folder") from error


def _triples(graph: KnowledgeGraph) -> Iterator[ox.Triple]:
    nodes = _nodes(graph)
    for name, table in graph.nodes.items():
        kind = _name(graph.schema, name)
        texts = table.texts.to_pylist()
        for row, (node, key) in enumerate(zip(nodes[name], table.ids.to_pylist(), strict=True)):
            yield ox.Triple(node, RDF_TYPE, kind)
            yield ox.Triple(node, _term("id"), ox.Literal(key))
            if texts[row] is not None:
                yield ox.Triple(node, _term("text"), ox.Literal(texts[row]))
            if table.features is not None and not np.isnan(table.features[row]).all():
                vector = " ".join(map(str, table.features[row]))
                yield ox.Triple(node, _term("features"), ox.Literal(vector))
    for edge_type, edges in graph.edges.items():
        yield from _edges(graph, nodes, edge_type, edges.edge_index, edges.weight)
    yield from _interactions(graph, nodes)


def _edges(
    graph: KnowledgeGraph,
    nodes: Nodes,
    edge_type: EdgeType,
    edge_index: np.ndarray,
    weight: np.ndarray | None,
) -> Iterator[ox.Triple]:
    head, relation, tail = edge_type
    predicate = _name(graph.schema, relation)
    for row, (start, end) in enumerate(edge_index.T.tolist()):
        yield ox.Triple(nodes[head][start], predicate, nodes[tail][end])
        if weight is not None:
            edge = _part(graph.schema, f"edge/{quote(relation, safe='')}", row)
            yield ox.Triple(edge, RDF_TYPE, _term("Edge"))
            yield ox.Triple(edge, _term("relation"), predicate)
            yield ox.Triple(edge, _term("head"), nodes[head][start])
            yield ox.Triple(edge, _term("tail"), nodes[tail][end])
            yield ox.Triple(edge, _term("weight"), _float(weight[row]))


def _interactions(graph: KnowledgeGraph, nodes: Nodes) -> Iterator[ox.Triple]:
    log, schema = graph.interactions, graph.schema
    for row, (user, item) in enumerate(zip(log.user.tolist(), log.item.tolist(), strict=True)):
        node = _part(schema, "interaction", row)
        yield ox.Triple(node, RDF_TYPE, _term("Interaction"))
        yield ox.Triple(node, _term("user"), nodes[schema.user][user])
        yield ox.Triple(node, _term("item"), nodes[schema.item][item])
        if log.weight is not None:
            yield ox.Triple(node, _term("weight"), _float(log.weight[row]))
        if log.time is not None:
            yield ox.Triple(node, _term("time"), ox.Literal(int(log.time[row])))


def _nodes(graph: KnowledgeGraph) -> dict[str, list[ox.NamedNode]]:
    """Choose IRIs; where nodes of two types would have the same, both get one of their own."""
    found = {
        name: [node_iri(graph.schema, name, key) for key in table.ids.to_pylist()]
        for name, table in graph.nodes.items()
    }
    counts = Counter(node.value for nodes in found.values() for node in nodes)
    own = graph.schema.model_copy(
        update={
            "nodes": {
                name: declared.model_copy(
                    update={"iri": f"urn:kgrec:{_slug(graph.schema)}:{quote(name, safe='')}/{{id}}"}
                )
                for name, declared in graph.schema.nodes.items()
            }
        }
    )
    return {
        name: [
            node if counts[node.value] == 1 else node_iri(own, name, key)
            for node, key in zip(nodes, graph.nodes[name].ids.to_pylist(), strict=True)
        ]
        for name, nodes in found.items()
    }


def _queries(graph: KnowledgeGraph) -> dict[str, str]:
    schema = graph.schema
    prefix = f"PREFIX kgrec: <{VOCABULARY}>\n"
    kinds = "\n".join(
        f"    (<{_name(schema, name).value}> {ox.Literal(name)})" for name in schema.nodes
    )
    queries = {
        "entities.rq": (
            f"{prefix}SELECT ?id ?type ?text ?features WHERE {{\n"
            f"  VALUES (?class ?type) {{\n{kinds}\n  }}\n"
            "  ?node a ?class ; kgrec:id ?id .\n"
            "  OPTIONAL { ?node kgrec:text ?text . }\n"
            "  OPTIONAL { ?node kgrec:features ?features . }\n}\n"
        ),
        "interactions.rq": _interactions_query(graph, prefix),
    }
    parts = []
    for is_weighted in (False, True):
        chosen = [
            relation
            for (_, relation, _), edges in graph.edges.items()
            if (edges.weight is not None) == is_weighted
        ]
        if chosen:
            names = "\n".join(
                f"      (<{_name(schema, name).value}> {ox.Literal(name)})" for name in chosen
            )
            pattern = (
                "?edge kgrec:relation ?property ; kgrec:head ?from ; kgrec:tail ?to ; "
                "kgrec:weight ?weight ."
                if is_weighted
                else "?from ?property ?to ."
            )
            parts.append(
                f"  {{\n    VALUES (?property ?relation) {{\n{names}\n    }}\n    {pattern}\n"
                "    ?from kgrec:id ?head . ?to kgrec:id ?tail .\n  }"
            )
    if parts:
        weight = " ?weight" if any(e.weight is not None for e in graph.edges.values()) else ""
        queries["relations.rq"] = (
            f"{prefix}SELECT ?head ?relation ?tail{weight} WHERE {{\n"
            + "\n  UNION\n".join(parts)
            + "\n}\n"
        )
    return queries


def _interactions_query(graph: KnowledgeGraph, prefix: str) -> str:
    log = graph.interactions
    present = {"weight": log.weight is not None, "time": log.time is not None}
    names = [name for name, is_there in present.items() if is_there]
    columns = "".join(f" ?{name}" for name in names)
    values = "".join(f" kgrec:{name} ?{name} ;" for name in names)
    return (
        f"{prefix}SELECT ?user ?item{columns} WHERE {{\n"
        f"  ?interaction{values} kgrec:user ?u ; kgrec:item ?i .\n"
        "  ?u kgrec:id ?user . ?i kgrec:id ?item .\n}\n"
    )


def _slug(schema: GraphSchema) -> str:
    return quote(schema.name, safe="")


def _name(schema: GraphSchema, name: str) -> ox.NamedNode:
    return ox.NamedNode(f"urn:kgrec:{_slug(schema)}:vocab/{quote(name, safe='')}")


def _part(schema: GraphSchema, kind: str, number: int) -> ox.NamedNode:
    return ox.NamedNode(f"urn:kgrec:{_slug(schema)}:{kind}/{number}")


def _term(name: str) -> ox.NamedNode:
    return ox.NamedNode(f"{VOCABULARY}{name}")


def _float(value: np.float32) -> ox.Literal:
    return ox.Literal(str(value), datatype=ox.NamedNode(f"{XSD}float"))
