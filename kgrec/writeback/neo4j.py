"""Results into Neo4j: relationships and vectors, shown by one property that changes at once.

Neo4j isolates a reader from what is not committed, and from no more: who reads while a large
transaction is committed finds some of it.  So the relationships of a run are written beside those
of the last one, where no reader looks, and a node of the model's own says which run counts.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
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
OWNERS_A_COMMIT = 1_000
LINGER_SECONDS = 10.0


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
    run
        Label of the nodes that say which run of a model counts.
    """

    recommended: str = "RECOMMENDED"
    similar: str = "SIMILAR"
    vector: str = "kgrec_vector"
    run: str = "KgrecRun"


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
    is_guard
        Whether its transaction is taken back if it finds nothing to write.
    """

    cypher: str
    rows: pa.Table | None = None
    counts: str | None = None
    is_guard: bool = False


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

    Relationships carry ``score``, ``rank``, ``cold``, ``model``, ``run``, ``at`` and, where they
    were asked for, ``reasons``.  What an earlier run of the same model wrote is replaced; a run
    that is repeated leaves what it left.

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

    def describe(self) -> str:
        """Write the Cypher that a run would run, with the first row of each statement.

        Returns
        -------
        str
            Text to read; nothing is asked of a server.
        """
        lists, switch = self._lists, [self._show, *self._vectors()]
        if self.results.users is not None:
            show, *vectors = switch
            parts = [":begin", *self._shown([show, *self._replaced(), *vectors]), ":commit"]
        else:
            left = [Statement(part.take_away_if(OF_OTHER_RUNS)) for part in lists]
            old = [Statement(part.take_away_if(OF_THE_RUN)) for part in lists]
            parts = [
                "// what runs left that were cut off, by a thousand owners a transaction",
                *self._shown(left),
                f"// beside the lists that readers see, {BATCH_ROWS:,} rows a transaction",
                *self._shown([Statement(part.write, part.rows) for part in lists]),
                "// the switch",
                *(":begin", *self._shown(switch), ":commit"),
                "// later, the lists that readers saw before",
                *self._shown(old),
            ]
        indexes = (index for _, index in self._vector_indexes())
        return "\n".join([*self._indexes(), f"{self._claim};", *parts, *indexes])

    def _shown(self, statements: Sequence[Statement]) -> Iterator[str]:
        for statement in statements:
            rows = statement.rows
            if rows is not None and len(rows):
                yield f"// {len(rows):,} rows, the first {rows.slice(0, 1).to_pylist()[0]}"
            yield f"{statement.cypher};"

    def write(
        self,
        uri: str | neo4j.Driver,
        *,
        auth: Auth = None,
        database: str | None = None,
        at_once: bool = True,
        linger_seconds: float = LINGER_SECONDS,
    ) -> dict[str, Any]:
        """Write the results.

        Parameters
        ----------
        uri, auth, database
            As :func:`kgrec.sources.read_neo4j`.
        at_once
            Write all lists beside the old ones, and show them by changing one property: whoever
            asks by way of the run's node sees the old results or the new ones, whenever they ask
            and wherever a run is cut off.  The database holds both for that time.  Otherwise
            lists are replaced a thousand users at a time: each list is an old one or a new one,
            and a run that was cut off is completed by the next.  A run for some users alone
            replaces their lists in one transaction.
        linger_seconds
            How long the old lists stay after the switch, for queries that had begun before it.

        Returns
        -------
        dict
            Rows written of each table, and ``vector_index``: what became of it.

        Raises
        ------
        SourceError
            If the server can't be reached or refuses, or another run of the same model has begun
            meanwhile; readers see the old results then.
        """
        with open_driver(uri, auth) as driver, driver.session(database=database) as session:
            try:
                return self._write(session, at_once=at_once, linger_seconds=linger_seconds)
            except (Neo4jError, DriverError) as error:
                raise SourceError(
                    f"the results can't be written: {error}; readers go on to see what they saw, "
                    "run it again"
                ) from error

    def _write(
        self, session: neo4j.Session, *, at_once: bool, linger_seconds: float
    ) -> dict[str, Any]:
        for index in self._indexes():
            with suppress(ClientError):  # a constraint has one already, or nobody may make one
                session.run(index).consume()
        task = _Task(
            session,
            {"model": self.results.model, "at": self.results.at, "run": uuid.uuid4().hex},
            {
                "user": self._has_integer_key(session, self._user),
                "item": self._has_integer_key(session, self._item),
            },
            dict.fromkeys(self.results.counts(), 0),
        )
        shown = task.ask(self._claim)[0]["shown"]
        if at_once and self.results.users is None:
            self._write_beside(task, shown, linger_seconds)
        else:
            self._write_in_place(task, shown, at_once=at_once)
        if self.results.item_vectors is not None:
            return {**task.written, "vector_index": self._make_vector_indexes(session)}
        return dict(task.written)

    def _write_beside(self, task: _Task, shown: str | None, linger_seconds: float) -> None:
        """Write all lists where no reader looks, show them, and take the old ones away."""
        self._take_away(task, OF_OTHER_RUNS, shown)
        for part in self._lists:
            for rows in _slices(part.rows, BATCH_ROWS):
                task.commit([Statement(part.write, rows, part.counts)])
        task.commit([self._show, *self._vectors()])
        if shown is not None:
            time.sleep(linger_seconds)
        self._take_away(task, OF_THE_RUN, shown)  # and not what another has begun to write

    def _write_in_place(self, task: _Task, shown: str | None, *, at_once: bool) -> None:
        """Replace lists of the run that readers see, in one transaction or some lists at a time."""
        task.fixed["run"] = shown or task.fixed["run"]
        task.ask(self._claim)
        if at_once:
            task.commit([self._show, *self._replaced(), *self._vectors()])
            return
        if shown is None:
            task.commit([Statement(self._begin)])
        for part in self._lists:
            owners = pc.unique(part.rows[part.owner])
            for chosen in _slices(pa.table({part.owner: owners}), OWNERS_A_COMMIT):
                own = part.rows.filter(pc.is_in(part.rows[part.owner], chosen[part.owner]))
                task.commit(
                    [
                        Statement(part.take_away_of, chosen),
                        Statement(part.write, own, part.counts),
                    ]
                )
            if self.results.users is None or part.counts != RECOMMENDATIONS:
                task.commit([Statement(part.take_away_older)])
        for statement in self._vectors():
            if statement.rows is not None:  # a vector is overwritten, and never missing meanwhile
                for rows in _slices(statement.rows, BATCH_ROWS):
                    task.commit([Statement(statement.cypher, rows, statement.counts)])
        task.commit([self._show])

    def _take_away(self, task: _Task, which: str, run: str | None) -> None:
        """Take away the lists of a run, or of all others, some owners at a time."""
        named = {"named": run or ""}
        for part in self._lists:
            found = task.ask(part.owners(which), **named)
            owners = pa.table({part.owner: pa.array([record["owner"] for record in found])})
            for chosen in _slices(owners, OWNERS_A_COMMIT):
                task.commit([Statement(part.take_away_if(which), chosen)], **named)

    def _replaced(self) -> Iterator[Statement]:
        for part in self._lists:
            if part.counts == RECOMMENDATIONS and self.results.users is not None:
                yield Statement(part.take_away_of, pa.table({"user": self.results.users}))
            else:
                yield Statement(part.take_away)
            yield Statement(part.write, part.rows, part.counts)

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
    def _lists(self) -> list[_Lists]:
        """What is written as relationships; similar items only where they were asked for."""
        user, item = (self._user, "user"), (self._item, "item")
        rows = self.results.recommendations
        columns = [name for name in rows.column_names if name not in ENDS]
        lists = [_lists(user, item, self.names.recommended, columns, RECOMMENDATIONS, rows)]
        if self.results.similar_items is not None:
            neighbour, columns = (self._item, "neighbour"), ["score", "rank"]
            rows = self.results.similar_items
            lists.append(_lists(item, neighbour, self.names.similar, columns, SIMILAR, rows))
        return lists

    @property
    def _claim(self) -> str:
        """Say that this run is under way, so that one that began before can't show itself."""
        run = f"(c:{quote_name(self.names.run)} {{model: $model}})"
        return f"MERGE {run} SET c.writing = $run RETURN c.run AS shown"

    @property
    def _begin(self) -> str:
        run = f"(c:{quote_name(self.names.run)} {{model: $model}})"
        return f"MATCH {run} WHERE c.writing = $run SET c.run = $run, c.at = $at"

    @property
    def _show(self) -> Statement:
        """Let readers see the run, if no other has begun since."""
        return Statement(
            f"{self._begin} REMOVE c.writing RETURN count(c) AS written", is_guard=True
        )

    def _indexes(self) -> list[str]:
        run = quote_name(self.names.run)
        return [
            f"CREATE CONSTRAINT {quote_name(f'kgrec_{self.names.run}')} IF NOT EXISTS "
            f"FOR (c:{run}) REQUIRE c.model IS UNIQUE",
            *self._key_indexes(),
        ]

    def _key_indexes(self) -> list[str]:
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
RECOMMENDATIONS = "recommendations"
SIMILAR = "similar_items"
DELETE = " DELETE r"
OF_THE_RUN = "coalesce(r.run, '') = $named"  # those of older releases name none
OF_OTHER_RUNS = "coalesce(r.run, '') <> $named"


