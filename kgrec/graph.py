"""The knowledge graph: typed nodes with texts, typed edges, and who used what.

Built only from the three tables that every reader produces, and checked there.
Ids are kept as Arrow strings and turned into positions by Arrow's hash lookup,
so that no Python object is made a row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from kgrec.errors import SourceError, UnknownIdError, name_ids
from kgrec.limits import Limits, check_rows
from kgrec.notebook import card
from kgrec.pairs import is_first, order_keys, pair_keys, split_keys
from kgrec.schema import COLUMNS, TABLE_NAMES, GraphSchema, TableName

if TYPE_CHECKING:
    import networkx as nx
    import rdflib
    from torch_geometric.data import HeteroData

EdgeType = tuple[str, str, str]

SEARCHED_SHARE = 200  # of as many ids one is looked for in their order, more by a hash table


@dataclass(frozen=True, slots=True)
class GraphTables:
    """The three tables with fixed columns, as a reader delivers them.

    Parameters
    ----------
    entities
        Columns ``id``, ``type`` (string), ``text`` (string, null where there is none) and,
        where the source has them, ``features`` (list of float32).
    relations
        Columns ``head``, ``relation``, ``tail`` (string) and optionally ``weight`` (float32).
    interactions
        Columns ``user``, ``item`` (string) and optionally ``weight`` (float32) and
        ``time`` (int64, seconds since 1970), each in all rows or in none.
    places
        File or query that a table came from, for errors.
    """

    entities: pa.Table
    relations: pa.Table
    interactions: pa.Table
    places: Mapping[TableName, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class NodeTable:
    """All nodes of one type, in the order of their ids.

    Parameters
    ----------
    ids
        Ids, [N], sorted and distinct.
    texts
        Texts, [N], null where a node has none.
    features
        Numeric features of another modality, [N, F] float32; NaN rows for nodes without.
        None where the source has no features for this type.
    """

    ids: pa.StringArray
    texts: pa.StringArray
    features: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def positions(self, ids: pa.Array | Iterable[str]) -> NDArray[np.int64]:
        """Look ids up.

        Parameters
        ----------
        ids
            Ids, [K]; an Arrow array may be dictionary-encoded.

        Returns
        -------
        ndarray of int64
            Position of each id, [K]; -1 for an id that is not there.
        """
        values = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else _strings(ids)
        if pa.types.is_dictionary(values.type):  # each distinct id is looked up once
            encoded = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
            distinct = self.positions(encoded.dictionary)
            return distinct.take(np.asarray(encoded.indices))
        if len(values) * SEARCHED_SHARE < len(self.ids):  # a hash table would cost more
            return np.array([self._search(value) for value in values.to_pylist()], dtype=np.int64)
        found = pc.fill_null(pc.index_in(values, value_set=self.ids), -1)
        return np.asarray(found, dtype=np.int64)

    def _search(self, name: str | None) -> int:
        if name is None:
            return -1
        place = bisect_left(self.ids, name, key=pa.StringScalar.as_py)
        return place if place < len(self.ids) and self.ids[place].as_py() == name else -1


@dataclass(frozen=True, slots=True, eq=False)
class EdgeTable:
    """All edges of one (head type, relation, tail type), sorted and distinct.

    Parameters
    ----------
    edge_index
        Positions of heads and tails, [2, E] int64.
    weight
        Edge weights, [E] float32, or None where the source has none.
    """

    edge_index: NDArray[np.int64]
    weight: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return int(self.edge_index.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """Who used what, sorted by user, item and time.

    Parameters
    ----------
    user, item
        Positions among the users and the items, [M] int64.
    weight
        Strength, [M] float32, or None where the source has none.
    time
        Seconds since 1970, [M] int64, or None where the source has none.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    weight: NDArray[np.float32] | None = None
    time: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.user)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Interactions:
        """Keep some of the rows.

        Parameters
        ----------
        rows
            A mask [M], or row numbers in ascending order.

        Returns
        -------
        Interactions
            The chosen rows.
        """
        return Interactions(
            self.user[rows],
            self.item[rows],
            None if self.weight is None else self.weight[rows],
            None if self.time is None else self.time[rows],
        )


