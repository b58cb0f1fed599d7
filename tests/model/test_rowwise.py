"""Products whose rows depend on themselves alone, to the last bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from kgrec.model.rowwise import multiply_rows


@given(
    count=st.integers(1, 40),
    inner=st.integers(1, 300),
    outer=st.integers(1, 300),
    seed=st.integers(0, 2**16),
)
def test_company_and_layout_change_nothing(count: int, inner: int, outer: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, inner)).astype(np.float32)
    matrix = random.normal(size=(inner, outer)).astype(np.float32)
    together = multiply_rows(rows, matrix)
    np.testing.assert_allclose(together, rows @ matrix, rtol=1e-4, atol=1e-4)
    chosen = int(random.integers(count))
    np.testing.assert_array_equal(
        multiply_rows(rows[chosen : chosen + 1], matrix), together[chosen : chosen + 1]
    )
    np.testing.assert_array_equal(multiply_rows(rows, np.asfortranarray(matrix)), together)
