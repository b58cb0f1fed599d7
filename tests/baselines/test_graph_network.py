"""Graph neural networks: what reaches an item, what stays out, and what is learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from kgrec.baselines import GAT, GraphNetworkSettings, GraphSAGE
from kgrec.baselines.graph_network import (
    EpisodicTraining,
    GraphNetwork,
    mean_rows,
    without_items,
)
from kgrec.baselines.message_graph import MessageGraph, read_messages, rows_among
from kgrec.graph import GraphTables, KnowledgeGraph
from scipy import sparse

from tests.baselines.worlds import TASTES, WordEncoder, checkerboard
from tests.evaluation.worlds import SCHEMA, make_graph

SMALL = GraphNetworkSettings(width=16, heads=2, dropout=0.1)
SETTINGS = [
    replace(SMALL, convolution="sage", layers=1, identity="learned", history="free"),
    replace(SMALL, convolution="sage", layers=2, identity="hash", history="graph"),
    replace(SMALL, convolution="gat", layers=1, identity="none", history="both"),
    replace(SMALL, convolution="gat", layers=2, identity="learned", history="both"),
]
every_setting = pytest.mark.parametrize("settings", SETTINGS, ids=str)


def messages(graph: KnowledgeGraph) -> MessageGraph:
    return read_messages(graph, WordEncoder(), ~graph.is_cold)


def trained(graph: KnowledgeGraph, settings: GraphNetworkSettings, steps: int) -> EpisodicTraining:
    training = EpisodicTraining(messages(graph), graph.interaction_matrix(), settings, 0)
    for _ in range(steps):
        training.optimiser.zero_grad()
        training.step().backward()  # type: ignore[no-untyped-call]
        training.optimiser.step()
    return training


def with_films(
    graph: KnowledgeGraph, films: dict[str, str], edges: list[tuple[str, str, str]]
) -> KnowledgeGraph:
    """Add films, and edges to nodes that are there."""
    types = ["film"] * len(films)
    entities = pa.table({"id": list(films), "type": types, "text": list(films.values())})
    columns = zip(*edges, strict=True)
    relations = pa.table(dict(zip(("head", "relation", "tail"), columns, strict=True)))
    nothing = pa.table({"user": pa.array([], pa.string()), "item": pa.array([], pa.string())})
    return graph.extended(GraphTables(entities, relations, nothing))


def by_id(graph: MessageGraph, vectors: torch.Tensor) -> dict[str, list[float]]:
    return dict(zip(graph.ids["film"].to_pylist(), vectors.tolist(), strict=True))


def test_messages_travel_both_ways_unless_the_schema_says_otherwise() -> None:
    graph = make_graph({"a": "x", "b": "y"}, [("u", "a")], {"a": ["g"]}, [("a", "b")])
    edges = {kind: pairs.tolist() for kind, pairs in messages(graph).edges.items()}
    assert edges == {
        ("film", "has_genre", "genre"): [[0], [0]],
        ("genre", "reversed has_genre", "film"): [[0], [0]],
        ("film", "follows", "film"): [[0], [1]],
        ("film", "reversed follows", "film"): [[1], [0]],
    }
    follows = SCHEMA.relations["follows"].model_copy(update={"messages": "backward"})
    relations = {**SCHEMA.relations, "follows": follows}
    one_way = KnowledgeGraph(
        SCHEMA.model_copy(update={"relations": relations}),
        graph.nodes,
        graph.edges,
        graph.interactions,
    )
    assert ("film", "follows", "film") not in messages(one_way).edges
    assert ("film", "reversed follows", "film") in messages(one_way).edges


def test_hidden_items_send_nothing_and_still_receive() -> None:
    graph = messages(make_graph({"a": None, "b": None}, [("u", "a")], {"b": ["g"]}, [("a", "b")]))
    sent = graph.sent_by(torch.tensor([True, False]))
    assert {kind: pairs.shape[1] for kind, pairs in sent.items()} == {
        ("film", "has_genre", "genre"): 0,
        ("genre", "reversed has_genre", "film"): 1,
        ("film", "follows", "film"): 1,
        ("film", "reversed follows", "film"): 0,
    }
    counts = torch.expm1(graph.log_degrees(sent))
    torch.testing.assert_close(counts, torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]]))


def test_signs_depend_on_type_and_id_alone() -> None:
    small = messages(make_graph({"b": None}, [("u", "b")], {"b": ["b"]}))
    large = messages(make_graph({"a": None, "b": None}, [("u", "b")], {"b": ["b"]}))
    assert torch.equal(small.signs["film"][0], large.signs["film"][1])
    assert not torch.equal(small.signs["film"][0], small.signs["genre"][0])
    torch.testing.assert_close(large.signs["film"].norm(dim=1), torch.ones(2))
    assert abs(float(large.signs["film"][0] @ large.signs["film"][1])) < 0.5


def test_texts_are_whitened_by_what_warm_items_are_near() -> None:
    films = {"a": "thief", "b": "rob bank", "c": "planet crew"}
    watched = [("u", name) for name in films]
    before = messages(make_graph(films, watched, {"a": ["bank"], "b": ["crew"]}))
    genres = {"a": ["bank"], "b": ["crew"], "new": ["planet planet flies"]}
    after = messages(make_graph({**films, "new": "film film"}, watched, genres))
    assert torch.equal(before.texts["film"], after.texts["film"][:3])
    assert torch.equal(before.texts["genre"], after.texts["genre"][:2])


def test_unknown_nodes_come_after_the_known_ones() -> None:
    assert rows_among(pa.array(["b", "x", "a"]), pa.array(["a", "b"])).tolist() == [1, 2, 0]


def test_one_layer_by_hand() -> None:
    graph = messages(checkerboard())
    settings = replace(SMALL, identity="learned", history="graph", aggregation="mean")
    network = GraphNetwork(graph, settings).eval()
    with torch.no_grad():
        for identity in network.identities:
            identity.normal_()
        places = {kind: place for place, kind in enumerate(network.types)}
        start = {
            kind: network.from_text[places[kind]](graph.texts[kind]) for kind in ("film", "genre")
        }
        genres = graph.edges["film", "has_genre", "genre"]
        adjacency = torch.zeros(len(start["film"]), len(start["genre"]))
        adjacency[genres[0], genres[1]] = 1.0
        degrees = torch.zeros(len(adjacency), 3)
        degrees[:, 0] = torch.log1p(adjacency.sum(dim=1))
        said = torch.ones(len(adjacency), 1)
        own = start["film"] + network.from_degrees(torch.cat([degrees, said], dim=1))
        around = adjacency @ (start["genre"] + network.identities[places["genre"]])
        around /= adjacency.sum(dim=1, keepdim=True)
        way = ("genre", "reversed has_genre", "film")
        message = network.convolutions[0].convs[way].lin_l(around)  # type: ignore[union-attr, index]
        hidden = torch.relu(network.own[places["film"]](own) + message)
        expected = torch.nn.functional.normalize(network.out(hidden))
        vectors = network(graph, torch.ones(len(adjacency), dtype=torch.bool))
    torch.testing.assert_close(vectors.candidates, expected)
    torch.testing.assert_close(vectors.offsets, network.offset(hidden)[:, 0])


@every_setting
def test_a_warm_item_is_ranked_as_a_new_one_with_its_text_and_edges(
    settings: GraphNetworkSettings,
) -> None:
    training = trained(checkerboard(), settings, 3)
    candidates = by_id(training.graph, training.vectors().candidates)
    np.testing.assert_allclose(candidates["heist_new0"], candidates["heist1"], atol=1e-5)
    assert not np.allclose(candidates["heist_new0"], candidates["space1"], atol=0.01)


@every_setting
def test_what_arrives_leaves_everything_else_as_it_was(settings: GraphNetworkSettings) -> None:
    graph = checkerboard()
    training = trained(graph, settings, 3)
    more = with_films(
        graph,
        {"a_late_one": "a crew plans", "heist_later": "the bank"},
        [
            ("heist_later", "has_genre", "heist"),
            ("heist_later", "follows", "heist3"),
            ("heist_later", "follows", "a_late_one"),
        ],
    )
    messages_of_more = read_messages(more, WordEncoder(), ~more.is_cold)
    before, after = training.vectors(), training.vectors(messages_of_more)
    for mine, theirs in (
        (before.candidates, after.candidates),
        (before.histories, after.histories),
    ):
        old, new = by_id(training.graph, mine), by_id(messages_of_more, theirs)
        assert {"a_late_one", "heist_later"} == set(new) - set(old)
        for film, vector in old.items():
            np.testing.assert_allclose(new[film], vector, atol=1e-5)


@pytest.mark.parametrize("settings", [SETTINGS[0], replace(SETTINGS[3], identity="hash")], ids=str)
def test_without_texts_it_is_learned_who_the_neighbours_are(settings: GraphNetworkSettings) -> None:
    silent = checkerboard()
    model = GraphSAGE(settings=replace(settings, learning_rate=0.02), max_steps=60)
    model.fit(silent, seed=0)
    new = [f"{taste}_new{i}" for taste in TASTES for i in range(2)]
    for taste in TASTES:
        top = model.recommend([f"{taste}_fan{i}" for i in range(4)], 2, items=new)
        assert top["item"].str.startswith(taste).all()


def test_the_settings_that_do_best_on_hidden_items_are_chosen() -> None:
    deaf = replace(SMALL, identity="none", learning_rate=1e-9)
    able = replace(SMALL, learning_rate=0.02)
    model = GraphSAGE(WordEncoder(), settings=(deaf, able), max_steps=40).fit(checkerboard())
    assert model.chosen_settings == able
    assert model.chosen_steps in (20, 40)


def test_usual_settings_are_of_the_kind_that_the_name_says() -> None:
    assert {settings.convolution for settings in GraphSAGE().settings} == {"sage"}
    assert {settings.convolution for settings in GAT().settings} == {"gat"}


def test_histories_without_hidden_items() -> None:
    matrix = sparse.csr_array(np.array([[1, 1, 0], [0, 1, 0]], np.float32))
    kept = without_items(matrix, np.array([1]))
    assert kept.toarray().tolist() == [[1, 0, 0], [0, 0, 0]]
    assert np.diff(kept.indptr).tolist() == [1, 0]
    assert mean_rows(matrix).toarray().tolist() == [[0.5, 0.5, 0], [0, 1, 0]]


def test_settings_out_of_range() -> None:
    with pytest.raises(ValueError, match="layers"):
        GraphNetworkSettings(layers=0)
    with pytest.raises(ValueError, match="dropout"):
        GraphNetworkSettings(dropout=1.0)
    with pytest.raises(ValueError, match="temperature"):
        GraphNetworkSettings(temperature=0.0)
    with pytest.raises(ValueError, match="multiple of heads"):
        GraphNetworkSettings(convolution="gat", width=10, heads=4)
    with pytest.raises(ValueError, match="at least one"):
        GAT(settings=())
