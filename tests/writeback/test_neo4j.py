"""Results in a real server: complete, repeatable, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import neo4j
import pyarrow as pa
import pytest
from benchmarks.bolt_server import BoltServer
from benchmarks.write_back_kills import kill_writers
from kgrec.errors import ConfigError, SourceError
from kgrec.property_graph import NodeFile, load_into_neo4j
from kgrec.recommender import Recommender
from kgrec.writeback import Neo4jWriter, Results, compute_results

AT = datetime(2024, 5, 1, tzinfo=UTC)
LATER = datetime(2024, 5, 2, tzinfo=UTC)
KILLED_USERS = 300
LISTS = (
    "MATCH (c:KgrecRun) WITH c.run AS run "
    "MATCH (u:Customer)-[r:RECOMMENDED]->(i:Product) WHERE r.run = run "
    "RETURN u.name AS user, i.sku AS item, r.rank AS rank, r.model AS model, r.cold AS cold "
    "ORDER BY user, rank"
)


def ask(server: BoltServer, query: str) -> list[dict[str, Any]]:
    with neo4j.GraphDatabase.driver(server.uri, auth=server.auth) as driver:
        result = driver.execute_query(query, database_=server.database)
        return [record.data() for record in result.records]


def write(server: BoltServer, results: Results, *, at_once: bool = True) -> dict[str, Any]:
    writer = Neo4jWriter(results)
    return writer.write(server.uri, at_once=at_once, linger_seconds=0, **server.where)


def count_all(server: BoltServer) -> int:
    """Count what is in the database, seen by readers or not."""
    [row] = ask(server, "MATCH (:Customer)-[r:RECOMMENDED]->() RETURN count(r) AS n")
    return int(row["n"])


def expected_lists(results: Results) -> list[dict[str, Any]]:
    rows = results.recommendations.to_pylist()
    found = [
        {
            "user": row["user"],
            "item": int(row["item"]),
            "rank": row["rank"],
            "model": results.model,
            "cold": row["cold"],
        }
        for row in rows
    ]
    return sorted(found, key=lambda row: (row["user"], row["rank"]))


@pytest.mark.parametrize("at_once", [True, False])
def test_lists_similar_items_and_vectors(
    model: Recommender, shop_server: BoltServer, at_once: bool
) -> None:
    results = compute_results(model, n=3, similar=2, dimensions=4, with_reasons=True, at=AT)
    written = write(shop_server, results, at_once=at_once)
    assert {name: written[name] for name in results.counts()} == results.counts()
    assert written["vector_index"]
    assert ask(shop_server, LISTS) == expected_lists(results)
    similar = ask(
        shop_server,
        "MATCH (a:Product)-[r:SIMILAR]->(b:Product) "
        "RETURN toString(a.sku) AS item, toString(b.sku) AS neighbour, r.rank AS rank",
    )
    assert results.similar_items is not None
    wanted = results.similar_items.select(["item", "neighbour", "rank"]).to_pylist()
    assert sorted(map(str, similar)) == sorted(map(str, wanted))
    [row] = ask(shop_server, "MATCH (n:Product {sku: 101}) RETURN n.kgrec_vector AS vector")
    assert results.item_vectors is not None
    place = results.item_vectors["id"].to_pylist().index("101")
    assert row["vector"] == pytest.approx(results.item_vectors["vector"][place].as_py())
    [row] = ask(
        shop_server,
        "MATCH ()-[r:RECOMMENDED]->() RETURN r.at AS at, r.reasons AS reasons LIMIT 1",
    )
    assert row["at"].to_native().replace(tzinfo=UTC) == AT
    assert len(row["reasons"]) > 0


@pytest.mark.parametrize("at_once", [True, False])
def test_runs_replace_their_own_results_alone(
    model: Recommender, shop_server: BoltServer, at_once: bool
) -> None:
    other = compute_results(model, n=1, model="other", at=AT)
    write(shop_server, other)
    long = compute_results(model, n=5, at=AT)
    write(shop_server, long, at_once=at_once)
    short = compute_results(model, n=2, at=LATER)
    for _ in range(2):
        write(shop_server, short, at_once=at_once)
        both = expected_lists(short) + expected_lists(other)
        found = ask(shop_server, LISTS)
        assert sorted(map(str, found)) == sorted(map(str, both))


def test_some_users(model: Recommender, shop_server: BoltServer) -> None:
    all_users = compute_results(model, n=2, at=AT)
    write(shop_server, all_users)
    two = compute_results(model, n=1, limit_users=2, at=LATER)
    write(shop_server, two)
    assert two.users is not None
    kept = [row for row in expected_lists(all_users) if row["user"] not in two.users.to_pylist()]
    expected = sorted(kept + expected_lists(two), key=lambda row: (row["user"], row["rank"]))
    assert ask(shop_server, LISTS) == expected


class CutError(Exception):
    """The run is cut off here."""


@contextmanager
def cut_off_after(monkeypatch: pytest.MonkeyPatch, batches: int) -> Iterator[None]:
    """Fail in the middle of a transaction, after some batches have been sent."""
    sent = 0
    run = neo4j.ManagedTransaction.run

    def counted(self: neo4j.ManagedTransaction, *values: Any, **named: Any) -> Any:  # noqa: ANN401
        nonlocal sent
        sent += 1
        if sent > batches:
            raise CutError
        return run(self, *values, **named)

    with monkeypatch.context() as patch:
        patch.setattr(neo4j.ManagedTransaction, "run", counted)
        patch.setattr("kgrec.writeback.neo4j.BATCH_ROWS", 5)
        yield


def test_wherever_a_run_is_cut_off_readers_see_old_or_new(
    model: Recommender, shop_server: BoltServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = compute_results(model, n=4, at=AT), compute_results(model, n=2, at=LATER)
    seen = []
    for batches in count():
        write(shop_server, old)
        try:
            with cut_off_after(monkeypatch, batches):
                write(shop_server, new)
        except CutError:
            lists = ask(shop_server, LISTS)
            assert lists in (expected_lists(old), expected_lists(new))
            seen.append(len(lists))
        else:
            break
    assert ask(shop_server, LISTS) == expected_lists(new)
    assert count_all(shop_server) == len(new.recommendations)
    assert seen == sorted(seen, reverse=True)  # old ones up to the switch, new ones after it
    assert len(set(seen)) == 2


def test_a_run_that_was_overtaken_is_not_shown(
    model: Recommender, shop_server: BoltServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = compute_results(model, n=4, at=AT), compute_results(model, n=2, at=LATER)
    write(shop_server, old)
    lists = Neo4jWriter._lists
    begun: list[bool] = []

    def begin_another(writer: Neo4jWriter) -> object:
        if not begun:
            begun.append(True)
            ask(shop_server, "MATCH (c:KgrecRun {model: 'kgrec'}) SET c.writing = 'another'")
        return lists.fget(writer)  # type: ignore[attr-defined]

    with monkeypatch.context() as patch:
        patch.setattr(Neo4jWriter, "_lists", property(begin_another))
        with pytest.raises(SourceError, match="another run of the model 'kgrec' has begun"):
            write(shop_server, new)
    assert ask(shop_server, LISTS) == expected_lists(old)
    write(shop_server, new)
    assert ask(shop_server, LISTS) == expected_lists(new)
    assert count_all(shop_server) == len(new.recommendations)


def test_old_lists_go_and_not_those_of_a_run_that_begins_meanwhile(
    model: Recommender, shop_server: BoltServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = compute_results(model, n=4, at=AT), compute_results(model, n=2, at=LATER)
    write(shop_server, first)

    def begin_third(_: float) -> None:  # while the second waits for readers of the first
        assert ask(shop_server, LISTS) == expected_lists(second)
        assert count_all(shop_server) == len(first.recommendations) + len(second.recommendations)
        ask(
            shop_server,
            "MATCH (u:Customer {name: 'tea lover 0'}), (i:Product {sku: 101}) "
            "CREATE (u)-[:RECOMMENDED {model: 'kgrec', run: 'third', rank: 1}]->(i)",
        )

    with monkeypatch.context() as patch:
        patch.setattr("kgrec.writeback.neo4j.time.sleep", begin_third)
        write(shop_server, second)
    assert ask(shop_server, LISTS) == expected_lists(second)
    assert count_all(shop_server) == len(second.recommendations) + 1


def test_what_an_older_release_wrote_goes(model: Recommender, shop_server: BoltServer) -> None:
    ask(
        shop_server,
        "MATCH (u:Customer {name: 'tea lover 0'}), (i:Product {sku: 101}) "
        "CREATE (u)-[:RECOMMENDED {model: 'kgrec', rank: 1}]->(i)",
    )
    results = compute_results(model, n=2, at=AT)
    write(shop_server, results)
    assert count_all(shop_server) == len(results.recommendations)


def test_killed_processes_leave_old_or_new(shop_server: BoltServer) -> None:
    users = pa.table({"id": [f"user{n}" for n in range(KILLED_USERS)]})
    items = pa.table({"id": [f"item{n}" for n in range(1000)]})
    nodes = [NodeFile("BenchUser", "id", users), NodeFile("BenchItem", "id", items)]
    load_into_neo4j(nodes, [], shop_server.uri, **shop_server.where)
    found = kill_writers(shop_server, KILLED_USERS, kills=4, seed=0)
    assert not found.mixed, found.mixed
    assert found.reads > 4
    assert len(found.kills) == 4


def test_by_user_each_list_is_old_or_new_and_the_next_run_completes_it(
    model: Recommender, shop_server: BoltServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(shop_server, compute_results(model, n=4, at=AT))
    new = compute_results(model, n=2, at=LATER)
    monkeypatch.setattr("kgrec.writeback.neo4j.OWNERS_A_COMMIT", 3)
    with cut_off_after(monkeypatch, 8), pytest.raises(CutError):
        write(shop_server, new, at_once=False)
    lengths: dict[str, int] = {}
    for row in ask(shop_server, LISTS):
        lengths[row["user"]] = lengths.get(row["user"], 0) + 1
    assert set(lengths.values()) == {2, 4}
    write(shop_server, new, at_once=False)
    assert ask(shop_server, LISTS) == expected_lists(new)


def test_a_dry_run_asks_nothing_of_a_server(model: Recommender) -> None:
    results = compute_results(model, n=3, similar=1, dimensions=4, limit_users=2, at=AT)
    shown = Neo4jWriter(results).describe()
    assert "CREATE (h)-[r:`RECOMMENDED`]->(t)" in shown
    assert "// 6 rows, the first {'user': 'bicycle lover 1', " in shown
    assert "CREATE VECTOR INDEX `kgrec_vector_Product`" in shown
    assert "`vector.dimensions`: 3" in shown  # of two users, no more


def test_names_what_is_missing(model: Recommender, shop_server: BoltServer) -> None:
    results = compute_results(model, n=1, at=AT)
    nodes = dict(results.schema.nodes)
    nodes["product"] = nodes["product"].model_copy(update={"label": None})
    nameless = results.schema.model_copy(update={"nodes": nodes})
    with pytest.raises(ConfigError, match=r"\[nodes.product\] of the schema, label = "):
        Neo4jWriter(replace(results, schema=nameless))
    nodes["product"] = nodes["product"].model_copy(update={"label": "Nothing"})
    elsewhere = results.schema.model_copy(update={"nodes": nodes})
    with pytest.raises(SourceError, match="no node :Nothing has the property 'sku'"):
        write(shop_server, replace(results, schema=elsewhere))
    rows = results.recommendations.set_column(
        1, "item", pa.array(["tea"] * len(results.recommendations))
    )
    with pytest.raises(SourceError, match="keys of the item are integers in the database"):
        write(shop_server, replace(results, recommendations=rows))


def test_users_without_a_node_are_counted(model: Recommender, shop_server: BoltServer) -> None:
    ask(shop_server, "MATCH (u:Customer {name: 'tea lover 0'}) DETACH DELETE u")
    results = compute_results(model, n=2, at=AT)
    written = write(shop_server, results)
    assert written["recommendations"] == len(results.recommendations) - 2