@dataclass(frozen=True, slots=True)
class _Task:
    """A run that is being written: its session, what it is called, and what is written so far."""

    session: neo4j.Session
    fixed: dict[str, Any]
    has_integer_keys: dict[str, bool]
    written: dict[str, int]

    def ask(self, cypher: str, **parameters: object) -> list[neo4j.Record]:
        """Run one statement in a transaction of its own and give its records."""

        def work(transaction: neo4j.ManagedTransaction) -> list[neo4j.Record]:
            return list(transaction.run(cypher, {**self.fixed, **parameters}))

        return self.session.execute_write(work)

    def commit(self, statements: Sequence[Statement], **parameters: object) -> None:
        """Run statements in one transaction, and count what they write."""

        def work(transaction: neo4j.ManagedTransaction) -> dict[str, int]:
            counts: dict[str, int] = {}
            for statement in statements:
                count = self._run(transaction, statement, parameters)
                if statement.is_guard and not count:
                    raise SourceError(
                        f"another run of the model '{self.fixed['model']}' has begun meanwhile, "
                        "so that this one is not shown: let one end before the next begins"
                    )
                if statement.counts is not None:
                    counts[statement.counts] = counts.get(statement.counts, 0) + count
            return counts

        for name, count in self.session.execute_write(work).items():
            self.written[name] += count

    def _run(
        self,
        transaction: neo4j.ManagedTransaction,
        statement: Statement,
        parameters: Mapping[str, object],
    ) -> int:
        count = 0
        for batch in self._batches(statement):
            values = {**self.fixed, **parameters, **batch}
            record = transaction.run(statement.cypher, values).single()
            count += record["written"] if record is not None else 0
        return count

    def _batches(self, statement: Statement) -> Iterator[dict[str, Any]]:
        if statement.rows is None:
            yield {}
            return
        rows = _with_keys(statement.rows, self.has_integer_keys)
        for batch in rows.to_batches(max_chunksize=BATCH_ROWS):
            yield {"rows": batch.to_pylist()}


