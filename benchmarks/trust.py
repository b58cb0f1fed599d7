"""What is lost when things go wrong: ``python -m benchmarks.trust``.

Faults are made for real: bits of saved models flipped, inputs damaged, processes killed with
SIGKILL at random moments while they save, sync, write back or take changes, and connections to a
server cut while a graph is read or results are written back.  For each it is counted how many were
survived (refused with an error of kgrec's own, or without effect), and how many lost something or
were silently wrong, which makes the command fail.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import neo4j
import numpy as np
import pyarrow as pa
from kgrec import Config, KnowledgeGraph, Recommender, TextEncoder
from kgrec.changes import without_edges
from kgrec.errors import KgrecError
from kgrec.items import Edge
from kgrec.property_graph import NodeFile, load_into_neo4j
from kgrec.ranker import UserBatch
from kgrec.schema import load_schema
from kgrec.sources import neo4j_tables
from kgrec.storage import save_graph
from kgrec.syncing import sync_model
from kgrec.writeback import Neo4jWriter
from rich.progress import track
from tests.bert import save_random_bert
from tests.live_world import live_graph
from tests.sources.proxy import breaking_proxy

from benchmarks.bolt_server import BoltServer, is_installed, running_server
from benchmarks.faults import read_broken
from benchmarks.ingest_run import made_up_results
from benchmarks.kills import run_round
from benchmarks.quality import write_text
from benchmarks.write_back_kills import READ, kill_writers

USERS, LISTED = 200, 10
ROWS_READ = 20_000
BYTES_READ, BYTES_WRITTEN = 600_000, 20_000  # about what a whole run brings from the server


@dataclass
class Tally:
    """How many faults of a kind were tried, and what became of them.

    Parameters
    ----------
    tried, refused, harmless
        All, those that an error of kgrec's own told of, and those that changed nothing.
    lost
        What each of the others did.
    """

    tried: int = 0
    refused: int = 0
    harmless: int = 0
    lost: list[str] | None = None

    def add(self, outcome: str) -> None:
        """Count one outcome: ``refused``, ``harmless``, or what was lost."""
        self.tried += 1
        self.refused += outcome == "refused"
        self.harmless += outcome == "harmless"
        if outcome not in ("refused", "harmless"):
            self.lost = [*(self.lost or []), outcome]


class World:
    """A small fitted model, and another state of it.

    Parameters
    ----------
    folder
        An empty folder to work in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.encoder = TextEncoder(save_random_bert(folder), max_length=32, cache_dir=False)
        config = Config(steps=2, core_items=20)
        self.graph = live_graph()
        edge = Edge(relation="has_genre", node=_genre_of(self.graph, "film39"))
        self.other_graph = without_edges(self.graph, "film39", [edge])
        self.models = [
            Recommender(config, encoder=self.encoder).fit(self.graph, seed=seed) for seed in (1, 2)
        ]
        self.scores = [_scores(model) for model in self.models]

    def load(self, model: Path) -> Recommender:
        """Load a model from a folder."""
        return Recommender.load(model, encoder=self.encoder)


def _scores(model: Recommender) -> np.ndarray:
    return model._score(UserBatch(model.histories))  # noqa: SLF001


def _genre_of(graph: KnowledgeGraph, film: str) -> str:
    tables = graph.to_tables().relations.to_pylist()
    return str(next(r["tail"] for r in tables if (r["head"], r["relation"]) == (film, "has_genre")))


def damage_models(world: World, count: int) -> Tally:
    """Damage saved models, and load what is left."""
    draw, tally = random.Random(0), Tally()  # noqa: S311  no secrets
    whole = world.folder / "whole"
    world.models[0].save(whole)
    broken = world.folder / "broken"
    for _ in track(range(count), "damaged models", transient=True):
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(whole, broken)
        what = _damage(broken, draw)
        try:
            same = np.array_equal(_scores(world.load(broken)), world.scores[0])
        except KgrecError:
            tally.add("refused")
        except Exception as error:  # noqa: BLE001  any other is what is looked for
            tally.add(f"{what}: {type(error).__name__}: {error}")
        else:
            tally.add("harmless" if same else f"{what}: other scores, without a word")
    return tally


