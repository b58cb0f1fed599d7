"""Give results back to where applications query them: Neo4j, RDF or Parquet."""

from kgrec.writeback.files import write_parquet
from kgrec.writeback.neo4j import Neo4jNames, Neo4jWriter, check_places
from kgrec.writeback.rdf import write_rdf
from kgrec.writeback.results import Results, compute_results

__all__ = [
    "Neo4jNames",
    "Neo4jWriter",
    "Results",
    "check_places",
    "compute_results",
    "write_parquet",
    "write_rdf",
]
