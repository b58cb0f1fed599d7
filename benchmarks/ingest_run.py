"""One measurement of ``benchmarks.ingest``, in a process of its own, so that memory is its own.

``python -m benchmarks.ingest_run NAME [ARGUMENT=VALUE …]`` prints seconds, rows and the peak of
memory over what the imports took, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import neo4j
import numpy as np
import pandas as pd
import pyarrow as pa
import rdflib
from kgrec.datasets import schema_folder
from kgrec.graph import KnowledgeGraph
from kgrec.property_graph import EdgeFile, NodeFile, build_cypher_file
from kgrec.schema import TABLE_NAMES, GraphSchema, NodeSchema, RelationSchema, load_schema
from kgrec.sources import cypher_file_tables, neo4j_tables, plain_tables, rdf_tables, read_neo4j
from kgrec.writeback import Neo4jWriter, Results
from pyarrow import csv, parquet

from benchmarks.bolt_server import Where

Arguments = dict[str, str]

TOUCHED_BYTES = 1_500_000_000  # more than any measurement takes

ENTITIES = """
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
SELECT (STR(?node) AS ?id) ("thing" AS ?type) ?text WHERE { ?node rdfs:label ?text }"""
RELATIONS = """
SELECT (STR(?from) AS ?head) (STR(?p) AS ?relation) (STR(?to) AS ?tail) WHERE {
  ?from ?p ?to . FILTER(isIRI(?to)) }"""
INTERACTIONS = "SELECT ?user ?item WHERE { ?user <urn:none> ?item }"


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows that were read or written, and what that took.

    Parameters
    ----------
    rows
        How many.
    seconds
        By the clock.
    cpu_seconds
        Of the processors, by this process.
    """

    rows: int
    seconds: float
    cpu_seconds: float


class Watch:
    """Takes the time from its making on."""

    def __init__(self) -> None:
        self._start, self._cpu_start = time.perf_counter(), time.process_time()

    def stop(self, rows: int) -> Measured:
        """Say what so many rows have taken."""
        return Measured(
            rows, time.perf_counter() - self._start, time.process_time() - self._cpu_start
        )


def bolt(arguments: Arguments) -> Measured:
    """Read the three tables by kgrec: ``how=tables``, or a checked graph: ``how=graph``."""
    schema = load_schema(schema_folder("recommendations"))
    where = _where(arguments)
    watch = Watch()
    if arguments["how"] == "graph":
        graph = read_neo4j(arguments["uri"], schema, **where)
        rows = len(graph.interactions) + sum(len(table) for table in graph.nodes.values())
        rows += sum(len(table) for table in graph.edges.values())
    else:
        tables = neo4j_tables(arguments["uri"], schema, **where)
        rows = sum(len(getattr(tables, name)) for name in TABLE_NAMES)
    return watch.stop(rows)


def driver(arguments: Arguments) -> Measured:
    """Read the same queries by the driver alone, into columns or into a naive frame."""
    schema = load_schema(schema_folder("recommendations"))
    where = _where(arguments)
    rows = 0
    kept: list[object] = []
    watch = Watch()
    with (
        neo4j.GraphDatabase.driver(arguments["uri"], auth=where["auth"]) as opened,
        opened.session(database=where["database"], fetch_size=10_000) as session,
    ):
        for name in TABLE_NAMES:
            result = session.run(schema.read_query(name, "cypher").text)
            if arguments["how"] == "columns":
                columns: list[list[object]] = [[] for _ in result.keys()]  # noqa: SIM118
                for record in result:
                    for column, value in zip(columns, record, strict=True):
                        column.append(value)
                rows += len(columns[0])
                kept.append(columns)
            else:
                frame = pd.DataFrame([dict(record) for record in result])
                rows += len(frame)
                kept.append(frame)
    return watch.stop(rows)


