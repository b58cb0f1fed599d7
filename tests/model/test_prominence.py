"""Prominence, on items whose popularity follows from how much is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from kgrec.model.channels import Matrix
from kgrec.model.prominence import Prominence
from numpy.typing import NDArray
from scipy import sparse

ITEMS, KEYS = 400, 64


def rows_of(counts: NDArray[np.int64]) -> sparse.csr_array:
    """Give each item its number of keys."""
    return sparse.csr_array((np.arange(KEYS) < counts[:, None]).astype(np.float32))


RANDOM = np.random.default_rng(0)
COUNTS = RANDOM.integers(0, KEYS, ITEMS)
ROWS: list[Matrix] = [rows_of(COUNTS), rows_of(RANDOM.integers(0, KEYS, ITEMS))]
USERS = 1 + COUNTS  # as many users as keys, whatever the second channel says


def test_popularity_is_found_where_it_follows_the_number_of_keys() -> None:
    found = Prominence.learn(ROWS, USERS).of(ROWS)
    expected = np.log(USERS) - np.log(USERS).mean()
    assert np.corrcoef(found, expected)[0, 1] > 0.99
    assert np.abs(found - expected).mean() < 0.1
    assert found.dtype == np.float32


def test_many_keys_without_users_tell_nothing() -> None:
    shuffled = RANDOM.permutation(USERS)
    found = Prominence.learn(ROWS, shuffled).of(ROWS)
    assert found.std() < 0.25 * np.log(shuffled).std()


def test_it_goes_nowhere_beyond_what_was_seen() -> None:
    prominence = Prominence.learn(ROWS, USERS)
    usual = prominence.of(ROWS)
    flood = sparse.csr_array(np.ones((1, KEYS), np.float32))
    value = prominence.of([flood, flood])
    assert usual.min() <= value[0] <= usual.max()


def test_an_item_is_the_same_alone_and_in_a_batch() -> None:
    prominence = Prominence.learn(ROWS, USERS)
    alone = [prominence.of([matrix[[item]] for matrix in ROWS])[0] for item in range(20)]
    np.testing.assert_allclose(alone, prominence.of(ROWS)[:20], rtol=1e-6, atol=1e-6)


def test_gain_is_a_power_and_one_without_strength() -> None:
    prominence = Prominence.learn(ROWS, USERS)
    np.testing.assert_array_equal(prominence.gain(ROWS, 0.0), np.ones(ITEMS, np.float32))
    np.testing.assert_allclose(
        prominence.gain(ROWS, 0.5), np.sqrt(prominence.gain(ROWS, 1.0)), rtol=1e-5
    )


def test_items_that_nobody_used_are_left_out() -> None:
    half = np.arange(ITEMS) % 2 == 0
    of_half = Prominence.learn([matrix[half] for matrix in ROWS], USERS[half])
    of_all = Prominence.learn(ROWS, np.where(half, USERS, 0))
    np.testing.assert_array_equal(of_half.of(ROWS), of_all.of(ROWS))


@pytest.mark.parametrize("count", [0, 1])
def test_next_to_nothing_to_learn_from(count: int) -> None:
    prominence = Prominence.learn([matrix[:count] for matrix in ROWS], USERS[:count])
    np.testing.assert_array_equal(prominence.of(ROWS), np.zeros(ITEMS, np.float32))


def test_vectors_are_there_or_not() -> None:
    vectors = RANDOM.normal(size=(ITEMS, 8)).astype(np.float32)
    vectors[::2] = 0.0
    users = np.where(np.arange(ITEMS) % 2 == 0, 2, 40)
    found = Prominence.learn([vectors], users).of([vectors])
    assert found[1::2].min() > found[::2].max() + 1.0


def test_a_key_of_its_own_says_nothing_of_an_item() -> None:
    """A new item's own keys are unknown: those of a warm one must not count either."""
    shared = rows_of(COUNTS % 8)
    own = sparse.eye_array(ITEMS, format="csr", dtype=np.float32)
    with_own = sparse.csr_array(sparse.hstack([shared, own]))
    users = 1 + COUNTS % 8
    found, expected = Prominence.learn([with_own], users), Prominence.learn([shared], users)
    stranger = sparse.csr_array(sparse.hstack([shared, sparse.csr_array((ITEMS, ITEMS))]))
    np.testing.assert_allclose(found.of([stranger]), expected.of([shared]), atol=1e-6)