@dataclass(frozen=True, slots=True, eq=False)
class KnowledgeGraph:
    """An immutable heterogeneous graph with texts and interactions.

    Parameters
    ----------
    schema
        What the node types and relations are.
    nodes
        A table a node type.
    edges
        A table for each (head type, relation, tail type); the interactions are not among them.
    interactions
        Who used what.

    Examples
    --------
    >>> from kgrec.schema import NodeSchema, RelationSchema
    >>> schema = GraphSchema(
    ...     name="films", user="person", item="film", interaction="watched",
    ...     nodes={"person": NodeSchema(text=False), "film": NodeSchema(), "genre": NodeSchema()},
    ...     relations={"has_genre": RelationSchema(head="film", tail="genre")},
    ... )
    >>> tables = GraphTables(
    ...     entities=pa.table({
    ...         "id": ["alien", "heat", "noir"],
    ...         "type": ["film", "film", "genre"],
    ...         "text": ["A crew meets a stranger", "A heist", "Noir"],
    ...     }),
    ...     relations=pa.table({"head": ["heat"], "relation": ["has_genre"], "tail": ["noir"]}),
    ...     interactions=pa.table({"user": ["ada"], "item": ["alien"]}),
    ... )
    >>> graph = KnowledgeGraph.from_tables(schema, tables)
    >>> graph.items.ids.to_pylist(), graph.cold_items.to_pylist()
    (['alien', 'heat'], ['heat'])
    """

    schema: GraphSchema
    nodes: Mapping[str, NodeTable]
    edges: Mapping[EdgeType, EdgeTable]
    interactions: Interactions

    @classmethod
    def from_tables(cls, schema: GraphSchema, tables: GraphTables) -> KnowledgeGraph:
        """Build a graph from the three tables, and check them.

        Users that occur only in the interactions become nodes without a text.  Edges that
        occur twice are merged and their weights added; the order of rows does not matter.

        Parameters
        ----------
        schema
            What the node types and relations are.
        tables
            The three tables.

        Returns
        -------
        KnowledgeGraph
            The graph, its nodes in the order of their ids.

        Raises
        ------
        SourceError
            If there are no items, an id occurs twice, a type or relation is not in the schema,
            an edge or an interaction names a node that is not there, a number is not finite,
            some interactions have a weight or a time and others have none, or there is more than
            the schema's limits allow.
        """
        _refuse_too_many(schema.limits, tables)
        entities = conform(tables.entities, "entities")
        _refuse_long_texts(schema.limits, entities)
        relations = conform(tables.relations, "relations")
        interactions = _encode_users(conform(tables.interactions, "interactions"))
        nodes = _build_nodes(schema, entities, interactions)
        return cls(
            schema.without_source(),
            MappingProxyType(nodes),
            MappingProxyType(build_edges(schema, nodes, relations)),
            build_interactions(
                schema, nodes, interactions, tables.places.get("interactions", "the interactions")
            ),
        )

    @property
    def users(self) -> NodeTable:
        """The nodes of the user type."""
        return self.nodes[self.schema.user]

    @property
    def items(self) -> NodeTable:
        """The nodes of the item type."""
        return self.nodes[self.schema.item]

    @property
    def is_cold(self) -> NDArray[np.bool_]:
        """Whether an item has no interaction at all, [items]."""
        counts = np.bincount(self.interactions.item, minlength=len(self.items))
        return np.equal(counts, 0)

    @property
    def cold_items(self) -> pa.StringArray:
        """Ids of the items that nobody has used yet."""
        return self.items.ids.filter(pa.array(self.is_cold))

    def positions(self, node_type: str, ids: Iterable[str]) -> NDArray[np.int64]:
        """Look ids of one type up, all of which must be there.

        Parameters
        ----------
        node_type
            Type of the nodes.
        ids
            Ids, [K].

        Returns
        -------
        ndarray of int64
            Position of each id, [K].

        Raises
        ------
        UnknownIdError
            If an id is not in the graph.
        """
        listed = list(ids)
        found = self.nodes[node_type].positions(listed)
        unknown = [listed[i] for i in np.flatnonzero(found < 0)]
        if unknown:
            raise UnknownIdError(
                f"no {node_type} has the id {name_ids(unknown)}: "
                "check the spelling, or add it to the graph first"
            )
        return found

    def interaction_matrix(self) -> sparse.csr_array:
        """Who used what as a sparse matrix.

        Returns
        -------
        csr_array
            [users, items] float32, 1 where the user used the item, however often.
        """
        users, items = len(self.users), len(self.items)
        keys = pair_keys(self.interactions.user, self.interactions.item, items)
        if (keys[1:] < keys[:-1]).any():
            keys.sort()
        distinct = keys[is_first(keys)]
        count = np.bincount(distinct // max(items, 1), minlength=users)
        index = np.int32 if max(len(distinct), items) <= np.iinfo(np.int32).max else np.int64
        indptr = np.concatenate([[0], np.cumsum(count)]).astype(index)
        indices = (distinct % max(items, 1)).astype(index)
        ones = np.ones(len(distinct), np.float32)
        return sparse.csr_array((ones, indices, indptr), shape=(users, items))

    def with_interactions(self, interactions: Interactions) -> KnowledgeGraph:
        """Make the same graph with other interactions.

        Parameters
        ----------
        interactions
            Positions refer to this graph's users and items.

        Returns
        -------
        KnowledgeGraph
            Shares nodes and edges with this graph.
        """
        return KnowledgeGraph(self.schema, self.nodes, self.edges, interactions)

    def with_edges(self, edges: Mapping[EdgeType, EdgeTable]) -> KnowledgeGraph:
        """Make the same graph with other edges.

        Parameters
        ----------
        edges
            Positions refer to this graph's nodes.

        Returns
        -------
        KnowledgeGraph
            Shares nodes and interactions with this graph.
        """
        return KnowledgeGraph(
            self.schema, self.nodes, MappingProxyType(dict(edges)), self.interactions
        )

    def extended(self, tables: GraphTables) -> KnowledgeGraph:
        """Make a graph with more nodes, edges and interactions.

        Parameters
        ----------
        tables
            What is new.  Edges may join new nodes with each other and with old ones.

        Returns
        -------
        KnowledgeGraph
            The union; positions differ from this graph's, ids do not.

        Raises
        ------
        SourceError
            As :meth:`from_tables`; this graph is unchanged.
        """
        old = self.to_tables()
        union = GraphTables(
            *(
                join_rows(getattr(old, name), conform(getattr(tables, name), name))
                for name in COLUMNS
            )
        )
        return KnowledgeGraph.from_tables(self.schema, union)

    def to_tables(self) -> GraphTables:
        """Write the graph as the three tables.

        Returns
        -------
        GraphTables
            :meth:`from_tables` makes an equal graph of them.
        """
        return GraphTables(self._entities(), self._relations(), self._interactions())

    def to_hetero_data(self) -> HeteroData:
        """Give the graph to PyTorch Geometric.

        Returns
        -------
        HeteroData
            See :func:`kgrec.exchange.to_hetero_data`.
        """
        from kgrec.exchange.hetero import to_hetero_data  # exchange is built upon graphs

        return to_hetero_data(self)

    @classmethod
    def from_hetero_data(cls, data: HeteroData, schema: GraphSchema) -> KnowledgeGraph:
        """Make a graph of what PyTorch Geometric holds.

        Parameters
        ----------
        data, schema
            See :func:`kgrec.exchange.from_hetero_data`.

        Returns
        -------
        KnowledgeGraph
            The checked graph.

        Raises
        ------
        SourceError
            If the data make no graph.
        """
        from kgrec.exchange.hetero import from_hetero_data

        return from_hetero_data(data, schema)

    def to_networkx(self) -> nx.MultiDiGraph:
        """Give the graph to networkx, the interactions included.

        Returns
        -------
        networkx.MultiDiGraph
            See :func:`kgrec.exchange.to_networkx`.
        """
        from kgrec.exchange.networks import to_networkx

        return to_networkx(self)

    def to_rdf(self) -> rdflib.Graph:
        """Give the graph to rdflib, the interactions included.

        Returns
        -------
        rdflib.Graph
            See :func:`kgrec.exchange.to_rdf`.
        """
        from kgrec.exchange.rdf import to_rdf

        return to_rdf(self)

    def summary(self) -> pd.DataFrame:
        """Count nodes, edges and interactions.

        Returns
        -------
        DataFrame
            Columns ``kind`` (node, relation or interaction), ``name`` and ``count``.
        """
        rows = [("node", name, len(table)) for name, table in self.nodes.items()]
        rows += [
            ("relation", f"{h} -{r}-> {t}", len(edges)) for (h, r, t), edges in self.edges.items()
        ]
        rows.append(("interaction", self.schema.interaction, len(self.interactions)))
        return pd.DataFrame(rows, columns=["kind", "name", "count"])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KnowledgeGraph):
            return NotImplemented
        if self.schema != other.schema:
            return False
        mine, theirs = self.to_tables(), other.to_tables()
        return all(getattr(mine, name).equals(getattr(theirs, name)) for name in COLUMNS)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"KnowledgeGraph({self.schema.name!r}, {self._summary()})"

    def _repr_html_(self) -> str:
        """Tabulate nodes and edges by type, for notebooks."""
        nodes = pd.DataFrame(
            {
                "nodes": list(self.nodes),
                "count": [len(table) for table in self.nodes.values()],
                "with text": [len(table) - table.texts.null_count for table in self.nodes.values()],
            }
        )
        edges = pd.DataFrame(
            [(*names, len(table)) for names, table in self.edges.items()],
            columns=["head", "relation", "tail", "count"],
        )
        return card(self.schema.name, self._summary(), nodes, edges)

    def _summary(self) -> str:
        edges = sum(len(table) for table in self.edges.values())
        return (
            f"{len(self.users):,} users, "
            f"{len(self.items):,} items ({int(self.is_cold.sum()):,} cold), "
            f"{sum(len(table) for table in self.nodes.values()):,} nodes, {edges:,} edges, "
            f"{len(self.interactions):,} interactions"
        )

    def _entities(self) -> pa.Table:
        parts = []
        for name, table in self.nodes.items():
            columns = {"id": table.ids, "type": pa.repeat(name, len(table)), "text": table.texts}
            if table.features is not None:
                columns["features"] = _feature_column(table.features)
            parts.append(pa.table(columns))
        return conform(pa.concat_tables(parts, promote_options="default"), "entities")

    def _relations(self) -> pa.Table:
        parts = [_empty("relations")]
        for (head, relation, tail), edges in self.edges.items():
            columns = {
                "head": self.nodes[head].ids.take(pa.array(edges.edge_index[0])),
                "relation": pa.repeat(relation, len(edges)),
                "tail": self.nodes[tail].ids.take(pa.array(edges.edge_index[1])),
            }
            if edges.weight is not None:
                columns["weight"] = pa.array(edges.weight)
            parts.append(pa.table(columns))
        return conform(pa.concat_tables(parts, promote_options="default"), "relations")

    def _interactions(self) -> pa.Table:
        log = self.interactions
        columns = {
            "user": self.users.ids.take(pa.array(log.user)),
            "item": self.items.ids.take(pa.array(log.item)),
        }
        if log.weight is not None:
            columns["weight"] = pa.array(log.weight)
        if log.time is not None:
            columns["time"] = pa.array(log.time)
        return conform(pa.table(columns), "interactions")


