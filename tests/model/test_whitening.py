"""Whitening against what it promises."""

from __future__ import annotations

import numpy as np
from kgrec.model.whitening import Whitening, unit_rows
from numpy.typing import NDArray


def correlated(rows: int, columns: int = 5) -> NDArray[np.float32]:
    random = np.random.default_rng(0)
    mixed = random.normal(size=(rows, columns)) @ random.normal(size=(columns, columns))
    return (mixed + 3).astype(np.float32)


def test_white_vectors_are_uncorrelated() -> None:
    vectors = correlated(400)
    whitening = Whitening.learn(vectors, 10)
    white = np.asarray((vectors - whitening.mean) @ whitening.projection, np.float32)
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(5), atol=1e-3)
    unit = whitening.apply(vectors)
    np.testing.assert_allclose(unit, unit_rows(white), atol=1e-5)


def test_the_leading_components_are_kept() -> None:
    vectors = correlated(400)
    first = Whitening.learn(vectors, 2).projection
    np.testing.assert_allclose(first, Whitening.learn(vectors, 5).projection[:, :2])
    _, _, directions = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    cosine = np.abs(np.sum(unit_rows(first.T) * directions[:2], axis=1))
    np.testing.assert_allclose(cosine, 1, atol=1e-4)


def test_few_vectors_and_flat_directions() -> None:
    assert Whitening.learn(correlated(3), 10).projection.shape == (5, 2)
    doubled = np.repeat(correlated(50, 2), 2, axis=1)
    assert Whitening.learn(doubled, 10).projection.shape == (4, 2)
    same = np.ones((6, 4), np.float32)
    assert not Whitening.learn(same, 10).apply(same).any()


def test_nothing_to_learn_from() -> None:
    whitening = Whitening.learn(np.empty((0, 4), np.float32), 10)
    assert whitening.apply(np.ones((2, 4), np.float32)).shape == (2, 0)


def test_what_has_no_vector_stays_without() -> None:
    vectors = correlated(20)
    vectors[3] = 0
    rows = Whitening.learn(vectors[4:], 3).apply(vectors)
    assert not rows[3].any()
    lengths = np.linalg.norm(np.delete(rows, 3, axis=0), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)
    assert rows.dtype == np.float32


def test_standardised_numbers_have_one_spread_and_keep_their_directions() -> None:
    vectors = correlated(400) * np.array([1, 10, 100, 0.1, 0], np.float32)
    whitening = Whitening.standardise(vectors)
    scaled = (vectors - whitening.mean) @ whitening.projection
    np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 1, 1, 0], rtol=1e-4)
    before = np.corrcoef(vectors[:, :4].T)
    np.testing.assert_allclose(np.corrcoef(scaled[:, :4].T), before, atol=1e-4)
    assert Whitening.standardise(vectors[:0]).projection.shape == (5, 5)


def test_standardising_keeps_what_whitening_drowns_in_noise() -> None:
    random = np.random.default_rng(0)
    kind = random.integers(0, 4, 160)
    vectors = random.normal(size=(160, 150)).astype(np.float32)
    vectors[:, :20] += 2 * random.normal(size=(4, 20))[kind]

    def agreement(rows: NDArray[np.float32]) -> float:
        cosines = rows @ rows.T
        np.fill_diagonal(cosines, -2)
        return float((kind[cosines.argmax(axis=1)] == kind).mean())

    whitened = agreement(Whitening.learn(vectors, 256).apply(vectors))
    standardised = agreement(Whitening.standardise(vectors).apply(vectors))
    assert standardised > 0.8 > 0.5 > whitened
