"""A small fitted model."""

from __future__ import annotations

import pytest
from kgrec import Config, Recommender, TextEncoder

from tests.live_world import live_graph


@pytest.fixture(scope="package")
def fitted(tiny_encoder: TextEncoder) -> Recommender:
    """Fit a model in which everything that can reach an item does."""
    config = Config(steps=3, core_items=20)
    return Recommender(config, encoder=tiny_encoder).fit(live_graph(), seed=1)
