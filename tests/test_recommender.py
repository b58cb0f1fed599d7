"""What a recommender promises, on catalogues whose right answers are known."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from kgrec import Config, Recommender, TextEncoder
from kgrec.errors import NotFittedError, SourceError, UnknownIdError
from kgrec.evaluation import split_cold_items
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.ranker import UserBatch
from numpy.typing import NDArray

from tests.baselines.worlds import COLD_EACH, FILMS_EACH, TASTES, checkerboard
from tests.evaluation.worlds import make_graph

CONFIG = Config(steps=8)
NEW = [f"{taste}_new{i}" for taste in TASTES for i in range(COLD_EACH)]
FANS = [f"{taste}_fan{i}" for taste in TASTES for i in range(4)]
WARM = [f"{taste}{i}" for taste in TASTES for i in range(FILMS_EACH)]


@pytest.fixture(scope="module")
def fitted(tiny_encoder: TextEncoder) -> Recommender:
    """Fit once for all tests, none of which changes it."""
    return Recommender(CONFIG, encoder=tiny_encoder).fit(checkerboard(), seed=3)


@pytest.fixture
def own(tiny_encoder: TextEncoder) -> Recommender:
    """Fit one that a test may change."""
    return Recommender(CONFIG, encoder=tiny_encoder).fit(checkerboard(), seed=3)


def test_a_notebook_shows_what_the_model_is(fitted: Recommender) -> None:
    assert "not fitted yet" in Recommender()._repr_html_()
    assert repr(Recommender()) == "Recommender(not fitted)"
    assert repr(fitted.graph) in repr(fitted)
    shown = fitted._repr_html_()
    shares = fitted.validation["cold"]["shares"]  # type: ignore[index]
    places = [shown.index(f"<td>{name}</td>") for name in shares]
    assert [shares[name] for _, name in sorted(zip(places, shares, strict=True))] == sorted(
        shares.values(), reverse=True
    )


def all_scores(ranker: Recommender) -> NDArray[np.float32]:
    return ranker._score(UserBatch(ranker.histories))


def taste_of(name: str) -> str:
    return next(taste for taste in TASTES if name.startswith(taste))


def new_film(name: str, text: str | None, genres: Sequence[str]) -> GraphTables:
    """Make the tables of one new film."""
    return GraphTables(
        pa.table({"id": [name], "type": ["film"], "text": pa.array([text], pa.string())}),
        pa.table(
            {
                "head": pa.array([name] * len(genres), pa.string()),
                "relation": pa.array(["has_genre"] * len(genres), pa.string()),
                "tail": pa.array(list(genres), pa.string()),
            }
        ),
        pa.table({"user": pa.array([], pa.string()), "item": pa.array([], pa.string())}),
    )


def without_films(graph: KnowledgeGraph, films: Sequence[str]) -> KnowledgeGraph:
    """Make the graph as if some films had never been there."""
    tables = graph.to_tables()

    def other(column: pa.ChunkedArray) -> list[bool]:
        return [value not in films for value in column.to_pylist()]

    return KnowledgeGraph.from_tables(
        graph.schema,
        GraphTables(
            tables.entities.filter(other(tables.entities["id"])),
            tables.relations.filter(other(tables.relations["head"])),
            tables.interactions.filter(other(tables.interactions["item"])),
        ),
    )


def test_the_withheld_item_ranks_first(fitted: Recommender) -> None:
    top = fitted.recommend(FANS, 1, items=WARM)
    expected = [f"{taste_of(fan)}{int(fan[-1]) % FILMS_EACH}" for fan in FANS]
    assert top["item"].tolist() == expected


def test_new_items_of_the_taste_come_first(fitted: Recommender) -> None:
    lists = fitted.recommend(FANS, COLD_EACH, items=NEW)
    assert lists["cold"].all()
    assert lists["item"].map(taste_of).tolist() == lists["user"].map(taste_of).tolist()


def test_a_new_item_ranks_beside_its_twin(own: Recommender) -> None:
    graph = own.graph
    text = graph.items.texts[graph.items.positions(["heist_new1"])[0]].as_py()
    own.add_items(new_film("twin", text, ["heist", "heist_2"]))
    lists = own.recommend("heist_fan3", 30)
    rank = dict(zip(lists["item"], lists["rank"], strict=True))
    assert abs(rank["twin"] - rank["heist_new1"]) == 1
    score = dict(zip(lists["item"], lists["score"], strict=True))
    assert score["twin"] == pytest.approx(score["heist_new1"], abs=1e-5)
    assert own.similar_items("twin", 1)["neighbour"].tolist() == ["heist_new1"]


def test_texts_alone_tell_new_items_apart() -> None:
    """With a BERT that knows what words mean, and no word in common."""
    seas = ["sharks in the ocean", "whales below the waves", "a diver meets dolphins"]
    stars = ["astronauts on the moon", "a rocket leaves for mars", "galaxies and black holes"]
    films = {f"sea{i}": seas[i % 3] for i in range(12)} | {
        f"star{i}": stars[i % 3] for i in range(12)
    }
    watched = [
        (f"{kind}_fan{fan}", f"{kind}{i}")
        for kind in ("sea", "star")
        for fan in range(12)
        for i in range(12)
        if i != fan
    ]
    cold = {"sea_new": "an octopus hides among coral", "star_new": "telescopes watch planets orbit"}
    encoder = TextEncoder(cache_dir=False)
    ranker = Recommender(CONFIG, encoder=encoder).fit(make_graph(films | cold, watched))
    top = ranker.recommend(["sea_fan1", "star_fan1"], 1, items=list(cold))
    assert top["item"].tolist() == ["sea_new", "star_new"]


def test_somebody_new_is_a_list_of_items(fitted: Recommender) -> None:
    for taste in TASTES:
        history = [f"{taste}{i}" for i in range(3)]
        top = fitted.recommend_for(history, 5)
        assert top["item"].map(taste_of).tolist() == [taste] * 5
    fan = fitted.graph.users.positions(["heist_fan2"])[0]
    used = fitted.graph.items.ids.take(pa.array(fitted.histories[[fan]].indices)).to_pylist()
    known, stranger = fitted.recommend("heist_fan2", 9), fitted.recommend_for(used, 9)
    assert stranger["item"].tolist() == known["item"].tolist()
    np.testing.assert_allclose(stranger["score"], known["score"], atol=1e-5)


def test_a_history_that_contains_a_cold_item(fitted: Recommender) -> None:
    top = fitted.recommend_for(["heist_new0"], 5)
    assert "heist_new0" not in top["item"].tolist()
    assert top["item"].map(taste_of).tolist() == ["heist"] * 5
    mixed = fitted.recommend_for(["heist_new0", "heist1"], 5)
    assert mixed["item"].map(taste_of).tolist() == ["heist"] * 5


def test_a_user_without_a_history_gets_the_typical_list(fitted: Recommender) -> None:
    nobody = fitted.recommend_for([], 24)
    assert len(nobody) == 24
    assert np.isfinite(nobody["score"]).all()
    state = fitted._fitted
    everybody = state.catalogue.scores(fitted.histories).mean(axis=0, keepdims=True)
    typical = state.mixing.mix(everybody, fitted.graph.is_cold, np.array([0]))[0]
    listed = fitted.graph.items.positions(nobody["item"])
    np.testing.assert_allclose(typical[listed], nobody["score"], atol=1e-4)


def test_a_user_of_the_graph_without_a_history(tiny_encoder: TextEncoder) -> None:
    tables = checkerboard().to_tables()
    quiet = pa.table({"id": ["quiet"], "type": ["person"], "text": pa.array([None], pa.string())})
    graph = KnowledgeGraph.from_tables(
        checkerboard().schema,
        GraphTables(
            pa.concat_tables([tables.entities, quiet]), tables.relations, tables.interactions
        ),
    )
    ranker = Recommender(CONFIG, encoder=tiny_encoder).fit(graph)
    together = ranker.recommend(["heist_fan1", "quiet"], 5)
    alone = together[together["user"] == "quiet"].drop(columns="user").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, ranker.recommend_for([], 5))


def test_similar_items_share_the_taste(fitted: Recommender) -> None:
    frame = fitted.similar_items(["heist3", "space4", "space_new1"], 3)
    assert frame["item"].map(taste_of).tolist() == frame["neighbour"].map(taste_of).tolist()
    assert (frame["item"] != frame["neighbour"]).all()


def test_one_id_equals_the_batch(fitted: Recommender) -> None:
    together = fitted.recommend(FANS, 5)
    alone = pd.concat([fitted.recommend(fan, 5) for fan in FANS], ignore_index=True)
    pd.testing.assert_frame_equal(alone, together)


def test_what_was_seen_is_left_out(fitted: Recommender) -> None:
    frame = fitted.recommend(FANS, 24)
    history = fitted.histories.toarray() > 0
    user = fitted.graph.users.positions(frame["user"])
    item = fitted.graph.items.positions(frame["item"])
    assert not history[user, item].any()
    assert frame.groupby("user").size().eq(24 - (FILMS_EACH - 1)).all()
    assert len(fitted.recommend(FANS[0], 24, exclude_seen=False)) == 24


def test_scores_are_finite_and_float32(fitted: Recommender) -> None:
    scores = all_scores(fitted)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    similarity = fitted._similarity(np.array([0, 5]))
    assert similarity.dtype == np.float32
    assert similarity.shape == (2, 24)


def test_same_seed_same_answer(fitted: Recommender, own: Recommender) -> None:
    np.testing.assert_array_equal(all_scores(own), all_scores(fitted))
    assert own.validation == fitted.validation


def test_renaming_ids_renames_the_answer(fitted: Recommender, tiny_encoder: TextEncoder) -> None:
    graph = checkerboard(lambda old: f"x-{old}")
    renamed = Recommender(CONFIG, encoder=tiny_encoder).fit(graph, seed=3)
    np.testing.assert_array_equal(all_scores(renamed), all_scores(fitted))
    mine = fitted.recommend(FANS[0], 3)["item"]
    theirs = renamed.recommend(f"x-{FANS[0]}", 3)["item"]
    assert ("x-" + mine).tolist() == theirs.tolist()


def test_held_out_interactions_change_no_score(
    fitted: Recommender, tiny_encoder: TextEncoder
) -> None:
    for fans in TASTES:
        extra = [(f"{fans}_fan{i}", new) for i in range(10) for new in NEW]
        train = split_cold_items(checkerboard(extra=extra), items=NEW).train
        ranker = Recommender(CONFIG, encoder=tiny_encoder).fit(train, seed=3)
        np.testing.assert_array_equal(all_scores(ranker), all_scores(fitted))


def test_an_added_item_equals_one_that_was_there(
    fitted: Recommender, tiny_encoder: TextEncoder
) -> None:
    whole = checkerboard()
    late = Recommender(CONFIG, encoder=tiny_encoder).fit(without_films(whole, NEW), seed=3)
    assert len(late.graph.items) == len(WARM)
    text = dict(zip(whole.items.ids.to_pylist(), whole.items.texts.to_pylist(), strict=True))
    for name in NEW:
        taste, place = taste_of(name), (FILMS_EACH + int(name[-1])) % 3
        late.add_items(new_film(name, text[name], [taste, f"{taste}_{place}"]))
    assert late.graph == whole
    np.testing.assert_allclose(all_scores(late), all_scores(fitted), atol=1e-5)


def test_adding_one_by_one_equals_an_update(own: Recommender, tiny_encoder: TextEncoder) -> None:
    other = Recommender(CONFIG, encoder=tiny_encoder).fit(checkerboard(), seed=3)
    for name in ("late1", "late2"):
        own.add_items(new_film(name, "a thief", ["heist"]))
    other.update(own.graph)
    np.testing.assert_allclose(all_scores(own), all_scores(other), atol=1e-5)


def test_a_copy_takes_new_items_while_the_original_answers(fitted: Recommender) -> None:
    before = all_scores(fitted)
    other = copy.copy(fitted)
    other.add_items(new_film("late", "a thief", ["heist"]))
    np.testing.assert_array_equal(all_scores(fitted), before)
    assert len(fitted.graph.items) == 24
    assert len(other.recommend("heist_fan1", 99, exclude_seen=False)) == 25


def test_what_the_model_has_never_seen_does_no_harm(own: Recommender, fitted: Recommender) -> None:
    tables = new_film("odd", "zyzzyva qwerty", ["western"])
    western = pa.table({"id": ["western"], "type": ["genre"], "text": ["Western"]})
    own.add_items(
        GraphTables(
            pa.concat_tables([tables.entities, western]),
            tables.relations,
            pa.table({"user": ["newcomer", "newcomer"], "item": ["heist1", "odd"]}),
        )
    )
    assert np.isfinite(all_scores(own)).all()
    before = fitted.recommend(FANS, 24)
    after = own.recommend(FANS, 25)
    after = after[after["item"] != "odd"].drop(columns="rank").reset_index(drop=True)
    pd.testing.assert_frame_equal(after, before.drop(columns="rank"))
    newcomer = own.recommend("newcomer", 5)["item"].tolist()
    assert [taste_of(item) for item in newcomer] == ["heist"] * 5


def test_an_item_without_anything_can_be_added(own: Recommender) -> None:
    own.add_items(new_film("blank", None, []))
    lists = own.recommend("heist_fan1", 25)
    assert "blank" in lists["item"].tolist()
    assert np.isfinite(lists["score"]).all()


def test_items_that_follow_each_other(own: Recommender) -> None:
    tables = new_film("sequel", None, [])
    follows = pa.table({"head": ["sequel"], "relation": ["follows"], "tail": ["heist4"]})
    own.add_items(GraphTables(tables.entities, follows, tables.interactions))
    assert np.isfinite(all_scores(own)).all()


def test_an_update_without_an_item_of_the_model(own: Recommender) -> None:
    whole, before = own.graph, all_scores(own)
    with pytest.raises(UnknownIdError, match="no film that the model learned from"):
        own.update(without_films(whole, WARM))
    np.testing.assert_array_equal(all_scores(own), before)
    own.update(without_films(whole, NEW))
    assert not own.recommend(FANS, 24)["cold"].any()
    own.update(without_films(whole, ["heist3"]))
    assert "heist3" not in own.recommend(FANS, 24, exclude_seen=False)["item"].tolist()
    own.update(whole)
    np.testing.assert_array_equal(all_scores(own), before)


def test_an_update_of_another_schema(own: Recommender) -> None:
    schema = own.graph.schema.model_copy(update={"name": "other"})
    graph = KnowledgeGraph.from_tables(schema, own.graph.to_tables())
    with pytest.raises(SourceError, match=r"the schema 'other'.*fit a new model"):
        own.update(graph)


def test_a_broken_addition_changes_nothing(own: Recommender) -> None:
    before = all_scores(own)
    with pytest.raises(SourceError, match="nowhere"):
        own.add_items(new_film("late", "a thief", ["nowhere"]))
    with pytest.raises(SourceError, match="more than once"):
        own.add_items(new_film("heist1", "a thief", ["heist"]))
    np.testing.assert_array_equal(all_scores(own), before)
    assert len(own.graph.items) == 24


def test_no_interactions_to_learn_from(own: Recommender) -> None:
    before = all_scores(own)
    with pytest.raises(SourceError, match="no interactions"):
        own.fit(make_graph({"a": "a crew"}, []))
    np.testing.assert_array_equal(all_scores(own), before)


def test_before_it_is_fitted(tiny_encoder: TextEncoder) -> None:
    ranker = Recommender(encoder=tiny_encoder)
    calls: Mapping[str, Callable[[], object]] = {
        "recommend": lambda: ranker.recommend("ada"),
        "recommend_for": lambda: ranker.recommend_for([]),
        "similar_items": lambda: ranker.similar_items("a"),
        "explain": lambda: ranker.explain("ada", "a"),
        "update": lambda: ranker.update(checkerboard()),
        "add_items": lambda: ranker.add_items(new_film("a", None, [])),
        "save": lambda: ranker.save("nowhere"),
        "validation": lambda: ranker.validation,
    }
    for call in calls.values():
        with pytest.raises(NotFittedError, match="fit"):
            call()


def test_ids_that_are_not_there(fitted: Recommender) -> None:
    with pytest.raises(UnknownIdError, match="no person has the id 'eve'"):
        fitted.recommend("eve")
    with pytest.raises(UnknownIdError, match="no film has the id 'z'"):
        fitted.explain("heist_fan1", "z")
    with pytest.raises(UnknownIdError, match="no film has the id 'z'"):
        fitted.explain_for(["z"], "heist1")


def featured(texts: Sequence[str | None]) -> KnowledgeGraph:
    """Make films with a numeric feature that tells the taste, one of them without."""
    films = [f"{taste}{i:02}" for taste in "ab" for i in range(12)] + ["a_new", "b_new", "none"]
    features = [
        [1.0, 0.1 * i] if film[0] == "a" else [-1.0, 0.1 * i] for i, film in enumerate(films)
    ]
    watched = [
        (f"{taste}_fan{fan}", f"{taste}{i:02}")
        for taste in "ab"
        for fan in range(12)
        for i in range(12)
        if i != fan
    ]
    nothing = pa.array([], pa.string())
    return KnowledgeGraph.from_tables(
        checkerboard().schema,
        GraphTables(
            pa.table(
                {
                    "id": films,
                    "type": ["film"] * len(films),
                    "text": pa.array(
                        [texts[i % len(texts)] for i in range(len(films))], pa.string()
                    ),
                    "features": [*features[:-1], None],
                }
            ),
            pa.table({"head": nothing, "relation": nothing, "tail": nothing}),
            pa.table(dict(zip(("user", "item"), zip(*watched, strict=True), strict=True))),
        ),
    )


def test_features_only(tiny_encoder: TextEncoder) -> None:
    ranker = Recommender(CONFIG, encoder=tiny_encoder).fit(featured([None]))
    cold = ranker.validation["cold"]
    assert isinstance(cold, dict)
    assert list(cold["shares"]) == ["features", "plain features"]
    top = ranker.recommend(["a_fan1", "b_fan1"], 1, items=["a_new", "b_new"])
    assert top["item"].tolist() == ["a_new", "b_new"]
    other = featured([None]).to_tables()
    short = [
        None if vector is None else vector[:1] for vector in other.entities["features"].to_pylist()
    ]
    place = other.entities.column_names.index("features")
    narrow = other.entities.set_column(place, "features", pa.array(short))
    graph = KnowledgeGraph.from_tables(
        ranker.graph.schema, GraphTables(narrow, other.relations, other.interactions)
    )
    with pytest.raises(SourceError, match="1 numbers"):
        ranker.update(graph)


THREE = {"a": "a crew", "b": "a thief", "c": "the crew"}
SMALL = {
    "no relations": make_graph(THREE, [("u", "a"), ("v", "b"), ("u", "b")]),
    "no texts": make_graph(
        dict.fromkeys("abc"), [("u", "a"), ("v", "b")], {"a": ["x"], "b": ["x", "y"], "c": ["y"]}
    ),
    "no content": make_graph(dict.fromkeys("abc"), [("u", "a"), ("v", "b")]),
    "one item": make_graph({"a": "a crew"}, [("u", "a")]),
    "one user": make_graph(THREE, [("u", "a"), ("u", "b")]),
    "one interaction": make_graph(THREE, [("u", "a")]),
    "nothing cold": make_graph(THREE, [("u", "a"), ("v", "b"), ("w", "c")]),
    "everything used": make_graph(THREE, [(user, item) for user in "uv" for item in "abc"]),
    "items that follow each other": make_graph(
        dict.fromkeys("abc"), [("u", "a")], follows=[("a", "b"), ("a", "a")]
    ),
    "everything alike": make_graph(
        {f"i{i:02}": "a crew" for i in range(26)},
        [(f"u{user}", f"i{i:02}") for user in range(12) for i in range(24)],
    ),
    "much to learn from and no content": make_graph(
        {f"i{i:02}": None for i in range(26)},
        [(f"u{user}", f"i{(user * i) % 25:02}") for user in range(12) for i in range(6)],
    ),
    "nobody shares an item": make_graph(
        {f"i{i:02}": "a crew" if i % 3 else "the planet" for i in range(26)},
        [(f"u{user}", f"i{2 * user + i:02}") for user in range(12) for i in range(2)],
    ),
}
SETTINGS = {
    "as they are": CONFIG,
    "two items drawn": Config(steps=3, selection_items=2, episode_items=2),
    "two core items": Config(steps=3, core_items=2, low_pass_rank=0),
    "no training": Config(steps=0, cold_tolerance=0),
}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("world", SMALL)
def test_graphs_with_next_to_nothing(world: str, settings: str, tiny_encoder: TextEncoder) -> None:
    graph = SMALL[world]
    items = graph.items.ids.to_pylist()
    ranker = Recommender(SETTINGS[settings], encoder=tiny_encoder).fit(graph)
    lists = ranker.recommend(graph.users.ids.to_pylist(), len(items))
    used = graph.interaction_matrix()
    assert len(lists) == used.shape[0] * used.shape[1] - used.nnz
    assert np.isfinite(lists["score"]).all()
    assert len(ranker.recommend_for([], 50)) == len(items)
    assert np.isfinite(ranker.recommend_for(items[-1:], 50)["score"]).all()
    assert len(ranker.similar_items(items[0], 50)) == len(items) - 1
    assert np.isfinite(ranker.explain(graph.users.ids[0].as_py(), items[-1])["contribution"]).all()
    ranker.add_items(new_film("new", "a crew", []))
    assert len(ranker.recommend_for(items[:1], 50)) == len(items)


def test_what_was_chosen_is_plain_json(fitted: Recommender, tiny_encoder: TextEncoder) -> None:
    tiny = Recommender(CONFIG, encoder=tiny_encoder).fit(SMALL["no relations"])
    for ranker in (fitted, tiny):
        text = json.dumps(ranker.validation, allow_nan=False)
        assert json.loads(text) == ranker.validation
    assert fitted.validation["core_items"] == 20


def test_the_graph_and_the_callers_random_numbers_are_left_alone(
    tiny_encoder: TextEncoder,
) -> None:
    graph = checkerboard()
    before = torch.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002
    Recommender(CONFIG, encoder=tiny_encoder).fit(graph)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(np.random.get_state()) == before[1]  # noqa: NPY002
    assert graph == checkerboard()
