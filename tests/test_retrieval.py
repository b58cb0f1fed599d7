"""Exact top-k against a plain sort."""

from __future__ import annotations

import kgrec.retrieval
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from kgrec.retrieval import top_k, top_products
from numpy.typing import NDArray

VALUES = st.sampled_from([-np.inf, -2.0, 0.0, 0.5, 1.0, 7.0])
SCORES = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9), elements=VALUES
)


def many_scores(patch: pytest.MonkeyPatch) -> None:
    """Let few scores take the way of many."""
    patch.setattr(kgrec.retrieval, "FEW_SCORES", 0)


@given(SCORES, st.integers(0, 12), st.booleans())
def test_is_a_stable_sort(scores: NDArray[np.float32], k: int, as_many: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if as_many:
            many_scores(patch)
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
    assert top_k(np.zeros((3, 4), np.float32), 0)[1].shape == (3, 0)


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 items"):
        top_k(np.zeros((1, 4), np.float32), -1)


@given(SCORES, st.integers(0, 12), st.integers(1, 5), st.integers(1, 5))
def test_products_by_blocks(
    vectors: NDArray[np.float32], k: int, queries_at_once: int, items_at_once: int
) -> None:
    items = np.nan_to_num(vectors, neginf=-3.0)
    queries = items[:3]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kgrec.retrieval, "QUERY_BLOCK", queries_at_once)
        patch.setattr(kgrec.retrieval, "ITEM_BLOCK", items_at_once)
        columns, values = top_products(queries, items, k)
    expected, best = top_k(queries @ items.T, k)
    np.testing.assert_array_equal(columns, expected)
    np.testing.assert_allclose(values, best, rtol=1e-6)


@pytest.mark.parametrize("width", [255, 256, 1_000, 4_097])
@pytest.mark.parametrize("distinct", [3, 10_000])
def test_wide_rows_by_pieces(width: int, distinct: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few distinct values most of the best are ties, which go to the lower column."""
    many_scores(monkeypatch)
    random = np.random.default_rng(width)
    scores = random.integers(0, distinct, (7, width)).astype(np.float32)
    scores[0, 10:] = -np.inf
    for k in (1, 20, 100):
        columns, values = top_k(scores, k)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        expected = np.take_along_axis(scores, order, axis=1)
        np.testing.assert_array_equal(values, expected)
        np.testing.assert_array_equal(columns, np.where(expected == -np.inf, -1, order))


def test_more_scores_than_are_looked_at_row_by_row() -> None:
    random = np.random.default_rng(0)
    scores = random.integers(0, 500, (3, kgrec.retrieval.FEW_SCORES // 2)).astype(np.float32)
    columns, values = top_k(scores, 10)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    np.testing.assert_array_equal(columns, order)
    np.testing.assert_array_equal(values, np.take_along_axis(scores, order, axis=1))
    assert columns.dtype == np.int64
    assert values.dtype == np.float32


def test_products_have_their_types_and_refuse_a_negative_length() -> None:
    items = np.eye(3)
    columns, products = top_products(items.astype(np.float32), items.astype(np.float32), 2)
    assert columns.dtype == np.int64
    assert products.dtype == np.float32
    with pytest.raises(ValueError, match="-1 items"):
        top_products(columns.astype(np.float32), columns.astype(np.float32), -1)