@dataclass(frozen=True, slots=True)
class _Lists:
    """Rows that become relationships, and the Cypher that writes and takes away such."""

    rows: pa.Table
    owner: str
    counts: str
    write: str
    take_away: str
    take_away_of: str
    take_away_older: str
    owners_key: str

    def owners(self, which: str) -> str:
        """Ask who has relationships of some runs."""
        return f"{self.take_away.removesuffix(DELETE)} AND {which} {self.owners_key}"

    def take_away_if(self, which: str) -> str:
        """Take relationships of some runs away from some owners."""
        return f"{self.take_away_of.removesuffix(DELETE)} AND {which}{DELETE}"


def _lists(
    head: tuple[_NodePattern, str],
    tail: tuple[_NodePattern, str],
    name: str,
    columns: Sequence[str],
    counts: str,
    rows: pa.Table,
) -> _Lists:
    edge = f"[r:{quote_name(name)}]"
    (head_pattern, head_name), (tail_pattern, tail_name) = head, tail
    row = f"UNWIND $rows AS row MATCH {head_pattern.match('h', f'row.{head_name}')}"
    to_any = f"-{edge}->{tail_pattern.any('')} WHERE r.model = $model"
    from_any = f"MATCH {head_pattern.any('h')}{to_any}"
    sets = ", ".join(f"r.{column} = row.{column}" for column in columns)
    return _Lists(
        rows,
        head_name,
        counts,
        write=f"{row} MATCH {tail_pattern.match('t', f'row.{tail_name}')} CREATE (h)-{edge}->(t) "
        f"SET {sets}, r.model = $model, r.run = $run, r.at = $at RETURN count(r) AS written",
        take_away=f"{from_any}{DELETE}",
        take_away_of=f"{row}{to_any}{DELETE}",
        take_away_older=f"{from_any} AND r.at <> $at{DELETE}",
        owners_key=f"RETURN DISTINCT h.{quote_name(head_pattern.key)} AS owner",
    )


def _slices(rows: pa.Table, size: int) -> Iterator[pa.Table]:
    for start in range(0, len(rows), size):
        yield rows.slice(start, size)


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
