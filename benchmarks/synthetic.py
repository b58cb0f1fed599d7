"""Made-up graphs, logs and texts of any size, in which the signal for new items is planted.

Items belong to topics.  A topic has tags and makers of its own and words of its own; most edges of
an item and the words of its text come from its topic, the rest from anywhere.  Users like two
topics and take most of their items from these, the first of a topic most often.  Every twentieth
item is new: nobody has used it in training, and who would have is held out.  So a model that
carries content along the graph can find the new items, and one that does not can't.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from kgrec.graph import GraphTables
from kgrec.schema import GraphSchema, NodeSchema, RelationSchema
from numpy.typing import NDArray

EDGES_PER_ITEM = 10
INTERACTIONS_PER_ITEM = 50
ITEMS_PER_USER = 100
TOPIC_SIZE = 200
TAGS_PER_TOPIC, MAKERS_PER_TOPIC = 40, 4
TOPIC_WORDS, COMMON_WORDS = 500, 10
ONE_NEW_IN = 20
FAITHFUL = 0.75  # share of edges and interactions that stay within the topic
SKEW = 2.0  # of a uniform draw to this power: the first of a topic are drawn most

Positions = NDArray[np.int64]

SCHEMA = GraphSchema(
    name="synthetic",
    user="user",
    item="item",
    interaction="used",
    nodes={
        "user": NodeSchema(text=False),
        "item": NodeSchema(),
        "tag": NodeSchema(),
        "maker": NodeSchema(),
    },
    relations={
        "tagged": RelationSchema(head="item", tail="tag"),
        "made_by": RelationSchema(head="item", tail="maker"),
        "near": RelationSchema(head="tag", tail="tag"),
    },
)


@dataclass(frozen=True, slots=True, eq=False)
class Synthetic:
    """A made-up world.

    Parameters
    ----------
    tables
        What is known: entities, relations and interactions of the items that are not new.
    held_out
        Columns ``user`` and ``item``: who would have used the new items.
    """

    tables: GraphTables
    held_out: pa.Table


def make_synthetic(items: int, seed: int = 0) -> Synthetic:
    """Draw a world.

    Parameters
    ----------
    items
        How many items; there are ten edges and about fifty interactions for each, and a user for
        every two.
    seed
        Seed of every draw.

    Returns
    -------
    Synthetic
        The same for the same arguments.
    """
    random = np.random.default_rng(seed)
    topics = max(4, items // TOPIC_SIZE)
    topic = np.arange(items) * topics // items
    users = max(20, items * INTERACTIONS_PER_ITEM // ITEMS_PER_USER)
    names = {
        "item": _names("i", items),
        "tag": _names("t", topics * TAGS_PER_TOPIC),
        "maker": _names("m", topics * MAKERS_PER_TOPIC),
        "user": _names("u", users),
    }
    entities = pa.table(
        {
            "id": pa.concat_arrays(list(names.values())),
            "type": pa.concat_arrays([pa.repeat(kind, len(ids)) for kind, ids in names.items()]),
            "text": pa.concat_arrays(
                [
                    _texts(random, topic),
                    _texts(random, np.arange(len(names["tag"])) // TAGS_PER_TOPIC),
                    _texts(random, np.arange(len(names["maker"])) // MAKERS_PER_TOPIC),
                    pa.nulls(users, pa.string()),
                ]
            ),
        }
    )
    relations = _draw_relations(random, topic, topics, names)
    user, item = _draw_interactions(random, users, items, topics)
    is_new = item % ONE_NEW_IN == ONE_NEW_IN - 1
    known, held_out = (
        pa.table(
            {
                "user": names["user"].take(pa.array(user[chosen])),
                "item": names["item"].take(pa.array(item[chosen])),
            }
        )
        for chosen in (~is_new, is_new)
    )
    return Synthetic(GraphTables(entities, relations, known), held_out)


def _names(letter: str, count: int) -> pa.StringArray:
    return pa.array([f"{letter}{number:08}" for number in range(count)], pa.string())


def _texts(random: np.random.Generator, topic: Positions) -> pa.StringArray:
    """Write two words: one of the topic, one that anybody uses."""
    distinct = pa.array(
        [f"subject{own} kind{word}" for own in range(TOPIC_WORDS) for word in range(COMMON_WORDS)]
    )
    common = random.integers(0, COMMON_WORDS, len(topic))
    return distinct.take(pa.array(topic % TOPIC_WORDS * COMMON_WORDS + common))


def _draw_relations(
    random: np.random.Generator, topic: Positions, topics: int, names: dict[str, pa.StringArray]
) -> pa.Table:
    kinds = (("tagged", "tag", TAGS_PER_TOPIC, 6), ("made_by", "maker", MAKERS_PER_TOPIC, 1))
    parts = []
    for relation, kind, size, count in kinds:
        heads = np.repeat(np.arange(len(topic)), count)
        tails = _within(random, topic[heads], topics, size)
        parts.append((relation, names["item"], heads, names[kind], tails))
    tags = len(names["tag"])
    heads = np.repeat(np.arange(tags), max(1, (EDGES_PER_ITEM - 7) * len(topic) // tags))
    tails = _within(random, heads // TAGS_PER_TOPIC, topics, TAGS_PER_TOPIC)
    parts.append(("near", names["tag"], heads, names["tag"], tails))
    return pa.concat_tables(
        pa.table(
            {
                "head": head_names.take(pa.array(heads)),
                "relation": pa.repeat(relation, len(heads)),
                "tail": tail_names.take(pa.array(tails)),
            }
        )
        for relation, head_names, heads, tail_names, tails in parts
    )


def _draw_interactions(
    random: np.random.Generator, users: int, items: int, topics: int
) -> tuple[Positions, Positions]:
    liked = random.integers(0, topics, (users, 2))
    user = np.repeat(np.arange(users), ITEMS_PER_USER)
    chosen = liked[user, random.integers(0, 2, len(user))]
    size = items // topics
    item = np.minimum(_within(random, chosen, topics, size), items - 1)
    return user, item


def _within(random: np.random.Generator, topic: Positions, topics: int, size: int) -> Positions:
    """Draw members, of which each topic has so many: of the given topics mostly, skewed."""
    faithful = random.random(len(topic)) < FAITHFUL
    drawn = np.where(faithful, topic, random.integers(0, topics, len(topic)))
    place = (size * random.random(len(topic)) ** SKEW).astype(np.int64)
    return drawn * size + place
