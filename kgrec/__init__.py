"""Recommendations of items that nobody has used yet, from your knowledge graph.

>>> import kgrec
>>> kgrec.Config().cold_tolerance
0.035
"""

from kgrec.config import Config, load_config
from kgrec.errors import (
    ArtifactError,
    ConfigError,
    KgrecError,
    NotFittedError,
    SchemaError,
    SourceError,
    UnknownIdError,
)
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.rating import RatingModel
from kgrec.recommender import Recommender
from kgrec.schema import GraphSchema, load_schema
from kgrec.sources import open_graph, read_cypher_file, read_neo4j, read_rdf, read_tables
from kgrec.text import TextEncoder

__all__ = [
    "ArtifactError",
    "Config",
    "ConfigError",
    "GraphSchema",
    "GraphTables",
    "KgrecError",
    "KnowledgeGraph",
    "NotFittedError",
    "RatingModel",
    "Recommender",
    "SchemaError",
    "SourceError",
    "TextEncoder",
    "UnknownIdError",
    "load_config",
    "load_schema",
    "open_graph",
    "read_cypher_file",
    "read_neo4j",
    "read_rdf",
    "read_tables",
]
