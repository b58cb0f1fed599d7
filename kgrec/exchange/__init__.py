"""Graphs in the forms of other programs, and back: each round trip gives an equal graph."""

from kgrec.exchange.hetero import from_hetero_data, to_hetero_data
from kgrec.exchange.neo4j_csv import export_neo4j_csv, to_property_graph
from kgrec.exchange.networks import from_networkx, to_networkx
from kgrec.exchange.rdf import export_rdf, to_rdf

__all__ = [
    "export_neo4j_csv",
    "export_rdf",
    "from_hetero_data",
    "from_networkx",
    "to_hetero_data",
    "to_networkx",
    "to_property_graph",
    "to_rdf",
]