def _damage(folder: Path, draw: random.Random) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = draw.choice(files)
    content = bytearray(path.read_bytes())
    kind = draw.choice(["flip", "cut", "longer", "swap", "gone", "empty", "zeros"])
    match kind:
        case "flip":
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        case "cut":
            del content[draw.randrange(len(content)) :]
        case "longer":
            content += draw.randbytes(draw.randrange(1, 100))
        case "swap":
            other = draw.choice([one for one in files if one != path])
            content, swapped = bytearray(other.read_bytes()), content
            other.write_bytes(swapped)
        case "empty":
            content.clear()
        case "zeros":
            start = draw.randrange(len(content))
            content[start : start + 512] = bytes(len(content[start : start + 512]))
    if kind == "gone":
        path.unlink()
    else:
        path.write_bytes(content)
    return f"{kind} {path.relative_to(folder)}"


def damage_inputs(world: World, count: int) -> Tally:
    """Damage inputs, and read what is left."""
    folder, tally = world.folder / "inputs", Tally()
    folder.mkdir()
    outcomes = read_broken(folder, count, seed=1)
    for outcome in track(outcomes, "damaged inputs", total=count, transient=True):
        known = {"refused": "refused", "read": "harmless"}
        tally.add(known.get(outcome.kind, f"{outcome.damage}: {outcome.kind}: {outcome.message}"))
    return tally


