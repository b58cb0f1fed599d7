"""Readers of graphs: Neo4j, an embedded Cypher file, RDF, SPARQL endpoints and plain tables.

Each has a sibling that gives the three tables as they stand, for looking at broken data.
"""

from kgrec.sources.cypher_file import cypher_file_tables, read_cypher_file
from kgrec.sources.neo4j import neo4j_tables, read_neo4j
from kgrec.sources.opening import open_graph, open_tables
from kgrec.sources.rdf import rdf_tables, read_rdf
from kgrec.sources.sparql import read_sparql, sparql_tables
from kgrec.sources.tables import plain_tables, read_tables

__all__ = [
    "cypher_file_tables",
    "neo4j_tables",
    "open_graph",
    "open_tables",
    "plain_tables",
    "rdf_tables",
    "read_cypher_file",
    "read_neo4j",
    "read_rdf",
    "read_sparql",
    "read_tables",
    "sparql_tables",
]
