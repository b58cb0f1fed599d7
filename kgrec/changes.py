"""Changes to a graph, at the price of what changes and a copy of the arrays around it.

Reading a graph anew sorts every id and looks every edge's ends up.  A change shifts positions and
splices what is new in, and says which items' rows have to be computed anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from kgrec.errors import SourceError, UnknownIdError, name_ids
from kgrec.graph import (
    EdgeTable,
    EdgeType,
    GraphTables,
    Interactions,
    KnowledgeGraph,
    NodeTable,
    build_edges,
    build_interactions,
    conform,
    make_node_table,
    refuse_unknown_types,
)
from kgrec.items import Edge, Item, tables_of
from kgrec.schema import COLUMNS, TableName

FEW_PIECES = 256  # an array is copied in pieces while there are few, else element by element
FEW_JUMPS = 3

Positions = NDArray[np.int64]
Number = TypeVar("Number", bound=np.number[Any])
Whole = TypeVar("Whole", bound=np.integer[Any])


@dataclass(frozen=True, slots=True, eq=False)
class ChangedGraph:
    """A graph after a change, and what the change did to its items.

    Parameters
    ----------
    graph
        The new graph.
    item_moves
        New position of each old item, [items], -1 where it is gone.
    same_log
        Whether users and interactions are those of before.
    stale
        Positions in the new graph of items that are new, or that something reaches otherwise
        than before: their rows have to be computed, [S] ascending.
    """

    graph: KnowledgeGraph
    item_moves: Positions
    same_log: bool
    stale: Positions


def empty_tables() -> GraphTables:
    """Make three tables without rows.

    Returns
    -------
    GraphTables
        With the required columns.
    """
    return GraphTables(*(_without_rows(name) for name in COLUMNS))


def change_graph(
    graph: KnowledgeGraph,
    tables: GraphTables,
    *,
    replace: bool = False,
    removed: Iterable[str] = (),
) -> ChangedGraph:
    """Add nodes, edges and interactions to a graph, and take items out of it.

    Parameters
    ----------
    graph
        The graph, which stays as it is.
    tables
        What is new.  Edges may join new nodes with each other and with old ones.
    replace
        Whether an entity that is there already gets the text and features given, and the edges
        given in place of all that it had; otherwise such an entity is an error.
    removed
        Ids of items that go, with their edges and interactions, before the rest is added.

    Returns
    -------
    ChangedGraph
        Its graph equals the one that :meth:`KnowledgeGraph.from_tables` makes of all rows.

    Raises
    ------
    SourceError
        If a row breaks the schema or names a node that is not there.
    UnknownIdError
        If an item to remove is not there.
    """
    schema = graph.schema
    entities = conform(tables.entities, "entities")
    refuse_unknown_types(schema, entities)
    log = conform(tables.interactions, "interactions")
    given = {
        name: make_node_table(name, entities.filter(pc.equal(entities["type"], name)))
        for name in schema.nodes
    }
    given[schema.user] = _with_new_users(given[schema.user], graph.users, log)
    gone = _positions_of_removed(graph, removed)
    nodes: dict[str, NodeTable] = {}
    moves: dict[str, Positions] = {}
    known: dict[str, Positions] = {}  # new positions of entities that were there
    for name, table in graph.nodes.items():
        found = table.positions(given[name].ids)
        if not replace:
            _refuse_known(name, given[name].ids, found)
        leaving = gone if name == schema.item else np.empty(0, np.int64)
        found = np.where(np.isin(found, leaving), -1, found)
        nodes[name], moves[name] = _merge_nodes(name, table, given[name], found, leaving)
        known[name] = moves[name][found[found >= 0]]
    if not len(nodes[schema.item]):
        raise SourceError("no item would be left: keep at least one")
    added = build_edges(schema, nodes, conform(tables.relations, "relations"))
    cut = {name: _mask(len(nodes[name]), positions) for name, positions in known.items()}
    edges, touched = _merge_edges(graph, nodes, moves, cut, added)
    changed = KnowledgeGraph(
        schema,
        MappingProxyType(nodes),
        MappingProxyType(edges),
        _merge_interactions(graph, nodes, moves, log),
    )
    new_items = nodes[schema.item].positions(given[schema.item].ids)
    stale = _stale_items(changed, touched, known, new_items)
    same_log = changed.users is graph.users and not len(log) and not len(gone)
    return ChangedGraph(changed, moves[schema.item], same_log, stale)


def compare_graphs(old: KnowledgeGraph, new: KnowledgeGraph) -> tuple[Positions, Positions]:
    """Find the items whose rows may differ between two states of a graph.

    Parameters
    ----------
    old, new
        Graphs of one schema.

    Returns
    -------
    moves : ndarray of int64
        New position of each item of the old graph, -1 for one that is gone.
    stale : ndarray of int64
        Positions in the new graph, ascending, of items that are new, that have another text or
        other features or edges, or whose neighbours have.
    """
    moves = {name: new.nodes[name].positions(table.ids) for name, table in old.nodes.items()}
    rewritten = {
        name: _rewritten(table, new.nodes[name], moves[name]) for name, table in old.nodes.items()
    }
    touched = {
        (head, relation, tail): _ends_of_changed(
            _shift(table, moves[head], moves[tail]),
            new.edges[head, relation, tail],
            len(new.nodes[tail]),
        )
        for (head, relation, tail), table in old.edges.items()
    }
    item = new.schema.item
    is_new = np.ones(len(new.items), bool)
    is_new[moves[item][moves[item] >= 0]] = False
    stale = np.zeros(len(new.items), bool)
    stale[rewritten[item]] = True
    stale[_stale_items(new, touched, rewritten, np.flatnonzero(is_new))] = True
    return moves[item], np.flatnonzero(stale)


def _rewritten(old: NodeTable, new: NodeTable, moves: Positions) -> Positions:
    """Find the nodes of both that have another text or other features, in the new one."""
    kept = np.flatnonzero(moves >= 0)
    places = moves[kept]
    before, after = old.texts.take(pa.array(kept)), new.texts.take(pa.array(places))
    same = np.asarray(pc.fill_null(pc.equal(before, after), False))
    same |= np.asarray(pc.and_(pc.is_null(before), pc.is_null(after)))
    if old.features is not None and new.features is not None:
        if old.features.shape[1] != new.features.shape[1]:
            return places
        left, right = old.features[kept], new.features[places]
        same &= ((left == right) | (np.isnan(left) & np.isnan(right))).all(axis=1)
    elif old.features is not new.features:
        return places
    changed: Positions = places[~same]
    return changed


def _ends_of_changed(old: EdgeTable, new: EdgeTable, tails: int) -> NDArray[np.int64]:
    """Give the ends of all edges that only one of two tables has, or has so, -1 for one gone."""
    gone = (old.edge_index < 0).any(axis=0)
    kept = old.edge_index[:, ~gone]
    before = kept[0] * tails + kept[1]
    after = new.edge_index[0] * tails + new.edge_index[1]  # ascending, as edges are sorted
    place = np.minimum(np.searchsorted(after, before), max(len(after) - 1, 0))
    is_same = np.zeros(len(before), bool)
    if len(after):
        is_same = after[place] == before
        is_same &= _weights(old)[~gone] == _weights(new)[place]
    is_other = np.ones(len(after), bool)
    is_other[place[is_same]] = False
    return np.concatenate(
        [old.edge_index[:, gone], kept[:, ~is_same], new.edge_index[:, is_other]], axis=1
    )


def move_histories(histories: sparse.csr_array, change: ChangedGraph) -> sparse.csr_array:
    """Bring histories to the positions and interactions of a changed graph.

    Parameters
    ----------
    histories
        Of the old graph, [users, items].
    change
        The change.

    Returns
    -------
    csr_array
        What :meth:`KnowledgeGraph.interaction_matrix` gives for the new graph.
    """
    if not change.same_log:
        return change.graph.interaction_matrix()
    items = len(change.graph.items)
    indices = _follow(change.item_moves, histories.indices)
    return sparse.csr_array(
        (histories.data, indices, histories.indptr), shape=(histories.shape[0], items)
    )


def without_edges(graph: KnowledgeGraph, item: str, edges: Sequence[Edge]) -> KnowledgeGraph:
    """Make the same graph without some edges of an item.

    Parameters
    ----------
    graph
        The graph.
    item
        Id of the item.
    edges
        Its edges; their weights are of no account.

    Returns
    -------
    KnowledgeGraph
        Shares all else with the graph.

    Raises
    ------
    SourceError
        If the item has no such edge, or the schema no such relation.
    """
    schema = graph.schema
    rows = tables_of(schema, [Item(id=item, edges=tuple(edges))]).relations
    bare = rows.drop_columns("weight")
    left = dict(graph.edges)
    for edge_type, table in build_edges(schema, graph.nodes, bare).items():
        if not len(table):
            continue
        old, tails = graph.edges[edge_type], len(graph.nodes[edge_type[2]])
        keys = old.edge_index[0] * tails + old.edge_index[1]
        cut = table.edge_index[0] * tails + table.edge_index[1]
        stays = ~np.isin(keys, cut)
        if len(keys) - stays.sum() < len(cut):
            raise SourceError(
                f"the {schema.item} '{item}' lacks one of those edges of the relation "
                f"'{edge_type[1]}': name edges that it has"
            )
        weight = None if old.weight is None else old.weight[stays]
        left[edge_type] = _plain(EdgeTable(np.ascontiguousarray(old.edge_index[:, stays]), weight))
    return graph.with_edges(left)


def neighbourhood_of(graph: KnowledgeGraph, items: Positions) -> tuple[KnowledgeGraph, Positions]:
    """Cut out of a graph all that reaches some items.

    Parameters
    ----------
    graph
        The graph.
    items
        Positions of the items, ascending, [S].

    Returns
    -------
    part : KnowledgeGraph
        The items, what they are joined with, and what lies beyond neighbours that are no items;
        no interactions.  Channels give the items the same rows as in the whole graph.
    positions : ndarray of int64
        Positions of the items in it, [S].
    """
    item = graph.schema.item
    chosen = {name: np.zeros(len(table), bool) for name, table in graph.nodes.items()}
    chosen[item][items] = True
    wanted = chosen[item].copy()
    kept: dict[EdgeType, Positions] = {}
    for edge_type, table in graph.edges.items():
        head, _, tail = edge_type
        if item not in (head, tail):
            continue
        rows = _edges_at(table, wanted if head == item else None, wanted if tail == item else None)
        chosen[head][table.edge_index[0, rows]] = True
        chosen[tail][table.edge_index[1, rows]] = True
        kept[edge_type] = rows
    near = {name: mask.copy() for name, mask in chosen.items()}
    for edge_type, table in graph.edges.items():
        head, _, tail = edge_type
        if item in (head, tail):
            continue
        rows = _edges_at(table, near[head], near[tail])
        chosen[head][table.edge_index[0, rows]] = True
        chosen[tail][table.edge_index[1, rows]] = True
        kept[edge_type] = rows
    rank = {name: np.cumsum(mask) - 1 for name, mask in chosen.items()}
    nodes = {name: _select_nodes(graph.nodes[name], mask) for name, mask in chosen.items()}
    edges = {
        (head, relation, tail): _select_edges(
            graph.edges[head, relation, tail], rows, rank[head], rank[tail]
        )
        for (head, relation, tail), rows in kept.items()
    }
    in_order = {edge_type: edges[edge_type] for edge_type in graph.edges}
    nothing = Interactions(np.empty(0, np.int64), np.empty(0, np.int64))
    part = KnowledgeGraph(
        graph.schema, MappingProxyType(nodes), MappingProxyType(in_order), nothing
    )
    return part, rank[item][items]


def _without_rows(name: TableName) -> pa.Table:
    return pa.table({column: pa.array([], pa.string()) for column in COLUMNS[name].required})


def _with_new_users(given: NodeTable, users: NodeTable, log: pa.Table) -> NodeTable:
    named = pc.unique(log["user"])
    if isinstance(named, pa.ChunkedArray):
        named = named.combine_chunks()
    strange = named.filter(pa.array((users.positions(named) < 0) & (given.positions(named) < 0)))
    if not len(strange):
        return given
    rows = pa.table({"id": given.ids, "text": given.texts})
    if given.features is not None:
        raise SourceError(
            f"users {name_ids(strange.to_pylist())} come with interactions alone, beside users "
            "that have features: add them in two steps"
        )
    new = pa.table({"id": strange, "text": pa.nulls(len(strange), pa.string())})
    return make_node_table("user", pa.concat_tables([rows, new]))


def _positions_of_removed(graph: KnowledgeGraph, removed: Iterable[str]) -> Positions:
    listed = list(dict.fromkeys(removed))
    found = graph.items.positions(listed)
    unknown = [listed[i] for i in np.flatnonzero(found < 0)]
    if unknown:
        raise UnknownIdError(
            f"no {graph.schema.item} has the id {name_ids(unknown)}, so it can't be removed: "
            "check the spelling"
        )
    return np.sort(found)


def _refuse_known(name: str, ids: pa.StringArray, found: Positions) -> None:
    if (found >= 0).any():
        there = ids.filter(pa.array(found >= 0)).to_pylist()
        raise SourceError(
            f"the entities would hold {name_ids(there)} of the type {name} more than once, for "
            "it is there already: change it with put_items"
        )


def _merge_nodes(
    name: str, table: NodeTable, given: NodeTable, found: Positions, leaving: Positions
) -> tuple[NodeTable, Positions]:
    """Splice new nodes in, take others out and put new content in place of old."""
    count = len(table)
    if not len(given) and not len(leaving):
        return table, np.arange(count)
    stays = np.ones(count, bool)
    stays[leaving] = False
    source = np.flatnonzero(stays)
    new = np.flatnonzero(found < 0)
    new_ids = given.ids.take(pa.array(new)).to_pylist()
    places = np.array([_place_of(table.ids, value) for value in new_ids], np.int64)
    places = np.searchsorted(source, places) if len(leaving) else places
    source = np.insert(source, places, count + new)
    moves = np.full(count, -1, np.int64)
    old = source < count
    moves[source[old]] = np.flatnonzero(old)
    content = source.copy()
    rewritten = np.flatnonzero(found >= 0)
    content[moves[found[rewritten]]] = count + rewritten
    return (
        NodeTable(
            _splice(table.ids, given.ids, source),
            _splice(table.texts, given.texts, content),
            _splice_features(name, table, given, content),
        ),
        moves,
    )


def _place_of(ids: pa.StringArray, value: str) -> int:
    low, high = 0, len(ids)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if ids[middle].as_py() < value else (low, middle)
    return low


def _splice(old: pa.Array, new: pa.Array, source: Positions) -> pa.Array:
    """Copy elements of two arrays, one after the other numbered, in the order of ``source``."""
    borders = np.flatnonzero(np.diff(source) != 1) + 1
    if len(borders) >= FEW_PIECES:
        return pa.concat_arrays([old, new]).take(pa.array(source))
    pieces = []
    for run in np.split(source, borders):
        if len(run):
            values, start = (old, run[0]) if run[0] < len(old) else (new, run[0] - len(old))
            inside = min(len(run), len(values) - int(start))
            pieces.append(values.slice(int(start), inside))
            if inside < len(run):  # the run goes on from the last old element to the first new one
                pieces.append(new.slice(0, len(run) - inside))
    return pa.concat_arrays(pieces) if pieces else old.slice(0, 0)


def _splice_features(
    name: str, table: NodeTable, given: NodeTable, source: Positions
) -> NDArray[np.float32] | None:
    old, new = table.features, given.features
    if old is None and new is None:
        return None
    widths = {matrix.shape[1] for matrix in (old, new) if matrix is not None}
    if len(widths) > 1:
        raise SourceError(
            f"features of type {name} have different lengths {sorted(widths)}: "
            "all vectors of a type must be equally long"
        )
    (width,) = widths
    parts = [
        np.full((count, width), np.nan, np.float32) if matrix is None else matrix
        for matrix, count in ((old, len(table)), (new, len(given)))
    ]
    merged = np.concatenate(parts)[source]
    return None if np.isnan(merged).all() else merged


def _mask(count: int, positions: Positions) -> NDArray[np.bool_] | None:
    if not len(positions):
        return None
    mask = np.zeros(count, bool)
    mask[positions] = True
    return mask


Touched = Mapping[EdgeType, NDArray[np.int64]]


def _merge_edges(
    graph: KnowledgeGraph,
    nodes: Mapping[str, NodeTable],
    moves: Mapping[str, Positions],
    cut: Mapping[str, NDArray[np.bool_] | None],
    added: Mapping[EdgeType, EdgeTable],
) -> tuple[dict[EdgeType, EdgeTable], Touched]:
    """Shift the edges, drop those of replaced and removed nodes, and insert the new ones.

    The second value gives the ends of all edges that came or went, -1 for an end that is gone.
    """
    edges: dict[EdgeType, EdgeTable] = {}
    touched: dict[EdgeType, NDArray[np.int64]] = {}
    for edge_type, table in graph.edges.items():
        head, _, tail = edge_type
        new = added[edge_type]
        stays_put = nodes[head] is graph.nodes[head] and nodes[tail] is graph.nodes[tail]
        if stays_put and not len(new):
            edges[edge_type], touched[edge_type] = table, new.edge_index
            continue
        shifted = table if stays_put else _shift(table, moves[head], moves[tail])
        pairs, weight = shifted.edge_index, shifted.weight
        stays = (pairs >= 0).all(axis=0) if pairs.size and pairs.min() < 0 else None
        for side, mask in enumerate((cut[head], cut[tail])):
            if mask is not None:
                free = ~mask[pairs[side]] | (pairs[side] < 0)
                stays = free if stays is None else stays & free
        changed = [new.edge_index]
        if stays is not None and not stays.all():
            changed.append(pairs[:, ~stays])
            pairs = np.ascontiguousarray(pairs[:, stays])
            weight = None if weight is None else weight[stays]
        touched[edge_type] = np.concatenate(changed, axis=1)
        edges[edge_type] = _insert_edges(EdgeTable(pairs, weight), new, len(nodes[tail]))
    return edges, touched


def _shift(table: EdgeTable, head_moves: Positions, tail_moves: Positions) -> EdgeTable:
    if not len(table):
        return table
    pairs = np.empty_like(table.edge_index)
    for side, moves in enumerate((head_moves, tail_moves)):
        pairs[side] = _follow(moves, table.edge_index[side])
    return EdgeTable(pairs, table.weight)


def _follow(moves: Positions, positions: NDArray[Whole]) -> NDArray[Whole]:
    """Give the new position of each old one."""
    jumps = np.flatnonzero(np.diff(moves - np.arange(len(moves)), prepend=0))
    if len(jumps) > FEW_JUMPS or (len(moves) and moves.min() < 0):
        found: NDArray[Whole] = moves.astype(positions.dtype)[positions]
        return found
    moved = positions  # each jump is a pass over the array, in its order: quicker than looking up
    for jump in jumps.tolist():
        width = moves[jump] - jump - (moves[jump - 1] - jump + 1 if jump else 0)
        moved = moved + (positions >= jump) * positions.dtype.type(width)
    return moved


def _insert_edges(old: EdgeTable, new: EdgeTable, tails: int) -> EdgeTable:
    if not len(new):
        return _plain(old)
    old_keys = old.edge_index[0] * tails + old.edge_index[1]
    new_keys = new.edge_index[0] * tails + new.edge_index[1]
    places = np.searchsorted(old_keys, new_keys)
    again = np.zeros(len(new), bool)
    inside = places < len(old)
    again[inside] = old_keys[places[inside]] == new_keys[inside]
    weight = None
    if old.weight is not None or new.weight is not None or again.any():
        total = _weights(old).astype(np.float64)
        total[places[again]] += _weights(new)[again]
        weight = _insert(total, places[~again], _weights(new)[~again]).astype(np.float32)
    pairs = _insert(old.edge_index, places[~again], new.edge_index[:, ~again])
    return _plain(EdgeTable(pairs, weight))


def _insert(values: NDArray[Number], places: Positions, new: NDArray[Number]) -> NDArray[Number]:
    """Insert along the last axis, before the places given in ascending order."""
    if len(places) > FEW_PIECES:
        return np.insert(values, places, new, axis=-1)
    ends = [0, *places.tolist(), values.shape[-1]]
    pieces = [values[..., ends[i] : ends[i + 1]] for i in range(len(places) + 1)]
    inserted = [new[..., i : i + 1] for i in range(len(places))]
    order = [pieces[0], *chain.from_iterable(zip(inserted, pieces[1:], strict=True))]
    return np.concatenate(order, axis=-1)


def _plain(table: EdgeTable) -> EdgeTable:
    if table.weight is not None and (table.weight == 1.0).all():
        return EdgeTable(table.edge_index)
    return table


def _weights(table: EdgeTable | Interactions) -> NDArray[np.float32]:
    return np.ones(len(table), np.float32) if table.weight is None else table.weight


def _merge_interactions(
    graph: KnowledgeGraph,
    nodes: Mapping[str, NodeTable],
    moves: Mapping[str, Positions],
    rows: pa.Table,
) -> Interactions:
    schema, log = graph.schema, graph.interactions
    same_users = nodes[schema.user] is graph.users
    user = log.user if same_users else _follow(moves[schema.user], log.user)
    item = _follow(moves[schema.item], log.item)
    old = Interactions(user, item, log.weight, log.time)
    if len(item) and item.min() < 0:
        old = old.select(item >= 0)
    new = build_interactions(schema, nodes, rows)
    if not len(new):
        return old
    if len(old) and (old.time is None) != (new.time is None):
        lacks, has = ("the new", "the graph's") if new.time is None else ("the graph's", "the new")
        raise SourceError(
            f"{has} interactions have times and {lacks} have none: give every interaction a time "
            "or none"
        )
    return _insert_interactions(old, new, len(nodes[schema.item]))


def _insert_interactions(old: Interactions, new: Interactions, items: int) -> Interactions:
    old_keys, new_keys = old.user * items + old.item, new.user * items + new.item
    places = np.searchsorted(old_keys, new_keys, side="right")
    weight = None
    if old.weight is not None or new.weight is not None:
        weight = _insert(_weights(old), places, _weights(new))
    time = None
    if new.time is not None:
        before = np.empty(0, np.int64) if old.time is None else old.time
        time = _insert(before, places, new.time)
    merged = Interactions(
        _insert(old.user, places, new.user), _insert(old.item, places, new.item), weight, time
    )
    return _sort_repeated(merged, old_keys, new_keys, items)


def _sort_repeated(
    log: Interactions, old_keys: Positions, new_keys: Positions, items: int
) -> Interactions:
    """Bring what a user used again into the order of time and weight."""
    places = np.searchsorted(old_keys, new_keys)
    inside = places < len(old_keys)
    again = np.unique(new_keys[inside][old_keys[places[inside]] == new_keys[inside]])
    if not len(again) or (log.weight is None and log.time is None):
        return log
    keys = log.user * items + log.item
    order = np.arange(len(log))
    for low, high in zip(
        np.searchsorted(keys, again), np.searchsorted(keys, again, side="right"), strict=True
    ):
        details = [part[low:high] for part in (log.weight, log.time) if part is not None]
        order[low:high] = low + np.lexsort(details)
    return log.select(order)


def _stale_items(
    graph: KnowledgeGraph,
    touched: Touched,
    rewritten: Mapping[str, Positions],
    new_items: Positions,
) -> Positions:
    item = graph.schema.item
    stale = np.zeros(len(graph.items), bool)
    stale[new_items] = True
    # nodes that reach their items in another way than before
    sources = {name: np.zeros(len(table), bool) for name, table in graph.nodes.items()}
    for name, positions in rewritten.items():
        sources[name][positions] = True
    for (head, _, tail), ends in touched.items():
        for name, positions in ((head, ends[0]), (tail, ends[1])):
            present = positions[positions >= 0]
            if name == item:
                stale[present] = True
            elif item not in (head, tail):
                sources[name][present] = True
    for (head, _, tail), table in graph.edges.items():
        if head == item and sources[tail].any():
            stale[table.edge_index[0, sources[tail][table.edge_index[1]]]] = True
        if tail == item and sources[head].any():
            stale[table.edge_index[1, sources[head][table.edge_index[0]]]] = True
    return np.flatnonzero(stale)


def _edges_at(
    table: EdgeTable, heads: NDArray[np.bool_] | None, tails: NDArray[np.bool_] | None
) -> Positions:
    """Find the numbers of the edges whose head or tail is wanted, ascending."""
    masks = [
        mask[table.edge_index[side]]
        for side, mask in enumerate((heads, tails))
        if mask is not None and mask.any()
    ]
    if not masks:
        return np.empty(0, np.int64)
    return np.flatnonzero(masks[0] if len(masks) == 1 else masks[0] | masks[1])


def _select_nodes(table: NodeTable, mask: NDArray[np.bool_]) -> NodeTable:
    rows = np.flatnonzero(mask)
    chosen = pa.array(rows)
    features = None if table.features is None else table.features[rows]
    return NodeTable(table.ids.take(chosen), table.texts.take(chosen), features)


def _select_edges(
    table: EdgeTable, rows: Positions, head_rank: Positions, tail_rank: Positions
) -> EdgeTable:
    pairs = table.edge_index[:, rows]
    weight = None if table.weight is None else table.weight[rows]
    return EdgeTable(np.stack([head_rank[pairs[0]], tail_rank[pairs[1]]]), weight)
