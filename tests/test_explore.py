"""Neighbourhoods: what is around an item, and what each part of it gives to its vector."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from kgrec import Config, GraphTables, KnowledgeGraph, Recommender, TextEncoder, UnknownIdError
from kgrec.explain import FAR, NEIGHBOURS, USED_TOGETHER
from kgrec.explore import coverage, nearest, neighbourhood, signal

from tests.evaluation.worlds import make_graph
from tests.live_world import SCHEMA, live_graph

HUB_EDGES = 100_000


@pytest.fixture(scope="module")
def fitted(tiny_encoder: TextEncoder) -> Recommender:
    config = Config(steps=3, core_items=20)
    return Recommender(config, encoder=tiny_encoder).fit(live_graph(), seed=1)


def test_the_shares_of_every_cold_item_sum_to_one(fitted: Recommender) -> None:
    for item in fitted.graph.cold_items.to_pylist():
        frame = signal(fitted, item)
        assert frame["share"].sum() == pytest.approx(1.0, abs=1e-4)
        assert frame["share"].is_monotonic_decreasing


def test_shares_are_projections_of_summands_of_the_column(fitted: Recommender) -> None:
    subject = fitted.subject("film39", history=())
    network = subject.catalogue.head.network
    rows = [parts.total() for parts in subject.parts]
    kernel = network.propagation.kernel(
        rows,
        [anchor.T for anchor in subject.catalogue.head.anchors],  # type: ignore[misc]
    )
    whole = network.teacher.numpy() @ network.inverse.numpy() @ kernel[0].numpy()
    whole *= network.gain(rows).item()
    np.testing.assert_allclose(whole, subject.catalogue.column(subject.item), atol=1e-5)
    nothing = signal(fitted, "film39").query("channel == 'nothing shared'")["share"].sum()
    sharpness = network.propagation.sharpness
    ones = np.ones(len(whole)) * (np.exp(-sharpness) if sharpness else 0.0)
    part = network.teacher.numpy() @ network.inverse.numpy() @ ones * network.gain(rows).item()
    assert nothing == pytest.approx(part @ whole / (whole @ whole), abs=1e-4)


def test_an_item_of_the_core_comes_from_its_use(fitted: Recommender) -> None:
    core = fitted.subject("film00", history=()).catalogue.core
    item = fitted.graph.items.ids[int(core[0])].as_py()
    assert signal(fitted, item).to_numpy().tolist() == [[USED_TOGETHER, None, 1.0]]


def test_edges_carry_what_their_neighbours_give(fitted: Recommender) -> None:
    around = neighbourhood(fitted, "film39", limit=1_000)
    frame = signal(fitted, "film39")
    expected = frame[frame["channel"].isin([NEIGHBOURS, FAR])]["share"].sum()
    shares = [share for _, _, share in around.edges(data="share")]
    assert sum(shares) == pytest.approx(expected, abs=1e-9)
    assert any(share > 0 for share in shares)
    assert around.nodes["film", "film39"]["score"] == pytest.approx(1.0, abs=1e-5)
    assert around.nodes["film", "film39"]["cold"]


def test_a_graph_alone_gives_the_rare_neighbours_first() -> None:
    films = {f"film{i}": ["drama", "noir"] if i < 2 else ["drama"] for i in range(9)}
    graph = make_graph(dict.fromkeys(films, "a film"), [("ada", "film5")], films)
    around = neighbourhood(graph, "film0", limit=4)
    hops = dict(around.nodes(data="hop"))
    assert hops["film", "film0"] == 0
    assert hops["genre", "noir"] == hops["genre", "drama"] == 1
    assert len(hops) == 4
    assert neighbourhood(graph, "film0", hops=1, limit=2).nodes.keys() == {
        ("film", "film0"),
        ("genre", "noir"),
    }
    assert list(neighbourhood(graph, "film0", hops=0)) == [("film", "film0")]


@pytest.mark.parametrize(("hops", "limit"), [(-1, 5), (2, 0)])
def test_refuses_what_is_no_neighbourhood(hops: int, limit: int) -> None:
    with pytest.raises(ValueError, match="ask for 1 or more"):
        neighbourhood(live_graph(), "film00", hops, limit)


def test_names_an_unknown_item() -> None:
    with pytest.raises(UnknownIdError, match="nosuch"):
        neighbourhood(live_graph(), "nosuch")


def test_the_neighbourhood_of_a_hub_is_bounded() -> None:
    films = [f"film{i}" for i in range(HUB_EDGES)]
    entities = pa.table({"id": ["hub", *films], "type": ["film"] * (HUB_EDGES + 1)})
    relations = pa.table({"head": films, "relation": ["follows"] * HUB_EDGES})
    relations = relations.append_column("tail", pa.array(["hub"] * HUB_EDGES))
    nothing = pa.table({name: pa.array([], pa.string()) for name in ("user", "item")})
    graph = KnowledgeGraph.from_tables(SCHEMA, GraphTables(entities, relations, nothing))
    around = neighbourhood(graph, "hub", hops=1, limit=50)
    assert around.number_of_nodes() == 50
    assert around.in_degree(("film", "hub")) == 49


def test_nearest_names_what_is_shared(fitted: Recommender) -> None:
    frame = nearest(fitted, "film39", 5)
    own = set(neighbourhood(fitted.graph, "film39", hops=1, limit=1_000)) - {("film", "film39")}
    for neighbour, shared in zip(frame["neighbour"], frame["shared"], strict=True):
        other = set(neighbourhood(fitted.graph, neighbour, hops=1, limit=1_000))
        assert set(shared) == {f"{kind}/{name}" for kind, name in own & other}
    assert frame["shared"].map(len).any()


def test_coverage_finds_cold_items_of_which_little_is_known() -> None:
    genres = {"a": ["drama", "noir"], "bare": [], "known": ["drama", "noir"], "mute": ["drama"]}
    texts = {"a": "x" * 50, "bare": "y" * 50, "known": "z" * 50, "mute": None}
    frame = coverage(make_graph(texts, [("ada", "a")], genres))
    assert frame.to_numpy().tolist() == [["bare", 50, 0, "edges"], ["mute", 0, 1, "text and edges"]]
