"""Ratings whose causes are planted: biases, tastes that content tells, and none of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from kgrec import Config, KnowledgeGraph, RatingModel, TextEncoder
from kgrec.errors import NotFittedError, SourceError, UnknownIdError
from kgrec.evaluation import rmse
from kgrec.graph import Interactions
from kgrec.rating import read_ratings
from kgrec.rating_choice import RatingTrial, choose_rating_settings
from kgrec.rating_head import RatingHead, Ratings, RatingSettings, Targets
from numpy.typing import NDArray

from tests.evaluation.worlds import make_graph
from tests.films import film_graph

USERS, FILMS, COLD, GENRES = 60, 70, 10, 4
NOISE = 0.2


class World:
    """Users who like some genres and not others, with what they would rate every film."""

    def __init__(self, *, content: bool, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        genre = np.arange(FILMS) % GENRES
        told = genre if content else random.permutation(genre)
        if not content:
            self.quality = random.normal(0.0, 0.5, FILMS)
            taste = np.zeros((USERS, GENRES))
        else:
            self.quality = np.array([-0.6, 0.6, -0.3, 0.3])[genre]
            taste = random.normal(0.0, 0.8, (USERS, GENRES))
        kindness = random.normal(0.0, 0.4, USERS)
        noise = random.normal(0.0, NOISE, (USERS, FILMS))
        self.truth = 3.0 + kindness[:, None] + self.quality + taste[:, genre] + noise
        names = [f"film{place:02}" for place in range(FILMS)]
        self.users = [f"user{place:02}" for place in range(USERS)]
        films: dict[str, str | None] = {
            name: f"words{told[place]} of a film" for place, name in enumerate(names)
        }
        genres = {name: [f"genre{told[place]}"] for place, name in enumerate(names)}
        rated = random.random((USERS, FILMS)) < 0.5
        rated[:, -COLD:] = False
        self.rated = rated
        whole = make_graph(films, [(user, names[0]) for user in self.users], genres)
        user, item = np.nonzero(rated)
        weight = self.truth[rated].astype(np.float32)
        self.graph = whole.with_interactions(Interactions(user, item, weight))
        self.names = names

    def errors(self, model: RatingModel, films: range) -> float:
        """Measure a model on what it has not seen of some films."""
        user, item = np.nonzero(~self.rated[:, films.start : films.stop])
        item += films.start
        found = model.predict([self.users[one] for one in user], [self.names[one] for one in item])
        return rmse(found["rating"].to_numpy(), self.truth[user, item])

    def bias_errors(self, films: range) -> float:
        """Measure biases alone, solved by least squares, on the same ratings."""
        user, item = np.nonzero(self.rated)
        design = np.zeros((len(user), USERS + FILMS))
        design[np.arange(len(user)), user] = 1.0
        design[np.arange(len(user)), USERS + item] = 1.0
        mean = self.truth[self.rated].mean()
        left = self.truth[self.rated] - mean
        gram = design.T @ design + 0.1 * np.eye(USERS + FILMS)
        bias = np.linalg.solve(gram, design.T @ left)
        predicted = mean + bias[:USERS, None] + bias[None, USERS:]
        unseen = ~self.rated[:, films.start : films.stop]
        part = np.s_[:, films.start : films.stop]
        return rmse(predicted[part][unseen], self.truth[part][unseen])


WARM, NEW = range(FILMS - COLD), range(FILMS - COLD, FILMS)


@pytest.fixture(scope="module")
def world() -> World:
    return World(content=True)


@pytest.fixture(scope="module")
def fitted(world: World, tiny_encoder: TextEncoder) -> RatingModel:
    return RatingModel(encoder=tiny_encoder).fit(world.graph, seed=3)


def test_planted_ratings_are_found_for_warm_and_for_cold_items(
    world: World, fitted: RatingModel
) -> None:
    for films in (WARM, NEW):
        alone, found = world.bias_errors(films), world.errors(fitted, films)
        assert alone > 0.7
        assert found < 0.6 * alone
    assert fitted.validation["warm"]["error"] < 0.5


def test_biases_alone_where_content_says_nothing(tiny_encoder: TextEncoder) -> None:
    world = World(content=False)
    model = RatingModel(encoder=tiny_encoder).fit(world.graph, seed=3)
    assert model.validation["cold"]["bias_content"] == 0.0
    assert np.isinf(model.validation["cold"]["ridge"])
    assert np.isinf(model.validation["warm"]["ridge"])
    assert world.errors(model, WARM) < 1.05 * world.bias_errors(WARM) < 0.3
    cold = model.predict("user00", [world.names[place] for place in NEW])
    assert np.ptp(cold["rating"]) == 0.0


def test_a_graph_without_content_is_no_error(world: World, tiny_encoder: TextEncoder) -> None:
    films: dict[str, str | None] = dict.fromkeys(world.names)
    bare = make_graph(films, [(user, "film00") for user in world.users])
    model = RatingModel(encoder=tiny_encoder).fit(
        bare.with_interactions(world.graph.interactions), seed=3
    )
    # tastes show in the ratings of warm items, and cold ones are all alike
    assert world.errors(model, WARM) < 0.8 * world.bias_errors(WARM)
    assert np.ptp(model.predict("user00", [world.names[place] for place in NEW])["rating"]) == 0.0


def test_somebody_with_the_same_ratings_is_the_same_user(world: World, fitted: RatingModel) -> None:
    rated = np.flatnonzero(world.rated[7])[::-1]
    ratings = {world.names[place]: float(world.truth[7, place]) for place in rated}
    known = fitted.predict("user07", world.names)
    new = fitted.predict_for(ratings, world.names)
    assert new["rating"].tolist() == known["rating"].tolist()
    assert new["cold"].tolist() == known["cold"].tolist() == [False] * 60 + [True] * 10


def test_somebody_without_ratings_gets_mean_and_item_bias(
    world: World, fitted: RatingModel
) -> None:
    found = fitted.predict_for({}, world.names)["rating"].to_numpy()
    assert np.corrcoef(found, world.quality)[0, 1] > 0.9


def test_pairs_are_answered_in_their_order(world: World, fitted: RatingModel) -> None:
    users, items = ["user09", "user01", "user09"], ["film69", "film02", "film00"]
    found = fitted.predict(users, items)
    assert list(found.columns) == ["user", "item", "rating", "cold"]
    assert found["user"].tolist() == users
    assert found["item"].tolist() == items
    assert found["cold"].tolist() == [True, False, False]
    for user, item, rating in zip(users, items, found["rating"], strict=True):
        assert fitted.predict(user, item)["rating"].item() == pytest.approx(rating, abs=1e-5)
    assert fitted.predict([], []).empty
    everything = fitted.predict(np.repeat(world.users, FILMS).tolist(), world.names * USERS)
    lowest, highest = world.truth[world.rated].min(), world.truth[world.rated].max()
    assert everything["rating"].between(np.float32(lowest), np.float32(highest)).all()


def test_blocks_of_items_change_nothing(
    world: World, fitted: RatingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, items = ["user02", "user05"] * FILMS, [name for name in world.names for _ in range(2)]
    whole = fitted.predict(users, items)["rating"]
    monkeypatch.setattr("kgrec.rating.ITEM_BLOCK", 7)
    assert fitted.predict(users, items)["rating"].to_numpy() == pytest.approx(whole, abs=1e-5)


def test_the_same_seed_gives_the_same_bits(
    world: World, fitted: RatingModel, tiny_encoder: TextEncoder
) -> None:
    again = RatingModel(encoder=tiny_encoder).fit(world.graph, seed=3)
    one, other = (model.predict("user03", world.names) for model in (fitted, again))
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert again.validation == fitted.validation


def test_items_beyond_the_core_are_predicted_by_content(
    world: World, tiny_encoder: TextEncoder
) -> None:
    model = RatingModel(Config(core_items=40), encoder=tiny_encoder).fit(world.graph)
    assert world.errors(model, WARM) < 0.7 * world.bias_errors(WARM)


def test_a_pair_rated_twice_counts_with_its_mean() -> None:
    graph = make_graph({"a": None, "b": None}, [("ada", "a"), ("ada", "a"), ("ada", "b")])
    log = graph.interactions
    weight = np.array([2.0, 5.0, 1.0], np.float32)
    ratings = read_ratings(graph.with_interactions(Interactions(log.user, log.item, weight)))
    assert ratings.value.tolist() == [3.5, 1.0]
    assert ratings.item.tolist() == [0, 1]


def test_three_ratings_are_enough_for_an_answer(tiny_encoder: TextEncoder) -> None:
    log = film_graph().interactions
    rated = Interactions(log.user, log.item, np.array([5.0, 3.0, 1.0], np.float32))
    model = RatingModel(encoder=tiny_encoder).fit(film_graph().with_interactions(rated))
    found = model.predict(["ada", "bob", "bob"], ["heat", "alien", "aliens"])
    assert found["rating"].between(1.0, 5.0).all()
    assert found["rating"][0] > found["rating"][2]  # ada is kinder, and aliens is cold


def test_biases_solve_their_equations() -> None:
    ratings, kernel = small_problem()
    settings = RatingSettings(item_shrinkage=2.0, bias_content=0.4, ridge=np.inf)
    head = RatingHead.solve_biases(ratings, kernel, settings)
    bias = [head.profile(*ratings.of_user(user)).bias for user in range(ratings.users)]
    left = ratings.value - head.mean - np.array(bias)[ratings.user]
    count = ratings.item_counts()
    means = np.bincount(ratings.item, left) / count
    prior = 0.4 * kernel.numpy() + 0.6 * np.eye(ratings.items)
    expected = prior @ np.linalg.solve(prior + np.diag(2.0 / count), means)
    assert head.item_bias == pytest.approx(expected, abs=1e-3)


def test_the_residual_of_a_user_is_kernel_ridge_regression() -> None:
    ratings, kernel = small_problem()
    settings = RatingSettings(ridge=3.0, content=0.5, covariance=2.0)
    head = RatingHead.solve(ratings, kernel, settings, seed=0)
    items, values = ratings.of_user(4)
    profile = head.profile(items, values)
    terms = head.target_terms(Targets(kernel, np.arange(ratings.items)))
    step = 2.0 * terms.loadings @ terms.loadings.T
    covariance = (terms.prior + step).double().numpy()
    own = covariance[np.ix_(items, items)]
    left = values - head.mean - head.item_bias[items] - profile.bias
    weights = np.linalg.solve(own + 3.0 * np.eye(len(items)), left)
    expected = head.mean + profile.bias + head.item_bias + covariance[:, items] @ weights
    found = head.predict(profile, terms, np.arange(ratings.items))
    assert found == pytest.approx(expected, abs=1e-3)
    assert terms.loadings.shape[1] > 0


def test_the_covariance_step_follows_what_users_show() -> None:
    # items 0 and 1 are rated alike, 2 and 3 opposed, and content tells nothing
    random = np.random.default_rng(0)
    draws = random.normal(0.0, 1.0, (200, 2))
    values = np.stack([draws[:, 0], draws[:, 0], draws[:, 1], -draws[:, 1]], axis=1).ravel()
    user, item = np.divmod(np.arange(800), 4)
    ratings = Ratings(user, item, values, 200, 4)
    settings = RatingSettings(ridge=10.0, content=0.0, covariance=1.0)
    head = RatingHead.solve(ratings, torch.eye(4), settings, seed=0)
    terms = head.target_terms(Targets(torch.eye(4), np.arange(4)))
    step = (terms.loadings @ terms.loadings.T).numpy()
    assert step[0, 1] > 0.01
    assert step[2, 3] < -0.01
    assert abs(step[0, 2]) < 0.5 * step[0, 1]


def test_too_little_data_leaves_plain_biases() -> None:
    ratings, kernel = small_problem()
    trial = RatingTrial.of_cold_items(ratings.among(np.arange(5)), kernel[:5, :5], generator())
    assert not trial.is_enough
    assert np.isinf(choose_rating_settings(trial, seed=0).ridge)


def test_a_trial_hides_what_it_asks_for() -> None:
    ratings, kernel = small_problem()
    warm = RatingTrial.of_warm_items(ratings, kernel, generator())
    known = set(zip(warm.known.user.tolist(), warm.known.item.tolist(), strict=True))
    hidden = set(zip(warm.hidden.user.tolist(), warm.hidden.item.tolist(), strict=True))
    assert known.isdisjoint(hidden)
    assert warm.known.item_counts().min() >= 1
    cold = RatingTrial.of_cold_items(ratings, kernel, generator())
    assert len(cold.known) + len(cold.hidden) == len(ratings)
    assert cold.targets.cross.shape == (cold.hidden.items, cold.known.items)
    assert (cold.targets.own == -1).all()


@pytest.mark.parametrize("weight", [None, "none at all"])
def test_ratings_are_needed(world: World, tiny_encoder: TextEncoder, weight: str | None) -> None:
    log = world.graph.interactions
    plain = Interactions(log.user, log.item)
    if weight is not None:
        plain = plain.select(np.zeros(len(log), bool))
    graph: KnowledgeGraph = world.graph.with_interactions(plain)
    expected = "no column 'weight'" if weight is None else "no interactions"
    with pytest.raises(SourceError, match=expected):
        RatingModel(encoder=tiny_encoder).fit(graph)


def test_what_is_refused(fitted: RatingModel, tiny_encoder: TextEncoder) -> None:
    with pytest.raises(UnknownIdError, match="no person has the id 'nobody'"):
        fitted.predict("nobody", "film00")
    with pytest.raises(UnknownIdError, match="no film has the id 'nothing'"):
        fitted.predict_for({"nothing": 3.0}, "film00")
    with pytest.raises(ValueError, match="2 users and 3 items"):
        fitted.predict(["user00", "user01"], ["film00"] * 3)
    with pytest.raises(ValueError, match="NaN"):
        fitted.predict_for({"film00": float("nan")}, "film01")
    with pytest.raises(NotFittedError, match="call fit"):
        RatingModel(encoder=tiny_encoder).predict("user00", "film00")


def generator() -> np.random.Generator:
    return np.random.default_rng(1)


def small_problem() -> tuple[Ratings, torch.Tensor]:
    """Thirty users, forty items, and a kernel of random rows of length one."""
    random = np.random.default_rng(5)
    user, item = np.nonzero(random.random((30, 40)) < 0.4)
    values: NDArray[np.float64] = random.normal(3.0, 1.0, len(user))
    rows = random.normal(size=(40, 6))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Ratings(user, item, values, 30, 40), torch.as_tensor((rows @ rows.T).astype(np.float32))
