"""Write a first schema folder, with comments that say what was guessed."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from kgrec.cypher import quote_name
from kgrec.errors import ConfigError
from kgrec.inspection.guessing import Roles, guess_key, guess_texts, guess_time, guess_weight
from kgrec.inspection.inventory import Inventory, LinkKind, NodeKind, Property, local_name

STRUCTURAL = ("/owl#", "/rdf-schema#", "/22-rdf-syntax-ns#", "/ns/shacl#")
WORD_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
JOINT = " + '. ' + "


@dataclass(frozen=True, slots=True)
class _NodePlan:
    """One node type of the schema to be written."""

    type: str
    kind: NodeKind
    key: str | None
    texts: tuple[Property, ...]


@dataclass(frozen=True, slots=True)
class _RelationPlan:
    """One relation of the schema to be written."""

    name: str
    link: LinkKind
    head: _NodePlan
    tail: _NodePlan


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that is to be written."""

    user: _NodePlan
    item: _NodePlan
    interaction: str
    nodes: tuple[_NodePlan, ...]
    relations: tuple[_RelationPlan, ...]
    left_out: tuple[str, ...]


def write_schema_folder(
    inventory: Inventory, roles: Roles, folder: str | Path, *, source: str
) -> list[str]:
    """Write ``schema.toml`` and the queries that go with it.

    Parameters
    ----------
    inventory
        What the source holds.
    roles
        Who is user and what is item.
    folder
        A folder that is not there yet, or is empty.
    source
        What the comments name.

    Returns
    -------
    list of str
        Names of the files.

    Raises
    ------
    ConfigError
        If the folder holds something, can't be written, or the item has no key.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target} exists and is not empty: name another folder")
    plan = _make_plan(inventory, roles)
    files = {"schema.toml": _schema_toml(inventory, roles, plan, target.name, source)}
    match inventory.language:
        case "cypher" | "embedded":
            files |= _cypher_files(inventory, roles, plan)
        case "sparql":
            files |= _sparql_files(roles, plan)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
            new = Path(beside) / "new"
            new.mkdir()
            for name, text in files.items():
                (new / name).write_text(text, encoding="utf-8")
            new.rename(target)
    except OSError as error:
        raise ConfigError(f"{target} can't be written: {error}") from error
    return list(files)


def _make_plan(inventory: Inventory, roles: Roles) -> _Plan:
    has_keys = inventory.language in ("cypher", "embedded")
    left_out = []
    nodes: list[_NodePlan] = []
    for kind in inventory.nodes:
        if kind == roles.through:
            left_out.append(f"{kind.name}: what interactions go through is no node of the graph")
        elif any(part in kind.name for part in STRUCTURAL):
            left_out.append(f"{kind.name}: describes the data")
        elif has_keys and not guess_key(kind):
            left_out.append(f"{kind.name}: no property tells its nodes apart")
        else:
            key = guess_key(kind)[0].name if has_keys else None
            nodes.append(_NodePlan(_unused(kind.name, nodes), kind, key, _texts(kind, key)))
    by_name = {node.kind.name: node for node in nodes}
    user = by_name.get(roles.user.name) if roles.user else None
    if user is None:
        user = _NodePlan(_unused("user", nodes), NodeKind("user", 0), None, ())
        nodes.append(user)
    if roles.item.name not in by_name:
        raise ConfigError(
            f"no property tells nodes of {roles.item.name} apart: give each an id of its own, "
            "or write the schema by hand"
        )
    item = by_name[roles.item.name]
    interaction = _slug(roles.path[0].name) if roles.path else "used"
    relations: list[_RelationPlan] = []
    for link in inventory.links:
        head, tail = by_name.get(link.head), by_name.get(link.tail)
        if link in roles.path or head is None or tail is None:
            continue
        if {head.type, tail.type} == {user.type, item.type}:
            left_out.append(f"{link.name}: joins users and items, and would tell what is asked for")
            continue
        name = _relation_name(link, head, tail, interaction, relations)
        relations.append(_RelationPlan(name, link, head, tail))
    return _Plan(user, item, interaction, tuple(nodes), tuple(relations), tuple(left_out))


def _texts(kind: NodeKind, key: str | None) -> tuple[Property, ...]:
    return tuple(guess_texts(kind, key))


def _slug(name: str) -> str:
    """Make a name for a type or a relation.

    >>> _slug("ACTED_IN"), _slug("http://a.example/plotKeyword"), _slug("Board Game")
    ('acted_in', 'plot_keyword', 'board_game')
    """
    return WORD_BORDER.sub("_", local_name(name)).strip("_").lower() or "thing"


def _unused(name: str, nodes: Sequence[_NodePlan]) -> str:
    taken = {node.type for node in nodes}
    slug = _slug(name)
    return next(
        candidate
        for candidate in (slug, *(f"{slug}_{n}" for n in range(2, len(taken) + 3)))
        if candidate not in taken
    )


def _relation_name(
    link: LinkKind,
    head: _NodePlan,
    tail: _NodePlan,
    interaction: str,
    relations: Sequence[_RelationPlan],
) -> str:
    taken = {interaction, *(relation.name for relation in relations)}
    slug = _slug(link.name)
    full = f"{slug}_{head.type}_{tail.type}"
    numbered = (f"{full}_{n}" for n in range(2, len(taken) + 3))
    return next(name for name in (slug, full, *numbered) if name not in taken)


def _schema_toml(inventory: Inventory, roles: Roles, plan: _Plan, name: str, source: str) -> str:
    lines = [
        f"# Guessed from {_one_line(source)}. Look it over, and correct what is wrong:",
        "# - Is the right thing the user, and the right thing the item?",
        "# - Do the texts say what nodes are about? Leave out what tells how popular an item has",
        "#   become, since nobody knows that of a new one.",
        f"name = {_quote(name)}",
        f"user = {_quote(plan.user.type)}",
        f"item = {_quote(plan.item.type)}",
        f"interaction = {_quote(plan.interaction)}",
    ]
    if not roles.path:
        lines += [
            "",
            "# No interactions were found. Give a table of them with --interactions FILE, columns",
            "# user and item, or write the query for them.",
        ]
    for node in plan.nodes:
        lines += ["", f"[nodes.{node.type}]  # {node.kind.count:,} {_one_line(node.kind.name)}"]
        is_user = node.type == plan.user.type
        if is_user or (not node.texts and inventory.language != "tables"):
            lines.append("text = false")
        if node.key is not None:
            lines += [f"label = {_quote(node.kind.name)}", f"key = {_quote(node.key)}"]
    for relation in plan.relations:
        lines += [
            "",
            f"[relations.{relation.name}]  # {relation.link.count:,} "
            f"{_one_line(relation.link.name)}",
            f"head = {_quote(relation.head.type)}",
            f"tail = {_quote(relation.tail.type)}",
        ]
    if plan.left_out:
        lines += ["", "# Left out:", *(f"# - {_one_line(reason)}" for reason in plan.left_out)]
    return "\n".join(lines) + "\n"


def _cypher_files(inventory: Inventory, roles: Roles, plan: _Plan) -> dict[str, str]:
    def key_of(node: _NodePlan, variable: str) -> str:
        found = f"{variable}.{quote_name(node.key or '')}"
        kinds = {found.name: found.kind for found in node.kind.properties}
        is_number = kinds.get(node.key or "") == "integer"
        # in the embedded database, the parts of a UNION must be of one type
        return f"CAST({found} AS STRING)" if is_number and _is_embedded(inventory) else found

    entities = [
        _entity_cypher(node, key_of(node, "n"), is_user=node.type == plan.user.type)
        for node in plan.nodes
        if node.key is not None
    ]
    relations = [
        f"MATCH (h:{quote_name(relation.link.head)})-[:{quote_name(relation.link.name)}]->"
        f"(t:{quote_name(relation.link.tail)})\n"
        f"RETURN {key_of(relation.head, 'h')} AS head, '{relation.name}' AS relation, "
        f"{key_of(relation.tail, 't')} AS tail"
        for relation in plan.relations
    ]
    files = {"entities.cypher": _union(entities, "One row a node: its id, type and text.")}
    if relations:
        files["relations.cypher"] = _union(
            relations, "One row an edge; heads and tails are ids of the entities query."
        )
    if roles.path:
        files["interactions.cypher"] = _interactions_cypher(
            roles, key_of(plan.user, "u"), key_of(plan.item, "i")
        )
    return files


def _is_embedded(inventory: Inventory) -> bool:
    return inventory.language == "embedded"


def _entity_cypher(node: _NodePlan, key: str, *, is_user: bool) -> str:
    texts = [] if is_user else list(node.texts)
    text = JOINT.join(f"coalesce(n.{quote_name(found.name)}, '')" for found in texts) or "''"
    others = [
        found.name
        for found in node.kind.properties
        if found.kind == "text" and found not in texts and found.name != node.key
    ]
    comment = f"// other texts: {_one_line(', '.join(others))}\n" if others else ""
    return (
        f"{comment}MATCH (n:{quote_name(node.kind.name)})\n"
        f"RETURN {key} AS id, '{node.type}' AS type, {text} AS text"
    )


def _interactions_cypher(roles: Roles, user: str, item: str) -> str:
    if roles.user is None:
        return ""
    pattern = f"(u:{quote_name(roles.user.name)})"
    at = roles.user.name
    ends = [roles.through.name] if roles.through else []
    for variable, link, end, name in zip(
        ("r", "s"), roles.path, [*ends, roles.item.name], ["o" if ends else "i", "i"], strict=False
    ):
        edge = f"[{variable}:{quote_name(link.name)}]"
        arrow = f"-{edge}->" if link.head == at else f"<-{edge}-"
        pattern += f"{arrow}({name}:{quote_name(end)})"
        at = end
    columns = [f"{user} AS user", f"{item} AS item"]
    holders: list[tuple[str, Iterable[Property]]] = [
        (variable, link.properties) for variable, link in zip(("r", "s"), roles.path, strict=False)
    ]
    if roles.through:
        holders.append(("o", roles.through.properties))
    for name, guess in (("weight", guess_weight), ("time", guess_time)):
        found = next(((holder, hit) for holder, props in holders if (hit := guess(props))), None)
        if found:
            columns.append(f"{found[0]}.{quote_name(found[1].name)} AS {name}")
    return (
        "// One row for each time that a user used an item; weight and time are optional.\n"
        f"MATCH {pattern}\nRETURN {', '.join(columns)}\n"
    )


def _union(parts: Sequence[str], comment: str) -> str:
    return f"// {comment}\n" + "\nUNION ALL\n".join(parts) + "\n"


def _sparql_files(roles: Roles, plan: _Plan) -> dict[str, str]:
    entities = [
        _entity_sparql(node, is_user=node.type == plan.user.type)
        for node in plan.nodes
        if node.kind.count
    ]
    relations = [
        f"  {{ ?h <{relation.link.name}> ?t . ?h a <{relation.link.head}> . "
        f"?t a <{relation.link.tail}> .\n"
        f'    BIND("{relation.name}" AS ?relation) }}'
        for relation in plan.relations
    ]
    files = {
        "entities.rq": "# One row a node: its IRI, type and text.\n"
        "SELECT ?id ?type ?text WHERE {\n" + "\n  UNION\n".join(entities) + "\n}\n"
    }
    if relations:
        files["relations.rq"] = (
            "# One row an edge; heads and tails are ids of the entities query.\n"
            "SELECT (STR(?h) AS ?head) ?relation (STR(?t) AS ?tail) WHERE {\n"
            + "\n  UNION\n".join(relations)
            + "\n}\n"
        )
    if roles.path and roles.user:
        files["interactions.rq"] = _interactions_sparql(roles, roles.user)
    return files


def _entity_sparql(node: _NodePlan, *, is_user: bool) -> str:
    texts = () if is_user else node.texts
    # of several values of a property, the first by the alphabet: a node must have one row
    values = " ".join(f"(MIN(STR(?v{n})) AS ?t{n})" for n in range(len(texts)))
    optional = "".join(
        f"\n        OPTIONAL {{ ?node <{found.name}> ?v{n} . }}" for n, found in enumerate(texts)
    )
    parts = ', ". ", '.join(f'COALESCE(?t{n}, "")' for n in range(len(texts)))
    text = f"CONCAT({parts})" if texts else '""'
    return (
        f"  {{ {{ SELECT ?node {values} WHERE {{\n"
        f"        ?node a <{node.kind.name}> .{optional}\n"
        "      } GROUP BY ?node }\n"
        f'    BIND(STR(?node) AS ?id) BIND("{node.type}" AS ?type) BIND({text} AS ?text) }}'
    )


def _interactions_sparql(roles: Roles, user: NodeKind) -> str:
    variables = ["?u", "?o", "?i"] if roles.through else ["?u", "?i"]
    patterns = []
    at = user.name
    for link, (start, end) in zip(roles.path, pairwise(variables), strict=True):
        is_forward = link.head == at
        subject, value = (start, end) if is_forward else (end, start)
        patterns.append(f"  {subject} <{link.name}> {value} .")
        at = link.tail if is_forward else link.head
    columns = ["(STR(?u) AS ?user)", "(STR(?i) AS ?item)"]
    through = roles.through.properties if roles.through else ()
    for name, found in (("weight", guess_weight(through)), ("time", guess_time(through))):
        if found:
            columns.append(f"?{name}")
            patterns.append(f"  OPTIONAL {{ ?o <{found.name}> ?{name} . }}")
    return (
        "# One row for each time that a user used an item.\n"
        f"SELECT {' '.join(columns)} WHERE {{\n"
        f"  ?u a <{user.name}> . ?i a <{roles.item.name}> .\n" + "\n".join(patterns) + "\n}\n"
    )


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_one_line(escaped)}"'


def _one_line(text: str) -> str:
    return " ".join(text.split())
