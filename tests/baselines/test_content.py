"""Features of items against values worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from kgrec.baselines.content import encode_items, neighbour_bag, read_content, tfidf, whiten
from numpy.typing import NDArray

from tests.baselines.worlds import WordEncoder, checkerboard
from tests.evaluation.worlds import make_graph


def test_tfidf_by_hand() -> None:
    matrix = tfidf(pa.array(["Fox, fox den", "den sky", "sky", None])).toarray()
    # fox is of one text only; den and sky weigh log(4 / 2) each
    expected = [[1, 0], [0.5**0.5, 0.5**0.5], [0, 1], [0, 0]]
    np.testing.assert_allclose(matrix, expected, atol=1e-6)
    assert matrix.dtype == np.float32


def test_repeated_words_count_by_their_logarithm() -> None:
    matrix = tfidf(pa.array(["a a b", "a", "b", "c", "c"])).toarray()
    row = np.array([(1 + np.log(2)) * np.log(5 / 2), np.log(5 / 2), 0])
    np.testing.assert_allclose(matrix[0], row / np.linalg.norm(row), atol=1e-6)


def test_texts_without_a_word() -> None:
    assert tfidf(pa.array([None, ""], pa.string())).shape == (2, 0)


def test_neighbours_in_both_directions_and_the_item_itself() -> None:
    graph = make_graph(
        {"a": None, "b": None, "c": None, "d": None},
        [("u", "a")],
        genres={"a": ["noir"], "d": ["noir", "noir"]},
        follows=[("b", "a")],
    )
    bag = neighbour_bag(graph).toarray()
    names = [f"{kind}/{key}" for kind, t in graph.nodes.items() for key in t.ids.to_pylist()]
    column = {name: bag[:, place] for place, name in enumerate(names)}
    log2 = np.log(2)
    # every column here is of two items, so weighs log(4 / 2)
    np.testing.assert_allclose(column["film/a"], np.array([log2, log2, 0, 0]) / log2 / SCALE)
    np.testing.assert_allclose(column["film/b"], np.array([log2, log2, 0, 0]) / log2 / SCALE)
    np.testing.assert_allclose(column["genre/noir"], np.array([1, 0, 0, 1]) / [3**0.5, 1, 1, 1])
    assert not bag[2].any()


SCALE = np.array([3**0.5, 2**0.5, 1, 1])


def test_interactions_are_no_neighbours() -> None:
    plain = neighbour_bag(checkerboard())
    other = neighbour_bag(checkerboard(extra=[("heist_fan0", "space_new0")]))
    np.testing.assert_array_equal(plain.toarray(), other.toarray())


def test_each_distinct_text_is_encoded_once() -> None:
    asked: list[str] = []

    class Listening(WordEncoder):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            asked.extend(texts)
            return super().encode(texts)

    graph = make_graph({"a": "crew", "b": None, "c": "crew", "d": "bank"}, [("u", "a")])
    vectors = encode_items(graph, Listening())
    assert sorted(asked) == ["bank", "crew"]
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert vectors[0].tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert not vectors[1].any()


def test_whitening_makes_components_uncorrelated() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6))
    vectors = (rng.normal(size=(4000, 6)) @ mixing + 3).astype(np.float32)
    vectors[5] = 0
    white = whiten(vectors)
    assert not white[5].any()
    lengths = np.linalg.norm(np.delete(white, 5, axis=0), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)
    np.testing.assert_allclose(white.T @ white / 4000, np.eye(6) / 6, atol=0.02)
    assert whiten(vectors, 2).shape == (4000, 2)


def test_whitening_drops_directions_without_variance() -> None:
    vectors = np.array([[1, 2, 1], [2, 4, 1], [3, 6, 1]], np.float32)
    assert whiten(vectors).shape == (3, 1)
    assert whiten(np.zeros((3, 2), np.float32)).shape == (3, 0)


def test_kernel_and_cosine_agree_with_the_matrix() -> None:
    content = read_content(checkerboard(), WordEncoder())
    matrix = content.matrix().toarray()
    rows, columns = np.array([0, 3]), np.array([1, 2, 5])
    np.testing.assert_allclose(
        content.kernel(rows, columns), matrix[rows] @ matrix[columns].T, atol=1e-6
    )
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    np.testing.assert_allclose(content.cosine(rows), unit[rows] @ unit.T, atol=1e-6)
    assert len(read_content(checkerboard()).blocks) == 2