COLUMN_TYPES: Mapping[str, pa.DataType] = MappingProxyType(
    {
        "features": pa.list_(pa.float32()),
        "weight": pa.float32(),
        "time": pa.int64(),
    }
)


def conform(table: pa.Table, name: TableName) -> pa.Table:
    """Bring a table to its fixed columns and types, and refuse empty ids.

    Parameters
    ----------
    table
        A table with at least the required columns, in any order.
    name
        Which of the three tables it is.

    Returns
    -------
    pyarrow.Table
        As :func:`with_column_types`.

    Raises
    ------
    SourceError
        As :func:`with_column_types`, and if an id, type or relation is empty.
    """
    typed = with_column_types(table, name)
    for column in COLUMNS[name].required:
        _refuse_empty(typed[column], name, column)
    return typed


def join_rows(old: pa.Table, new: pa.Table) -> pa.Table:
    """Put rows of one of the three tables below others.

    Parameters
    ----------
    old, new
        Tables that :func:`conform` has seen.

    Returns
    -------
    pyarrow.Table
        Where one of them alone has weights, those of the other are 1.

    Examples
    --------
    >>> old = pa.table({"user": ["ada"], "item": ["heat"]})
    >>> new = pa.table({"user": ["bob"], "item": ["heat"], "weight": [2.0]})
    >>> join_rows(old, conform(new, "interactions"))["weight"].to_pylist()
    [1.0, 2.0]
    """
    parts = [part if _has_weights(part) else _without_weights(part) for part in (old, new)]
    if any(map(_has_weights, parts)):
        parts = [part if _has_weights(part) else _with_ones(part) for part in parts]
    return pa.concat_tables(parts, promote_options="default")


