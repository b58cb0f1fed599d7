"""Kill processes while they write recommendations, and read all the while what a reader sees.

Each writer is killed with SIGKILL at a random moment of the time that a whole run takes.  A reader
asks for all lists again and again, by the query of the documentation, from before the first kill to
after the last.
"""

from __future__ import annotations

import multiprocessing
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import neo4j
from kgrec.writeback import Neo4jWriter
from neo4j.exceptions import ClientError

from benchmarks.bolt_server import BoltServer, Where
from benchmarks.ingest_run import made_up_results

FORKS = multiprocessing.get_context("forkserver")  # its imports are done once
LINGER_SECONDS = 1.0  # longer than the reader takes
LISTED = 10  # recommendations a user
READ = (
    "MATCH (c:KgrecRun {model: 'bench'}) WITH c.run AS run "
    "MATCH (:BenchUser)-[r:RECOMMENDED]->() WHERE r.run = run RETURN r.run AS run, count(r) AS n"
)
SETTLE_SECONDS = 0.5  # until the server notices that a connection is gone


@dataclass
class Killed:
    """What readers saw.

    Parameters
    ----------
    rows
        How many rows each run writes.
    reads
        How many readings there were.
    refused
        How many more the server answered with an error, to be asked again.
    mixed
        Readings that were not one whole set.
    kills
        For each kill, whether the old or the new set was seen after it.
    whole_seconds
        How long a run takes that nobody kills.
    """

    rows: int = 0
    reads: int = 0
    refused: int = 0
    mixed: list[dict[str, int]] = field(default_factory=list)
    kills: list[str] = field(default_factory=list)
    whole_seconds: float = 0.0

    def to_dict(self) -> dict[str, object]:
        """Give the findings as plain values."""
        return {
            "rows": self.rows,
            "kills": len(self.kills),
            "after a kill": dict(Counter(self.kills)),
            "reads": self.reads,
            "refused": self.refused,
            "mixed": len(self.mixed),
            "a whole run, s": round(self.whole_seconds, 2),
        }


def kill_writers(server: BoltServer, users: int, *, kills: int, seed: int) -> Killed:
    """Kill one writer after another.

    Parameters
    ----------
    server
        A server that has the users and the items of ``benchmarks.ingest_run``.
    users
        How many users get a list.
    kills
        How many writers are killed.
    seed
        Seed of the moments.

    Returns
    -------
    Killed
        What readers saw; one writer runs through before the first kill, one after the last.
    """
    FORKS.set_forkserver_preload([__name__])
    rows = users * LISTED
    found = Killed(rows)
    draw = random.Random(seed)  # noqa: S311  no secrets
    for run in range(2):  # the second replaces the first, as all others do
        found.whole_seconds = _write(server, users, run, None)
    stop = threading.Event()
    reader = threading.Thread(target=_read_on, args=(server, rows, stop, found))
    reader.start()
    try:
        for run in range(2, 2 + kills):
            before = _shown(server)
            _write(server, users, run, draw.uniform(0, found.whole_seconds))
            time.sleep(SETTLE_SECONDS)
            found.kills.append("old" if _shown(server) == before else "new")
        _write(server, users, 2 + kills, None)
    finally:
        stop.set()
        reader.join()
    return found


def _read_on(server: BoltServer, rows: int, stop: threading.Event, found: Killed) -> None:
    while not stop.is_set():
        try:
            seen = _visible(server)
        except ClientError:  # ArcadeDB's, where a scan meets what is being taken away
            found.refused += 1
            continue
        found.reads += 1
        if list(seen.values()) != [rows]:
            found.mixed.append(seen)


def _visible(server: BoltServer) -> dict[str, int]:
    """Count the recommendations that a reader sees, by the run that wrote them."""
    return {str(record["run"]): int(record["n"]) for record in _ask(server, READ)}


def _shown(server: BoltServer) -> str:
    [record] = _ask(server, "MATCH (c:KgrecRun {model: 'bench'}) RETURN c.run AS run")
    return str(record["run"])


def _ask(server: BoltServer, query: str) -> list[neo4j.Record]:
    with neo4j.GraphDatabase.driver(server.uri, auth=server.auth) as driver:
        return driver.execute_query(query, database_=server.database).records


def _write(server: BoltServer, users: int, run: int, kill_after: float | None) -> float:
    """Let a process write, kill it if asked to, and say how long it wrote."""
    writer = FORKS.Process(target=_write_all, args=(server.uri, server.where, users, run))
    start = time.perf_counter()
    writer.start()
    writer.join(kill_after)
    if kill_after is not None:
        writer.kill()
        writer.join()
    elif writer.exitcode:
        raise RuntimeError("a writer failed that nobody has killed")
    return time.perf_counter() - start


def _write_all(uri: str, where: Where, users: int, run: int) -> None:
    writer = Neo4jWriter(made_up_results(users, run))
    writer.write(uri, linger_seconds=LINGER_SECONDS, **where)
