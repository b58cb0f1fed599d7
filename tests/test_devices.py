"""Nothing that is computed on tensors moves to another device, or to another kind of number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from kgrec import Config, Recommender, TextEncoder
from kgrec.model.collaborative import ease_weights
from kgrec.model.head import factor_ridge, ridge_weights, solve_ridge
from kgrec.model.propagation import Propagation
from kgrec.ranker import UserBatch
from kgrec.training import softmax_ranking_loss
from torch import Tensor

from tests.live_world import live_graph

SIZE, OTHERS, CHANNELS = 12, 5, 3


def mix(device: str, dtype: torch.dtype) -> Tensor:
    with torch.device(device):
        propagation = Propagation([1.0] * CHANNELS, 0.5)
        kernels = torch.empty(CHANNELS, SIZE, SIZE, dtype=dtype)
        mixed: Tensor = propagation.to(dtype)(kernels)
        return mixed


def loss(device: str, dtype: torch.dtype) -> Tensor:
    with torch.device(device):
        logits = torch.empty(4, OTHERS, dtype=dtype)
        return softmax_ranking_loss(logits, torch.ones_like(logits))


Work = Callable[[str, torch.dtype], Tensor]
WORK: dict[str, tuple[Work, tuple[int, ...]]] = {"mix": (mix, (SIZE, SIZE)), "loss": (loss, ())}


@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_lie_where_the_inputs_do(name: str, device: str, dtype: torch.dtype) -> None:
    work, shape = WORK[name]
    result = work(device, dtype)
    assert result.device.type == device
    assert result.dtype == dtype
    assert tuple(result.shape) == shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_solves_keep_the_kind_of_number(dtype: torch.dtype) -> None:
    kernel = torch.eye(SIZE, dtype=dtype)
    factor = factor_ridge(kernel, torch.ones(SIZE, dtype=dtype))
    assert solve_ridge(factor, kernel[:, :OTHERS]).dtype == dtype
    weights = ridge_weights(kernel, torch.ones(SIZE, dtype=dtype), kernel[:, :OTHERS])
    assert weights.dtype == dtype
    assert ease_weights(kernel, torch.ones(SIZE, dtype=dtype), 1.0).dtype == dtype


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_fit_on_a_gpu_is_near_that_on_the_cpu(tiny_encoder: TextEncoder) -> None:
    on_gpu, on_cpu = (
        Recommender(Config(steps=5), encoder=tiny_encoder, device=device).fit(live_graph(), seed=0)
        for device in ("cuda", "cpu")
    )
    scores = [model._score(UserBatch(model.histories)) for model in (on_gpu, on_cpu)]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-2)
    again = Recommender(Config(steps=5), encoder=tiny_encoder, device="cuda")
    again.fit(live_graph(), seed=0)
    np.testing.assert_array_equal(again._score(UserBatch(again.histories)), scores[0])