def _without_weights(rows: pa.Table) -> pa.Table:
    return rows.select([name for name in rows.column_names if name != "weight"])


def _with_ones(rows: pa.Table) -> pa.Table:
    return rows.append_column("weight", pa.repeat(pa.scalar(1.0, pa.float32()), len(rows)))


def _has_weights(rows: pa.Table) -> bool:
    """Tell whether there are weights: a column that is empty throughout is none."""
    return "weight" in rows.column_names and rows["weight"].null_count < len(rows)


def with_column_types(table: pa.Table, name: TableName) -> pa.Table:
    """Bring a table to its fixed columns and types, whatever its ids are.

    Parameters
    ----------
    table
        A table with at least the required columns, in any order.
    name
        Which of the three tables it is.

    Returns
    -------
    pyarrow.Table
        Columns in their fixed order: ids and texts as strings (an integer id 7 becomes "7"),
        weights float32, times int64 seconds, features list of float32.  Numbers may come as
        strings, times also as dates (``2024-05-01T10:00:00Z``, UTC where no zone is given) and
        features also as numbers with spaces, commas or semicolons between them.

    Raises
    ------
    SourceError
        If a required column is missing, a column is unknown, or a value can't be converted.

    Examples
    --------
    >>> log = pa.table({"user": [7], "item": ["a"], "time": ["1970-01-02"]})
    >>> with_column_types(log, "interactions").to_pylist()
    [{'user': '7', 'item': 'a', 'time': 86400}]
    """
    columns = COLUMNS[name]
    fault = fault_of_columns(table.column_names, name)
    if fault:
        raise SourceError(f"the table {name} {fault}")
    present = [column for column in columns.all if column in table.column_names]
    arrays = {column: _convert(table[column], name, column) for column in present}
    if name == "entities" and "text" not in arrays:
        arrays["text"] = pa.nulls(len(table), pa.string())
    order = [column for column in columns.all if column in arrays]
    return pa.table({column: arrays[column] for column in order})


