"""The graph schema: what the nodes and relations are, and the queries that fill them.

A schema is a folder.  ``schema.toml`` declares the node types, the relations
between them, which type is the user, which the item, and what the interaction
is called.  Beside it lie the queries, as Cypher, as SPARQL or both: the query
file *is* the mapping from the source to the three tables of :data:`COLUMNS`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kgrec.errors import SchemaError, name_ids
from kgrec.limits import Limits
from kgrec.limits import TableName as TableName
from kgrec.outside import Language as Language
from kgrec.outside import find_outside

Parameter = str | int | float | bool | list[str] | list[int] | list[float]

TABLE_NAMES: tuple[TableName, ...] = ("entities", "relations", "interactions")
SUFFIXES: Mapping[Language, str] = {"cypher": ".cypher", "sparql": ".rq"}


@dataclass(frozen=True, slots=True)
class Columns:
    """Fixed columns of one of the three tables.

    Parameters
    ----------
    required
        Columns that every row has.
    optional
        Columns that the source may leave out.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Every column, required ones first."""
        return self.required + self.optional


COLUMNS: Mapping[TableName, Columns] = {
    "entities": Columns(("id", "type"), ("text", "features")),
    "relations": Columns(("head", "relation", "tail"), ("weight",)),
    "interactions": Columns(("user", "item"), ("weight", "time")),
}


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a schema folder, with the file that it comes from.

    Parameters
    ----------
    table
        The table that the query fills.
    text
        The query itself.
    path
        Its file, named in errors.
    """

    table: TableName
    text: str
    path: Path


class NodeSchema(BaseModel):
    """One type of node."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: bool = Field(default=True, description="nodes of this type are expected to have a text")
    description: str = Field(default="", description="what a node of this type is")
    label: str | None = Field(
        default=None, description="label of these nodes in Neo4j, where results are written back"
    )
    key: str | None = Field(
        default=None, description="property that holds the id, where results are written back"
    )
    iri: str | None = Field(
        default=None, description="IRI of a node in RDF, with {id} in it, where it is not the id"
    )


class RelationSchema(BaseModel):
    """One relation, from a type of head to a type of tail."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: str = Field(description="node type of the head")
    tail: str = Field(description="node type of the tail")
    messages: Literal["both", "forward", "backward"] = Field(
        default="both",
        description="which way signal travels: head to tail (forward), tail to head, or both",
    )
    description: str = Field(default="", description="what an edge of this relation says")


