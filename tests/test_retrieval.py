"""Exact top-k against a plain sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from kgrec.retrieval import top_k
from numpy.typing import NDArray

VALUES = st.sampled_from([-np.inf, -2.0, 0.0, 0.5, 1.0, 7.0])
SCORES = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9), elements=VALUES
)


@given(SCORES, st.integers(0, 12))
def test_is_a_stable_sort(scores: NDArray[np.float32], k: int) -> None:
    columns, values = top_k(scores, k)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    expected = np.take_along_axis(scores, order, axis=1)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(columns, np.where(expected == -np.inf, -1, order))
    assert columns.dtype == np.int64
    assert values.dtype == np.float32


def test_ties_go_to_the_lower_column() -> None:
    columns, _ = top_k(np.zeros((2, 50), np.float32), 3)
    assert columns.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_no_rows_and_no_columns() -> None:
    assert top_k(np.zeros((0, 4), np.float32), 2)[0].shape == (0, 2)
    assert top_k(np.zeros((3, 0), np.float32), 2)[0].shape == (3, 0)


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 items"):
        top_k(np.zeros((1, 4), np.float32), -1)
