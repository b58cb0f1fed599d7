"""A graph of films, small enough to know every answer."""

from __future__ import annotations

import pyarrow as pa
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.schema import GraphSchema, NodeSchema, RelationSchema

SCHEMA = GraphSchema(
    name="films",
    user="person",
    item="film",
    interaction="watched",
    nodes={"person": NodeSchema(text=False), "film": NodeSchema(), "genre": NodeSchema()},
    relations={
        "has_genre": RelationSchema(head="film", tail="genre"),
        "sequel_of": RelationSchema(head="film", tail="film"),
    },
)

ENTITIES = [
    ("alien", "film", "A crew meets a stranger"),
    ("aliens", "film", "They go back"),
    ("heat", "film", "A heist"),
    ("scifi", "genre", "Science fiction"),
    ("noir", "genre", None),
    ("ada", "person", None),
]
RELATIONS = [
    ("heat", "has_genre", "noir"),
    ("alien", "has_genre", "scifi"),
    ("aliens", "has_genre", "scifi"),
    ("aliens", "sequel_of", "alien"),
]
INTERACTIONS = [("ada", "alien", 20), ("bob", "alien", 10), ("bob", "heat", 30)]


def film_tables() -> GraphTables:
    """Make the three tables.

    Returns
    -------
    GraphTables
        Six entities, four edges, three interactions with times.
    """
    entities, relations, log = (
        list(zip(*rows, strict=True)) for rows in (ENTITIES, RELATIONS, INTERACTIONS)
    )
    return GraphTables(
        pa.table(dict(zip(("id", "type", "text"), entities, strict=True))),
        pa.table(dict(zip(("head", "relation", "tail"), relations, strict=True))),
        pa.table(dict(zip(("user", "item", "time"), log, strict=True))),
    )


def film_graph() -> KnowledgeGraph:
    """Make the graph.

    Returns
    -------
    KnowledgeGraph
        Users ada and bob; films alien, aliens (cold) and heat; two genres.
    """
    return KnowledgeGraph.from_tables(SCHEMA, film_tables())
