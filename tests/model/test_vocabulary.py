"""Terms, their rarity and rows of length one, by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from kgrec.model.vocabulary import Vocabulary, count_terms, dampen, normalise_rows
from scipy import sparse

KEYS = pa.array(["all", "some", "once", "never"])
COUNTS = sparse.csr_array(np.array([[1, 1, 0, 0], [1, 2, 3, 0], [1, 0, 0, 0]], np.float32))


def test_rare_keys_weigh_more() -> None:
    vocabulary = Vocabulary.learn(COUNTS, KEYS)
    assert vocabulary.keys.to_pylist() == ["all", "some", "once"]
    expected = np.log([3 / 3, 3 / 2, 3 / 1]) + 0.1
    np.testing.assert_allclose(vocabulary.weight, expected, rtol=1e-6)


def test_keys_of_too_few_or_too_many_rows_are_left_out() -> None:
    assert Vocabulary.learn(COUNTS, KEYS, minimum=2).keys.to_pylist() == ["all", "some"]
    assert Vocabulary.learn(COUNTS, KEYS, 1, 2).keys.to_pylist() == ["some", "once"]


def test_rows_over_other_keys_come_to_the_same_columns() -> None:
    vocabulary = Vocabulary.learn(COUNTS, KEYS)
    own = vocabulary.encode(COUNTS, KEYS).toarray()
    order = [2, 3, 0, 1]
    extra = np.hstack([COUNTS.toarray()[:, order], np.full((3, 1), 9.0, np.float32)])
    others = pa.array([*KEYS.take(pa.array(order)).to_pylist(), "unknown"])
    np.testing.assert_array_equal(vocabulary.encode(sparse.csr_array(extra), others).toarray(), own)
    weighted = COUNTS.toarray()[:, :3] * vocabulary.weight
    expected = weighted / np.linalg.norm(weighted, axis=1, keepdims=True)
    np.testing.assert_allclose(own, expected, rtol=1e-6)
    assert own.dtype == np.float32


def test_unknown_keys_weigh_nothing() -> None:
    vocabulary = Vocabulary.learn(COUNTS, KEYS)
    weighted = vocabulary.weigh(COUNTS, pa.array(["new", "some", "once", "newer"])).toarray()
    np.testing.assert_allclose(
        weighted[1], [0, 2 * vocabulary.weight[1], 3 * vocabulary.weight[2], 0]
    )


def test_no_rows_and_no_keys() -> None:
    nothing = sparse.csr_array(np.empty((0, 2), np.float32))
    vocabulary = Vocabulary.learn(nothing, pa.array(["a", "b"]))
    assert len(vocabulary.keys) == 0
    assert vocabulary.encode(COUNTS, KEYS).shape == (3, 0)


def test_rows_of_length_one() -> None:
    rows = normalise_rows(sparse.csr_array(np.array([[3, 4], [0, 0]], np.float32)))
    np.testing.assert_allclose(rows.toarray(), [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)


def test_words_of_any_script() -> None:
    counts, terms = count_terms(pa.array(["Füße, FÜSSE! 2001", "日本 — ein Fuß", "", None, "..."]))
    assert terms.to_pylist() == ["2001", "ein", "fuß", "füsse", "füße", "日本"]
    assert counts.toarray().sum(axis=1).tolist() == [3, 3, 0, 0, 0]


def test_texts_without_words() -> None:
    counts, terms = count_terms(pa.array([None, None], pa.string()))
    assert counts.shape == (2, 0)
    assert len(terms) == 0
    assert dampen(counts).shape == (2, 0)


def test_repetition_counts_less_and_less() -> None:
    dampened = dampen(sparse.csr_array(np.array([[1, 0, 8]], np.float32)))
    np.testing.assert_allclose(dampened.toarray(), [[1, 0, 1 + np.log(8)]], rtol=1e-6)
