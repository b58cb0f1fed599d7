"""Choices made on validation pairs, on data where the right choice is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kgrec.config import Config
from kgrec.model.channels import Matrix
from kgrec.model.collaborative import gram_matrix, popularity
from kgrec.model.propagation import Propagation, inner_products
from kgrec.model.vocabulary import normalise_rows
from kgrec.selection import (
    FEWEST_ITEMS,
    FEWEST_USERS,
    PENALTIES,
    ColdSettings,
    WarmSettings,
    _train,
    can_validate,
    choose_cold_settings,
    choose_warm_settings,
    hide_pairs,
    prior_shares,
    quality_of,
    warm_weights,
)
from numpy.typing import NDArray
from scipy import sparse

USERS, ITEMS, GROUPS = 60, 80, 8
CONFIG = Config(steps=15)


def planted() -> tuple[sparse.csr_array, list[Matrix]]:
    """Draw users who like one group, a channel that names the group and one of noise."""
    random = np.random.default_rng(0)
    group, taste = np.arange(ITEMS) % GROUPS, np.arange(USERS) % GROUPS
    chance = np.where(group == taste[:, None], 0.7, 0.05)
    histories = sparse.csr_array((random.random((USERS, ITEMS)) < chance).astype(np.float32))
    names = np.eye(GROUPS, dtype=np.float32)
    return histories, [names[random.permutation(group)], sparse.csr_array(names[group])]


HISTORIES, ROWS = planted()


def content(rows: Matrix) -> NDArray[np.float32]:
    return inner_products(rows, rows)


@pytest.fixture(scope="module")
def cold_settings() -> ColdSettings:
    return choose_cold_settings(HISTORIES, ROWS, ROWS, [1.0, 1.0], CONFIG, seed=0)


def test_new_items_are_ranked_by_the_channel_that_says_something(
    cold_settings: ColdSettings,
) -> None:
    noise, signal = cold_settings.shares
    assert signal > 0.7
    assert noise + signal == pytest.approx(1)
    assert cold_settings.quality > 0.8
    assert cold_settings.penalty in PENALTIES


def test_the_settings_describe_a_propagation(cold_settings: ColdSettings) -> None:
    propagation = cold_settings.propagation()
    np.testing.assert_allclose(propagation.shares().tolist(), cold_settings.shares, rtol=1e-5)
    assert propagation.sharpness == cold_settings.sharpness


def test_same_seed_same_choice(cold_settings: ColdSettings) -> None:
    again = choose_cold_settings(HISTORIES, ROWS, ROWS, [1.0, 1.0], CONFIG, seed=0)
    assert again == cold_settings


def test_prominence_counts_where_it_tells_who_is_used() -> None:
    random = np.random.default_rng(3)
    known = random.integers(0, 20, ITEMS)
    keys = random.random((ITEMS, 500)) < known[:, None] / 500  # others for each item
    rows: list[Matrix] = [normalise_rows(sparse.csr_array(keys.astype(np.float32))), ROWS[1]]
    liked = np.arange(ITEMS) % GROUPS == (np.arange(USERS) % GROUPS)[:, None]
    chance = np.where(liked, 0.3, 0.1) * known / 20
    log = sparse.csr_array((random.random((USERS, ITEMS)) < chance).astype(np.float32))
    settings = choose_cold_settings(log, rows, rows, [1.0, 1.0], CONFIG, seed=0)
    assert settings.prominence > 0
    assert choose_cold_settings(HISTORIES, rows, rows, [1.0, 1.0], CONFIG, seed=0).prominence == 0


def test_no_steps_keep_the_prior() -> None:
    settings = choose_cold_settings(HISTORIES, ROWS, ROWS, [1.0, 3.0], Config(steps=0), seed=0)
    np.testing.assert_allclose(settings.shares, [0.25, 0.75], rtol=1e-5)


def test_too_little_to_learn_from() -> None:
    few = [row[:5] for row in ROWS]
    settings = choose_cold_settings(HISTORIES[:, :5], few, few, [1.0, 3.0], CONFIG, seed=0)
    np.testing.assert_allclose(settings.shares, [0.25, 0.75], rtol=1e-5)
    assert np.isnan(settings.quality)


def test_warm_items_get_content_where_it_helps() -> None:
    sparse_log, _ = hide_pairs(HISTORIES, 0.6, np.random.default_rng(5))
    settings = choose_warm_settings(sparse_log, torch.as_tensor(content(ROWS[1])), CONFIG, seed=0)
    assert settings.content > 0
    assert settings.quality > 0.3


def test_what_was_used_in_training_is_no_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    qualities = []
    for weights in (torch.eye(ITEMS), torch.zeros(ITEMS, ITEMS)):  # speak for the used, for none
        monkeypatch.setattr("kgrec.selection.warm_weights", lambda *_, fixed=weights: fixed)
        chosen = choose_warm_settings(HISTORIES, torch.zeros(ITEMS, ITEMS), CONFIG, seed=0)
        qualities.append(chosen.quality)
    assert qualities[0] == qualities[1]


def test_content_of_the_items_drawn_alone() -> None:
    small = Config(selection_items=30, low_pass_rank=0)
    sparse_log, _ = hide_pairs(HISTORIES, 0.6, np.random.default_rng(5))
    drawn = np.sort(np.random.default_rng(0).permutation(ITEMS)[:30])
    among_drawn = torch.full((ITEMS, ITEMS), torch.nan)  # NaN, were it read, would stay
    among_drawn[np.ix_(drawn, drawn)] = torch.as_tensor(content(ROWS[1][drawn]))
    settings = choose_warm_settings(sparse_log, among_drawn, small, seed=0)
    assert settings == choose_warm_settings(
        sparse_log, torch.as_tensor(content(ROWS[1])), small, seed=0
    )
    assert settings.low_pass == 0


def test_nobody_to_validate_warm_items_on() -> None:
    config = Config(selection_items=2)
    apart = sparse.csr_array(np.kron(np.eye(12), np.ones((1, 2))).astype(np.float32))
    settings = [
        choose_warm_settings(apart, torch.eye(apart.shape[1]), config, seed) for seed in range(20)
    ]
    plain = WarmSettings()
    unmeasured = [chosen for chosen in settings if np.isnan(chosen.quality)]
    assert unmeasured
    assert all(
        (chosen.penalty, chosen.content, chosen.low_pass)
        == (plain.penalty, plain.content, plain.low_pass)
        for chosen in unmeasured
    )


@pytest.mark.parametrize("count", [2, 3])
def test_next_to_no_items_drawn(count: int) -> None:
    config = Config(selection_items=count, episode_items=count, steps=3)
    settings = choose_cold_settings(HISTORIES, ROWS, ROWS, [1.0, 1.0], config, seed=0)
    assert np.isfinite(settings.shares).all()


def test_shares_before_training() -> None:
    assert prior_shares(["own", "r1", "r2"], ["r1", "r2"]) == [1.0, 1.25, 1.25]
    assert prior_shares(["own", "around"], []) == [1.0, 1.0]


def test_when_there_is_enough_to_learn_from() -> None:
    enough = np.ones((FEWEST_USERS, FEWEST_ITEMS), np.float32)
    assert can_validate(sparse.csr_array(enough))
    assert not can_validate(sparse.csr_array(enough[1:]))
    assert not can_validate(sparse.csr_array(enough[:, 1:]))
    assert not can_validate(sparse.csr_array(np.eye(30, dtype=np.float32)))


def test_quality_by_hand() -> None:
    scores = np.array([[3, 2, 1], [1, 2, -np.inf]], np.float32)
    positives = np.array([[0, 1, 0], [0, 0, 1]], np.float32)
    found = 1 + np.log(2) / np.log(3)  # recall, and NDCG of the second place
    assert quality_of(scores, positives) == pytest.approx([found, 0.0])


def test_hidden_pairs_and_kept_ones_make_the_whole() -> None:
    kept, hidden = hide_pairs(HISTORIES, 0.2, np.random.default_rng(0))
    assert (kept + hidden != HISTORIES).nnz == 0
    assert kept.multiply(hidden).nnz == 0
    assert hidden.nnz / HISTORIES.nnz == pytest.approx(0.2, abs=0.05)


def test_scores_of_warm_items_spread_by_one() -> None:
    kernel = torch.as_tensor(content(ROWS[1]))
    arguments = (gram_matrix(HISTORIES) + 10 * kernel, popularity(HISTORIES))
    plain = warm_weights(*arguments, WarmSettings(low_pass=0.0), None, HISTORIES)
    assert (HISTORIES @ plain.numpy()).std(axis=1).mean() == pytest.approx(1, rel=1e-3)
    smooth = torch.as_tensor(np.random.default_rng(0).random((ITEMS, ITEMS)), dtype=torch.float32)
    mixed = warm_weights(*arguments, WarmSettings(low_pass=0.5), smooth, HISTORIES)
    rest = (mixed - plain / 2).numpy() / smooth.numpy()
    np.testing.assert_allclose(rest, rest[0, 0], rtol=1e-3)


def test_several_draws_are_trained_on_and_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Propagation] = []
    seen: list[int] = []

    def train(histories: sparse.csr_array, *rest: object) -> Propagation:
        trained.append(_train(histories, *rest))  # type: ignore[arg-type]
        seen.append(histories.shape[1])
        return trained[-1]

    monkeypatch.setattr("kgrec.selection._train", train)
    few = Config(steps=5, episode_items=20)
    settings = choose_cold_settings(HISTORIES, ROWS, ROWS, [1.0, 1.0], few, seed=0)
    assert seen == [20, 20, 20]
    offsets = torch.stack([one.offset.detach() for one in trained])
    assert offsets.std(dim=0).max() > 0
    expected = torch.softmax(offsets.mean(dim=0), dim=0)
    np.testing.assert_allclose(settings.shares, expected.numpy(), rtol=1e-5)
