"""Parts of the trained baselines whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kgrec.baselines import CLCRec, DropoutNet, LightGCN
from kgrec.baselines.lightgcn import _Net
from kgrec.baselines.training import as_tensor, seeded, train
from torch import Tensor

from tests.baselines.worlds import FACTORS, checkerboard


def test_propagation_by_hand() -> None:
    matrix = checkerboard().interaction_matrix()
    users, items = matrix.shape
    net = _Net(matrix, size=3, layers=2)
    dense = np.zeros((users + items, users + items))
    dense[:users, users:] = matrix.toarray()
    dense += dense.T
    degree = np.maximum(dense.sum(axis=1), 1)
    operator = dense / np.sqrt(np.outer(degree, degree))
    start = net.start.detach().numpy()
    final = (start + operator @ start + operator @ operator @ start) / 3
    user_vectors, item_vectors = net.vectors()
    np.testing.assert_allclose(user_vectors, final[:users], atol=1e-6)
    warm = matrix.sum(axis=0) > 0
    np.testing.assert_allclose(item_vectors[warm], final[users:][warm], atol=1e-6)
    assert not item_vectors[~warm].any()


def test_a_new_user_is_one_without_a_vector_of_their_own() -> None:
    matrix = checkerboard().interaction_matrix()
    net = _Net(matrix, size=3, layers=1)
    with torch.no_grad():
        net.start[0] = 0
    gathered = matrix[[0]] @ net.fold_in_vectors() / np.sqrt(matrix[[0]].nnz)
    np.testing.assert_allclose(gathered[0], net.vectors()[0][0], atol=1e-6)


def test_training_stops_when_the_check_no_longer_improves() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    values = iter([1.0, 3.0, 2.0, 2.0, 2.0, 9.0])

    def step() -> Tensor:
        return ((weight - 1) ** 2).sum()

    optimiser = torch.optim.SGD([weight], lr=0.1)
    best = train("x", step, optimiser, 100, check=lambda: next(values), every=5, patience=2)
    assert best == 10
    assert next(values) == 2.0  # two checks after the best, then no more
    assert train("x", step, optimiser, 7) == 7


def test_seeds_do_not_leak() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with seeded(99):
        torch.rand(5)
    assert torch.equal(torch.rand(3), expected)


def test_sparse_tensor() -> None:
    matrix = checkerboard().interaction_matrix()
    np.testing.assert_array_equal(as_tensor(matrix).to_dense().numpy(), matrix.toarray())


def test_settings_out_of_range() -> None:
    with pytest.raises(ValueError, match="dropout"):
        DropoutNet(settings=FACTORS, dropout=1.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        CLCRec(replaced=2.0)
    with pytest.raises(ValueError, match="temperature"):
        CLCRec(temperature=0.0)
    with pytest.raises(ValueError, match="layers"):
        LightGCN(layers=0)
