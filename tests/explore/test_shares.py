"""Where a vector comes from: the parts sum to the whole, and go to the right edges."""

from __future__ import annotations

import numpy as np
import pytest
from kgrec import Recommender
from kgrec.explain import FAR, NEIGHBOURS, USED_TOGETHER
from kgrec.explore import neighbourhood, signal, signal_by_relation


def test_the_shares_of_every_cold_item_sum_to_one(fitted: Recommender) -> None:
    for item in fitted.graph.cold_items.to_pylist():
        frame = signal(fitted, item)
        assert frame["share"].sum() == pytest.approx(1.0, abs=1e-4)
        assert frame["share"].is_monotonic_decreasing


def test_shares_are_projections_of_summands_of_the_column(fitted: Recommender) -> None:
    subject = fitted.subject("film39", history=())
    network = subject.catalogue.head.network
    rows = [parts.total() for parts in subject.parts]
    kernel = network.propagation.kernel(
        rows,
        [anchor.T for anchor in subject.catalogue.head.anchors],  # type: ignore[misc]
    )
    whole = network.teacher.numpy() @ network.inverse.numpy() @ kernel[0].numpy()
    whole *= network.gain(rows).item()
    np.testing.assert_allclose(whole, subject.catalogue.column(subject.item), atol=1e-5)
    nothing = signal(fitted, "film39").query("channel == 'nothing shared'")["share"].sum()
    sharpness = network.propagation.sharpness
    ones = np.ones(len(whole)) * (np.exp(-sharpness) if sharpness else 0.0)
    part = network.teacher.numpy() @ network.inverse.numpy() @ ones * network.gain(rows).item()
    assert nothing == pytest.approx(part @ whole / (whole @ whole), abs=1e-4)


def test_an_item_of_the_core_comes_from_its_use(fitted: Recommender) -> None:
    core = fitted.subject("film00", history=()).catalogue.core
    item = fitted.graph.items.ids[int(core[0])].as_py()
    assert signal(fitted, item).to_numpy().tolist() == [[USED_TOGETHER, None, 1.0]]


def test_relations_and_hops_take_what_edges_carry(fitted: Recommender) -> None:
    for item in fitted.graph.cold_items.to_pylist():
        frame = signal_by_relation(fitted, item)
        assert frame["share"].sum() == pytest.approx(1.0, abs=1e-9)
        around = neighbourhood(fitted, item, limit=1_000)
        assert set(frame[frame["hop"] == 1]["source"]) <= {
            *(relation for _, _, relation in around.edges(keys=True)),
            "words around",
            "texts around",
        }
        carried = frame[(frame["hop"] > 0) & ~frame["source"].str.endswith(" around")]["share"]
        itself = frame[frame["source"] == "itself"]["share"].sum()
        parts = signal(fitted, item)
        expected = parts[parts["channel"].isin([NEIGHBOURS, FAR])]["share"].sum()
        assert carried.sum() + itself == pytest.approx(expected, abs=1e-9)


def test_a_relation_gets_what_its_neighbours_give(fitted: Recommender) -> None:
    parts = signal(fitted, "film39")
    genres = parts[parts["shared"].str.startswith("genre/", na=False)]
    near = genres[genres["channel"] == NEIGHBOURS]["share"].sum()
    frame = signal_by_relation(fitted, "film39").set_index(["hop", "source"])["share"]
    assert near != 0.0
    assert frame[1, "has_genre"] == pytest.approx(near, abs=1e-9)


def test_an_item_of_the_core_has_one_source(fitted: Recommender) -> None:
    core = fitted.subject("film00", history=()).catalogue.core
    item = fitted.graph.items.ids[int(core[0])].as_py()
    assert signal_by_relation(fitted, item).to_numpy().tolist() == [[0, USED_TOGETHER, 1.0]]
