"""Pairs sorted as single numbers, against numpy's sort over several columns."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from kgrec.pairs import is_first, order_keys, pair_keys, split_keys

pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(0, 2)), max_size=40)


@given(pairs, st.integers(5, 9))
def test_orders_as_a_sort_over_the_columns(rows: list[tuple[int, int, int]], width: int) -> None:
    first, second, detail = np.array(rows, np.int64).reshape(-1, 3).T
    keys = pair_keys(first, second, width)
    order = order_keys(keys, [detail])
    expected = np.array(sorted(rows), np.int64).reshape(-1, 3).T
    assert (np.stack([first, second, detail])[:, order] == expected).all()
    ordered = keys[order]
    assert (split_keys(ordered, width) == expected[:2]).all()
    assert ordered[is_first(ordered)].tolist() == np.unique(keys).tolist()


def test_the_last_detail_decides_first() -> None:
    keys = np.array([1, 1, 1, 0])
    weight, time = np.array([1.0, 3.0, 2.0, 9.0]), np.array([5, 4, 5, 9])
    assert order_keys(keys, [weight, time]).tolist() == [3, 1, 0, 2]


def test_numbers_beyond_32_bits() -> None:
    first, second = np.array([3_000_000, 2_999_999]), np.array([0, 2_999_999])
    keys = np.sort(pair_keys(first, second, 3_000_000))
    assert split_keys(keys, 3_000_000).tolist() == [[2_999_999, 3_000_000], [2_999_999, 0]]


def test_nothing() -> None:
    nothing = np.empty(0, np.int64)
    assert split_keys(pair_keys(nothing, nothing, 0), 0).shape == (2, 0)
    assert order_keys(nothing, [nothing]).shape == (0,)
