"""What every source that is queried does alike: before it is opened, and with each query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self, TypeAlias

import pyarrow as pa

from kgrec.graph import GraphTables
from kgrec.progress import counted_rows
from kgrec.schema import TABLE_NAMES, GraphSchema, Language, Query, TableName
from kgrec.sources._common import empty_table, typed_table
from kgrec.sources.tables import Table, place_of, read_table

RunQuery: TypeAlias = Callable[[Query, Callable[[int], None]], pa.Table]
"""Runs a query, and calls what it is given with the number of rows each time some have come."""


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """What is to be asked of a source, made before it is opened: what is wrong is known at once.

    Parameters
    ----------
    queries
        Entities, relations if the schema declares any, and interactions if no table gives them.
    parameters
        Values of their parameters.
    interactions
        The interactions, where no query gives them.
    places
        Where each table comes from.
    """

    queries: tuple[Query, ...]
    parameters: Mapping[str, object]
    interactions: pa.Table | None
    places: Mapping[TableName, str]

    @classmethod
    def of(
        cls,
        schema: GraphSchema,
        language: Language,
        interactions: Table | None,
        parameters: Mapping[str, object] | None = None,
    ) -> Self:
        """Read the queries of a schema, and the interactions if they lie elsewhere.

        Parameters
        ----------
        schema
            A schema that knows its folder.
        language
            ``"cypher"`` or ``"sparql"``.
        interactions
            A file, frame or Arrow table of interactions, in place of the query for them.
        parameters
            Values of parameters, in place of those of the schema.

        Returns
        -------
        QueryPlan
            Ready to be run.

        Raises
        ------
        SchemaError
            If a query file is missing or empty.
        SourceError
            If the table of interactions can't be read.
        """
        log = (
            None
            if interactions is None
            else read_table(interactions, "interactions", schema.limits)
        )
        is_wanted: dict[TableName, bool] = {
            "entities": True,
            "relations": bool(schema.relations),
            "interactions": log is None,
        }
        queries = [schema.read_query(name, language) for name in TABLE_NAMES if is_wanted[name]]
        places: dict[TableName, str] = {query.table: str(query.path) for query in queries}
        if interactions is not None:
            places["interactions"] = place_of(interactions, "interactions")
        return cls(tuple(queries), {**schema.parameters, **(parameters or {})}, log, places)

    def run(self, run_query: RunQuery) -> GraphTables:
        """Run each query and give its rows the types of its table.

        Parameters
        ----------
        run_query
            Runs one query against the source.

        Returns
        -------
        GraphTables
            The three tables.

        Raises
        ------
        SourceError
            As :func:`kgrec.sources._common.typed_table`, or from ``run_query``.
        """
        tables = {} if self.interactions is None else {"interactions": self.interactions}
        for query in self.queries:
            with counted_rows(f"{query.table} by {query.path.name}") as count:
                rows = run_query(query, count)
            tables[query.table] = typed_table(query.path, rows, query.table)
        rows = {name: tables.get(name, empty_table(name)) for name in TABLE_NAMES}
        return GraphTables(**rows, places=self.places)
