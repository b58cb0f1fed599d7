"""Look at a server that speaks Bolt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import neo4j
from neo4j.exceptions import DriverError, Neo4jError

from kgrec.cypher import quote_name
from kgrec.errors import SourceError
from kgrec.inspection.inventory import (
    SAMPLE_ROWS,
    Inventory,
    LinkKind,
    NodeKind,
    describe_properties,
    most_frequent,
)
from kgrec.progress import counted_rows
from kgrec.sources.neo4j import Auth, open_driver

SAMPLE_LINKS = 100_000


def inspect_neo4j(
    uri: str | neo4j.Driver, *, auth: Auth = None, database: str | None = None
) -> Inventory:
    """Look at a database over Bolt: labels, relationship types, counts and properties.

    Parameters
    ----------
    uri, auth, database
        As :func:`kgrec.sources.read_neo4j`.

    Returns
    -------
    Inventory
        A node with several labels counts under the most frequent one of them.

    Raises
    ------
    SourceError
        If the server can't be reached, or the database is empty.
    """
    with open_driver(uri, auth) as driver, counted_rows("the labels and relationship types"):
        try:
            found = _inspect(driver, database)
        except (Neo4jError, DriverError) as error:
            raise SourceError(f"{uri} can't be looked at: {error}") from error
    if not found.nodes:
        raise SourceError(f"{uri} holds no nodes: name another database, or load it first")
    return found


def _inspect(driver: neo4j.Driver, database: str | None) -> Inventory:
    def ask(query: str, **parameters: object) -> list[dict[str, Any]]:
        result = driver.execute_query(
            query, parameters, database_=database, routing_=neo4j.RoutingControl.READ
        )
        return [record.data() for record in result.records]

    labels = [row["label"] for row in ask("CALL db.labels() YIELD label RETURN label")]
    sizes = {
        label: ask(f"MATCH (n:{quote_name(label)}) RETURN count(n) AS n")[0]["n"]
        for label in labels
    }
    combinations: list[list[str]] = []
    samples = {}
    for label, size in sizes.items():
        if size:
            rows = ask(
                f"MATCH (n:{quote_name(label)}) RETURN labels(n) AS labels, "
                "properties(n) AS properties LIMIT $n",
                n=SAMPLE_ROWS,
            )
            combinations += [row["labels"] for row in rows]
            samples[label] = [row["properties"] for row in rows]
    main = {_main_label(combination, sizes) for combination in combinations}
    nodes = [
        NodeKind(label, sizes[label], describe_properties(samples[label]))
        for label in sizes
        if label in main
    ]
    types = ask("CALL db.relationshipTypes() YIELD relationshipType RETURN relationshipType AS t")
    links: list[LinkKind] = []
    for row in types:
        links += _links_of(ask, row["t"], sizes)
    return Inventory("cypher", most_frequent(nodes), most_frequent(links))


def _main_label(labels: Sequence[str], sizes: dict[str, int]) -> str:
    return max(labels, key=lambda label: (sizes.get(label, 0), label))


def _links_of(ask: Any, name: str, sizes: dict[str, int]) -> Iterable[LinkKind]:  # noqa: ANN401
    quoted = quote_name(name)
    total = ask(f"MATCH ()-[r:{quoted}]->() RETURN count(r) AS n")[0]["n"]
    ends = ask(
        f"MATCH (a)-[r:{quoted}]->(b) WITH a, b LIMIT $n "
        "RETURN labels(a) AS head, labels(b) AS tail, count(*) AS n",
        n=SAMPLE_LINKS,
    )
    counts: Counter[tuple[str, str]] = Counter()
    for row in ends:
        if row["head"] and row["tail"]:
            counts[_main_label(row["head"], sizes), _main_label(row["tail"], sizes)] += row["n"]
    sampled = counts.total()
    for (head, tail), count in counts.items():
        rows = ask(
            f"MATCH (:{quote_name(head)})-[r:{quoted}]->(:{quote_name(tail)}) "
            "RETURN properties(r) AS properties LIMIT $n",
            n=SAMPLE_ROWS,
        )
        properties = describe_properties([row["properties"] for row in rows])
        yield LinkKind(name, head, tail, round(count * total / sampled), properties)
