"""What is asked and what is answered."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kgrec.items import Edge, Interaction, Item

MOST = 1_000
Id = Annotated[str, Field(min_length=1, max_length=1_000)]
Count = Annotated[int, Field(ge=1, le=MOST)]


class Attributes(BaseModel):
    """Somebody without a history: what they like in words, and by nodes of the graph."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = Field(default=None, max_length=100_000, description="what they like")
    edges: tuple[Edge, ...] = Field(
        default=(), max_length=MOST, description="what an item they like would be joined with"
    )


class Who(BaseModel):
    """Somebody who is recommended items: exactly one of these."""

    model_config = ConfigDict(extra="forbid")

    user: Id | None = Field(default=None, description="id of a user of the graph")
    history: tuple[Id, ...] | None = Field(
        default=None, max_length=10_000, description="ids of items that somebody has used"
    )


class RecommendRequest(Who):
    """Whom to recommend how many of which items."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"user": "ada", "n": 5},
                {"history": ["alien", "heat"], "n": 5, "cold": True},
                {"attributes": {"text": "films about the sea"}, "where": {"genre": ["drama"]}},
            ]
        },
    )

    attributes: Attributes | None = Field(default=None, description="likes, without a history")
    n: Count = Field(default=10, description="how many at most")
    items: tuple[Id, ...] | None = Field(
        default=None, max_length=100_000, description="ids to choose from"
    )
    where: dict[str, tuple[Id, ...]] = Field(
        default_factory=dict,
        max_length=20,
        description="ids of nodes that an item is joined with one of, by relation or node type",
    )
    cold: bool | None = Field(default=None, description="only items that nobody used, or others")
    exclude_seen: bool = Field(default=True, description="leave out what was used already")
    diversity: float = Field(default=0.0, ge=0, le=1, description="0: by score, 1: most unlike")
    explore: float = Field(default=0.0, ge=0, le=1, description="share of drawn cold items")
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of those draws")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(value is not None for value in (self.user, self.history, self.attributes)) != 1:
            raise ValueError("give exactly one of user, history and attributes")
        return self


class Recommendation(BaseModel):
    """An item of a list."""

    item: str = Field(description="id of the item")
    score: float = Field(description="log-odds that it is used")
    rank: int = Field(description="place in the list, from 1")
    cold: bool = Field(description="whether nobody has used it yet")
    text: str | None = Field(description="what it says about itself")


class State(BaseModel):
    """Which model answered."""

    version: str = Field(description="hash of the saved model")
    changes: int = Field(description="number of the last change that it has in it")


class RecommendResponse(BaseModel):
    """A list."""

    recommendations: list[Recommendation]
    model: State


class SimilarRequest(BaseModel):
    """Items to find the like of."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"items": ["alien"], "n": 5}]}
    )

    items: tuple[Id, ...] = Field(min_length=1, max_length=100, description="ids of the items")
    n: Count = Field(default=10, description="how many for each at most")


class Neighbour(BaseModel):
    """An item like another."""

    item: str
    neighbour: str
    score: float = Field(description="cosine of the items' columns")
    rank: int
    text: str | None = Field(description="what the neighbour says about itself")


class SimilarResponse(BaseModel):
    """Items like those asked for."""

    similar: list[Neighbour]
    model: State


class ExplainRequest(Who):
    """Whose recommendation of which item is to be explained."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"user": "ada", "item": "dune", "what_if": 3}]},
    )

    item: Id = Field(description="id of the item")
    n: Count = Field(default=5, description="how many reasons and paths at most")
    what_if: int = Field(
        default=0, ge=0, le=20, description="edges of the item to try the score without"
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.user is None) == (self.history is None):
            raise ValueError("give exactly one of user and history")
        return self


class Reason(BaseModel):
    """What something contributes to a score."""

    history_item: str | None = Field(description="item of the history; null for all the rest")
    contribution: float
    through: str | None = Field(description="item like the one explained that it leads to")
    channel: str = Field(description="in which way the two are alike")
    shared: str | None = Field(description="type/id of what they share, or a word")
    path: str = Field(description="the way in words")


class WhatIf(BaseModel):
    """The score if an edge were not there."""

    edge: Edge
    score: float


class ExplainResponse(BaseModel):
    """Contributions that, with the base, sum to the score."""

    item: str
    score: float
    base: float
    reasons: list[Reason]
    paths: list[Reason]
    what_if: list[WhatIf]
    model: State


class PutItemsRequest(BaseModel):
    """Items and other entities that are new, or that replace what was there."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {
                            "id": "dune",
                            "text": "A family is sent to rule a planet of sand.",
                            "edges": [{"relation": "has_genre", "node": "sf"}],
                        }
                    ]
                }
            ]
        },
    )

    items: tuple[Item, ...] = Field(min_length=1, max_length=MOST)


class InteractionsRequest(BaseModel):
    """Who used what."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"interactions": [{"user": "ada", "item": "dune"}]}]},
    )

    interactions: tuple[Interaction, ...] = Field(min_length=1, max_length=10_000)


class Accepted(BaseModel):
    """A change that is on the disk and in effect."""

    change: int = Field(description="its number")


class AudienceRequest(BaseModel):
    """An item to find the users for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"item": "dune", "n": 10}]}
    )

    item: Id
    n: Annotated[int, Field(ge=1, le=100)] = Field(default=10, description="how many at most")


class Listener(BaseModel):
    """A user who would get an item."""

    user: str
    score: float
    rank: int = Field(description="the item's place in the user's list, from 1")


class AudienceResponse(BaseModel):
    """Users who would get an item, the surest first."""

    item: str
    audience: list[Listener]
    model: State


class Node(BaseModel):
    """A node of the graph."""

    type: str
    id: str
    text: str | None
    cold: bool | None = Field(default=None, description="for items: nobody has used it yet")


class SearchResponse(BaseModel):
    """Nodes that have the words, those whose id begins with them first."""

    nodes: list[Node]


class Tie(BaseModel):
    """An edge as the node in the middle sees it."""

    relation: str
    outwards: bool = Field(description="whether it goes from the node in the middle")
    weight: float
    node: Node


class NeighbourhoodResponse(BaseModel):
    """A node and what it is joined with."""

    node: Node
    ties: list[Tie]
    total: int = Field(description="how many edges it has in all")


class RelationFacts(BaseModel):
    """A relation of the schema."""

    name: str
    head: str
    tail: str


class GraphFacts(BaseModel):
    """What the graph is made of."""

    name: str
    description: str
    user: str
    item: str
    interaction: str
    nodes: dict[str, int] = Field(description="how many nodes of each type")
    relations: list[RelationFacts]
    cold_items: int
    read_only: bool
    model: State


class Health(BaseModel):
    """Whether the service is there."""

    status: str
