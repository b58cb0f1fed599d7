"""How long training takes, against ALS on the same interactions in the same run.

``python -m benchmarks.training --data SOURCE`` fits kgrec and ``implicit``'s ALS (64 factors, 15
iterations) on ml1m-kg in turn and prints seconds, their ratio and the peak memory as JSON.
Texts are encoded beforehand.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

from implicit.als import AlternatingLeastSquares
from kgrec import KnowledgeGraph, Recommender, TextEncoder, load_schema, open_graph

from benchmarks.datasets import convert_ml1m

KILOBYTES_A_GIGABYTE = 1e6


def als_seconds(graph: KnowledgeGraph) -> float:
    """Time ALS with 64 factors and 15 iterations."""
    histories = graph.interaction_matrix()
    start = time.perf_counter()
    model = AlternatingLeastSquares(factors=64, iterations=15, random_state=0)
    model.fit(histories, show_progress=False)
    return time.perf_counter() - start


def kgrec_seconds(graph: KnowledgeGraph, encoder: TextEncoder) -> float:
    """Time a fit, the texts already encoded."""
    for table in graph.nodes.values():
        encoder.encode(table.texts)
    start = time.perf_counter()
    Recommender(encoder=encoder).fit(graph, seed=0)
    return time.perf_counter() - start


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("benchmarks/data"))
    parser.add_argument("--work", type=Path, default=Path("build/training"))
    arguments = parser.parse_args()
    source = arguments.data / "ml1m-kg"
    if not source.is_dir():
        print(f"skipped: {source} is not there")
        return
    convert_ml1m(source, arguments.work)
    folder = arguments.work / "ml1m-kg-cold"
    graph = open_graph(folder, load_schema(folder))
    als = als_seconds(graph)
    kgrec = kgrec_seconds(graph, TextEncoder())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILOBYTES_A_GIGABYTE
    result = {"als": als, "kgrec": kgrec, "ratio": kgrec / als, "peak_gb": peak}
    print(json.dumps({name: round(value, 2) for name, value in result.items()}))


if __name__ == "__main__":
    main()
