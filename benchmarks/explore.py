"""Whether what ``kgrec.explore`` says is so: ``python -m benchmarks.explore``.

On the Debian data that ship: shares of edges against what is lost without them (seed 0; edges of
cold packages in the order of their names), and recall by what is known of hidden items, which the
thresholds of ``coverage`` are chosen by (a fifth of the packages hidden, five draws).  Then how
long the neighbourhood of an item with 100,000 edges takes, from a graph alone and with a model.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pyarrow as pa
from kgrec import Recommender, datasets, load_schema, read_rdf
from kgrec.changes import without_edges
from kgrec.evaluation import split_cold_items
from kgrec.explore import neighbourhood, recall_by, recall_of_items, signal
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.items import Edge
from kgrec.schema import GraphSchema, NodeSchema, RelationSchema
from numpy.typing import NDArray
from scipy.stats import spearmanr

LEAST_EDGES = 200
HUB_EDGES = 100_000
HUB_USERS, USED, HUB_LOG = 200, 500, 2_000
REPEATS = 5
DRAWS = 5
EDGE_BANDS = (0, 7, 10, 15)  # quartiles of the packages in use
TEXT_BANDS = (0, 100, 200, 300, 400, 600)


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
    random = np.random.default_rng(0)
    log = {
        "user": [f"person{number}" for number in random.integers(0, HUB_USERS, HUB_LOG)],
        "item": [films[number] for number in random.integers(0, USED, HUB_LOG)],
    }
    tables = GraphTables(pa.table(entities), pa.table(relations), pa.table(log))
    return KnowledgeGraph.from_tables(schema, tables)


def time_hub(source: Recommender | KnowledgeGraph) -> float:
    """Give the seconds that the neighbourhood of a hub takes, the longest of some."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        neighbourhood(source, "hub", limit=30)
        taken.append(time.perf_counter() - start)
    return max(taken)


def recall_by_knowledge(graph: KnowledgeGraph) -> dict[str, pd.DataFrame]:
    """Give the recall@20 of hidden items by their edges and by the length of their texts."""
    draws = []
    for seed in range(DRAWS):
        split = split_cold_items(graph, 0.2, seed=seed)
        model = Recommender().fit(split.train, seed=seed)
        draws.append(recall_of_items({"kgrec": model}, split))
    items = pd.concat(draws, ignore_index=True)
    return {
        "edges": recall_by(items, "edges", EDGE_BANDS),
        "characters": recall_by(items, "characters", TEXT_BANDS),
    }


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
    for column, bands in recall_by_knowledge(graph).items():
        print(f"recall@20 of hidden packages by {column}:")
        print(bands.drop(columns="model").to_string(index=False, float_format="{:.3f}".format))
    hub = hub_graph()
    print(f"neighbourhood of a hub of {HUB_EDGES:,} edges: at most {time_hub(hub):.3f} s")
    fitted = Recommender().fit(hub, seed=0)
    print(f"the same with a model: at most {time_hub(fitted):.3f} s")


if __name__ == "__main__":
    main()
