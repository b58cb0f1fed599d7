"""What a source holds: kinds of nodes, kinds of links, and their properties, with counts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from numbers import Number
from typing import Literal, TypeVar

PropertyKind = Literal[
    "text", "address", "moment", "integer", "number", "boolean", "list", "vector", "other"
]
Language = Literal["cypher", "embedded", "sparql", "tables"]
Kind = TypeVar("Kind", "NodeKind", "LinkKind")

SAMPLE_ROWS = 1_000
ADDRESS = re.compile(r"(https?|ftp|urn|file|mailto):")
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")
MOST = 0.9


@dataclass(frozen=True, slots=True)
class Property:
    """A property of nodes or links, as far as a sample tells.

    Parameters
    ----------
    name
        Its name, or its IRI.
    kind
        What its values are.
    filled
        Share of the nodes or links that have it.
    distinct
        Share of its values that are different.
    mean_length
        Mean number of characters of its values, written out.
    """

    name: str
    kind: PropertyKind
    filled: float
    distinct: float
    mean_length: float


@dataclass(frozen=True, slots=True)
class NodeKind:
    """Nodes of one label, class or type.

    Parameters
    ----------
    name
        The label, the IRI of the class, or the type.
    count
        How many there are.
    properties
        What they have.
    """

    name: str
    count: int
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkKind:
    """Links of one kind between two kinds of nodes.

    Parameters
    ----------
    name
        The relationship type, the IRI of the predicate, or the relation.
    head, tail
        Names of the kinds that it joins.
    count
        How many there are, estimated from a sample where there are many.
    properties
        What they have.
    """

    name: str
    head: str
    tail: str
    count: int
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a source holds.

    Parameters
    ----------
    language
        How it is asked.
    nodes, links
        Most frequent first.
    """

    language: Language
    nodes: tuple[NodeKind, ...]
    links: tuple[LinkKind, ...]

    def node(self, name: str) -> NodeKind | None:
        """Find a kind of node by its name or the last part of its IRI, whatever the case."""
        wanted = name.casefold()
        exact = [kind for kind in self.nodes if kind.name == name]
        alike = [kind for kind in self.nodes if local_name(kind.name).casefold() == wanted]
        return next(iter([*exact, *alike]), None)


def local_name(name: str) -> str:
    """Take the last part of an IRI, or a plain name as it is.

    Examples
    --------
    >>> local_name("http://xmlns.com/foaf/0.1/Person"), local_name("urn:x:vocab#Film")
    ('Person', 'Film')
    """
    return re.split(r"[/#:]", name.rstrip("/#:"))[-1] or name


def describe_properties(rows: Sequence[Mapping[str, object]]) -> tuple[Property, ...]:
    """Describe the properties of sampled nodes or links.

    Parameters
    ----------
    rows
        The properties of each.

    Returns
    -------
    tuple of Property
        In the order in which they first occur.

    Examples
    --------
    >>> [found] = describe_properties([{"year": 1979}, {"year": 1979}, {}, {"year": None}])
    >>> found.kind, found.filled, found.distinct
    ('integer', 0.5, 0.5)
    """
    names = dict.fromkeys(name for row in rows for name in row)
    found = []
    for name in names:
        values = [value for row in rows if (value := row.get(name)) is not None and value != ""]
        if values:
            texts = [str(value) for value in values]
            length = sum(map(len, texts)) / len(texts)
            distinct = len(set(texts)) / len(texts)
            filled = len(values) / len(rows)
            found.append(Property(name, _kind(values), filled, distinct, length))
    return tuple(found)


def _kind(values: Sequence[object]) -> PropertyKind:
    first = values[0]
    match first:
        case str():
            return _kind_of_text([value for value in values if isinstance(value, str)])
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case list():
            is_vector = len(first) > 1 and all(isinstance(part, Number) for part in first)
            return "vector" if is_vector else "list"
        case date() | datetime():
            return "moment"
        case _:
            # the moments of the Neo4j driver are of its own classes
            return "moment" if type(first).__name__ in ("Date", "DateTime") else "other"


def _kind_of_text(values: Sequence[str]) -> PropertyKind:
    def most(pattern: re.Pattern[str], *, whole: bool) -> bool:
        match = pattern.fullmatch if whole else pattern.match
        return sum(match(value) is not None for value in values) >= MOST * len(values)

    if most(ISO_DATE, whole=True):
        return "moment"
    return "address" if most(ADDRESS, whole=False) else "text"


def most_frequent(kinds: Iterable[Kind]) -> tuple[Kind, ...]:
    """Order kinds by their counts, then by their names."""
    return tuple(sorted(kinds, key=lambda kind: (-kind.count, kind.name)))
