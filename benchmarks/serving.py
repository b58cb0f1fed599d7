"""Sections of the serving benchmark, each a function that gives plain values."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from kgrec import Config, GraphTables, KnowledgeGraph, Recommender, TextEncoder, datasets
from kgrec.items import Edge, Item, PutItems
from kgrec.live import LiveModel
from kgrec.paths import steps_from
from kgrec.retrieval import top_products
from kgrec.schema import load_schema
from kgrec.sources import read_rdf, read_tables
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.synthetic import SCHEMA

K = 20
WRK_SECONDS = 10
WARM_UP = 20


def draw_skewed(random: np.random.Generator, count: int, size: int) -> NDArray[np.int64]:
    """Draw positions of which the first are drawn most."""
    return np.minimum((random.pareto(1.1, size) * count / 50).astype(np.int64), count - 1)


def make_shop(items: int, warm: int, users: int, texts: bool, seed: int = 0) -> KnowledgeGraph:
    """Draw a graph of a shop: nine tags and a maker an item, tags that are near each other."""
    random = np.random.default_rng(seed)
    tags, makers = max(50, items // 2), max(20, items // 6)
    words = np.array([f"word{i}" for i in range(5_000)])
    names = {
        "item": np.array([f"i{i:07}" for i in range(items)]),
        "tag": np.array([f"t{i:07}" for i in range(tags)]),
        "maker": np.array([f"m{i:07}" for i in range(makers)]),
        "user": np.array([f"u{i:07}" for i in range(users)]),
    }
    drawn = [
        [" ".join(words[draw_skewed(random, len(words), length)]) for _ in range(count)]
        if texts
        else [None] * count
        for count, length in ((items, 8), (tags, 2), (makers, 2))
    ]
    entities = pa.table(
        {
            "id": np.concatenate(list(names.values())),
            "type": np.repeat(list(names), [len(ids) for ids in names.values()]),
            "text": pa.array([*chain.from_iterable(drawn), *[None] * users], pa.string()),
        }
    )
    each = 9 if texts else 3
    near = random.integers(0, tags, (2, tags))
    head = np.repeat(np.arange(items), each)
    relations = pa.table(
        {
            "head": np.concatenate([names["item"][head], names["item"], names["tag"][near[0]]]),
            "relation": np.repeat(["tagged", "made_by", "near"], [len(head), items, tags]),
            "tail": np.concatenate(
                [
                    names["tag"][draw_skewed(random, tags, len(head))],
                    names["maker"][draw_skewed(random, makers, items)],
                    names["tag"][near[1]],
                ]
            ),
        }
    )
    used = 20 * users
    log = pa.table(
        {
            "user": names["user"][np.repeat(np.arange(users), 20)],
            "item": names["item"][random.integers(0, warm, used)],
        }
    )
    return KnowledgeGraph.from_tables(SCHEMA, GraphTables(entities, relations, log))


class TimedEncoder(TextEncoder):
    """Adds up the time that encoding takes, by the clock and of the processor."""

    spent: NDArray[np.float64] = np.zeros(2)

    def encode(self, texts: Any) -> NDArray[np.float32]:  # noqa: ANN401  as the encoder
        """Encode texts, and look at the clock."""
        start = read_clocks()
        try:
            return super().encode(texts)
        finally:
            self.spent = self.spent + read_clocks() - start


def read_clocks() -> NDArray[np.float64]:
    """Read the clock on the wall, and the time that the processor spent on this process."""
    return np.array([time.perf_counter(), time.process_time()])


def spread(part: str, values: list[NDArray[np.float64]]) -> dict[str, object]:
    """Give the middle and the slow end of some times."""
    (p50, cpu50), (p95, cpu95) = 1e3 * np.percentile(np.stack(values), [50, 95], axis=0)
    facts = {"p50": p50, "p95": p95, "p50 of the processor": cpu50, "p95 of the processor": cpu95}
    return {"ms": part} | {name: round(float(value), 1) for name, value in facts.items()}


def measure_put() -> dict[str, Any]:
    """Time a new item, text and ten edges, from the change to its place in a list."""
    torch.set_num_threads(1)
    graph = make_shop(30_000, 2_000, 52_000, texts=True)
    settings = Config(steps=5, selection_items=800, episode_items=500, low_pass_rank=0)
    encoder = TimedEncoder()
    ranker = Recommender(settings, encoder=encoder).fit(graph)
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        ranker.save(Path(folder) / "model")
        live = LiveModel(Path(folder) / "model", encoder=encoder)
        live.warm_up()
        encoding, rest = [], []
        tags, makers = graph.nodes["tag"].ids, graph.nodes["maker"].ids
        for number in range(220):
            chosen = np.unique(draw_skewed(random, len(tags), 30))
            edges = [
                Edge(relation="tagged", node=tags[int(i)].as_py())
                for i in random.permutation(chosen)[:9]
            ]
            edges.append(
                Edge(relation="made_by", node=makers[int(random.integers(len(makers)))].as_py())
            )
            words = " ".join(f"word{i}" for i in draw_skewed(random, 5_000, 8))
            item = Item(id=f"new{number}", text=f"{words} {number}", edges=tuple(edges))
            encoder.spent = np.zeros(2)
            start = read_clocks()
            live.apply(PutItems(items=(item,)))
            listed = live.current().recommend("u0000007", 10, items=[item.id])
            taken = read_clocks() - start
            if len(listed) != 1:
                raise RuntimeError("the new item is not ranked")
            encoding.append(encoder.spent)
            rest.append(taken - encoder.spent)
        return {
            "graph": repr(graph),
            "core_items": int(ranker.validation["core_items"]),  # type: ignore[call-overload]
            "channels": len(live.current()._fitted.row_encoder.channels),  # noqa: SLF001
            "items": len(rest) - WARM_UP,
            "from the change to its place in a list": [
                spread("encoder", encoding[WARM_UP:]),
                spread("graph, rows, column, journal with fsync, list", rest[WARM_UP:]),
            ],
        }


def measure_topk(data: Path | None) -> dict[str, Any]:
    """Rank all items for all users by inner products, against implicit."""
    torch.set_num_threads(1)
    rows = [_compare_topk(*_random_factors(20_000, 1_000_000, 128), "1 M items x 128", 512)]
    if data is not None and (data / "ml1m-kg-warm").is_dir():
        folder = data / "ml1m-kg-warm"
        graph = read_tables(folder, load_schema(folder))
        rows.append(_compare_topk(*_als_factors(graph.interaction_matrix()), "ml1m-kg x 128", None))
    return {"k": K, "threads": 1, "exact": rows}


def _random_factors(
    users: int, items: int, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw factors with a falling spectrum and soft groups, as a factorisation has them."""
    random = np.random.default_rng(0)
    scale = (np.arange(1, size + 1) ** -0.5).astype(np.float32)
    centres = random.normal(size=(500, size)).astype(np.float32) * scale

    def draw(count: int) -> NDArray[np.float32]:
        noise = random.normal(size=(count, size)).astype(np.float32) * scale
        return centres[random.integers(500, size=count)] + np.float32(0.6) * noise

    length = np.exp(0.3 * random.normal(size=(items, 1))).astype(np.float32)
    return draw(users), draw(items) * length


