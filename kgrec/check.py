"""Look a graph over before it is built: what is there, what is missing, what is wrong.

Unlike :meth:`kgrec.graph.KnowledgeGraph.from_tables`, which stops at the first fault, this looks
at everything and raises nothing, so that broken data can be put right in one go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kgrec.errors import SourceError, name_ids
from kgrec.graph import GraphTables, with_column_types
from kgrec.schema import COLUMNS, TABLE_NAMES, GraphSchema, TableName

Severity = Literal["error", "warning"]

QUANTILES: Mapping[str, float] = {"min": 0.0, "25%": 0.25, "50%": 0.5, "75%": 0.75, "max": 1.0}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to put right.

    Parameters
    ----------
    severity
        ``"error"`` if no graph can be built, ``"warning"`` if one can, but a worse one.
    message
        What is wrong, with the table, column or ids at fault.
    remedy
        What to do.
    """

    severity: Severity
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """What is known of the nodes of one type.

    Parameters
    ----------
    type
        The type.
    nodes
        Number of different ids.
    duplicates
        Number of ids that occur more than once.
    without_text
        Number of rows without a text.
    with_features
        Number of rows with features.
    feature_length
        Length of the feature vectors, None where there are none.
    isolated
        Number of ids in no edge and in no interaction.
    """

    type: str
    nodes: int
    duplicates: int
    without_text: int
    with_features: int
    feature_length: int | None
    isolated: int


@dataclass(frozen=True, slots=True)
class RelationCheck:
    """What is known of the edges of one relation.

    Parameters
    ----------
    relation, head, tail
        Its name and the types that it joins.
    edges
        Number of rows.
    dangling_heads, dangling_tails
        Number of rows whose head or tail is no node of its type.
    """

    relation: str
    head: str
    tail: str
    edges: int
    dangling_heads: int
    dangling_tails: int


