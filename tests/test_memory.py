"""Errors that say that the memory does not suffice, and a fit that goes on with less."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from kgrec import Config, Recommender, TextEncoder, recommender
from kgrec.fitting import fit_network
from kgrec.memory import is_out_of_memory

from tests.live_world import live_graph

FAR_TOO_MANY = 1 << 50


def test_knows_the_errors_of_both_libraries() -> None:
    with pytest.raises(RuntimeError) as of_torch:
        torch.empty(FAR_TOO_MANY)
    with pytest.raises(MemoryError) as of_numpy:
        np.empty(FAR_TOO_MANY)
    assert is_out_of_memory(of_torch.value)
    assert is_out_of_memory(of_numpy.value)
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    assert not is_out_of_memory(ValueError("can't allocate memory"))


def test_goes_on_once_with_half_of_the_core(
    tiny_encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_small(graph: Any, core: Any, *more: Any) -> Any:  # noqa: ANN401
        if len(core) > 10:
            torch.empty(FAR_TOO_MANY)
        return fit_network(graph, core, *more)

    monkeypatch.setattr(recommender, "fit_network", too_small)
    config = Config(steps=2, core_items=20)
    with pytest.warns(UserWarning, match="20 core items: going on with the 10 most used"):
        model = Recommender(config, encoder=tiny_encoder).fit(live_graph(), seed=0)
    assert model.validation["core_items"] == 10
    with (
        pytest.warns(UserWarning, match="going on with"),
        pytest.raises(RuntimeError, match="can't allocate"),
    ):
        Recommender(Config(steps=2, core_items=31), encoder=tiny_encoder).fit(live_graph())
