"""The approximate index finds nearly what the exact search finds, and says how nearly."""

from __future__ import annotations

import kgrec.approximate
import numpy as np
import pytest
from kgrec.approximate import ApproximateIndex
from kgrec.retrieval import top_products
from numpy.typing import NDArray


def grouped(count: int, seed: int) -> NDArray[np.float32]:
    """Draw vectors around forty centres."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(40, 16))
    noise = 0.3 * random.normal(size=(count, 16))
    return (centres[random.integers(40, size=count)] + noise).astype(np.float32)


@pytest.mark.parametrize("recall", [0.8, 0.97])
def test_recall_is_reached_and_reported(recall: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kgrec.approximate, "LEAST_ITEMS", 1_000)
    items, queries = grouped(8_000, 0), grouped(300, 1)
    index = ApproximateIndex(items, queries=grouped(300, 2), recall=recall, k=10)
    assert index.recall >= recall
    found, products = index.search(queries, 10)
    exact, best = top_products(queries, items, 10)
    reached = np.mean([np.isin(a, b).mean() for a, b in zip(found, exact, strict=True)])
    assert reached == pytest.approx(index.recall, abs=0.06)
    np.testing.assert_allclose(
        products[:, 0], np.sum(queries * items[found[:, 0]], axis=1), rtol=1e-4
    )
    assert (products <= best + 1e-4).all()


def test_few_items_are_searched_exactly() -> None:
    items = grouped(50, 0)
    index = ApproximateIndex(items)
    assert index.recall == 1.0
    np.testing.assert_array_equal(index.search(items, 60)[0], top_products(items, items, 60)[0])
