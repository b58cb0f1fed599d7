"""How fast graphs come in and results go back, and what happens when that fails.

``python -m benchmarks.ingest --data SOURCE`` takes every time in a process of its own, peers in
turn with kgrec, and writes ``ingest.json`` and ``ingest.md``.  Each figure is the median of three
runs; peak memory is what a process took beyond its imports.  Rates over Bolt are of the processor
time of the client, which a server and others beside it do not blur.

- Bolt: the queries of the schema "recommendations" on Neo4j's film graph, in a server on loopback.
- RDF: parse and three queries, against rdflib doing the same.
- Growth: a made-up graph of 100 thousand to 5 million edges, from an embedded database and tables.
- Write-back: 100,000 recommendations, and processes that are killed while they write.
- Faults: what is answered, and after how long.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from kgrec.datasets import schema_folder
from kgrec.errors import KgrecError
from kgrec.property_graph import NodeFile, build_cypher_file, load_into_neo4j
from kgrec.schema import GraphSchema, load_schema
from kgrec.sources import neo4j_tables, read_cypher_file, read_neo4j

from benchmarks.bolt_server import BoltServer, running_server
from benchmarks.faults import SCHEMA, count_kinds, read_broken
from benchmarks.ingest_run import make_synthetic
from benchmarks.neo4j_examples import PropertyGraph, recommendations_graph
from benchmarks.write_back_kills import kill_writers

Result = dict[str, Any]
Value = TypeVar("Value")

REPEATS = 3
KILLS = 40
KILLED_USERS = 2_000
USERS = 10_000  # ten recommendations each
SIZES = (100_000, 1_000_000, 5_000_000)
RDF_FILES = ("neo4j-recs", "ml1m-kg")
GROWTH_RUNS = {
    "cypher": ("synthetic", "cypher"),
    "parquet": ("synthetic", "parquet"),
    "tsv": ("synthetic", "tsv"),
    "parquet by pandas": ("synthetic_pandas", "parquet"),
    "ids alone, pyarrow": ("ids_alone", "pyarrow"),
    "ids alone, pandas": ("ids_alone", "pandas"),
}
PARTS = ("bolt", "rdf", "growth", "write_back", "faults")


def measure_bolt(data: Path, server: BoltServer, work: Path) -> Result:
    """Read the film graph by kgrec, by the driver into columns, and into a naive frame."""
    source = data / "neo4j-recs"
    if not source.is_dir():
        return {"skipped": f"{source} is not there"}
    whole = _read_from_both(recommendations_graph(source), server, work / "graph.lbug")
    runs = {
        "kgrec, tables": ("bolt", {"how": "tables"}),
        "kgrec, checked graph": ("bolt", {"how": "graph"}),
        "driver into columns": ("driver", {"how": "columns"}),
        "driver, frame of dicts": ("driver", {"how": "frame"}),
    }
    found = _in_turn({name: (kind, {**_address(server), **a}) for name, (kind, a) in runs.items()})
    for row in found.values():
        row["rows_a_second"] = round(row["rows"] / row["cpu_seconds"])
    peer, naive = found["driver into columns"], found["driver, frame of dicts"]
    ours = found["kgrec, tables"]
    return {
        "whole graph": whole,
        "runs": found,
        "rate against the driver": round(ours["rows_a_second"] / peer["rows_a_second"], 2),
        "memory against the frame": round(ours["peak_mb"] / naive["peak_mb"], 2),
    }


def _read_from_both(data: PropertyGraph, server: BoltServer, file: Path) -> Result:
    """Load the whole film graph into the server and into a file, and read both by one schema."""
    schema = load_schema(schema_folder("recommendations"))
    seconds: dict[str, float] = {}

    def timed(step: str, work: Callable[[], Value]) -> Value:
        start = time.perf_counter()
        value = work()
        seconds[step] = round(time.perf_counter() - start, 2)
        return value

    timed("into the server", lambda: load_into_neo4j(*data, server.uri, **server.where))
    timed("into a file", lambda: build_cypher_file(*data, file))
    served = timed("out of the server", lambda: read_neo4j(server.uri, schema, **server.where))
    embedded = timed("out of the file", lambda: read_cypher_file(file, schema))
    return {
        "seconds": seconds,
        "equal": served == embedded,
        "counts": {
            place: dict(zip(summary["name"], map(int, summary["count"]), strict=True))
            for place, summary in (("server", served.summary()), ("file", embedded.summary()))
        },
    }


def measure_rdf(data: Path) -> Result:
    """Parse and query by kgrec and by rdflib."""
    result: Result = {}
    for name in RDF_FILES:
        path = data / name / "kg.nt.gz"
        if not path.is_file():
            result[name] = {"skipped": f"{path} is not there"}
            continue
        runs = {
            "kgrec": ("rdf", {"how": "kgrec", "path": str(path)}),
            "rdflib": ("rdf", {"how": "rdflib", "path": str(path)}),
        }
        found = _in_turn(runs)
        ours, peer = found["kgrec"], found["rdflib"]
        result[name] = {
            "runs": found,
            "times as fast": round(peer["seconds"] / ours["seconds"], 1),
            "memory": round(ours["peak_mb"] / peer["peak_mb"], 2),
        }
    return result


def measure_growth(work: Path) -> Result:
    """Read made-up graphs of three sizes, by kgrec and by pandas, and number the ids alone."""
    result: Result = {how: {} for how in GROWTH_RUNS}
    for size in SIZES:
        folder = work / str(size)
        make_synthetic(folder, size)
        runs = {
            name: (measurement, {"how": how, "path": str(folder)})
            for name, (measurement, how) in GROWTH_RUNS.items()
        }
        for how, row in _in_turn(runs).items():
            result[how][f"{size:,}"] = row
    for rows in result.values():
        small, large = (rows[f"{size:,}"] for size in SIZES[1:])
        times = SIZES[2] / SIZES[1]
        rows["growth"] = {
            "seconds": round(large["cpu_seconds"] / small["cpu_seconds"] / times, 2),
            "memory": round(large["peak_mb"] / small["peak_mb"] / times, 2),
        }
    return result


def measure_write_back(server: BoltServer) -> Result:
    """Write 100,000 recommendations, and kill processes while they do."""
    users = pa.table({"id": [f"user{n}" for n in range(USERS)]})
    items = pa.table({"id": [f"item{n}" for n in range(1000)]})
    nodes = [NodeFile("BenchUser", "id", users), NodeFile("BenchItem", "id", items)]
    load_into_neo4j(nodes, [], server.uri, **server.where)
    result: Result = {}
    for how in ("at_once", "by_user"):
        rows = [
            _run("write_back", _writing(server, how, run), server) for run in range(1, REPEATS + 1)
        ]
        best = _median(rows)
        result[how] = {**best, "rows_a_second": round(best["rows"] / best["seconds"])}
    result["killed"] = kill_writers(server, KILLED_USERS, kills=KILLS, seed=0).to_dict()
    return result


def measure_faults(server: BoltServer, work: Path) -> Result:
    """Note what is answered to each fault, and after how long."""
    sound = _schema_of(work / "sound", "UNWIND range(1, 9) AS n RETURN n AS id, 'film' AS type")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    result = {
        "connection refused": _answer(lambda: neo4j_tables(f"bolt://127.0.0.1:{port}", sound)),
        "wrong password": _answer(lambda: neo4j_tables(server.uri, sound, auth=("root", "wrong"))),
        "10 MB in one text": _answer(
            lambda: neo4j_tables(
                server.uri,
                _schema_of(work / "long", "RETURN 1 AS id, 'film' AS type, $text AS text"),
                parameters={"text": "a" * 10_000_000},
                **server.where,
            )
        ),
    }
    numbers = "UNWIND range(1, 5000) AS a UNWIND range(1, 5000) AS b"
    slow = f"{numbers} UNWIND range(1, 99) AS c WITH count(*) AS n RETURN n AS id, 'film' AS type"
    many = f"{numbers} RETURN a * 5000 + b AS id, 'film' AS type"
    with _other_server(work / "impatient", command_timeout_ms=500) as other:
        schema = _schema_of(work / "slow", slow)
        result["a query that takes too long"] = _answer(
            lambda: neo4j_tables(other.uri, schema, retry_seconds=1, **other.where)
        )
    with _other_server(work / "stopped") as other:
        if other.process is None:
            raise RuntimeError("the server has no process to stop")
        stopping = threading.Timer(1.0, other.process.kill)
        stopping.start()
        schema = _schema_of(work / "many", many)
        result["server stopped while it is read"] = _answer(
            lambda: neo4j_tables(
                other.uri, schema, retry_seconds=2, connection_timeout=1, **other.where
            )
        )
        stopping.join()
    (work / "broken").mkdir()
    outcomes = list(read_broken(work / "broken", 200))
    broken = count_kinds(outcomes)
    broken["slowest, s"] = round(max(outcome.seconds for outcome in outcomes), 3)  # type: ignore[assignment]
    return {"servers and values": result, "200 broken files": broken}


@contextmanager
def _other_server(folder: Path, **options: int) -> Iterator[BoltServer]:
    folder.mkdir(parents=True)
    with running_server(folder, **options) as server:
        yield server


def _schema_of(folder: Path, entities: str) -> GraphSchema:
    folder.mkdir(parents=True)
    queries = {
        "entities": entities,
        "relations": "UNWIND [] AS n RETURN n AS head, 'has_genre' AS relation, n AS tail",
        "interactions": "RETURN 'ada' AS user, 1 AS item",
    }
    for name, text in queries.items():
        (folder / f"{name}.cypher").write_text(text)
    return SCHEMA.model_copy(update={"folder": folder})


def _answer(work: Callable[[], object]) -> Result:
    start = time.perf_counter()
    try:
        work()
        said = "read"
    except KgrecError as error:
        said = " ".join(
            Path(word).name if "/faults/" in word else word for word in str(error).split()
        )
        said = said[:160]
    return {"answer": said, "seconds": round(time.perf_counter() - start, 2)}


def _address(server: BoltServer) -> dict[str, str]:
    return {"uri": server.uri, "user": server.auth[0], "database": server.database}


def _writing(server: BoltServer, how: str, run: int) -> dict[str, str]:
    return {**_address(server), "how": how, "users": str(USERS), "run": str(run)}


def _run(name: str, arguments: dict[str, str], server: BoltServer | None = None) -> Result:
    given = [f"{key}={value}" for key, value in arguments.items()]
    password = server.auth[1] if server else "loopback-only"
    process = subprocess.run(  # noqa: S603  our own command line
        [sys.executable, "-m", "benchmarks.ingest_run", name, *given],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "KGREC_BENCH_PASSWORD": password},
    )
    if process.returncode:
        raise RuntimeError(f"the measurement {name} failed")
    found: Result = json.loads(process.stdout)
    return found


def _in_turn(runs: dict[str, tuple[str, dict[str, str]]]) -> dict[str, Result]:
    """Repeat all runs in turn, so that other work on the machine meets all alike."""
    rows: dict[str, list[Result]] = {name: [] for name in runs}
    for _ in range(REPEATS):
        for name, (kind, arguments) in runs.items():
            rows[name].append(_run(kind, arguments))
    return {name: _median(found) for name, found in rows.items()}


def _median(rows: list[Result]) -> Result:
    return {
        "rows": rows[0]["rows"],
        "seconds": round(statistics.median(row["seconds"] for row in rows), 3),
        "cpu_seconds": round(statistics.median(row["cpu_seconds"] for row in rows), 3),
        "peak_mb": round(statistics.median(row["peak_mb"] for row in rows), 1),
    }


def to_markdown(results: Result) -> str:
    """Show the results as tables.

    Parameters
    ----------
    results
        As :func:`main` writes them.

    Returns
    -------
    str
        Markdown.
    """
    parts = []
    bolt = results["bolt"]
    if "runs" in bolt:
        parts += _whole_table(bolt["whole graph"])
        parts += ["\n## Bolt\n", *_rate_table(bolt["runs"], "rows a second of it")]
        parts.append(
            f"\nkgrec reads {bolt['rate against the driver']} of the driver's rows a second, in "
            f"{bolt['memory against the frame']} of the memory of the frame.\n"
        )
    parts.append("## RDF: parse and three queries\n")
    header = "| data | rows | kgrec s | rdflib s | times as fast | kgrec MB | rdflib MB | memory |"
    parts += [header, "|---|---:|---:|---:|---:|---:|---:|---:|"]
    for name, found in results["rdf"].items():
        if "runs" in found:
            ours, peer = found["runs"]["kgrec"], found["runs"]["rdflib"]
            parts.append(
                f"| {name} | {ours['rows']:,} | {ours['seconds']} | {peer['seconds']} | "
                f"{found['times as fast']} | {ours['peak_mb']} | {peer['peak_mb']} | "
                f"{found['memory']} |"
            )
    parts += _growth_table(results["growth"])
    back = results["write_back"]
    parts.append("\n## Write-back of 100,000 recommendations\n")
    parts += _rate_table({how: back[how] for how in ("at_once", "by_user")}, "rows a second")
    killed = back["killed"]
    after = " and ".join(f"{n} times the {kind}" for kind, n in killed["after a kill"].items())
    parts.append(
        f"\n{killed['kills']} processes were killed at random moments of the "
        f"{killed['a whole run, s']} s that each took to write {killed['rows']:,} "
        f"recommendations at once; after that readers saw {after} set. Of {killed['reads']:,} "
        f"readings of all lists meanwhile, {killed['mixed']} found something else than one whole "
        f"set, and {killed['refused']} more were answered with an error.\n"
    )
    parts += ["## Faults\n", "| fault | answer | s |", "|---|---|---:|"]
    for fault, row in results["faults"]["servers and values"].items():
        parts.append(f"| {fault} | {row['answer']} | {row['seconds']} |")
    broken = results["faults"]["200 broken files"]
    counts = ", ".join(f"{kind} {count}" for kind, count in broken.items())
    parts.append(f"\n200 broken RDF files and tables: {counts}.")
    return "\n".join(parts) + "\n"


def _whole_table(whole: Result) -> list[str]:
    counts = whole["counts"]
    lines = ["## Neo4j's film graph, whole\n", "| | server, over Bolt | embedded file |"]
    lines.append("|---|---:|---:|")
    for name, count in counts["server"].items():
        lines.append(f"| {name} | {count:,} | {counts['file'][name]:,} |")
    seconds = whole["seconds"]
    lines.append(f"| in, s | {seconds['into the server']} | {seconds['into a file']} |")
    lines.append(f"| out, s | {seconds['out of the server']} | {seconds['out of the file']} |")
    lines.append(f"\nThe two graphs are {'equal' if whole['equal'] else 'NOT EQUAL'}.")
    return lines


def _growth_table(growth: Result) -> list[str]:
    lines = [
        "\n## Growth: a checked graph of so many edges\n",
        "| what | edges | s | s of processors | ns of them an edge | peak MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for how, rows in growth.items():
        for size, row in rows.items():
            if size != "growth":
                each = row["cpu_seconds"] / row["rows"] * 1e9
                lines.append(
                    f"| {how} | {size} | {row['seconds']} | {row['cpu_seconds']} | {each:.0f} | "
                    f"{row['peak_mb']} |"
                )
    lines.append("\nFrom 1 to 5 million edges, an edge takes, of the processors' time")
    lines += [
        f"- {how}: {rows['growth']['seconds']} times the seconds, "
        f"{rows['growth']['memory']} times the memory"
        for how, rows in growth.items()
    ]
    return lines


def _rate_table(rows: dict[str, Result], rate: str) -> list[str]:
    return [
        f"| | rows | s | s of its processor | {rate} | peak MB |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {name} | {row['rows']:,} | {row['seconds']} | {row.get('cpu_seconds', '')} | "
            f"{row['rows_a_second']:,} | {row['peak_mb']} |"
            for name, row in rows.items()
        ),
    ]


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("benchmarks/data"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--only", action="append", choices=PARTS, help="measure this part anew")
    arguments = parser.parse_args()
    path = arguments.output / "ingest.json"
    results: Result = json.loads(path.read_text(encoding="utf-8")) if arguments.only else {}
    results["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kgrec-ingest-") as name:
        work = Path(name)
        (work / "server").mkdir()
        with running_server(work / "server") as server:
            parts: dict[str, Callable[[], Result]] = {
                "bolt": lambda: measure_bolt(arguments.data, server, work),
                "rdf": lambda: measure_rdf(arguments.data),
                "growth": lambda: measure_growth(work),
                "write_back": lambda: measure_write_back(server),
                "faults": lambda: measure_faults(server, work / "faults"),
            }
            for part in arguments.only or PARTS:
                print(f"measuring {part}", file=sys.stderr)
                results[part] = parts[part]()
                path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(to_markdown(results), encoding="utf-8")


if __name__ == "__main__":
    main()
