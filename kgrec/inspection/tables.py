"""Look at a folder with the three tables, which say already what is what but for the types."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from kgrec.graph import GraphTables
from kgrec.inspection.inventory import Inventory, LinkKind, NodeKind, describe_properties
from kgrec.sources.tables import plain_tables

USER_TYPE = "user"


def inspect_tables(folder: str | Path) -> tuple[Inventory, LinkKind]:
    """Look at a folder of tables.

    Parameters
    ----------
    folder
        As for :func:`kgrec.sources.read_tables`.

    Returns
    -------
    tuple
        The types and the relations between them, and the interactions: from the type whose ids
        the users are (``user`` where no entity is one of them) to that of the items.

    Raises
    ------
    SourceError
        If the tables can't be read.
    """
    tables = plain_tables(folder)
    ids = _ids_by_type(tables)
    texts = tables.entities.select(["type", "text"])
    nodes = []
    for name, own in ids.items():
        rows = texts.filter(pc.equal(texts["type"], name)).slice(0, 1000).select(["text"])
        nodes.append(NodeKind(name, len(own), describe_properties(rows.to_pylist())))
    links = []
    for name in pc.unique(tables.relations["relation"]).to_pylist():
        rows = tables.relations.filter(pc.equal(tables.relations["relation"], name))
        head, tail = (_type_of(rows[side], ids) for side in ("head", "tail"))
        links.append(LinkKind(name, head, tail, len(rows)))
    log = tables.interactions
    item = _type_of(log["item"], ids)
    others = {name: own for name, own in ids.items() if name != item}
    user = _type_of(log["user"], others) if _share(log["user"], others) else USER_TYPE
    if user not in ids:
        nodes.append(NodeKind(user, len(pc.unique(log["user"]))))
    interaction = LinkKind("used", user, item, len(log))
    return Inventory("tables", tuple(nodes), tuple(links)), interaction


def _ids_by_type(tables: GraphTables) -> dict[str, pa.Array]:
    types = tables.entities["type"]
    return {
        name: pc.unique(tables.entities.filter(pc.equal(types, name))["id"])
        for name in pc.unique(types).to_pylist()
    }


def _known(values: pa.ChunkedArray, ids: pa.Array) -> int:
    return int(pc.sum(pc.is_in(values, value_set=ids)).as_py() or 0)


def _share(values: pa.ChunkedArray, ids: dict[str, pa.Array]) -> int:
    return max((_known(values, own) for own in ids.values()), default=0)


def _type_of(values: pa.ChunkedArray, ids: dict[str, pa.Array]) -> str:
    """Find the type that most of the ids are of; the smallest type, where several know as many."""
    return max(ids, key=lambda name: (_known(values, ids[name]), -len(ids[name])))
