"""Items and interactions as they arrive one by one, and the changes that they make."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from kgrec.errors import SourceError
from kgrec.graph import GraphTables
from kgrec.schema import GraphSchema

Direction = Literal["out", "in"]


class Edge(BaseModel):
    """An edge of an item: a relation of the schema, and the node at its other end."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    relation: str = Field(description="name of a relation of the schema")
    node: str = Field(description="id of the node at the other end")
    weight: float | None = Field(default=None, description="strength of the edge, 1 by default")
    direction: Direction = Field(
        default="out",
        description="which way an edge between two nodes of one type goes, from this item or to it;"
        " of no account where the types differ",
    )


class Item(BaseModel):
    """An item, or another entity of the graph, with all its edges.

    Examples
    --------
    >>> Item(id="dune", text="Sand", edges=[Edge(relation="has_genre", node="scifi")]).id
    'dune'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: str = Field(min_length=1, description="id within its type")
    type: str | None = Field(default=None, description="node type; that of the items by default")
    text: str | None = Field(default=None, description="what it says about itself")
    features: tuple[float, ...] | None = Field(
        default=None,
        min_length=1,
        description="numbers of another modality, as long as those of other items",
    )
    edges: tuple[Edge, ...] = Field(default=(), description="what it is joined with")


def tables_of(schema: GraphSchema, items: Iterable[Item]) -> GraphTables:
    """Write items as the three tables.

    Parameters
    ----------
    schema
        The graph's schema.
    items
        The items; edges may name each other's ids.

    Returns
    -------
    GraphTables
        Without interactions.

    Raises
    ------
    SourceError
        If an edge has a relation that does not touch its item.
    """
    listed = list(items)
    entities: dict[str, Sequence[object]] = {
        "id": [item.id for item in listed],
        "type": [item.type or schema.item for item in listed],
        "text": [item.text for item in listed],
    }
    types = {"id": pa.string(), "type": pa.string(), "text": pa.string()}
    if any(item.features is not None for item in listed):
        entities["features"] = [item.features for item in listed]
        types["features"] = pa.list_(pa.float32())
    rows = [_triple(schema, item, edge) for item in listed for edge in item.edges]
    triples = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
    relations = {
        name: pa.array(values, pa.float32() if name == "weight" else pa.string())
        for name, values in zip(("head", "relation", "tail", "weight"), triples, strict=True)
    }
    nothing = pa.array([], pa.string())
    return GraphTables(
        pa.table({name: pa.array(values, types[name]) for name, values in entities.items()}),
        pa.table(relations),
        pa.table({"user": nothing, "item": nothing}),
    )


def _triple(schema: GraphSchema, item: Item, edge: Edge) -> tuple[str, str, str, float | None]:
    kind = item.type or schema.item
    declared = schema.relations.get(edge.relation)
    if declared is None or kind not in (declared.head, declared.tail):
        known = [name for name, one in schema.relations.items() if kind in (one.head, one.tail)]
        raise SourceError(
            f"the {kind} '{item.id}' has an edge of the relation '{edge.relation}', which the "
            f"schema '{schema.name}' does not declare for it: its relations are {', '.join(known)}"
        )
    outwards = declared.head == kind and (declared.tail != kind or edge.direction == "out")
    head, tail = (item.id, edge.node) if outwards else (edge.node, item.id)
    return head, edge.relation, tail, edge.weight


class Interaction(BaseModel):
    """Somebody used an item."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    user: str = Field(min_length=1, description="id of the user, known or new")
    item: str = Field(min_length=1, description="id of the item")
    weight: float | None = Field(
        default=None, description="strength, a rating say; 1 by default where others have one"
    )
    time: int | None = Field(
        default=None, ge=-(2**62), le=2**62, description="seconds since 1970, now by default"
    )


class PutItems(BaseModel):
    """Items and other entities that are new, or that replace what was there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["put"] = "put"
    items: tuple[Item, ...] = Field(min_length=1)


class RemoveItems(BaseModel):
    """Items that go, with their edges and interactions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["remove"] = "remove"
    ids: tuple[str, ...] = Field(min_length=1)


class AddInteractions(BaseModel):
    """Who used what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["use"] = "use"
    interactions: tuple[Interaction, ...] = Field(min_length=1)


Change = Annotated[PutItems | RemoveItems | AddInteractions, Field(discriminator="kind")]
"""One change of a live model: all of it happens, or nothing."""


def log_of(interactions: Iterable[Interaction], *, timed: bool) -> pa.Table:
    """Write interactions as a table.

    Parameters
    ----------
    interactions
        Who used what.
    timed
        Whether the graph's interactions have times: now stands for a time that is missing, or
        times are left out.

    Returns
    -------
    pyarrow.Table
        Columns ``user`` and ``item``, ``weight`` where one has a weight, and ``time`` if timed.
    """
    listed = list(interactions)
    columns = {
        "user": pa.array([one.user for one in listed], pa.string()),
        "item": pa.array([one.item for one in listed], pa.string()),
    }
    if any(one.weight is not None for one in listed):
        weights = [1.0 if one.weight is None else one.weight for one in listed]
        columns["weight"] = pa.array(weights, pa.float32())
    if timed:
        now = int(time.time())
        columns["time"] = pa.array(
            [now if one.time is None else one.time for one in listed], pa.int64()
        )
    return pa.table(columns)