def rdf(arguments: Arguments) -> Measured:
    """Parse an RDF file and run the three queries, by kgrec or by rdflib alone."""
    queries = dict(zip(TABLE_NAMES, (ENTITIES, RELATIONS, INTERACTIONS), strict=True))
    path = Path(arguments["path"])
    if arguments["how"] == "rdflib":
        import gzip

        watch = Watch()
        graph = rdflib.Graph()
        with gzip.open(path) as stream:
            graph.parse(stream, format="nt")  # type: ignore[arg-type]
        found = [[tuple(map(str, row)) for row in graph.query(q)] for q in queries.values()]  # type: ignore[arg-type]
        return watch.stop(sum(map(len, found)))
    with tempfile.TemporaryDirectory() as folder:
        for name, query in queries.items():
            (Path(folder) / f"{name}.rq").write_text(query)
        schema = _schema().model_copy(update={"folder": Path(folder)})
        watch = Watch()
        tables = rdf_tables(path, schema)
        rows = sum(len(getattr(tables, name)) for name in TABLE_NAMES)
        return watch.stop(rows)


def synthetic(arguments: Arguments) -> Measured:
    """Read a made-up graph from where :func:`make_synthetic` put it."""
    folder = Path(arguments["path"])
    watch = Watch()
    if arguments["how"] == "cypher":
        schema = _schema().model_copy(update={"folder": folder})
        tables = cypher_file_tables(folder / "graph.lbug", schema)
    else:
        tables = plain_tables(folder / arguments["how"])
    graph = KnowledgeGraph.from_tables(_schema(), tables)
    edges = len(graph.interactions) + sum(map(len, graph.edges.values()))
    return watch.stop(edges)


def synthetic_pandas(arguments: Arguments) -> Measured:
    """Read the same tables by pandas, and turn ids into positions: no check, no order."""
    folder = Path(arguments["path"]) / "parquet"
    watch = Watch()
    entities, relations, log = (pd.read_parquet(folder / f"{n}.parquet") for n in TABLE_NAMES)
    items, things = (
        pd.Index(entities.loc[entities["type"] == kind, "id"]) for kind in ("item", "thing")
    )
    user, _ = pd.factorize(log["user"])
    kept = [user, items.get_indexer(log["item"])]
    kept += [items.get_indexer(relations["head"]), things.get_indexer(relations["tail"])]
    return watch.stop(len(kept[0]) + len(kept[2]))


