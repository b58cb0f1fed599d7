"""A model follows its source: embedded database, tables and a server; killed or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import neo4j
import pyarrow as pa
import pytest
from benchmarks.bolt_server import BoltServer
from kgrec.errors import SourceError
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.recommender import Recommender
from kgrec.schema import GraphSchema
from kgrec.syncing import SyncReport, sync_model
from kgrec.syncing.diff import Counts
from kgrec.text import TextEncoder
from pyarrow import parquet

from tests.writeback.conftest import SCHEMA, model, shop_graph

__all__ = ["model"]  # a fixture


@pytest.fixture
def saved(model: Recommender, tmp_path: Path) -> Path:
    model.save(tmp_path / "shop.kgrec")
    return tmp_path / "shop.kgrec"


def write_tables(tables: GraphTables, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name in ("entities", "relations", "interactions"):
        parquet.write_table(getattr(tables, name), folder / f"{name}.parquet")
    return folder


def changed_shop() -> GraphTables:
    """Add a bicycle, change a tea, and let the last one go, which nobody has bought."""
    tables = shop_graph().to_tables()
    entities = tables.entities.to_pylist()
    gone = "119"
    entities = [row for row in entities if row["id"] != gone]
    next(row for row in entities if row["id"] == "100")["text"] = "a rare tea"
    entities.append({"id": "200", "type": "product", "text": "a bicycle with three wheels"})
    relations = [row for row in tables.relations.to_pylist() if row["head"] != gone]
    relations.append({"head": "200", "relation": "is_a", "tail": "bicycle"})
    log = [*tables.interactions.to_pylist(), {"user": "newcomer", "item": "101"}]
    return GraphTables(*map(pa.Table.from_pylist, (entities, relations, log)))


def run(saved: Path, source: Path, encoder: TextEncoder, **options: bool | float) -> SyncReport:
    loaded = Recommender.load(saved, encoder=encoder)
    return sync_model(saved, source, SCHEMA, recommender=loaded, **options)  # type: ignore[arg-type]


def test_follows_a_folder_of_tables(
    saved: Path, model: Recommender, tiny_encoder: TextEncoder, tmp_path: Path
) -> None:
    source = write_tables(changed_shop(), tmp_path / "tables")
    looked = run(saved, source, tiny_encoder, dry_run=True)
    assert not looked.saved
    assert len(Recommender.load(saved).graph.items) == 20
    report = run(saved, source, tiny_encoder)
    assert report.saved
    assert report.diff == looked.diff
    assert report.diff.nodes["product"] == Counts(1, 1, 1)
    assert report.diff.nodes["customer"] == Counts(1, 0)
    assert report.diff.interactions == Counts(1, 0)
    assert report.diff.texts == 2

    expected = Recommender.load(saved, encoder=tiny_encoder)
    graph = KnowledgeGraph.from_tables(SCHEMA, changed_shop())
    assert expected.graph == graph
    fresh = model
    before = fresh.graph
    try:
        fresh.update(graph)
        users = graph.users.ids.to_pylist()
        assert expected.recommend(users, 5).equals(fresh.recommend(users, 5))
    finally:
        fresh.update(before)
    again = run(saved, source, tiny_encoder)
    assert not again.diff
    assert not again.saved


def test_a_run_that_is_cut_off_is_completed_by_the_next(
    saved: Path, tiny_encoder: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_tables(changed_shop(), tmp_path / "tables")
    before = Recommender.load(saved).graph

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    for place in ("kgrec.artifact.save_graph", "kgrec.syncing.run._write_since"):
        with monkeypatch.context() as patch:
            patch.setattr(place, fail)
            with pytest.raises(KeyboardInterrupt):
                run(saved, source, tiny_encoder)
        if "artifact" in place:
            assert Recommender.load(saved).graph == before
    run(saved, source, tiny_encoder)
    assert Recommender.load(saved).graph == KnowledgeGraph.from_tables(SCHEMA, changed_shop())
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["shop.kgrec", "shop.kgrec.sync.json", "tables"]


def test_the_wrong_source_is_refused(
    saved: Path, tiny_encoder: TextEncoder, tmp_path: Path
) -> None:
    tables = shop_graph().to_tables()
    few = replace(
        tables,
        entities=tables.entities.filter(
            pa.compute.is_in(tables.entities["id"], value_set=pa.array(["100", "tea", "bicycle"]))
        ),
        relations=tables.relations.slice(0, 1),
        interactions=tables.interactions.slice(0, 0),
    )
    source = write_tables(few, tmp_path / "tables")
    with pytest.raises(SourceError, match="lacks 95% of the items that the model has"):
        run(saved, source, tiny_encoder)
    other = SCHEMA.model_copy(update={"interaction": "stole"})
    with pytest.raises(SourceError, match="differs from that of the model in interaction"):
        sync_model(saved, source, other)


def incremental(folder: Path) -> GraphSchema:
    """Write queries that ask for what changed after ``$since``."""
    folder.mkdir()
    (folder / "entities.cypher").write_text(
        "MATCH (n:Product) WHERE n.changed > $since "
        "RETURN n.sku AS id, 'product' AS type, n.text AS text"
    )
    (folder / "relations.cypher").write_text(
        "MATCH (n:Product) WHERE n.changed > $since "
        "RETURN n.sku AS head, 'is_a' AS relation, n.kind AS tail"
    )
    (folder / "interactions.cypher").write_text(
        "MATCH (u:Customer)-[r:BOUGHT]->(i:Product) WHERE r.at > $since "
        "RETURN u.name AS user, i.sku AS item"
    )
    return SCHEMA.model_copy(update={"folder": folder})


def test_reads_only_what_is_new(
    saved: Path, tiny_encoder: TextEncoder, tmp_path: Path, empty_bolt: BoltServer
) -> None:
    schema = incremental(tmp_path / "schema")
    (tmp_path / "shop.kgrec.sync.json").write_text('{"since": 1000}')
    with neo4j.GraphDatabase.driver(empty_bolt.uri, auth=empty_bolt.auth) as driver:
        driver.execute_query(
            "CREATE (:Product {sku: 200, kind: 'tea', text: 'a green tea', changed: 1001}), "
            "(:Product {sku: 100, kind: 'tea', text: 'too old to be read', changed: 999}), "
            "(:Customer {name: 'ada'})-[:BOUGHT {at: 1002}]->"
            "(:Product {sku: 101, kind: 'bicycle', text: 'another bicycle', changed: 1003})",
            database_=empty_bolt.database,
        )
    for attempt in range(2):
        loaded = Recommender.load(saved, encoder=tiny_encoder)
        report = sync_model(saved, empty_bolt.uri, schema, recommender=loaded, **empty_bolt.where)
        if attempt == 0:
            assert report.since == 1000
            assert report.diff.nodes["product"] == Counts(1, 0, 1)
            assert report.diff.nodes["customer"] == Counts(1, 0)
            assert report.diff.relations["is_a"] == Counts(1, 0)
        else:
            assert report.since is not None
            assert report.since > 1_700_000_000
            assert not report.diff
    graph = Recommender.load(saved).graph
    texts = dict(zip(graph.items.ids.to_pylist(), graph.items.texts.to_pylist(), strict=True))
    assert texts["100"] == "a tea"
    assert texts["101"] == "another bicycle"
    assert len(graph.items) == 21