def kill(work: Callable[[], None], seconds: float) -> None:
    """Do something in a child process that is killed after some time, if it is not done."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            work()
            os._exit(0)
        os._exit(1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError("the process failed before it was killed")


def kill_journals(world: World, count: int) -> Tally:
    """Kill writers of changes: what they acknowledged is there."""
    tally, model = Tally(), world.folder / "journalled"
    world.models[0].save(model)
    for seed in track(range(count), "killed writers of changes", transient=True):
        found = run_round(model, world.encoder, seed, 1_000)
        tally.add("harmless" if found.ok else f"round {seed}: {found}")
    return tally


def kill_savers(world: World, count: int) -> Tally:
    """Kill processes that save one model over the other again and again."""
    draw, tally, model = random.Random(1), Tally(), world.folder / "saved"  # noqa: S311
    world.models[0].save(model)

    def save_on() -> None:
        while True:
            for one in world.models:
                one.save(model)

    for number in track(range(count), "killed while saving", transient=True):
        kill(save_on, draw.uniform(0.01, 0.4))
        scores = _scores(world.load(model))
        is_one = any(np.array_equal(scores, one) for one in world.scores)
        tally.add("harmless" if is_one else f"kill {number}: neither model is there")
    return tally


def kill_syncs(world: World, count: int) -> Tally:
    """Kill processes that bring a model up to date with one graph and another in turn."""
    draw, tally, model = random.Random(2), Tally(), world.folder / "synced"  # noqa: S311
    world.models[0].save(model)
    graphs = (world.graph, world.other_graph)
    sources = [world.folder / f"source{number}" for number in range(len(graphs))]
    for graph, source in zip(graphs, sources, strict=True):
        save_graph(graph, source)

    def sync_on() -> None:
        while True:
            for source in sources:
                loaded = world.load(model)
                sync_model(model, source, world.graph.schema, recommender=loaded)

    expected = []
    for graph in graphs:
        other = world.load(world.folder / "whole")
        other.update(graph)
        expected.append(_scores(other))
    for number in track(range(count), "killed while syncing", transient=True):
        kill(sync_on, draw.uniform(0.01, 0.6))
        loaded = world.load(model)
        is_one = any(
            loaded.graph == graph and np.array_equal(_scores(loaded), scores)
            for graph, scores in zip(graphs, expected, strict=True)
        )
        tally.add("harmless" if is_one else f"kill {number}: neither state is there")
    return tally


def kill_write_backs(server: BoltServer, count: int) -> Tally:
    """Kill processes that write results into a database."""
    found = kill_writers(server, USERS, kills=count, seed=3)
    tally = Tally(len(found.kills), harmless=len(found.kills))
    if found.mixed:
        tally.lost = [f"readers saw a mixture {len(found.mixed)} times: {found.mixed[0]}"]
    return tally


def cut_readers(server: BoltServer, folder: Path, count: int) -> Tally:
    """Cut connections while a graph is read."""
    draw, tally = random.Random(4), Tally()  # noqa: S311
    schema = load_schema(_paged_schema(folder))
    whole = neo4j_tables(server.uri, schema, **server.where)
    for number in track(range(count), "cut while reading", transient=True):
        with breaking_proxy(server.uri, draw.randrange(200, BYTES_READ)) as uri:
            try:
                tables = neo4j_tables(uri, schema, **server.where)
            except KgrecError:
                tally.add("refused")
            except Exception as error:  # noqa: BLE001
                tally.add(f"cut {number}: {type(error).__name__}: {error}")
            else:
                same = tables.entities.equals(whole.entities)
                tally.add("harmless" if same else f"cut {number}: other rows, without a word")
    return tally


def _paged_schema(folder: Path) -> Path:
    folder.mkdir()
    (folder / "schema.toml").write_text(
        'name = "bench"\nuser = "user"\nitem = "item"\ninteraction = "used"\n'
        "[nodes.user]\n[nodes.item]\n",
        encoding="utf-8",
    )
    entities = (
        f"UNWIND range(1, {ROWS_READ}) AS n WITH n WHERE $after IS NULL OR n > $after "
        "RETURN n AS id, 'item' AS type, n AS cursor ORDER BY n LIMIT $limit"
    )
    (folder / "entities.cypher").write_text(entities, encoding="utf-8")
    (folder / "interactions.cypher").write_text("RETURN 'ada' AS user, 1 AS item", encoding="utf-8")
    return folder


def cut_writers(server: BoltServer, count: int) -> Tally:
    """Cut connections while results are written back: readers see the old or the new ones."""
    draw, tally = random.Random(5), Tally()  # noqa: S311
    Neo4jWriter(made_up_results(USERS, 0)).write(server.uri, linger_seconds=0, **server.where)
    for number in track(range(1, count + 1), "cut while writing back", transient=True):
        with breaking_proxy(server.uri, draw.randrange(200, BYTES_WRITTEN)) as uri:
            try:
                writer = Neo4jWriter(made_up_results(USERS, number))
                writer.write(uri, linger_seconds=0, **server.where)
                outcome = "harmless"
            except KgrecError:
                outcome = "refused"
            except Exception as error:  # noqa: BLE001
                outcome = f"cut {number}: {type(error).__name__}: {error}"
        with neo4j.GraphDatabase.driver(server.uri, auth=server.auth) as driver:
            records = driver.execute_query(READ, database_=server.database).records
        seen = [int(record["n"]) for record in records]
        tally.add(outcome if seen == [USERS * LISTED] else f"cut {number}: readers see {seen}")
    return tally


@contextlib.contextmanager
def _filled_server(folder: Path) -> Iterator[BoltServer]:
    folder.mkdir()
    with running_server(folder) as server:
        users = pa.table({"id": [f"user{n}" for n in range(USERS)]})
        items = pa.table({"id": [f"item{n}" for n in range(1_000)]})
        nodes = [NodeFile("BenchUser", "id", users), NodeFile("BenchItem", "id", items)]
        load_into_neo4j(nodes, [], server.uri, **server.where)
        yield server


def measure(count: int) -> dict[str, Tally]:
    """Try all faults.

    Parameters
    ----------
    count
        How many damaged models, and as many inputs; of kills two fifths, of cuts a tenth.

    Returns
    -------
    dict of Tally
        By kind of fault.
    """
    kills, cuts = 2 * count // 5, count // 10
    with tempfile.TemporaryDirectory(prefix="kgrec-trust-") as name:
        world = World(Path(name))
        found = {
            "damaged models": damage_models(world, count),
            "damaged inputs": damage_inputs(world, count),
            "killed while changes are taken": kill_journals(world, kills // 4),
            "killed while saving": kill_savers(world, kills // 4),
            "killed while syncing": kill_syncs(world, kills // 4),
        }
        if not is_installed():
            print("faults of a server are skipped: arcadedb-embedded is missing", file=sys.stderr)
            return found
        with _filled_server(world.folder / "server") as server:
            found["killed while writing back"] = kill_write_backs(server, kills // 4)
            found["cut while reading"] = cut_readers(server, world.folder / "paged", cuts // 2)
            found["cut while writing back"] = cut_writers(server, cuts // 2)
    return found


def to_markdown(found: dict[str, Tally]) -> str:
    """Show what was found as a table."""
    lines = [
        "| fault | tried | refused with a reason | without effect | lost or silently wrong |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, tally in found.items():
        lost = len(tally.lost or [])
        lines.append(f"| {name} | {tally.tried} | {tally.refused} | {tally.harmless} | {lost} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print and keep the table; fail if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500, help="how many damaged models")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    found = measure(given.count)
    content: dict[str, Any] = {name: vars(tally) for name, tally in found.items()}
    write_text(given.output / "trust.json", json.dumps(content, indent=2) + "\n")
    write_text(given.output / "trust.md", to_markdown(found))
    print(to_markdown(found))
    for name, tally in found.items():
        for what in tally.lost or []:
            print(f"{name}: {what}", file=sys.stderr)
    sys.exit(any(tally.lost for tally in found.values()))


if __name__ == "__main__":
    main()