class RdfSettings(BaseModel):
    """What is done with RDF before the queries see it: the table ``[rdf]`` of ``schema.toml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    languages: list[str] = Field(
        default_factory=list,
        description="preferred languages of texts, best first: of the texts that a subject has "
        "for a predicate, those in the best language stay; all of them where the list is empty",
    )
    same_as: bool = Field(default=False, description="merge what owl:sameAs says is one thing")
    subclasses: bool = Field(
        default=False, description="let an instance of a class be one of its superclasses too"
    )
    graphs: list[str] = Field(
        default_factory=list,
        description="IRIs of the named graphs to read; the default graph and all others if empty",
    )


class GraphSchema(BaseModel):
    """What a graph holds: the content of ``schema.toml``.

    Examples
    --------
    >>> schema = GraphSchema(
    ...     name="films",
    ...     user="person",
    ...     item="film",
    ...     interaction="watched",
    ...     nodes={"person": NodeSchema(text=False), "film": NodeSchema(), "genre": NodeSchema()},
    ...     relations={"has_genre": RelationSchema(head="film", tail="genre")},
    ... )
    >>> schema.item
    'film'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the schema")
    description: str = Field(default="", description="what the graph is about")
    user: str = Field(description="node type of the users")
    item: str = Field(description="node type of the items that are recommended")
    interaction: str = Field(description="name of what a user does with an item, watched say")
    nodes: dict[str, NodeSchema] = Field(description="node types by name")
    relations: dict[str, RelationSchema] = Field(
        default_factory=dict, description="relations by name, the interaction left out"
    )
    parameters: dict[str, Parameter] = Field(
        default_factory=dict, description="values of the $parameters of the Cypher queries"
    )
    rdf: RdfSettings = Field(
        default_factory=RdfSettings, description="what is done with RDF before the queries see it"
    )
    limits: Limits = Field(
        default_factory=Limits, description="what a source may hold, and what queries may read"
    )
    folder: Path | None = Field(
        default=None, exclude=True, description="where the queries are; set by load_schema"
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        used = {self.user: "user", self.item: "item"}
        for name, relation in self.relations.items():
            used |= {
                relation.head: f"relations.{name}.head",
                relation.tail: f"relations.{name}.tail",
            }
        for node_type, place in used.items():
            if node_type not in self.nodes:
                raise ValueError(f"{place} = '{node_type}' is not among the node types in [nodes]")
        if self.user == self.item:
            raise ValueError(f"user and item are both '{self.user}': they must be two node types")
        if self.interaction in self.relations:
            raise ValueError(
                f"the interaction '{self.interaction}' is also in [relations]: "
                "delete it there, interactions have a query of their own"
            )
        return self

    def without_source(self) -> GraphSchema:
        """Leave out what says how to read the graph, and keep what says what it is.

        Returns
        -------
        GraphSchema
            A schema without folder, parameters, limits and settings of RDF: graphs of two sources
            are of one schema.
        """
        plain: dict[str, object] = {
            "folder": None,
            "parameters": {},
            "rdf": RdfSettings(),
            "limits": Limits(),
        }
        return self.model_copy(update=plain)

    def read_query(self, table: TableName, language: Language) -> Query:
        """Read one query of the schema's folder.

        Parameters
        ----------
        table
            Which of the three tables the query fills.
        language
            ``"cypher"`` or ``"sparql"``.

        Returns
        -------
        Query
            The text and the file that it comes from.

        Raises
        ------
        SchemaError
            If the schema has no folder, the file is missing or empty, or the query reads something
            else than the source and ``[limits]`` does not allow it.
        """
        name = f"{table}{SUFFIXES[language]}"
        if self.folder is None:
            raise SchemaError(
                f"the schema '{self.name}' has no folder to read {name} from: "
                "load it with load_schema(folder)"
            )
        path = self.folder / name
        text = _read_text(path)
        if not text.strip():
            raise SchemaError(f"{path} is empty: write the {language} query for {table} into it")
        outside = None if self.limits.outside_sources else find_outside(text, language)
        if outside:
            raise SchemaError(
                f"{path} reads something else than the source: {outside}. Leave it out, or set "
                "outside_sources = true in [limits] of schema.toml if you trust the folder"
            )
        return Query(table, text, path)


def load_schema(folder: str | Path) -> GraphSchema:
    """Load and check a graph schema folder.

    Parameters
    ----------
    folder
        Folder with a ``schema.toml``; the queries beside it are read when they are needed.

    Returns
    -------
    GraphSchema
        The checked schema, which knows its folder.

    Raises
    ------
    SchemaError
        If the file is missing, is not TOML, has an unknown key, lacks one, or is inconsistent.
    """
    path = Path(folder) / "schema.toml"
    try:
        content = tomllib.loads(_read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise SchemaError(f"{path} is not valid TOML: {error}") from error
    if "folder" in content:
        raise SchemaError(f"{path}: unknown key 'folder': delete it")
    try:
        return GraphSchema(**content, folder=Path(folder))
    except ValidationError as error:
        raise SchemaError(f"{path}: {_explain(error)}") from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        beside = sorted(p.name for p in path.parent.glob("*")) if path.parent.is_dir() else []
        found = f"the folder has {name_ids(beside)}" if beside else "the folder is empty or missing"
        raise SchemaError(
            f"{path} is missing ({found}): write it, or name another folder"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SchemaError(f"{path} can't be read as UTF-8 text: {error}") from error


def _explain(error: ValidationError) -> str:
    reasons = []
    for detail in error.errors():
        place = ".".join(str(part) for part in detail["loc"])
        match detail["type"]:
            case "extra_forbidden":
                reasons.append(f"unknown key '{place}': delete it or correct its spelling")
            case "missing":
                reasons.append(f"key '{place}' is missing: add it")
            case "value_error":
                reasons.append(detail["msg"].removeprefix("Value error, "))
            case _:
                reasons.append(f"key '{place}': {detail['msg']}")
    return "; ".join(reasons)
