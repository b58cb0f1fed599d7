"""Whether shares of edges agree with what is lost without them: ``python -m benchmarks.explore``.

The Debian data that ship, seed 0; edges of cold packages in the order of their names.  Then how
long the neighbourhood of an item with 100,000 edges takes, from a graph alone.
"""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
from kgrec import Recommender, datasets, load_schema, read_rdf
from kgrec.changes import without_edges
from kgrec.explore import neighbourhood, signal
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.items import Edge
from kgrec.schema import GraphSchema, NodeSchema, RelationSchema
from numpy.typing import NDArray
from scipy.stats import spearmanr

LEAST_EDGES = 200
HUB_EDGES = 100_000
REPEATS = 5


def column_of(model: Recommender, graph: KnowledgeGraph, item: str) -> NDArray[np.float64]:
    """Give the column of an item in another state of the graph, before its gain, [W]."""
    state = model._fitted  # noqa: SLF001
    network, anchors = state.catalogue.head.network, state.catalogue.head.anchors
    encode = model._text_memory.encode_graph  # noqa: SLF001
    rows = state.row_encoder.encode(graph, graph.items.positions([item]), encode)
    kernel = network.propagation.kernel(rows, [anchor.T for anchor in anchors])  # type: ignore[misc]
    answer = network.teacher.numpy().astype(np.float64) @ network.inverse.numpy()
    return np.asarray(answer @ kernel[0].numpy())


def hub_graph() -> KnowledgeGraph:
    """Make a graph in which all films follow one."""
    schema = GraphSchema(
        name="hub",
        user="person",
        item="film",
        interaction="watched",
        nodes={"person": NodeSchema(text=False), "film": NodeSchema()},
        relations={"follows": RelationSchema(head="film", tail="film")},
    )
    films = [f"film{number}" for number in range(HUB_EDGES)]
    entities = {"id": ["hub", *films], "type": ["film"] * (HUB_EDGES + 1)}
    relations = {"head": films, "relation": ["follows"] * HUB_EDGES, "tail": ["hub"] * HUB_EDGES}
    nobody = pa.table({name: pa.array([], pa.string()) for name in ("user", "item")})
    tables = GraphTables(pa.table(entities), pa.table(relations), nobody)
    return KnowledgeGraph.from_tables(schema, tables)


def time_hub() -> float:
    """Give the seconds that the neighbourhood of a hub takes, the longest of some."""
    graph = hub_graph()
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        neighbourhood(graph, "hub", limit=30)
        taken.append(time.perf_counter() - start)
    return max(taken)


def main() -> None:
    """Measure and print."""
    graph = read_rdf(datasets.debian_rdf(), load_schema(datasets.debian_folder()))
    model = Recommender().fit(graph, seed=0)
    shares: list[float] = []
    losses: list[float] = []
    worst = 0.0
    for item in graph.cold_items.to_pylist():
        worst = max(worst, abs(signal(model, item)["share"].sum() - 1.0))
        if len(shares) >= LEAST_EDGES:
            continue
        around = neighbourhood(model, item, hops=1, limit=1_000)
        node, whole = around.graph["item"], column_of(model, graph, item)
        own = [*around.in_edges(node, data=True), *around.out_edges(node, data=True)]
        for head, tail, values in own:
            other, way = (tail, "out") if head == node else (head, "in")
            edge = Edge.model_validate(
                {"relation": values["relation"], "node": other[1], "direction": way}
            )
            left = column_of(model, without_edges(graph, item, [edge]), item)
            shares.append(values["share"])
            losses.append(1.0 - float(left @ whole / (whole @ whole)))
    print(f"greatest distance of a sum of shares from one: {worst:.1e}")
    print(f"Spearman with measured loss, {len(shares)} edges: {spearmanr(shares, losses)[0]:.3f}")
    print(f"neighbourhood of a hub of {HUB_EDGES:,} edges: at most {time_hub():.3f} s")


if __name__ == "__main__":
    main()