@dataclass(frozen=True, slots=True)
class InteractionCheck:
    """What is known of the interactions.

    Parameters
    ----------
    rows
        Number of rows.
    users, items
        Number of different users and items in them.
    new_users
        Number of those users that the entities do not list; they become nodes without a text.
    unknown_items
        Number of those items that the entities do not list, which is an error.
    cold_items
        Number of items of the entities that nobody has used.
    density
        Share of all pairs of a user and an item that interacted.
    per_user, per_item
        Quantiles of the number of interactions of users and of items that have any.
    """

    rows: int
    users: int
    items: int
    new_users: int
    unknown_items: int
    cold_items: int
    density: float
    per_user: Mapping[str, float]
    per_item: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GraphReport:
    """What three tables hold, and what is wrong with them.

    Parameters
    ----------
    schema
        Name of the schema.
    nodes
        One a node type, in the order of the schema.
    relations
        One a relation, in the order of the schema.
    interactions
        Who used what.
    problems
        What to put right, errors first.
    """

    schema: str
    nodes: tuple[NodeCheck, ...]
    relations: tuple[RelationCheck, ...]
    interactions: InteractionCheck
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether a graph can be built: no problem is an error."""
        return all(problem.severity != "error" for problem in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """Give the report as plain values, ready for JSON.

        Returns
        -------
        dict
            Keys ``ok``, ``schema``, ``nodes``, ``relations``, ``interactions``, ``problems``.
        """
        return {"ok": self.ok, **asdict(self)}

    def __rich__(self) -> RenderableType:
        parts: list[RenderableType] = [_table("Nodes", self.nodes)]
        if self.relations:
            parts.append(_table("Edges", self.relations))
        parts += [_interaction_table(self.interactions), *map(_render_problem, self.problems)]
        if not self.problems:
            parts.append(Text("No problem found.", style="green"))
        return Group(*parts)


@dataclass(slots=True)
class _Findings:
    """Gathers the problems while the tables are looked at."""

    problems: list[Problem] = field(default_factory=list)

    def error(self, message: str, remedy: str) -> None:
        self.problems.append(Problem("error", message, remedy))

    def warn(self, message: str, remedy: str) -> None:
        self.problems.append(Problem("warning", message, remedy))

    def ordered(self) -> tuple[Problem, ...]:
        return tuple(sorted(self.problems, key=lambda problem: problem.severity))


@dataclass(frozen=True, slots=True)
class _Type:
    """The rows of one node type, and its different ids with how many edges each has."""

    rows: pa.Table
    ids: pa.Array
    degree: NDArray[np.int64]

    def find(self, values: pa.ChunkedArray) -> NDArray[np.int64]:
        found = pc.fill_null(pc.index_in(values, value_set=self.ids), -1)
        return np.asarray(found, dtype=np.int64)

    def count(self, positions: NDArray[np.int64]) -> None:
        known = positions[positions >= 0]
        self.degree[:] += np.bincount(known, minlength=len(self.ids))


def check_tables(schema: GraphSchema, tables: GraphTables) -> GraphReport:
    """Look three tables over.

    Parameters
    ----------
    schema
        What the node types and relations ought to be.
    tables
        The tables as a source gives them, right or wrong.

    Returns
    -------
    GraphReport
        Counts and problems.  If it is ok, :meth:`KnowledgeGraph.from_tables` builds the graph.

    Examples
    --------
    >>> from kgrec.schema import NodeSchema
    >>> schema = GraphSchema(
    ...     name="films", user="person", item="film", interaction="watched",
    ...     nodes={"person": NodeSchema(text=False), "film": NodeSchema()},
    ... )
    >>> tables = GraphTables(
    ...     entities=pa.table({"id": ["alien"], "type": ["film"], "text": ["A crew"]}),
    ...     relations=pa.table({"head": [], "relation": [], "tail": []}),
    ...     interactions=pa.table({"user": ["ada"], "item": ["heat"]}),
    ... )
    >>> report = check_tables(schema, tables)
    >>> report.ok, report.problems[0].message
    (False, "in 1 row of the interactions the item is no film: 'heat'")
    """
    findings = _Findings()
    entities, relations, interactions = (
        _usable(getattr(tables, name), name, findings) for name in TABLE_NAMES
    )
    _check_declared(entities["type"], schema.nodes, "entities", "type", "[nodes]", findings)
    _check_interaction_name(relations, schema, findings)
    types = {name: _type_rows(entities, name) for name in schema.nodes}
    edges = tuple(_check_relations(schema, relations, types, findings))
    log = _check_interactions(schema, interactions, types, findings)
    nodes = tuple(_check_nodes(schema, types, findings))
    return GraphReport(schema.name, nodes, edges, log, findings.ordered())


def _usable(table: pa.Table, name: TableName, findings: _Findings) -> pa.Table:
    """Bring a table to its types, without the rows that lack an id."""
    try:
        typed = with_column_types(table, name)
    except SourceError as error:
        findings.error(str(error), f"correct the {name} query or file")
        text = pa.array([], pa.string())
        return with_column_types(pa.table(dict.fromkeys(COLUMNS[name].required, text)), name)
    for column in COLUMNS[name].required:
        filled = pc.fill_null(pc.not_equal(typed[column], ""), fill_value=False)
        empty = len(typed) - int(pc.sum(filled).as_py() or 0)
        if empty:
            findings.error(
                f"the column '{column}' of the {name} is empty in {_rows(empty)}",
                f"give every row one, or leave those rows out of the {name}",
            )
            typed = typed.filter(filled)
    _check_weights(typed, name, findings)
    return typed


def _check_weights(table: pa.Table, name: TableName, findings: _Findings) -> None:
    if "weight" not in table.column_names:
        return
    weight = np.asarray(pc.fill_null(table["weight"], 1.0), dtype=np.float32)
    bad = int((~np.isfinite(weight)).sum())
    if bad:
        findings.error(
            f"the weight of the {name} is NaN or infinite in {_rows(bad)}", "correct or drop them"
        )


def _check_declared(
    found: pa.ChunkedArray,
    declared: Mapping[str, object],
    table: TableName,
    column: str,
    place: str,
    findings: _Findings,
) -> None:
    for counted in pc.value_counts(found).to_pylist():
        if counted["values"] not in declared:
            findings.error(
                f"{_rows(counted['counts'])} of the {table} have the {column} "
                f"'{counted['values']}', which the schema does not declare",
                f"add it to {place} in schema.toml, or leave those rows out of the {table}",
            )


def _check_interaction_name(relations: pa.Table, schema: GraphSchema, findings: _Findings) -> None:
    names = relations["relation"]
    is_interaction = pc.equal(names, schema.interaction)
    if pc.any(is_interaction).as_py():
        findings.error(
            f"the relations hold the interaction '{schema.interaction}'",
            "leave it to the interactions: among the edges it would leak what is to be predicted",
        )
    others = names.filter(pc.invert(is_interaction))
    _check_declared(others, schema.relations, "relations", "relation", "[relations]", findings)


def _type_rows(entities: pa.Table, name: str) -> _Type:
    rows = entities.filter(pc.equal(entities["type"], name))
    ids = rows["id"].unique()
    return _Type(rows, ids, np.zeros(len(ids), np.int64))


def _check_relations(
    schema: GraphSchema, relations: pa.Table, types: Mapping[str, _Type], findings: _Findings
) -> Iterator[RelationCheck]:
    for name, declared in schema.relations.items():
        rows = relations.filter(pc.equal(relations["relation"], name))
        if not len(rows):
            findings.warn(
                f"the relation '{name}' has no edge",
                "check the relations query, or delete it from schema.toml",
            )
        sides = (("head", declared.head), ("tail", declared.tail))
        place = f"relation {name}"
        dangling = [_check_ends(rows[c], c, t, place, types, findings) for c, t in sides]
        yield RelationCheck(name, declared.head, declared.tail, len(rows), *dangling)


def _check_ends(
    ids: pa.ChunkedArray,
    column: str,
    node_type: str,
    place: str,
    types: Mapping[str, _Type],
    findings: _Findings,
) -> int:
    positions = types[node_type].find(ids)
    types[node_type].count(positions)
    dangling = int((positions < 0).sum())
    if dangling:
        unknown = ids.filter(pa.array(positions < 0)).unique()
        findings.error(
            f"in {_rows(dangling)} of the {place} the {column} is no {node_type}: "
            f"{name_ids(unknown.to_pylist())}",
            _remedy_of_dangling(unknown, node_type, types),
        )
    return dangling


def _remedy_of_dangling(unknown: pa.Array, node_type: str, types: Mapping[str, _Type]) -> str:
    homes = [name for name, table in types.items() if (table.find(unknown) >= 0).any()]
    if homes:
        return (
            f"such ids are of the type {name_ids(homes)}: check head and tail in schema.toml and "
            "in the query"
        )
    trimmed = pc.utf8_trim_whitespace(unknown)
    if (types[node_type].find(trimmed) >= 0).any():
        return "remove the blanks around these ids"
    return "add them to the entities, or leave those rows out"


def _check_interactions(
    schema: GraphSchema, log: pa.Table, types: Mapping[str, _Type], findings: _Findings
) -> InteractionCheck:
    if not len(log):
        findings.warn(
            "there is no interaction, so there is nothing to learn from",
            "check the interactions query",
        )
    _check_gaps(log, findings)
    users, items = types[schema.user], types[schema.item]
    _check_ends(log["item"], "item", schema.item, "interactions", types, findings)
    positions = users.find(log["user"])
    users.count(positions)
    new_users = len(log["user"].filter(pa.array(positions < 0)).unique())
    if new_users and len(users.ids):
        findings.warn(
            f"{new_users:,} users of the interactions are not among the entities",
            f"add them to the entities if they have a text or edges as a {schema.user}",
        )
    used = log["item"].unique()
    known = int((items.find(used) >= 0).sum())
    return InteractionCheck(
        rows=len(log),
        users=len(log["user"].unique()),
        items=len(used),
        new_users=new_users,
        unknown_items=len(used) - known,
        cold_items=len(items.ids) - known,
        density=_density(log, len(users.ids) + new_users, len(items.ids)),
        per_user=_quantiles(log["user"]),
        per_item=_quantiles(log["item"]),
    )


def _check_gaps(log: pa.Table, findings: _Findings) -> None:
    gaps = {name: log[name].null_count for name in ("weight", "time") if name in log.column_names}
    if gaps.get("weight") == len(log):  # never filled: there are no weights
        del gaps["weight"]
    for name, count in gaps.items():
        if count:
            findings.error(
                f"the {name} of the interactions is empty in {_rows(count)}",
                f"give every interaction a {name}, or leave the column out",
            )


def _density(log: pa.Table, users: int, items: int) -> float:
    distinct = len(log.select(["user", "item"]).group_by(["user", "item"]).aggregate([]))
    return distinct / (users * items) if users and items else 0.0


def _quantiles(values: pa.ChunkedArray) -> dict[str, float]:
    if not len(values):
        return dict.fromkeys(QUANTILES, 0.0)
    counts = np.asarray(pc.value_counts(values).field("counts"))
    shares = np.quantile(counts, list(QUANTILES.values()))
    return dict(zip(QUANTILES, map(float, shares), strict=True))


def _check_nodes(
    schema: GraphSchema, types: Mapping[str, _Type], findings: _Findings
) -> Iterator[NodeCheck]:
    for name, nodes in types.items():
        _check_presence(schema, name, nodes, findings)
        is_blank = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(nodes.rows["text"], "")), "")
        blank = nodes.rows["id"].filter(is_blank)
        if schema.nodes[name].text and len(blank):
            findings.warn(
                f"{len(blank):,} of {len(nodes.rows):,} nodes of the type '{name}' have no text: "
                f"{name_ids(blank.to_pylist())}",
                "give them one in the entities query, or set text = false for the type",
            )
        if name == schema.item:
            _check_bare_items(nodes, blank, findings)
        length, present = _check_features(name, nodes.rows, findings)
        yield NodeCheck(
            type=name,
            nodes=len(nodes.ids),
            duplicates=_check_duplicates(name, nodes.rows["id"], findings),
            without_text=len(blank),
            with_features=present,
            feature_length=length,
            isolated=int((nodes.degree == 0).sum()),
        )


def _check_presence(schema: GraphSchema, name: str, nodes: _Type, findings: _Findings) -> None:
    if len(nodes.ids):
        return
    if name == schema.item:
        findings.error(
            f"there are no items: no entity has the type '{name}'", "check the entities query"
        )
    elif name != schema.user:  # users may come from the interactions alone
        findings.warn(
            f"there is no node of the type '{name}'",
            "check the entities query, or delete the type from schema.toml",
        )


def _check_bare_items(nodes: _Type, blank: pa.ChunkedArray, findings: _Findings) -> None:
    isolated = nodes.ids.filter(pa.array(nodes.degree == 0))
    bare = isolated.filter(pc.is_in(isolated, value_set=blank.combine_chunks()))
    if len(bare):
        findings.warn(
            f"{len(bare):,} items have no text, no edge and no interaction, so that nothing tells "
            f"them apart: {name_ids(bare.to_pylist())}",
            "give them a text or edges, or leave them out",
        )


def _check_duplicates(name: str, ids: pa.ChunkedArray, findings: _Findings) -> int:
    counts = pc.value_counts(ids)
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        findings.error(
            f"the entities hold {name_ids(twice.to_pylist())} of the type '{name}' more than once",
            "make the entities query return each node once",
        )
    return len(twice)


def _check_features(name: str, rows: pa.Table, findings: _Findings) -> tuple[int | None, int]:
    if "features" not in rows.column_names:
        return None, 0
    present = rows.filter(pc.is_valid(rows["features"])).combine_chunks()
    if not len(present):
        return None, 0
    vectors = present["features"]
    lengths = sorted(pc.unique(pc.list_value_length(vectors)).to_pylist())
    if len(lengths) > 1:
        findings.error(
            f"features of the type '{name}' have different lengths: {lengths}",
            "make all vectors of a type equally long",
        )
    values = np.asarray(pc.fill_null(pc.list_flatten(vectors), np.nan), dtype=np.float32)
    parents = np.asarray(pc.list_parent_indices(vectors))
    bad = np.unique(parents[~np.isfinite(values)])
    if len(bad):
        findings.error(
            f"features of {len(bad):,} nodes of the type '{name}' hold NaN or infinity: "
            f"{name_ids(present['id'].take(pa.array(bad)).to_pylist())}",
            "leave the vector empty (null) for a node that has none",
        )
    return lengths[-1], len(present)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _table(title: str, rows: tuple[NodeCheck, ...] | tuple[RelationCheck, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    records = [asdict(row) for row in rows]
    for name in records[0]:
        is_number = not isinstance(records[0][name], str)
        table.add_column(name.replace("_", " "), justify="right" if is_number else "left")
    for record in records:
        table.add_row(*map(_cell, record.values()))
    return table


def _interaction_table(log: InteractionCheck) -> Table:
    table = Table(title="Interactions", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in asdict(log).items():
        if isinstance(value, dict):
            shown = ", ".join(f"{quantile} {_cell(count)}" for quantile, count in value.items())
        else:
            shown = f"{value:.4%}" if name == "density" else _cell(value)
        table.add_row(name.replace("_", " "), shown)
    return table


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,g}" if isinstance(value, float) else _integer_or_text(value)


def _integer_or_text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _render_problem(problem: Problem) -> Text:
    colour = "red" if problem.severity == "error" else "yellow"
    return Text.assemble(
        (f"{problem.severity}: ", f"bold {colour}"), problem.message, ". ", problem.remedy, "."
    )
