"""Training of the shares, on a planted signal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from kgrec.errors import TrainingError
from kgrec.model.propagation import Propagation, channel_kernels
from kgrec.training import (
    TARGET_EXPONENT,
    Arrival,
    _hidden_scores,
    softmax_ranking_loss,
    teacher_weights,
    train_shares,
)
from numpy.typing import NDArray
from scipy import sparse

USERS, ITEMS, GROUPS = 80, 48, 4


def planted() -> tuple[sparse.csr_array, list[NDArray[np.float32]]]:
    """Draw users who like one group, a channel that names the group and one of noise."""
    random = np.random.default_rng(0)
    group, taste = np.arange(ITEMS) % GROUPS, np.arange(USERS) % GROUPS
    chance = np.where(group == taste[:, None], 0.6, 0.05)
    histories = sparse.csr_array((random.random((USERS, ITEMS)) < chance).astype(np.float32))
    noise = np.eye(GROUPS, dtype=np.float32)[random.permutation(group)]
    return histories, [noise, np.eye(GROUPS, dtype=np.float32)[group]]


HISTORIES, ROWS = planted()
FOLDS = np.array_split(np.random.default_rng(1).permutation(ITEMS), 4)
EPISODES = [
    Arrival(HISTORIES, np.setdiff1d(np.arange(ITEMS), fold), fold, 50, seed).episode(10.0)
    for seed, fold in enumerate(FOLDS)
]


def train(propagation: Propagation, steps: int = 40, strength: float = 0.0) -> list[float]:
    return train_shares(
        propagation,
        channel_kernels(ROWS, ROWS),
        EPISODES,
        steps=steps,
        learning_rate=0.1,
        prior_strength=strength,
        ridge=0.3,
    )


def test_the_share_moves_to_the_channel_that_carries_the_signal() -> None:
    propagation = Propagation([19.0, 1.0], 2.0)
    losses = train(propagation)
    noise, signal = propagation.shares().tolist()
    assert signal > 0.9
    assert noise < 0.1
    assert len(losses) == 40
    assert np.mean(losses[-4:]) < np.mean(losses[:4]) - 0.1


def test_the_prior_holds_the_shares_back() -> None:
    free, held = Propagation([1.0, 1.0], 2.0), Propagation([1.0, 1.0], 2.0)
    train(free)
    train(held, strength=1.0)
    assert 0.5 < held.shares()[1] < free.shares()[1]


def test_no_steps_change_nothing() -> None:
    propagation = Propagation([1.0, 3.0], 2.0)
    assert train(propagation, steps=0) == []
    assert propagation.offset.tolist() == [0, 0]


def test_training_twice_gives_the_same_shares() -> None:
    first, again = Propagation([1.0, 1.0], 2.0), Propagation([1.0, 1.0], 2.0)
    assert train(first) == train(again)
    assert torch.equal(first.offset, again.offset)


@pytest.mark.parametrize("sharpness", [0.0, 2.0])
def test_items_that_are_all_alike(sharpness: float) -> None:
    histories = sparse.csr_array(np.ones((3, 6), np.float32))
    rows = [np.ones((6, 1), np.float32)]
    episode = Arrival(histories, np.arange(4), np.array([4, 5]), 9, 0).episode(10.0)
    propagation = Propagation([1.0], sharpness)
    losses = train_shares(
        propagation,
        channel_kernels(rows, rows),
        [episode],
        steps=200,
        learning_rate=1.0,
        prior_strength=0.0,
        ridge=0.1,
    )
    assert np.isfinite(losses).all()
    assert torch.isfinite(propagation.shares()).all()


def test_a_ridge_of_nothing_is_held_above_it() -> None:
    histories = sparse.csr_array(np.ones((3, 6), np.float32))
    episode = Arrival(histories, np.arange(4), np.array([4, 5]), 9, 0).episode(10.0)
    kernels = torch.ones(1, 6, 6)
    scores = _hidden_scores(Propagation([1.0], 2.0), kernels, episode, torch.tensor(-100.0))
    assert torch.isfinite(scores).all()


def test_one_user_and_one_hidden_item_have_no_spread() -> None:
    histories = sparse.csr_array(np.ones((1, 2), np.float32))
    episode = Arrival(histories, np.array([0]), np.array([1]), 9, 0).episode(10.0)
    propagation = Propagation([1.0, 1.0], 2.0)
    train_shares(
        propagation,
        channel_kernels([row[:2] for row in ROWS], [row[:2] for row in ROWS]),
        [episode],
        steps=2,
        learning_rate=0.1,
        prior_strength=0.0,
        ridge=0.1,
    )
    assert torch.isfinite(propagation.shares()).all()


def test_a_loss_that_is_not_finite_ends_the_training_and_is_named() -> None:
    broken = replace(EPISODES[1], scores=torch.full_like(EPISODES[1].scores, torch.inf))
    with pytest.raises(TrainingError, match="step 2 is nan, on draw 2 of hidden items"):
        train_shares(
            Propagation([1.0, 1.0], 0.0),
            channel_kernels(ROWS, ROWS),
            [EPISODES[0], broken],
            steps=4,
            learning_rate=0.1,
            prior_strength=0.0,
            ridge=0.3,
        )


def test_every_user_of_an_episode_has_known_and_hidden_items() -> None:
    for episode, fold in zip(EPISODES, FOLDS, strict=True):
        assert episode.hidden.tolist() == fold.tolist()
        assert not set(episode.known) & set(episode.hidden)
        assert episode.scores.shape == (len(episode.positives), len(episode.known))
        assert len(episode.positives) <= 50
        assert (episode.positives.sum(dim=1) > 0).all()
        assert set(episode.positives.flatten().tolist()) == {0, 1}


def test_hidden_items_leave_no_trace_in_the_scores() -> None:
    known, hidden = np.arange(12, ITEMS), np.arange(12)
    changed = HISTORIES.toarray()
    changed[:, :12] = 1
    other = Arrival(sparse.csr_array(changed), known, hidden, USERS, 0).episode(10.0)
    episode = Arrival(HISTORIES, known, hidden, USERS, 0).episode(10.0)
    left = np.flatnonzero(HISTORIES[:, known].sum(axis=1) > 0)
    right = np.flatnonzero(HISTORIES[:, hidden].sum(axis=1) > 0)
    rows = np.searchsorted(left, np.intersect1d(left, right))
    np.testing.assert_allclose(episode.scores, other.scores[rows], atol=1e-6)


def test_an_episode_that_nobody_is_left_for() -> None:
    apart = sparse.csr_array(np.eye(4, dtype=np.float32))
    episode = Arrival(apart, np.array([0, 1]), np.array([2, 3]), 9, 0).episode(10.0)
    assert episode.positives.shape == (0, 2)
    nothing = Arrival(apart, np.arange(4), np.array([], np.int64), 9, 0).episode(10.0)
    assert nothing.positives.shape == (0, 0)


def test_the_teacher_damps_often_used_items() -> None:
    used = np.zeros((20, 3), np.float32)
    used[:, 0] = 1
    used[:5, 1] = used[:5, 2] = 1
    weights = teacher_weights(sparse.csr_array(used), 1.0)
    assert TARGET_EXPONENT > 0
    assert weights.shape == (3, 3)
    assert weights[1, 2] > weights[1, 0] > 0
    assert (weights.diagonal() > 0).all()


def test_ranking_loss_by_hand() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    positives = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    whole = np.exp([1.0, 2.0, 0.0]).sum()
    first = -(np.log(np.exp(1) / whole) + np.log(1 / whole)) / 2
    expected = (first + np.log(3)) / 2
    assert softmax_ranking_loss(logits, positives).item() == pytest.approx(expected, rel=1e-6)


def test_gradient_of_the_ranking_loss() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    positives = torch.eye(4, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: softmax_ranking_loss(x, positives), (logits,))
