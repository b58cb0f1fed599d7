"""Cold items explored in a notebook: where their vectors come from, and what would help them."""

from kgrec.explore.curves import (
    learning_curve,
    recall_by,
    recall_of_items,
    recall_without_relations,
)
from kgrec.explore.items import coverage, nearest, vector_map
from kgrec.explore.neighbourhoods import neighbourhood
from kgrec.explore.shares import signal, signal_by_relation

__all__ = [
    "coverage",
    "learning_curve",
    "nearest",
    "neighbourhood",
    "recall_by",
    "recall_of_items",
    "recall_without_relations",
    "signal",
    "signal_by_relation",
    "vector_map",
]
