"""A fitted model of a small shop, and the same shop in a server."""

from __future__ import annotations

import pyarrow as pa
import pytest
from benchmarks.bolt_server import BoltServer
from kgrec.config import Config
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.property_graph import NodeFile, load_into_neo4j
from kgrec.recommender import Recommender
from kgrec.schema import GraphSchema, NodeSchema, RelationSchema
from kgrec.text import TextEncoder

KINDS = ("tea", "bicycle")
USERS, ITEMS = 12, 20
SCHEMA = GraphSchema(
    name="shop",
    user="customer",
    item="product",
    interaction="bought",
    nodes={
        "customer": NodeSchema(text=False, label="Customer", key="name"),
        "product": NodeSchema(label="Product", key="sku", iri="http://shop.example/{id}"),
        "kind": NodeSchema(),
    },
    relations={"is_a": RelationSchema(head="product", tail="kind")},
)


def shop_graph() -> KnowledgeGraph:
    """Make a shop: even products are tea, odd ones bicycles, and customers buy one kind."""
    products = [str(100 + n) for n in range(ITEMS)]
    kinds = [KINDS[n % 2] for n in range(ITEMS)]
    log = [
        (f"{KINDS[user % 2]} lover {user}", products[item])
        for user in range(USERS)
        for item in range(ITEMS - 2)
        if item % 2 == user % 2 and (item + user) % 3
    ]
    users, items = zip(*log, strict=True)
    tables = GraphTables(
        pa.table(
            {
                "id": [*products, *KINDS],
                "type": ["product"] * ITEMS + ["kind"] * 2,
                "text": [f"a {kind}" for kind in kinds] + list(KINDS),
            }
        ),
        pa.table({"head": products, "relation": ["is_a"] * ITEMS, "tail": kinds}),
        pa.table({"user": users, "item": items}),
    )
    return KnowledgeGraph.from_tables(SCHEMA, tables)


@pytest.fixture(scope="package")
def model(tiny_encoder: TextEncoder) -> Recommender:
    return Recommender(Config(steps=2), encoder=tiny_encoder, device="cpu").fit(shop_graph())


@pytest.fixture
def shop_server(empty_bolt: BoltServer) -> BoltServer:
    """Put customers, and products with integer keys, into an empty database."""
    graph = shop_graph()
    nodes = [
        NodeFile("Customer", "name", pa.table({"name": graph.users.ids})),
        NodeFile("Product", "sku", pa.table({"sku": graph.items.ids.cast(pa.int64())})),
    ]
    load_into_neo4j(nodes, [], empty_bolt.uri, **empty_bolt.where)
    return empty_bolt
