"""Graphs as property-graph tables: CSV for ``neo4j-admin database import``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from kgrec.cypher import quote_name
from kgrec.errors import ArtifactError
from kgrec.exchange.schema_files import write_schema
from kgrec.graph import KnowledgeGraph
from kgrec.property_graph import EdgeFile, NodeFile, write_property_graph
from kgrec.schema import GraphSchema
from kgrec.storage import is_empty_folder, replace_folder

KEY = "id"
MARKER = "schema.toml"


def to_property_graph(graph: KnowledgeGraph) -> tuple[list[NodeFile], list[EdgeFile]]:
    """Make a property graph, the interactions included.

    Parameters
    ----------
    graph
        The graph.

    Returns
    -------
    tuple of list
        Nodes with the label and key that the schema names, or the type's name in camel case and
        ``id``, and the properties ``text`` and ``features``; relationships named as the relations
        in capitals, with ``weight``, those of the interactions also with ``time``.
    """
    labels, types = _labels(graph.schema), _relationship_types(graph.schema)
    keys = _keys(graph.schema)
    tables = graph.to_tables()
    nodes = []
    for name, table in graph.nodes.items():
        columns = {keys[name]: table.ids, "text": table.texts}
        if "features" in tables.entities.column_names:  # empty where others have some
            own = tables.entities.filter(pc.equal(tables.entities["type"], name))
            columns["features"] = own["features"]
        nodes.append(NodeFile(labels[name], keys[name], pa.table(columns)))
    edges = []
    for (head, relation, tail), between in graph.edges.items():
        columns = {
            "head": graph.nodes[head].ids.take(pa.array(between.edge_index[0])),
            "tail": graph.nodes[tail].ids.take(pa.array(between.edge_index[1])),
        }
        if "weight" in tables.relations.column_names:
            nothing = pa.nulls(len(between), pa.float32())
            columns["weight"] = nothing if between.weight is None else pa.array(between.weight)
        edges.append(EdgeFile(types[relation], labels[head], labels[tail], pa.table(columns)))
    log, schema = tables.interactions, graph.schema
    ends = {"user": "head", "item": "tail"}
    renamed = log.rename_columns([ends.get(name, name) for name in log.column_names])
    ends_of_log = labels[schema.user], labels[schema.item]
    edges.append(EdgeFile(types[schema.interaction], *ends_of_log, renamed))
    return nodes, edges


def export_neo4j_csv(graph: KnowledgeGraph, folder: str | Path) -> None:
    """Write a graph as CSV files that ``neo4j-admin database import`` reads.

    Parameters
    ----------
    graph
        The graph.
    folder
        Where to; an earlier export is replaced.  ``schema.toml`` and the Cypher queries that read
        the graph from the database lie beside the files.

    Raises
    ------
    ArtifactError
        If the folder holds something else, or can't be written.

    Notes
    -----
    ``neo4j-admin database import full --nodes=Film=Film.csv --relationships=WATCHED=WATCHED.csv
    --multiline-fields=true neo4j`` with all of the files.
    """
    target = Path(folder)
    is_ours = (target / MARKER).is_file() and any(target.glob("*.csv"))
    if target.exists() and not (is_ours or is_empty_folder(target)):
        raise ArtifactError(f"{target} holds something else than an export: name another folder")

    def write(new: Path) -> None:
        new.mkdir()
        write_property_graph(*to_property_graph(graph), new)
        write_schema(_schema_with_places(graph.schema), _queries(graph), new)

    try:
        replace_folder(target, write)
    except OSError as error:
        raise ArtifactError(f"{target} can't be written: {error}; name another folder") from error


def _queries(graph: KnowledgeGraph) -> dict[str, str]:
    schema = graph.schema
    labels, types, keys = _labels(schema), _relationship_types(schema), _keys(schema)
    tables = graph.to_tables()
    features = ", n.features AS features" if "features" in tables.entities.column_names else ""
    weight = ", r.weight AS weight" if "weight" in tables.relations.column_names else ""
    entities = [
        f"MATCH (n:{quote_name(labels[name])}) RETURN n.{quote_name(keys[name])} AS id, "
        f"'{_escape(name)}' AS type, n.text AS text{features}"
        for name in graph.nodes
    ]
    relations = [
        f"MATCH (h:{quote_name(labels[head])})-[r:{quote_name(types[relation])}]->"
        f"(t:{quote_name(labels[tail])}) RETURN h.{quote_name(keys[head])} AS head, "
        f"'{_escape(relation)}' AS relation, t.{quote_name(keys[tail])} AS tail{weight}"
        for head, relation, tail in graph.edges
    ]
    log = graph.interactions
    columns = [
        f"u.{quote_name(keys[schema.user])} AS user",
        f"i.{quote_name(keys[schema.item])} AS item",
        *(["r.weight AS weight"] if log.weight is not None else []),
        *(["r.time AS time"] if log.time is not None else []),
    ]
    queries = {
        "entities.cypher": "\nUNION ALL\n".join(entities) + "\n",
        "interactions.cypher": (
            f"MATCH (u:{quote_name(labels[schema.user])})"
            f"-[r:{quote_name(types[schema.interaction])}]->"
            f"(i:{quote_name(labels[schema.item])}) RETURN {', '.join(columns)}\n"
        ),
    }
    if relations:
        queries["relations.cypher"] = "\nUNION ALL\n".join(relations) + "\n"
    return queries


def _labels(schema: GraphSchema) -> dict[str, str]:
    """Name labels as the schema does, or else in camel case, no two alike whatever the case."""
    found: dict[str, str] = {}
    for name, declared in schema.nodes.items():
        camel = "".join(part[:1].upper() + part[1:] for part in re.split(r"\W|_", name))
        found[name] = _unlike(declared.label or camel or "Node", found.values())
    return found


def _keys(schema: GraphSchema) -> dict[str, str]:
    return {name: declared.key or KEY for name, declared in schema.nodes.items()}


def _relationship_types(schema: GraphSchema) -> dict[str, str]:
    taken = list(_labels(schema).values())
    found = {}
    for name in (*schema.relations, schema.interaction):
        found[name] = _unlike(re.sub(r"\W", "_", name).upper(), taken)
        taken.append(found[name])
    return found


def _unlike(name: str, taken: Iterable[str]) -> str:
    folded = {other.casefold() for other in taken}
    numbered = (f"{name}_{n}" for n in range(2, len(folded) + 3))
    return next(choice for choice in (name, *numbered) if choice.casefold() not in folded)


def _schema_with_places(schema: GraphSchema) -> GraphSchema:
    labels, keys = _labels(schema), _keys(schema)
    nodes = {
        name: declared.model_copy(update={"label": labels[name], "key": keys[name]})
        for name, declared in schema.nodes.items()
    }
    return schema.model_copy(update={"nodes": nodes})


def _escape(name: str) -> str:
    return name.replace("\\", "\\\\").replace("'", "\\'")