def fault_of_columns(found: Sequence[str], name: TableName) -> str:
    """Say what is wrong with the names of a table's columns.

    Parameters
    ----------
    found
        Names of the columns that are there.
    name
        Which of the three tables it is.

    Returns
    -------
    str
        What is missing, unknown or there twice, as the rest of a sentence; empty if nothing is.

    Examples
    --------
    >>> fault_of_columns(["user", "film"], "interactions")
    "lacks the column 'item' and has the unknown column 'film': its columns are user, item, \
and optionally weight, time"
    """
    columns = COLUMNS[name]
    missing = [column for column in columns.required if column not in found]
    unknown = [column for column in found if column not in columns.all]
    twice = sorted({column for column in found if found.count(column) > 1})
    faults = [f"lacks the column {name_ids(missing)}"] if missing else []
    faults += [f"has the unknown column {name_ids(unknown)}"] if unknown else []
    faults += [f"has twice the column {name_ids(twice)}"] if twice else []
    if not faults:
        return ""
    expected = f"{', '.join(columns.required)}, and optionally {', '.join(columns.optional)}"
    return f"{' and '.join(faults)}: its columns are {expected}"


def _convert(values: pa.ChunkedArray, name: str, column: str) -> pa.ChunkedArray:
    target = COLUMN_TYPES.get(column, pa.string())
    try:
        match column:
            case "time":
                values = _seconds(values)
            case "features":
                values = _vectors(values)
            case "weight":
                values = _without_blanks(values)
        return pc.cast(values, target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SourceError(
            f"the column '{column}' of the table {name} is {values.type} and can't be made "
            f"{target}: {error}"
        ) from error


def _is_text(values: pa.ChunkedArray) -> bool:
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_kind(values.type) for is_kind in kinds)


