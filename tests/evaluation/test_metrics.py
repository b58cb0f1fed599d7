"""The metrics against ranx, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
import ranx
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from kgrec.evaluation import metrics
from numpy.typing import NDArray

Cases: TypeAlias = tuple[NDArray[np.bool_], NDArray[np.int64]]
Metric: TypeAlias = Callable[[NDArray[np.bool_], NDArray[np.int64]], NDArray[np.float64]]

PAIRS: list[tuple[Metric, str]] = [
    (metrics.recall, "recall"),
    (metrics.precision, "precision"),
    (metrics.f1, "f1"),
    (metrics.ndcg, "ndcg"),
    (metrics.reciprocal_rank, "mrr"),
    (metrics.hit_rate, "hit_rate"),
]


@st.composite
def cases(draw: st.DrawFn) -> Cases:
    users, k = draw(st.integers(1, 5)), draw(st.integers(1, 8))
    hits = draw(arrays(np.bool_, (users, k)))
    missed = draw(arrays(np.int64, users, elements=st.integers(0, 12)))
    return hits, np.maximum(hits.sum(axis=1) + missed, 1)


def ranx_values(case: Cases, name: str) -> NDArray[np.float64]:
    hits, positives = case
    k = hits.shape[1]
    qrels, run = {}, {}
    for user, row in enumerate(hits):
        found = {f"item{place}": 1 for place in np.flatnonzero(row)}
        missed = {f"missed{i}": 1 for i in range(positives[user] - len(found))}
        qrels[f"user{user}"] = found | missed
        run[f"user{user}"] = {f"item{place}": float(k - place) for place in range(k)}
    values = ranx.evaluate(
        ranx.Qrels(qrels), ranx.Run(run), f"{name}@{k}", return_mean=False, make_comparable=True
    )
    return np.asarray(values)


@pytest.mark.filterwarnings("ignore")  # numba's compiler, inside ranx
@pytest.mark.parametrize(("metric", "name"), PAIRS)
def test_agrees_with_ranx(metric: Metric, name: str) -> None:
    @settings(max_examples=40, deadline=None)
    @given(cases())
    def check(case: Cases) -> None:
        np.testing.assert_allclose(metric(*case), ranx_values(case, name), atol=1e-12)

    check()


@pytest.mark.filterwarnings("ignore")  # numba's compiler, inside ranx
@settings(max_examples=40, deadline=None)
@given(cases())
def test_average_precision_agrees_with_ranx_up_to_its_normaliser(case: Cases) -> None:
    hits, positives = case
    scale = positives / np.minimum(positives, hits.shape[1])
    expected = ranx_values(case, "map") * scale
    np.testing.assert_allclose(metrics.average_precision(hits, positives), expected, atol=1e-12)


@given(cases())
def test_values_are_fractions(case: Cases) -> None:
    for metric in (*(metric for metric, _ in PAIRS), metrics.average_precision):
        values = metric(*case)
        assert values.dtype == np.float64
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()


def test_a_perfect_list_that_is_too_short_for_all_positives() -> None:
    hits, positives = np.ones((1, 3), bool), np.array([30])
    assert metrics.ndcg(hits, positives).tolist() == [1.0]
    assert metrics.average_precision(hits, positives).tolist() == [1.0]
    assert metrics.recall(hits, positives).tolist() == [0.1]


@pytest.mark.parametrize(
    ("hits", "positives", "message"),
    [
        (np.ones(3, bool), np.array([1]), r"must be \[U, k\]"),
        (np.ones((2, 3), bool), np.array([3]), r"must be \[U, k\]"),
        (np.zeros((1, 0), bool), np.array([3]), "k >= 1"),
        (np.zeros((1, 3), bool), np.array([0]), "without a positive"),
        (np.ones((1, 3), bool), np.array([2]), "more hits than positives"),
    ],
)
def test_refuses(hits: NDArray[np.bool_], positives: NDArray[np.int64], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.recall(hits, positives)


def test_coverage_counts_each_item_once_and_no_empty_place() -> None:
    assert metrics.coverage(np.array([[3, 1], [3, -1]]), 8) == 0.25
    with pytest.raises(ValueError, match="undefined"):
        metrics.coverage(np.array([[0]]), 0)


def test_one_candidate_is_covered_or_not() -> None:
    assert metrics.coverage(np.array([[0], [-1]]), 1) == 1.0
    assert metrics.coverage(np.array([[-1], [-1]]), 1) == 0.0


def test_errors_are_taken_in_double_precision() -> None:
    predicted = np.array([1e8], np.float32)
    assert metrics.mae(predicted, np.array([1e8 + 1.0])) == 1.0
    assert metrics.rmse(np.array([3], np.int8), np.array([-127], np.int8)) == 130.0


def test_errors_of_ratings_with_known_answers() -> None:
    predicted, ratings = np.array([3.0, 1.0, 5.0]), np.array([3.0, 3.0, 4.0])
    assert metrics.rmse(predicted, ratings) == pytest.approx(np.sqrt(5.0 / 3.0))
    assert metrics.mae(predicted, ratings) == 1.0
    assert metrics.rmse(ratings, ratings) == metrics.mae(ratings, ratings) == 0.0


@pytest.mark.parametrize("metric", [metrics.rmse, metrics.mae])
@pytest.mark.parametrize("shapes", [(2, 3), (0, 0), ((2, 1), (2, 1))])
def test_errors_refuse_what_is_not_paired(
    metric: Callable[[NDArray[np.float64], NDArray[np.float64]], float],
    shapes: tuple[int | tuple[int, int], int | tuple[int, int]],
) -> None:
    with pytest.raises(ValueError, match="must both be"):
        metric(np.zeros(shapes[0]), np.zeros(shapes[1]))
