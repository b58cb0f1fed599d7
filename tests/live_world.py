"""A graph in which everything that can reach an item does, and changes to it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.schema import GraphSchema, NodeSchema, RelationSchema

SCHEMA = GraphSchema(
    name="films",
    user="person",
    item="film",
    interaction="watched",
    nodes={
        "person": NodeSchema(text=False),
        "film": NodeSchema(),
        "genre": NodeSchema(),
        "country": NodeSchema(),
    },
    relations={
        "has_genre": RelationSchema(head="film", tail="genre"),
        "follows": RelationSchema(head="film", tail="film"),
        "directed": RelationSchema(head="person", tail="film"),
        "part_of": RelationSchema(head="genre", tail="country"),
    },
)
WORDS = ["thief", "bank", "crew", "planet", "shark", "train", "desert", "judge", "song", "war"]
FILMS, GENRES, PEOPLE, COUNTRIES = 40, 9, 30, 4


def live_tables(seed: int = 0) -> GraphTables:
    """Draw forty films, eight of them cold, with texts, features, edges and a dated log."""
    random = np.random.default_rng(seed)
    films = [f"film{i:02}" for i in range(FILMS)]
    genres = [f"genre{i}" for i in range(GENRES)]
    people = [f"person{i:02}" for i in range(PEOPLE)]
    countries = [f"country{i}" for i in range(COUNTRIES)]
    texts = [" ".join(random.choice(WORDS, 4)) for _ in films]
    entities = pa.table(
        {
            "id": [*films, *genres, *people, *countries],
            "type": ["film"] * FILMS
            + ["genre"] * GENRES
            + ["person"] * PEOPLE
            + ["country"] * COUNTRIES,
            "text": pa.array(
                [*texts, *random.choice(WORDS, GENRES), *[None] * PEOPLE, *countries], pa.string()
            ),
            "features": pa.array(
                [
                    *[random.normal(size=3).tolist() for _ in films],
                    *[None] * (GENRES + PEOPLE + COUNTRIES),
                ],
                pa.list_(pa.float32()),
            ),
        }
    )
    edges = [(film, "has_genre", g) for film in films for g in random.choice(genres, 2, False)]
    edges += [(films[i], "follows", films[i - 1]) for i in range(3, FILMS, 7)]
    edges += [(person, "directed", random.choice(films)) for person in people[:12]]
    edges += [(genre, "part_of", random.choice(countries)) for genre in genres]
    log = [
        (person, film, int(random.integers(1, 99)))
        for person in people
        for film in random.choice(films[:-8], 7, False)
    ]
    return GraphTables(
        entities,
        pa.table(dict(zip(("head", "relation", "tail"), zip(*edges, strict=True), strict=True))),
        pa.table(dict(zip(("user", "item", "time"), zip(*log, strict=True), strict=True))),
    )


def live_graph(seed: int = 0) -> KnowledgeGraph:
    """Make the graph."""
    return KnowledgeGraph.from_tables(SCHEMA, live_tables(seed))