def ids_alone(arguments: Arguments) -> Measured:
    """Encode the ids of the same edges, once they are in memory, and do nothing else."""
    folder = Path(arguments["path"]) / "parquet"
    columns = [
        parquet.read_table(folder / f"{table}.parquet", columns=[name])[name]
        for table, names in (("interactions", ("user", "item")), ("relations", ("head", "tail")))
        for name in names
    ]
    if arguments["how"] == "pandas":
        as_objects = [column.to_numpy() for column in columns]
        watch = Watch()
        for values in as_objects:
            pd.factorize(values)
    else:
        watch = Watch()
        for column in columns:
            column.dictionary_encode()
    return watch.stop(sum(map(len, columns)) // 2)


def make_synthetic(folder: Path, edges: int) -> None:
    """Make a graph of which half the edges are interactions, as tables and as a database.

    Parameters
    ----------
    folder
        Where to.
    edges
        How many edges and interactions together; there is a node for every ten.
    """
    draw = np.random.default_rng(0)
    items, users = edges // 20, edges // 20
    half = edges // 2
    item_ids, user_ids = (
        pa.array([f"{kind}{n}" for n in range(count)])
        for kind, count in (("item", items), ("user", users))
    )
    texts = pa.array([f"Item number {n}, of many" for n in range(items)])
    things = pa.array([f"thing{n}" for n in range(1000)])
    heads = item_ids.take(pa.array(draw.integers(0, items, half)))
    tails = things.take(pa.array(draw.integers(0, 1000, half)))
    log = pa.table(
        {
            "user": user_ids.take(pa.array(draw.integers(0, users, half))),
            "item": item_ids.take(pa.array(draw.integers(0, items, half))),
        }
    )
    entities = pa.table(
        {
            "id": pa.concat_arrays([item_ids, things]),
            "type": pa.concat_arrays([pa.repeat("item", items), pa.repeat("thing", 1000)]),
            "text": pa.concat_arrays([texts, things]),
        }
    )
    relations = pa.table({"head": heads, "relation": pa.repeat("of", half), "tail": tails})
    tables = {"entities": entities, "relations": relations, "interactions": log}
    for kind in ("parquet", "tsv"):
        (folder / kind).mkdir(parents=True)
        for name, table in tables.items():
            path = folder / kind / f"{name}.{kind}"
            if kind == "parquet":
                parquet.write_table(table, path)
            else:
                csv.write_csv(table, path, csv.WriteOptions(delimiter="\t"))
    build_cypher_file(
        [
            NodeFile("Item", "id", pa.table({"id": item_ids, "text": texts})),
            NodeFile("Thing", "id", pa.table({"id": things})),
            NodeFile("User", "id", pa.table({"id": user_ids})),
        ],
        [
            EdgeFile("OF", "Item", "Thing", pa.table({"head": heads, "tail": tails})),
            EdgeFile("USED", "User", "Item", log.rename_columns(["head", "tail"])),
        ],
        folder / "graph.lbug",
    )
    (folder / "entities.cypher").write_text(
        "MATCH (n:Item) RETURN n.id AS id, 'item' AS type, n.text AS text UNION ALL "
        "MATCH (n:Thing) RETURN n.id AS id, 'thing' AS type, n.id AS text"
    )
    (folder / "relations.cypher").write_text(
        "MATCH (h:Item)-[:OF]->(t:Thing) RETURN h.id AS head, 'of' AS relation, t.id AS tail"
    )
    (folder / "interactions.cypher").write_text(
        "MATCH (u:User)-[:USED]->(i:Item) RETURN u.id AS user, i.id AS item"
    )


def write_back(arguments: Arguments) -> Measured:
    """Write recommendations."""
    results = made_up_results(int(arguments["users"]), int(arguments["run"]))
    writer = Neo4jWriter(results)
    where = _where(arguments)
    watch = Watch()
    written = writer.write(
        arguments["uri"],
        at_once=arguments["how"] == "at_once",
        linger_seconds=0,
        **where,
    )
    return watch.stop(int(written["recommendations"]))


def made_up_results(users: int, run: int) -> Results:
    """Make recommendations of ten items a user, other ones each run."""
    schema = GraphSchema(
        name="made-up",
        user="user",
        item="item",
        interaction="used",
        nodes={
            "user": NodeSchema(text=False, label="BenchUser", key="id"),
            "item": NodeSchema(label="BenchItem", key="id"),
        },
    )
    rows = users * 10
    rank = np.tile(np.arange(1, 11), users)
    table = pa.table(
        {
            "user": [f"user{n // 10}" for n in range(rows)],
            "item": [f"item{(n * 7 + run) % 1000}" for n in range(rows)],
            "score": pa.array(1.0 / rank, pa.float32()),
            "rank": rank,
            "cold": np.zeros(rows, bool),
        }
    )
    at = datetime(2024, 5, 1, 0, 0, run % 60, tzinfo=UTC)
    return Results(schema, "bench", at, table)


def _schema() -> GraphSchema:
    return GraphSchema(
        name="made-up",
        user="user",
        item="item",
        interaction="used",
        nodes={"user": NodeSchema(text=False), "item": NodeSchema(), "thing": NodeSchema()},
        relations={"of": RelationSchema(head="item", tail="thing")},
    )


def _where(arguments: Arguments) -> Where:
    login = (arguments["user"], os.environ["KGREC_BENCH_PASSWORD"])
    return {"auth": login, "database": arguments["database"]}


def _touch_memory() -> None:
    """Make the machine below hand memory over before the clock runs.

    A virtual machine's first touch of memory costs up to forty times that of later ones, and
    a large graph would be charged for it more than a small one.
    """
    np.ones(TOUCHED_BYTES // 8)


def _forget_peak() -> int:
    """Set the peak of memory back to what is used now, in kB: imports took more for a moment."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory_kb("VmRSS")


def _memory_kb(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


MEASUREMENTS: dict[str, Callable[[Arguments], Measured]] = {
    "bolt": bolt,
    "driver": driver,
    "rdf": rdf,
    "synthetic": synthetic,
    "synthetic_pandas": synthetic_pandas,
    "ids_alone": ids_alone,
    "write_back": write_back,
}


def main() -> None:
    """Run one measurement from the command line."""
    name, *given = sys.argv[1:]
    arguments = dict(part.split("=", 1) for part in given)
    _touch_memory()
    before = _forget_peak()
    found = MEASUREMENTS[name](arguments)
    measured = {
        "rows": found.rows,
        "seconds": round(found.seconds, 4),
        "cpu_seconds": round(found.cpu_seconds, 4),
        "peak_mb": round((_memory_kb("VmHWM") - before) / 1024, 1),
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
