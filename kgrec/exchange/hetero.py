"""Graphs as ``HeteroData`` of PyTorch Geometric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from kgrec.errors import SourceError, name_ids
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.schema import GraphSchema

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData


def to_hetero_data(graph: KnowledgeGraph) -> HeteroData:
    """Give a graph to PyTorch Geometric.

    Parameters
    ----------
    graph
        The graph.

    Returns
    -------
    HeteroData
        A node type has ``num_nodes``, ``node_id`` and ``text`` (lists, text None where a node has
        none) and, where there are features, ``x`` [N, F] float32.  A relation has ``edge_index``
        [2, E] int64 and, where there are weights, ``edge_weight`` [E] float32.  The interactions
        are the edge type (user, interaction, item), also with ``time`` [M] int64.
    """
    import torch  # torch and torch-geometric take seconds to import: not for every reader
    from torch_geometric.data import HeteroData

    data = HeteroData()
    for node_type, table in graph.nodes.items():
        data[node_type].num_nodes = len(table)
        data[node_type].node_id = table.ids.to_pylist()
        data[node_type].text = table.texts.to_pylist()
        if table.features is not None:
            data[node_type].x = torch.from_numpy(table.features)
    for edge_type, edges in graph.edges.items():
        data[edge_type].edge_index = torch.from_numpy(edges.edge_index)
        if edges.weight is not None:
            data[edge_type].edge_weight = torch.from_numpy(edges.weight)
    log = graph.interactions
    used = data[graph.schema.user, graph.schema.interaction, graph.schema.item]
    used.edge_index = torch.from_numpy(np.stack([log.user, log.item]))
    if log.weight is not None:
        used.edge_weight = torch.from_numpy(log.weight)
    if log.time is not None:
        used.time = torch.from_numpy(log.time)
    return data


def from_hetero_data(data: HeteroData, schema: GraphSchema) -> KnowledgeGraph:
    """Make a graph of what PyTorch Geometric holds.

    Parameters
    ----------
    data
        As :func:`to_hetero_data` makes it.  Without ``node_id`` a node's id is its position,
        without ``text`` it has no text.
    schema
        What the node types and relations are.

    Returns
    -------
    KnowledgeGraph
        The checked graph.

    Raises
    ------
    SourceError
        If the interactions are missing, a type is not in the schema, or the data make no graph
        (see :meth:`KnowledgeGraph.from_tables`).

    Examples
    --------
    >>> import torch
    >>> from torch_geometric.data import HeteroData
    >>> from kgrec.schema import NodeSchema
    >>> schema = GraphSchema(
    ...     name="films", user="person", item="film", interaction="watched",
    ...     nodes={"person": NodeSchema(text=False), "film": NodeSchema()},
    ... )
    >>> data = HeteroData()
    >>> data["person"].num_nodes, data["film"].num_nodes = 1, 2
    >>> data["person", "watched", "film"].edge_index = torch.tensor([[0], [1]])
    >>> from_hetero_data(data, schema).cold_items.to_pylist()
    ['0']
    """
    ids = {kind: _ids(data, kind) for kind in data.node_types}
    used = (schema.user, schema.interaction, schema.item)
    if used not in data.edge_types:
        raise SourceError(
            f"the data have no edges {used}, which are the interactions: there are "
            f"{name_ids(data.edge_types)}"
        )
    _refuse_undeclared(data, schema)
    relations = [
        _edge_table(data, kind, ids, ("head", "tail")).append_column(
            "relation", pa.array([kind[1]] * _edge_count(data, kind), pa.string())
        )
        for kind in data.edge_types
        if kind != used
    ]
    nothing = pa.table({name: pa.array([], pa.string()) for name in ("head", "relation", "tail")})
    tables = GraphTables(
        _entities(data, ids),
        pa.concat_tables([nothing, *relations], promote_options="default"),
        _edge_table(data, used, ids, ("user", "item")),
    )
    return KnowledgeGraph.from_tables(schema, tables)


def _ids(data: HeteroData, kind: str) -> pa.Array:
    store = data[kind]
    given: Sequence[object] = store.get("node_id") or range(int(store.num_nodes))
    if len(given) != int(store.num_nodes):
        raise SourceError(
            f"the node type '{kind}' has {int(store.num_nodes):,} nodes and {len(given):,} ids: "
            "give each node one"
        )
    return pa.array([str(value) for value in given], pa.string())


def _entities(data: HeteroData, ids: dict[str, pa.Array]) -> pa.Table:
    parts = []
    for kind, own in ids.items():
        columns: dict[str, Any] = {"id": own, "type": pa.array([kind] * len(own), pa.string())}
        texts = data[kind].get("text") or [None] * len(own)
        columns["text"] = pa.array(list(texts), pa.string())
        if "x" in data[kind]:
            rows = data[kind].x.numpy()
            vectors = [None if np.isnan(row).all() else row for row in rows]
            columns["features"] = pa.array(vectors, pa.list_(pa.float32()))
        parts.append(pa.table(columns))
    return pa.concat_tables(parts, promote_options="default")


def _edge_table(
    data: HeteroData, kind: tuple[str, str, str], ids: dict[str, pa.Array], ends: tuple[str, str]
) -> pa.Table:
    store = data[kind]
    heads, tails = store.edge_index.numpy()
    columns = {
        ends[0]: ids[kind[0]].take(pa.array(heads)),
        ends[1]: ids[kind[2]].take(pa.array(tails)),
    }
    if "edge_weight" in store:
        columns["weight"] = pa.array(store.edge_weight.numpy(), pa.float32())
    if "time" in store:
        columns["time"] = pa.array(store.time.numpy(), pa.int64())
    return pa.table(columns)


def _edge_count(data: HeteroData, kind: tuple[str, str, str]) -> int:
    return int(data[kind].edge_index.shape[1])


def _refuse_undeclared(data: HeteroData, schema: GraphSchema) -> None:
    for head, relation, tail in data.edge_types:
        declared = schema.relations.get(relation)
        is_log = (head, relation, tail) == (schema.user, schema.interaction, schema.item)
        if not is_log and (declared is None or (declared.head, declared.tail) != (head, tail)):
            raise SourceError(
                f"the edges ({head}, {relation}, {tail}) are not in the schema '{schema.name}': "
                "declare the relation, or delete them"
            )
