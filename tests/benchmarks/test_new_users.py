"""New users: nobody was met before, and what they like is found again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from benchmarks.new_users import NewUser, draw_new_users, measure, to_markdown
from kgrec.baselines import ItemKNN, Popularity
from kgrec.graph import KnowledgeGraph
from kgrec.sources import read_tables

from tests.films import SCHEMA

FILMS, FANS = 60, 40


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    """Make two kinds of films, each with its fans; the last of each kind is cold."""
    random = np.random.default_rng(0)
    films = [f"{kind}{number:02}" for kind in ("heist", "space") for number in range(FILMS // 2)]
    entities = pd.DataFrame({"id": films, "type": "film", "text": "x"})
    log = [
        (f"{film[:5]}fan{fan:02}", film)
        for film in films
        for fan in range(FANS // 2)
        if not film.endswith("29") and random.random() < 0.7
    ]
    return read_tables(
        {"entities": entities, "interactions": pd.DataFrame(log, columns=["user", "item"])}, SCHEMA
    )


TEST = pd.DataFrame({"user": "heistfan03", "item": ["heist29"]})


def test_new_users_are_unknown_and_have_something_to_find(graph: KnowledgeGraph) -> None:
    rest, users = draw_new_users(graph, TEST, 99, 0)
    assert len(users) == FANS // 5
    assert len(np.unique(rest.interactions.user)) == FANS - FANS // 5
    for user in users:
        assert len(user.history) >= 5
        assert not user.warm & set(user.history)
        assert len({item[:5] for item in (*user.history, *user.warm)}) == 1
        assert user.cold <= {"heist29"}
        assert user.likes == ()
    assert draw_new_users(graph, TEST, 3, 0)[1] == users[:3]
    assert draw_new_users(graph, TEST, 99, 1)[1] != users


def test_more_is_found_the_more_is_known(graph: KnowledgeGraph) -> None:
    rest, users = draw_new_users(graph, TEST, 99, 0)
    nearest = measure(ItemKNN().fit(rest), users)
    popular = measure(Popularity().fit(rest), users)
    assert nearest["3 items"]["warm recall@20"] > 0.7
    assert popular["3 items"]["warm recall@20"] < 0.6
    assert nearest["3 items"]["warm recall@20"] > nearest["0 items"]["warm recall@20"]


def test_recall_is_by_hand(graph: KnowledgeGraph) -> None:
    ranker = Popularity().fit(graph)
    best = ranker.recommend_for([], 2, cold=False)["item"].tolist()
    user = NewUser((), frozenset(map(str, best)), frozenset(), ())
    assert measure(ranker, [user])["0 items"]["warm recall@20"] == 1.0
    assert measure(ranker, [user])["0 items"]["warm ndcg@20"] == 1.0


def test_the_table() -> None:
    values = {
        f"{name} {metric}@20": 0.5 for name in ("warm", "cold") for metric in ("recall", "ndcg")
    }
    shown = to_markdown({"films": {"kgrec": {"0": {"1 items": values}, "1": {"1 items": values}}}})
    assert "| 1 items | kgrec | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 2 |" in shown