def _without_blanks(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if not _is_text(values):
        return values
    trimmed = pc.utf8_trim_whitespace(pc.cast(values, pa.string()))
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _seconds(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if _is_text(values):
        values = _moments(_without_blanks(values))
    if pa.types.is_temporal(values.type):
        return pc.cast(pc.cast(values, pa.timestamp("s"), safe=False), pa.int64())
    if pa.types.is_floating(values.type):
        return pc.cast(pc.floor(values), pa.int64())
    return values


def _moments(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read times that came as strings: all seconds, or all dates."""
    if not pc.any(pc.match_substring_regex(values, r"^[0-9]{4}-[0-9]{2}")).as_py():
        return pc.cast(values, pa.float64())
    zoned = pc.match_substring_regex(values, r"(Z|[+-][0-9]{2}:?[0-9]{2})$")
    dated = pc.match_substring_regex(values, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    plain = pc.if_else(dated, pc.binary_join_element_wise(values, "00:00:00", "T"), values)
    zone = pc.if_else(pc.and_(zoned, pc.invert(dated)), "", "Z")
    utc = pc.binary_join_element_wise(plain, zone, "")
    return pc.cast(utc, pa.timestamp("us", "UTC"))


def _vectors(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if not _is_text(values):
        return values
    bare = pc.utf8_trim(pc.cast(values, pa.string()), " \t[]()")
    parts = pc.split_pattern_regex(_without_blanks(bare), r"\s*[\s,;]\s*")
    return pc.cast(parts, pa.list_(pa.float32()))


def _refuse_empty(values: pa.Array, name: str, column: str) -> None:
    bad = pc.or_(pc.is_null(values), pc.equal(pc.fill_null(values, ""), ""))
    count = pc.sum(bad).as_py() or 0
    if count:
        row = pc.index(bad, True).as_py()
        raise SourceError(
            f"the column '{column}' of the table {name} is empty in {_rows(count)}, "
            f"row {row + 1:,} the first: every row needs one"
        )


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _empty(name: TableName) -> pa.Table:
    return pa.table({column: pa.array([], pa.string()) for column in COLUMNS[name].required})


def _strings(values: Iterable[str]) -> pa.Array:
    return pa.array([str(value) for value in values], pa.string())


def _encode_users(interactions: pa.Table) -> pa.Table:
    """Find the distinct users once: they are wanted for the nodes and for the interactions."""
    place = interactions.column_names.index("user")
    return interactions.set_column(place, "user", interactions["user"].dictionary_encode())


def _refuse_too_many(limits: Limits, tables: GraphTables) -> None:
    for name in TABLE_NAMES:
        place = tables.places.get(name, f"the table {name}")
        check_rows(place, name, len(getattr(tables, name)), limits)


def _refuse_long_texts(limits: Limits, entities: pa.Table) -> None:
    if "text" not in entities.column_names:
        return
    too_long = pc.greater(pc.utf8_length(entities["text"]), limits.text_characters)
    if pc.any(too_long).as_py():
        ids = entities.filter(pc.fill_null(too_long, fill_value=False))["id"].to_pylist()
        raise SourceError(
            f"the text of {name_ids(ids)} has more than the {limits.text_characters:,} characters "
            "that are allowed: shorten it, or raise text_characters in [limits] of schema.toml"
        )


def _build_nodes(
    schema: GraphSchema, entities: pa.Table, interactions: pa.Table
) -> dict[str, NodeTable]:
    types = entities["type"]
    refuse_unknown_types(schema, entities)
    nodes = {
        name: make_node_table(name, entities.filter(pc.equal(types, name))) for name in schema.nodes
    }
    users = pc.cast(pc.unique(interactions["user"]), pa.string())
    known = nodes[schema.user].positions(users) >= 0
    if not known.all():
        new = pa.table({"id": users.filter(pa.array(~known))})
        old = entities.filter(pc.equal(types, schema.user)).drop_columns("type")
        joined = pa.concat_tables([old, new], promote_options="default")
        nodes[schema.user] = make_node_table(schema.user, joined)
    if not len(nodes[schema.item]):
        raise SourceError(
            f"there are no items: no entity has the type '{schema.item}'; check the entities query"
        )
    return nodes


def refuse_unknown_types(schema: GraphSchema, entities: pa.Table) -> None:
    """Check that the schema declares the types of all entities.

    Parameters
    ----------
    schema
        What the node types are.
    entities
        Rows with a column ``type``.

    Raises
    ------
    SourceError
        If it lacks one.
    """
    unknown = [t for t in pc.unique(entities["type"]).to_pylist() if t not in schema.nodes]
    if unknown:
        raise SourceError(
            f"entities have the type {name_ids(unknown)}, which the schema '{schema.name}' does "
            "not declare: add it to [nodes] or leave those rows out of the entities query"
        )


def make_node_table(name: str, rows: pa.Table) -> NodeTable:
    """Make the nodes of one type of rows of the entities, and check them.

    Parameters
    ----------
    name
        Name of the type.
    rows
        Columns ``id``, ``text`` and, where the source has them, ``features``.

    Returns
    -------
    NodeTable
        In the order of their ids.

    Raises
    ------
    SourceError
        If an id occurs twice, or features are of different lengths or not finite.
    """
    rows = rows.combine_chunks().sort_by("id")
    ids = rows["id"].combine_chunks()
    twice = ids[1:].filter(pc.equal(ids[1:], ids[:-1]))
    if len(twice):
        named = name_ids(twice.unique().to_pylist())
        raise SourceError(
            f"the entities hold {named} of the type {name} more than once: "
            "make the entities query return each node once"
        )
    texts = rows["text"].combine_chunks()
    texts = pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), None, texts)
    return NodeTable(ids, texts, _feature_matrix(name, ids, rows))


def _feature_matrix(name: str, ids: pa.Array, rows: pa.Table) -> NDArray[np.float32] | None:
    if "features" not in rows.column_names:
        return None
    column = rows["features"].combine_chunks()
    present = np.asarray(pc.is_valid(column))
    if not present.any():
        return None
    lengths = pc.unique(pc.list_value_length(column).drop_null()).to_pylist()
    if len(lengths) > 1:
        raise SourceError(
            f"features of type {name} have different lengths {sorted(lengths)}: "
            "all vectors of a type must be equally long"
        )
    matrix = np.full((len(column), lengths[0]), np.nan, np.float32)
    values = pc.list_flatten(column).to_numpy(zero_copy_only=False)
    matrix[present] = values.reshape(-1, lengths[0])
    bad = ~np.isfinite(matrix[present]).all(axis=1)
    if bad.any():
        at_fault = ids.filter(pa.array(present)).filter(pa.array(bad)).to_pylist()
        raise SourceError(
            f"features of the {name} {name_ids(at_fault)} hold NaN or infinity: "
            "leave the vector empty (null) for a node that has none"
        )
    return matrix


def _feature_column(features: NDArray[np.float32]) -> pa.Array:
    missing = np.isnan(features).all(axis=1)
    length = features.shape[1]
    offsets = np.concatenate([[0], np.cumsum(np.where(missing, 0, length))]).astype(np.int32)
    values = pa.array(features[~missing].ravel())
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(missing))


def build_edges(
    schema: GraphSchema, nodes: Mapping[str, NodeTable], relations: pa.Table
) -> dict[EdgeType, EdgeTable]:
    """Make the edges of all relations of their rows, and check them.

    Parameters
    ----------
    schema
        What the relations are.
    nodes
        A table a node type.
    relations
        Rows that :func:`conform` has seen.

    Returns
    -------
    dict
        A table for each (head type, relation, tail type).

    Raises
    ------
    SourceError
        If a relation is not in the schema, an end is no node, or a weight is not finite.
    """
    names = relations["relation"]
    for unknown in pc.unique(names).to_pylist():
        if unknown == schema.interaction:
            raise SourceError(
                f"the relations hold the interaction '{unknown}': interactions among the edges "
                "would leak what is to be predicted; leave them to the interactions query"
            )
        if unknown not in schema.relations:
            raise SourceError(
                f"the relation '{unknown}' is not declared in the schema '{schema.name}': "
                "add it to [relations] or leave those rows out of the relations query"
            )
    edges = {}
    ends = relations.drop_columns("relation")
    for relation, declared in schema.relations.items():
        rows = ends.filter(pc.equal(names, relation))
        place = f"relation {relation}"
        head, tail = (
            _edge_ends(rows, side, nodes[node_type], place, node_type)
            for side, node_type in (("head", declared.head), ("tail", declared.tail))
        )
        weight = _finite_weights(rows, place)
        tails = len(nodes[declared.tail])
        edges[declared.head, relation, declared.tail] = _merge_edges(head, tail, weight, tails)
    return edges


def _edge_ends(
    rows: pa.Table, column: str, table: NodeTable, place: str, node_type: str
) -> NDArray[np.int64]:
    found = table.positions(rows[column])
    dangling = np.unique(np.asarray(rows[column].filter(pa.array(found < 0))))
    if len(dangling):
        raise SourceError(
            f"in {_rows((found < 0).sum())} of the {place} the {column} is no {node_type}: "
            f"{name_ids(dangling)}; add them to the entities or leave those rows out"
        )
    return found


def _finite_weights(rows: pa.Table, place: str) -> NDArray[np.float32] | None:
    # one weight column serves all relations: those that never fill it have no weights
    if not _has_weights(rows):
        return None
    weight = np.asarray(pc.fill_null(rows["weight"], 1.0), dtype=np.float32)
    if not np.isfinite(weight).all():
        raise SourceError(f"weights of the {place} hold NaN or infinity: correct or drop them")
    return weight


def _merge_edges(
    head: NDArray[np.int64],
    tail: NDArray[np.int64],
    weight: NDArray[np.float32] | None,
    tails: int,
) -> EdgeTable:
    keys = pair_keys(head, tail, tails)
    if weight is None or not len(keys):
        keys.sort()
        return EdgeTable(split_keys(keys[is_first(keys)], tails))
    # by weight too: the rounding of a sum must not depend on the order of the rows
    order = order_keys(keys, [weight])
    keys = keys[order]
    starts = is_first(keys)
    exact = np.add.reduceat(weight[order].astype(np.float64), np.flatnonzero(starts))
    total = exact.astype(np.float32)
    is_plain = bool((total == 1.0).all())
    return EdgeTable(split_keys(keys[starts], tails), None if is_plain else total)


def build_interactions(
    schema: GraphSchema,
    nodes: Mapping[str, NodeTable],
    rows: pa.Table,
    place: str = "the interactions",
) -> Interactions:
    """Make the interactions of their rows, and check them.

    Parameters
    ----------
    schema
        Which types are the users and the items.
    nodes
        A table a node type.
    rows
        Rows that :func:`conform` has seen.
    place
        File or query that they came from.

    Returns
    -------
    Interactions
        Sorted by user, item and time.

    Raises
    ------
    SourceError
        If a user or item is not there, a weight is not finite, or some weights or times are
        missing.
    """
    user = _edge_ends(rows, "user", nodes[schema.user], "interactions", schema.user)
    item = _edge_ends(rows, "item", nodes[schema.item], "interactions", schema.item)
    if _has_weights(rows):  # an empty rating is no rating of 1
        _refuse_gaps(rows, "weight", place)
    weight = _finite_weights(rows, "interactions")
    time = None
    if "time" in rows.column_names:
        _refuse_gaps(rows, "time", place)
        time = np.asarray(rows["time"], dtype=np.int64)
    details = [column for column in (weight, time) if column is not None]
    items = len(nodes[schema.item])
    keys = pair_keys(user, item, items)
    if details:
        return Interactions(user, item, weight, time).select(order_keys(keys, details))
    keys.sort()
    return Interactions(*split_keys(keys, items))


def _refuse_gaps(rows: pa.Table, column: str, place: str) -> None:
    gaps = rows[column].null_count
    if gaps:
        row = pc.index(pc.is_null(rows[column]), True).as_py()
        user, item = (rows[end][row].as_py() for end in ("user", "item"))
        raise SourceError(
            f"{place}: the {column} is empty in {gaps:,} of {_rows(len(rows))}, row {row + 1:,} "
            f"the first (user '{user}', item '{item}'): give every interaction one, leave those "
            "rows out, or leave out the column"
        )
