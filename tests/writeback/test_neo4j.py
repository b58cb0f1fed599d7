"""Results in a real server: complete, repeatable, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import neo4j
import pyarrow as pa
import pytest
from benchmarks.bolt_server import BoltServer
from kgrec.errors import ConfigError, SourceError
from kgrec.recommender import Recommender
from kgrec.writeback import Neo4jWriter, Results, compute_results

AT = datetime(2024, 5, 1, tzinfo=UTC)
LATER = datetime(2024, 5, 2, tzinfo=UTC)
LISTS = (
    "MATCH (u:Customer)-[r:RECOMMENDED]->(i:Product) "
    "RETURN u.name AS user, i.sku AS item, r.rank AS rank, r.model AS model, r.cold AS cold "
    "ORDER BY user, rank"
)


def ask(server: BoltServer, query: str) -> list[dict[str, Any]]:
    with neo4j.GraphDatabase.driver(server.uri, auth=server.auth) as driver:
        result = driver.execute_query(query, database_=server.database)
        return [record.data() for record in result.records]


def write(server: BoltServer, results: Results, *, at_once: bool = True) -> dict[str, Any]:
    return Neo4jWriter(results).write(server.uri, at_once=at_once, **server.where)


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


def test_a_run_that_is_cut_off_leaves_the_old_results(
    model: Recommender, shop_server: BoltServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = compute_results(model, n=4, at=AT)
    write(shop_server, old)
    new = compute_results(model, n=2, at=LATER)
    for batches in (1, 3):
        with cut_off_after(monkeypatch, batches), pytest.raises(CutError):
            write(shop_server, new)
        assert ask(shop_server, LISTS) == expected_lists(old)
    write(shop_server, new)
    assert ask(shop_server, LISTS) == expected_lists(new)


def test_by_user_each_list_is_old_or_new_and_the_next_run_completes_it(
    model: Recommender, shop_server: BoltServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(shop_server, compute_results(model, n=4, at=AT))
    new = compute_results(model, n=2, at=LATER)
    monkeypatch.setattr("kgrec.writeback.neo4j.USERS_A_COMMIT", 3)
    with cut_off_after(monkeypatch, 7), pytest.raises(CutError):
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
