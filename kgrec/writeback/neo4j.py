"""Results into Neo4j: relationships and vectors, in one transaction or none of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import neo4j
import pyarrow as pa
import pyarrow.compute as pc
from neo4j.exceptions import ClientError, DriverError, Neo4jError

from kgrec.cypher import quote_name
from kgrec.errors import ConfigError, SourceError
from kgrec.schema import GraphSchema
from kgrec.sources.neo4j import Auth, open_driver
from kgrec.writeback.results import Results

BATCH_ROWS = 10_000
USERS_A_COMMIT = 1_000


@dataclass(frozen=True, slots=True)
class Neo4jNames:
    """What results are called in the database.

    Parameters
    ----------
    recommended
        Type of the relationships from users to items.
    similar
        Type of the relationships from items to similar ones.
    vector
        Property with the vector of a user or an item.
    """

    recommended: str = "RECOMMENDED"
    similar: str = "SIMILAR"
    vector: str = "kgrec_vector"


@dataclass(frozen=True, slots=True)
class Statement:
    """Cypher with the rows that it is run on, in batches as ``$rows``.

    Parameters
    ----------
    cypher
        The text; it holds names, and no value.
    rows
        Its rows; None for a statement that is run once.
    counts
        What of the results it writes; None for one that prepares or takes away.
    """

    cypher: str
    rows: pa.Table | None = None
    counts: str | None = None


@dataclass(frozen=True, slots=True)
class _NodePattern:
    """How nodes of a type are found."""

    label: str
    key: str

    def match(self, variable: str, value: str) -> str:
        label, key = quote_name(self.label), quote_name(self.key)
        return f"({variable}:{label} {{{key}: {value}}})"

    def any(self, variable: str) -> str:
        return f"({variable}:{quote_name(self.label)})"


def check_places(schema: GraphSchema) -> None:
    """Make sure that it is known where users and items lie, before anything is computed.

    Parameters
    ----------
    schema
        A schema.

    Raises
    ------
    ConfigError
        If a label or a key is missing.
    """
    for node_type in (schema.user, schema.item):
        _pattern(schema, node_type)


class Neo4jWriter:
    """Writes the results of one run into a Neo4j database.

    Relationships carry ``score``, ``rank``, ``cold``, ``model``, ``at`` and, where they were asked
    for, ``reasons``.  What an earlier run of the same model wrote is replaced; a run that is
    repeated leaves what it left.

    Parameters
    ----------
    results
        What to write.
    names
        What it is called there.
    """

    def __init__(self, results: Results, names: Neo4jNames | None = None) -> None:
        self.results = results
        self.names = names or Neo4jNames()
        self._user = _pattern(results.schema, results.schema.user)
        self._item = _pattern(results.schema, results.schema.item)

    def statements(self) -> list[Statement]:
        """List what is run in the one transaction, in this order.

        Returns
        -------
        list of Statement
            First what takes away, then what writes.
        """
        return [*self._recommendations(), *self._similar_items(), *self._vectors()]

    def describe(self) -> str:
        """Write the Cypher that a run would run, with the first row of each statement.

        Returns
        -------
        str
            Text to read; nothing is asked of a server.
        """
        parts = [*self._indexes(), ":begin"]
        for statement in self.statements():
            rows = statement.rows
            if rows is not None and len(rows):
                parts.append(f"// {len(rows):,} rows, the first {rows.slice(0, 1).to_pylist()[0]}")
            parts.append(f"{statement.cypher};")
        parts.append(":commit")
        return "\n".join([*parts, *(index for _, index in self._vector_indexes())])

    def write(
        self,
        uri: str | neo4j.Driver,
        *,
        auth: Auth = None,
        database: str | None = None,
        at_once: bool = True,
    ) -> dict[str, Any]:
        """Write the results.

        Parameters
        ----------
        uri, auth, database
            As :func:`kgrec.sources.read_neo4j`.
        at_once
            Write all in one transaction, so that whoever reads meanwhile, or after a crash, sees
            the old results or the new ones.  The server holds them in memory until then, about a
            kilobyte a row.  Otherwise lists are replaced a thousand users at a time: each list is
            an old one or a new one, and a run that was cut off is completed by the next.

        Returns
        -------
        dict
            Rows written of each table, and ``vector_index``: what became of it.

        Raises
        ------
        SourceError
            If the server can't be reached or refuses; nothing of the transaction is left then.
        """
        with open_driver(uri, auth) as driver:
            try:
                return self._write(driver, database, at_once=at_once)
            except (Neo4jError, DriverError) as error:
                raise SourceError(
                    f"the results can't be written: {error}; the transaction was taken back, run "
                    "it again"
                ) from error

    def _write(
        self, driver: neo4j.Driver, database: str | None, *, at_once: bool
    ) -> dict[str, Any]:
        written: dict[str, Any] = dict.fromkeys(self.results.counts(), 0)
        with driver.session(database=database) as session:
            for index in self._indexes():
                with suppress(ClientError):  # a constraint has one already, or nobody may make one
                    session.run(index).consume()
            as_integers = {
                "user": self._has_integer_key(session, self._user),
                "item": self._has_integer_key(session, self._item),
            }
            units = [self.statements()] if at_once else self._units()
            for unit in units:
                counts = session.execute_write(self._run, list(unit), as_integers)
                for name, count in counts.items():
                    written[name] += count
            if self.results.item_vectors is not None:
                written["vector_index"] = self._make_vector_indexes(session)
        return written

    def _run(
        self,
        transaction: neo4j.ManagedTransaction,
        statements: Sequence[Statement],
        as_integers: dict[str, bool],
    ) -> dict[str, int]:
        counts: dict[str, int] = {}
        fixed = {"model": self.results.model, "at": self.results.at}
        for statement in statements:
            if statement.rows is None:
                transaction.run(statement.cypher, fixed).consume()
                continue
            rows = _with_keys(statement.rows, as_integers)
            for batch in rows.to_batches(max_chunksize=BATCH_ROWS):
                result = transaction.run(statement.cypher, {**fixed, "rows": batch.to_pylist()})
                record = result.single()
                if statement.counts is not None and record is not None:
                    counts[statement.counts] = counts.get(statement.counts, 0) + record["written"]
        return counts

    def _units(self) -> Iterator[list[Statement]]:
        """Divide the work so that the list of a user, or of an item, is replaced as a whole."""
        yield from self._lists(self.results.recommendations, "user", self._recommendation)
        if self.results.similar_items is not None:
            yield from self._lists(self.results.similar_items, "item", self._similar_item)
        if self.results.users is None:
            yield [self._take_away_older()]
        for statement in self._vectors():
            if statement.rows is None:
                continue  # a vector is overwritten, and never missing meanwhile
            for start in range(0, len(statement.rows), BATCH_ROWS):
                rows = statement.rows.slice(start, BATCH_ROWS)
                yield [Statement(statement.cypher, rows, statement.counts)]

    def _lists(self, rows: pa.Table, owner: str, pair: _Pair) -> Iterator[list[Statement]]:
        owners = pc.unique(rows[owner])
        for start in range(0, len(owners), USERS_A_COMMIT):
            chosen = owners.slice(start, USERS_A_COMMIT)
            own = rows.filter(pc.is_in(rows[owner], value_set=chosen))
            yield [
                Statement(pair.take_away_of, pa.table({owner: chosen})),
                Statement(pair.write, own, pair.counts),
            ]

    def _take_away_older(self) -> Statement:
        user, item = self._user.any(""), self._item.any("")
        recommended = quote_name(self.names.recommended)
        return Statement(
            f"MATCH {user}-[r:{recommended}]->{item} "
            "WHERE r.model = $model AND r.at <> $at DELETE r"
        )

    def _recommendations(self) -> list[Statement]:
        pair, rows = self._recommendation, self.results.recommendations
        take_away = (
            Statement(pair.take_away)
            if self.results.users is None
            else Statement(pair.take_away_of, pa.table({"user": self.results.users}))
        )
        return [take_away, Statement(pair.write, rows, pair.counts)]

    def _similar_items(self) -> list[Statement]:
        rows, pair = self.results.similar_items, self._similar_item
        if rows is None:
            return []
        return [Statement(pair.take_away), Statement(pair.write, rows, pair.counts)]

    def _vectors(self) -> list[Statement]:
        found: list[Statement] = []
        for name, role, pattern, rows in (
            ("user_vectors", "user", self._user, self.results.user_vectors),
            ("item_vectors", "item", self._item, self.results.item_vectors),
        ):
            if rows is not None:
                vector = f"n.{quote_name(self.names.vector)}"
                if role == "item" or self.results.users is None:
                    found.append(
                        Statement(
                            f"MATCH {pattern.any('n')} WHERE {vector} IS NOT NULL REMOVE {vector}"
                        )
                    )
                write = (
                    f"UNWIND $rows AS row MATCH {pattern.match('n', f'row.{role}')} "
                    f"SET {vector} = row.vector RETURN count(n) AS written"
                )
                found.append(Statement(write, rows.rename_columns([role, "vector"]), name))
        return found

    @property
    def _recommendation(self) -> _Pair:
        return _pair(
            (self._user, "user"),
            (self._item, "item"),
            self.names.recommended,
            [name for name in self.results.recommendations.column_names if name not in ENDS],
            "recommendations",
        )

    @property
    def _similar_item(self) -> _Pair:
        ends = (self._item, "item"), (self._item, "neighbour")
        return _pair(*ends, self.names.similar, ["score", "rank"], "similar_items")

    def _indexes(self) -> list[str]:
        return [
            f"CREATE INDEX {quote_name(f'kgrec_{pattern.label}')} IF NOT EXISTS "
            f"FOR (n:{quote_name(pattern.label)}) ON (n.{quote_name(pattern.key)})"
            for pattern in (self._user, self._item)
        ]

    def _vector_indexes(self) -> list[tuple[str, str]]:
        rows = self.results.item_vectors
        if rows is None or not len(rows):
            return []
        length = len(rows["vector"][0].as_py())
        name = f"{self.names.vector}_{self._item.label}"
        return [
            (
                name,
                f"CREATE VECTOR INDEX {quote_name(name)} IF NOT EXISTS "
                f"FOR (n:{quote_name(self._item.label)}) ON (n.{quote_name(self.names.vector)}) "
                f"OPTIONS {{indexConfig: {{`vector.dimensions`: {length}, "
                "`vector.similarity_function`: 'cosine'}}",
            )
        ]

    def _make_vector_indexes(self, session: neo4j.Session) -> str:
        for name, cypher in self._vector_indexes():
            try:
                session.run(cypher).consume()
            except ClientError as error:
                return f"this server makes none: {error.message}"
            return name
        return "no vectors"

    def _has_integer_key(self, session: neo4j.Session, pattern: _NodePattern) -> bool:
        key = f"n.{quote_name(pattern.key)}"
        query = f"MATCH {pattern.any('n')} WHERE {key} IS NOT NULL RETURN {key} AS key LIMIT 1"
        record = session.run(query).single()
        if record is None:
            raise SourceError(
                f"no node :{pattern.label} has the property '{pattern.key}': name another label or "
                "key in the schema's [nodes], or another database"
            )
        return isinstance(record["key"], int)


ENDS = ("user", "item")


@dataclass(frozen=True, slots=True)
class _Pair:
    """Cypher that takes lists away, and that writes them."""

    take_away: str
    take_away_of: str
    write: str
    counts: str


def _pair(
    head: tuple[_NodePattern, str],
    tail: tuple[_NodePattern, str],
    name: str,
    columns: Sequence[str],
    counts: str,
) -> _Pair:
    edge = f"[r:{quote_name(name)}]"
    (head_pattern, head_name), (tail_pattern, tail_name) = head, tail
    owned = head_pattern.match("", f"row.{head_name}")
    sets = ", ".join(f"r.{column} = row.{column}" for column in columns)
    return _Pair(
        f"MATCH {head_pattern.any('')}-{edge}->{tail_pattern.any('')} "
        "WHERE r.model = $model DELETE r",
        f"UNWIND $rows AS row MATCH {owned}-{edge}->{tail_pattern.any('')} "
        "WHERE r.model = $model DELETE r",
        f"UNWIND $rows AS row MATCH {head_pattern.match('h', f'row.{head_name}')} "
        f"MATCH {tail_pattern.match('t', f'row.{tail_name}')} "
        f"CREATE (h)-{edge}->(t) SET {sets}, r.model = $model, r.at = $at "
        "RETURN count(r) AS written",
        counts,
    )


def _pattern(schema: GraphSchema, node_type: str) -> _NodePattern:
    declared = schema.nodes[node_type]
    if declared.label is None or declared.key is None:
        raise ConfigError(
            f"where nodes of the type '{node_type}' lie in Neo4j is not known: write their label "
            f'and key into [nodes.{node_type}] of the schema, label = "Movie" and '
            'key = "movieId" say, and give the schema'
        )
    return _NodePattern(declared.label, declared.key)


def _with_keys(rows: pa.Table, as_integers: dict[str, bool]) -> pa.Table:
    """Give ids the type that they have in the database."""
    for name, role in (("user", "user"), ("item", "item"), ("neighbour", "item")):
        if name in rows.column_names and as_integers[role]:
            place = rows.column_names.index(name)
            try:
                rows = rows.set_column(place, name, pc.cast(rows[name], pa.int64()))
            except pa.ArrowInvalid as error:
                raise SourceError(
                    f"keys of the {role} are integers in the database, and ids of the model are "
                    f"not: {error}; name the right key in the schema"
                ) from error
    return rows
