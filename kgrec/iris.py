"""IRIs of nodes: an id in RDF."""

from __future__ import annotations

import re
from urllib.parse import quote

import pyoxigraph

from kgrec.schema import GraphSchema

ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.+", re.DOTALL)


def node_iri(schema: GraphSchema, node_type: str, key: str) -> pyoxigraph.NamedNode:
    """Make the IRI of a node.

    Parameters
    ----------
    schema
        Its schema; ``iri`` of the node type is a pattern with ``{id}`` in it.
    node_type
        Type of the node.
    key
        Its id.

    Returns
    -------
    pyoxigraph.NamedNode
        By the pattern where there is one, the id itself where it is an IRI, and else
        ``urn:kgrec:SCHEMA:TYPE/ID``.

    Examples
    --------
    >>> from kgrec.schema import NodeSchema
    >>> schema = GraphSchema(
    ...     name="films", user="person", item="film", interaction="watched",
    ...     nodes={"person": NodeSchema(iri="http://a.example/{id}"), "film": NodeSchema()},
    ... )
    >>> node_iri(schema, "person", "ada l").value, node_iri(schema, "film", "7").value
    ('http://a.example/ada%20l', 'urn:kgrec:films:film/7')
    """
    pattern = schema.nodes[node_type].iri
    if pattern is not None:
        return pyoxigraph.NamedNode(pattern.replace("{id}", quote(key, safe="")))
    if ABSOLUTE.fullmatch(key):
        try:
            return pyoxigraph.NamedNode(key)
        except ValueError:  # looks like an IRI, but has a space in it, say
            pass
    parts = (quote(part, safe="") for part in (schema.name, node_type))
    return pyoxigraph.NamedNode(f"urn:kgrec:{':'.join(parts)}/{quote(key, safe='')}")
