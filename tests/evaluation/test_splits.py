"""What leaves the graph, what stays, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kgrec.errors import UnknownIdError
from kgrec.evaluation import Split, split_by_time, split_cold_items, split_interactions
from kgrec.graph import KnowledgeGraph

from tests.evaluation.worlds import make_graph


def dated_graph() -> KnowledgeGraph:
    films = {f"film{i}": "text" for i in range(10)} | {"unseen": "text"}
    watched = [(f"user{u}", f"film{i}", 100 * i + u) for u in range(6) for i in range(10)]
    return make_graph(films, watched)


def pair_set(split: Split) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    parts = (split.train.interactions, split.test)
    train, test = (set(zip(p.user.tolist(), p.item.tolist(), strict=True)) for p in parts)
    return train, test


def test_cold_items_lose_all_interactions_and_keep_their_node() -> None:
    graph = dated_graph()
    split = split_cold_items(graph, 0.3, seed=1)
    held_out = np.unique(split.test.item)
    assert len(held_out) == 3
    assert split.train.is_cold[held_out].all()
    assert split.train.items.ids == graph.items.ids
    assert len(split.train.interactions) + len(split.test) == len(graph.interactions)


def test_cold_items_by_name() -> None:
    split = split_cold_items(dated_graph(), items=["film3", "unseen"])
    assert set(split.test_pairs()["item"]) == {"film3"}
    assert split.test_pairs()["user"].tolist() == [f"user{u}" for u in range(6)]
    with pytest.raises(UnknownIdError, match="film99"):
        split_cold_items(dated_graph(), items=["film99"])


def test_newest_items_are_those_first_used_last() -> None:
    split = split_cold_items(dated_graph(), 0.2, newest=True)
    assert set(split.test_pairs()["item"]) == {"film8", "film9"}


def test_by_time_cuts_between_old_and_new() -> None:
    split = split_by_time(dated_graph(), 0.25)
    train, test = split.train.interactions.time, split.test.time
    assert train is not None
    assert test is not None
    assert train.max() < test.min()
    assert len(test) == 15


def test_by_time_keeps_a_second_together() -> None:
    graph = make_graph({"a": None, "b": None, "c": None}, [("u", "a", 1), *tied()])
    split = split_by_time(graph, 0.3)
    assert set(split.test_pairs()["item"]) == {"b", "c"}


def tied() -> list[tuple[str, str, int]]:
    return [("u", "b", 2), ("v", "b", 2), ("u", "c", 2)]


def test_interactions_are_drawn_per_user() -> None:
    split = split_interactions(dated_graph(), 0.3, seed=2)
    assert np.bincount(split.test.user).tolist() == [3] * 6
    train, test = pair_set(split)
    assert not train & test


def test_a_user_keeps_one_item_and_repeats_stay_together() -> None:
    watched = [("ada", "a", 1), ("ada", "a", 2), ("bob", "a", 3), ("bob", "b", 4), ("bob", "b", 5)]
    split = split_interactions(make_graph({"a": None, "b": None}, watched), 0.9)
    train, test = pair_set(split)
    assert {user for user, _ in train} == {0, 1}
    assert {user for user, _ in test} == {1}
    assert not train & test


@given(st.integers(0, 2**32 - 1))
def test_same_seed_same_split(seed: int) -> None:
    graph = dated_graph()
    first, again = (split_interactions(graph, 0.4, seed=seed) for _ in range(2))
    assert pair_set(first) == pair_set(again)
    first, again = (split_cold_items(graph, 0.4, seed=seed) for _ in range(2))
    assert pair_set(first) == pair_set(again)


def test_other_seeds_hold_other_interactions_and_items_out() -> None:
    graph = dated_graph()
    for split in (split_interactions, split_cold_items):
        drawn = {frozenset(pair_set(split(graph, 0.3, seed=seed))[1]) for seed in range(5)}
        assert len(drawn) == 5


def test_a_fifth_of_seed_0_is_held_out_unless_something_else_is_asked_for() -> None:
    graph = dated_graph()
    for split in (split_interactions, split_cold_items):
        assert pair_set(split(graph)) == pair_set(split(graph, 0.2, seed=0))
        assert len(split(graph).test) == 12
    assert pair_set(split_by_time(graph)) == pair_set(split_by_time(graph, 0.2))
    assert pair_set(split_cold_items(graph)) != pair_set(split_cold_items(graph, newest=True))


def test_users_without_a_history_are_no_matter() -> None:
    watched = [("ada", film) for film in "abcde"]
    graph = make_graph(dict.fromkeys("abcde"), [*watched, ("zoe", "a")])
    lone = graph.with_interactions(graph.interactions.select(graph.interactions.user == 0))
    assert len(split_interactions(lone, 0.4).test) == 2


def test_items_first_used_together_are_held_out_in_their_order() -> None:
    films = [f"film{number:02}" for number in range(40)]
    graph = make_graph(dict.fromkeys(films), [("ada", film, 7) for film in films])
    held_out = split_cold_items(graph, 0.2, newest=True).test_pairs()["item"].tolist()
    assert held_out == films[:8]


def test_times_are_needed() -> None:
    graph = make_graph({"a": None, "b": None}, [("u", "a"), ("u", "b")])
    with pytest.raises(ValueError, match="have no times"):
        split_by_time(graph)
    with pytest.raises(ValueError, match="have no times"):
        split_cold_items(graph, 0.5, newest=True)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5])
def test_fractions_out_of_range(fraction: float) -> None:
    graph = dated_graph()
    for split in (split_cold_items, split_by_time, split_interactions):
        with pytest.raises(ValueError, match="between 0 and 1"):
            split(graph, fraction)


def test_nothing_held_out() -> None:
    graph = dated_graph()
    with pytest.raises(ValueError, match="0 of 60 interactions would be held out"):
        split_cold_items(graph, 0.01)
    with pytest.raises(ValueError, match="60 of 60"):
        split_cold_items(graph, items=[f"film{i}" for i in range(10)])