def _als_factors(histories: sparse.csr_array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(factors=128, iterations=5, random_state=0, num_threads=1)
    model.fit(sparse.csr_matrix(histories), show_progress=False)
    return model.user_factors, model.item_factors


def _compare_topk(
    users: NDArray[np.float32], items: NDArray[np.float32], name: str, asked: int | None
) -> dict[str, Any]:
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    users = users[:asked]
    peer = AlternatingLeastSquares(factors=items.shape[1], num_threads=1)
    peer.user_factors, peer.item_factors = users, items
    everybody = np.arange(len(users))
    shape = (len(users), len(items))
    empty = (np.empty(0, np.float32), np.empty(0, np.int32), np.zeros(len(users) + 1, np.int32))
    nothing = sparse.csr_matrix(empty, shape=shape)
    mine, theirs = [], []
    with threadpool_limits(1):
        for _ in range(3):  # by turns, so that both meet the same neighbours on the machine
            start = time.perf_counter()
            found, products = top_products(users, items, K)
            mine.append(time.perf_counter() - start)
            start = time.perf_counter()
            other, scores = peer.recommend(
                everybody, nothing, N=K, filter_already_liked_items=False
            )
            theirs.append(time.perf_counter() - start)
    if not np.allclose(products, scores, rtol=1e-4, atol=1e-4):
        raise RuntimeError("the two do not agree")
    return {
        "data": name,
        "users": len(users),
        "items": len(items),
        "kgrec users/s": round(len(users) / min(mine)),
        "implicit users/s": round(len(users) / min(theirs)),
        "ratio": round(min(theirs) / min(mine), 2),
        "same items": round(float((found == other).mean()), 4),
    }


def measure_approximate() -> dict[str, Any]:
    """Compare the approximate index with the exact search on a million items."""
    import faiss
    from kgrec.approximate import ApproximateIndex

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    users, items = _random_factors(2_000, 1_000_000, 128)
    start = time.perf_counter()
    index = ApproximateIndex(items, queries=users[512:], recall=0.952, k=K, seed=0)
    built = time.perf_counter() - start
    approximate, whole = [], []
    for _ in range(2):
        start = time.perf_counter()
        exact, _ = top_products(users[:512], items, K)
        whole.append((time.perf_counter() - start) / 512)
        start = time.perf_counter()
        found, _ = index.search(users, K)
        approximate.append((time.perf_counter() - start) / len(users))
    hits = [
        len(set(a) & set(b)) / K for a, b in zip(found[:512].tolist(), exact.tolist(), strict=True)
    ]
    return {
        "items": "1,000,000 x 128, drawn with a falling spectrum and 500 soft groups",
        "threads": 1,
        "built in s": round(built, 1),
        "recall@20 that the index reports": round(index.recall, 4),
        "recall@20 on other users": round(float(np.mean(hits)), 4),
        "approximate users/s": round(1 / min(approximate)),
        "exact users/s": round(1 / min(whole)),
        "ratio": round(min(whole) / min(approximate), 1),
    }


PEER = """
import numpy as np, sys
from fastapi import FastAPI
from pydantic import BaseModel
from scipy import sparse
from implicit.cpu.als import AlternatingLeastSquares
folder = sys.argv[1]
used = sparse.load_npz(f"{folder}/used.npz")
model = AlternatingLeastSquares(factors=128, num_threads=1)
model.user_factors = np.load(f"{folder}/users.npy")
model.item_factors = np.load(f"{folder}/items.npy")
app = FastAPI()
class Ask(BaseModel):
    user: int
    n: int = 10
@app.post("/recommend")
def recommend(ask: Ask):
    items, scores = model.recommend(ask.user, used[ask.user], N=ask.n)
    found = zip(items.tolist(), scores.tolist())
    return {"recommendations": [{"item": f"i{i:07}", "score": score} for i, score in found]}
import uvicorn
uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
"""


def measure_load() -> dict[str, Any]:
    """Ask for lists as fast as two connections can, of kgrec and of a handler of ten lines."""
    rows = []
    for items, warm in ((10_000, 2_000), (1_000_000, 512)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            users = _prepare(folder, items, warm)
            servers = ("implicit + FastAPI", "kgrec", "implicit + FastAPI", "kgrec")
            rows += [_ask_much(folder, server, items, users) for server in servers]
    return {
        "client": f"wrk, 2 connections, {WRK_SECONDS} s, users drawn at random, lists of 10",
        "peer": "implicit.recommend at 128 factors behind FastAPI, no checks or metrics",
        "runs": rows,
    }


def _prepare(folder: Path, items: int, warm: int) -> int:
    torch.set_num_threads(1)
    users = 20_000
    graph = make_shop(items, warm, users, texts=False)
    settings = Config(
        steps=2, core_items=warm, selection_items=400, episode_items=300, low_pass_rank=0
    )
    encoder = TextEncoder()
    Recommender(settings, encoder=encoder).fit(graph).save(folder / "model")
    theirs = _random_factors(users, items, 128)
    for name, factors in zip(("users", "items"), theirs, strict=True):
        np.lib.format.write_array((folder / f"{name}.npy").open("wb"), factors)
    sparse.save_npz(folder / "used.npz", sparse.csr_matrix(graph.interaction_matrix()))
    (folder / "peer.py").write_text(PEER, encoding="utf-8")
    return users


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server_of(folder: Path, server: str) -> Iterator[int]:
    """Run a server until it is not needed."""
    port = free_port()
    if server == "kgrec":
        command = ["-m", "kgrec.cli", "serve", str(folder / "model"), "--port", str(port)]
        command += ["--rate", "", "--reload-seconds", "0"]
    else:
        command = [str(folder / "peer.py"), str(folder), str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log)  # noqa: S603
    try:
        end = time.monotonic() + 180
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.3)
        time.sleep(8 if server == "kgrec" else 1)  # until the text model is loaded
        yield port
    finally:
        process.kill()
        process.wait()


def _ask_much(folder: Path, server: str, items: int, users: int) -> dict[str, Any]:
    name = (
        "string.format('u%07d', math.random(0, USERS - 1))"
        if server == "kgrec"
        else ("math.random(0, USERS - 1)")
    )
    quote = '"' if server == "kgrec" else ""
    script = f"""
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
USERS = {users}
math.randomseed(7)
request = function()
  return wrk.format(nil, "/recommend", nil, '{{"n": 10, "user": {quote}' .. {name} .. '{quote}}}')
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %.3f %.3f %d\\n", summary.requests, summary.duration,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
    (folder / "ask.lua").write_text(script, encoding="utf-8")
    wrk = shutil.which("wrk")
    if wrk is None:
        raise RuntimeError("wrk is not installed: apt-get install wrk")
    with server_of(folder, server) as port:
        url = f"http://127.0.0.1:{port}"
        common = [wrk, "-t1", "-c2", "-s", str(folder / "ask.lua"), "--timeout", "20s"]
        subprocess.run([*common, "-d2s", url], check=True, capture_output=True)  # noqa: S603
        done = subprocess.run(  # noqa: S603
            [*common, f"-d{WRK_SECONDS}s", url], check=True, capture_output=True, text=True
        )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    count, micros, p50, p99, errors = (float(part) for part in line.split()[1:])
    return {
        "items": items,
        "server": server,
        "requests/s": round(count / (micros / 1e6), 1),
        "p50_ms": p50,
        "p99_ms": p99,
        "errors": int(errors),
    }


def measure_faults() -> dict[str, Any]:
    """Kill a writer fifty times."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kills", "--rounds", "50", "--writes", "1000"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measure_fuzz() -> dict[str, Any]:
    """Let schemathesis look for a request that makes the service fail."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        graph = read_rdf(datasets.debian_rdf(), load_schema(datasets.debian_folder()))
        Recommender(Config(steps=2)).fit(graph).save(folder / "model")
        with server_of(folder, "kgrec") as port:
            done = subprocess.run(  # noqa: S603  our own command line
                [
                    *(sys.executable, "-m", "schemathesis.cli", "run"),
                    f"http://127.0.0.1:{port}/openapi.json",
                    *("--checks", "not_a_server_error", "--max-examples", "200", "--seed", "1"),
                    *("--phases", "examples,coverage,fuzzing"),
                ],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
    lines = done.stdout.splitlines()
    return {
        "operations": next((ln.split(":")[1].strip() for ln in lines if "Tested:" in ln), "?"),
        "cases": next((ln.strip() for ln in lines if re.match(r"\s*\d+ generated", ln)), "?"),
        "server errors": int(done.returncode != 0),
    }


def measure_deletion() -> dict[str, Any]:
    """Remove edges of cold items one after another, by what explanations say and at random."""
    torch.set_num_threads(1)
    graph = read_rdf(datasets.debian_rdf(), load_schema(datasets.debian_folder()))
    ranker = Recommender().fit(graph, seed=0)
    random = np.random.default_rng(0)
    users = [ranker.graph.users.ids[int(i)].as_py() for i in random.permutation(len(graph.users))]
    curves: dict[str, list[NDArray[np.float64]]] = {"by explanation": [], "at random": []}
    first: dict[str, list[float]] = {"top path": [], "random edge": []}
    for item in graph.cold_items.to_pylist():
        edges = _edges_of(graph, item)
        if len(edges) < 4:
            continue
        (user,) = ranker.audience(item, 1)["user"].tolist() or [users[0]]
        explained = ranker.explanation(item, user=user, n=500)
        rank = {key: place for place, key in reversed(list(enumerate(explained.paths["shared"])))}
        by_path = sorted(edges, key=lambda key: rank.get(key, len(rank)))
        by_chance = list(random.permutation(np.array(list(edges), dtype=object)))
        for name, order in (("by explanation", by_path), ("at random", by_chance)):
            scores = [explained.score] + [
                ranker.score_without(item, [edges[key] for key in order[:count]], user=user)
                for count in range(1, len(order) + 1)
            ]
            curve = np.interp(np.linspace(0, 1, 11), np.linspace(0, 1, len(scores)), scores)
            curves[name].append(curve - explained.score)
            first["top path" if name == "by explanation" else "random edge"].append(
                explained.score - scores[1]
            )
    mean = {name: np.mean(found, axis=0) for name, found in curves.items()}
    return {
        "data": "debian, cold items with at least four edges, the surest user of each",
        "items": len(curves["at random"]),
        "drop by removing the edge of": {
            name: round(float(np.mean(values)), 3) for name, values in first.items()
        },
        "mean score change by share of edges removed": [
            {"removed": f"{share:.0%}", **{name: round(float(c[i]), 3) for name, c in mean.items()}}
            for i, share in enumerate(np.linspace(0, 1, 11))
        ],
        "area (lower is more faithful)": {
            name: round(float(curve.mean()), 3) for name, curve in mean.items()
        },
    }


def _edges_of(graph: KnowledgeGraph, item: str) -> dict[str, Edge]:
    place = int(graph.items.positions([item])[0])
    return {
        f"{step.node_type}/{name}": Edge(
            relation=step.relation, node=name, direction="out" if step.outwards else "in"
        )
        for step in steps_from(graph, graph.schema.item, place)
        for name in [graph.nodes[step.node_type].ids[step.node].as_py()]
    }
