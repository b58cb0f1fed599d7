"""Items beside each other."""

from __future__ import annotations

import numpy as np
import pytest
from kgrec import Recommender, UnknownIdError
from kgrec.explore import coverage, nearest, neighbourhood, vector_map

from tests.evaluation.worlds import make_graph


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
    frame = coverage(make_graph(texts, [("ada", "a")], genres), characters=40)
    assert frame.to_numpy().tolist() == [["bare", 50, 0, "edges"], ["mute", 0, 1, "text and edges"]]


def test_few_edges_are_fewer_than_most_warm_items_have() -> None:
    degrees = {"a": 4, "b": 4, "c": 6, "d": 8, "new": 3, "known": 4}
    genres = {film: [f"genre{n}" for n in range(count)] for film, count in degrees.items()}
    graph = make_graph(dict.fromkeys(degrees, "x" * 200), [("ada", f) for f in "abcd"], genres)
    assert coverage(graph)["item"].tolist() == ["new"]
    assert coverage(graph, edges=5)["item"].tolist() == ["new", "known"]


def test_a_map_has_the_distances_of_principal_components(fitted: Recommender) -> None:
    frame = vector_map(fitted)
    catalogue = fitted.subject("film00", history=()).catalogue
    columns = np.stack([catalogue.column(item) for item in range(len(frame))]).astype(np.float64)
    columns /= np.linalg.norm(columns, axis=1, keepdims=True)
    left, strengths, _ = np.linalg.svd(columns - columns.mean(axis=0))
    found = np.abs(frame[["x", "y"]].to_numpy())
    np.testing.assert_allclose(found, np.abs(left[:, :2] * strengths[:2]), atol=1e-5)
    squares = np.square(strengths)
    assert frame.attrs["kept"] == pytest.approx(squares[:2].sum() / squares.sum(), abs=1e-5)
    assert frame["cold"].tolist() == fitted.graph.is_cold.tolist()
    assert frame["text"].tolist() == fitted.graph.items.texts.to_pylist()


def test_a_map_of_chosen_items_keeps_their_order(fitted: Recommender) -> None:
    frame = vector_map(fitted, ["film39", "film00", "film05"])
    assert frame["item"].tolist() == ["film39", "film00", "film05"]
    alone = vector_map(fitted, ["film39"])
    assert alone[["x", "y"]].to_numpy().tolist() == [[0.0, 0.0]]
    with pytest.raises(ValueError, match="at least one"):
        vector_map(fitted, [])


def test_a_map_names_an_unknown_item(fitted: Recommender) -> None:
    with pytest.raises(UnknownIdError, match="nosuch"):
        vector_map(fitted, ["nosuch"])
