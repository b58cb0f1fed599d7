"""Pictures: every node is drawn, and no label overlaps another."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kgrec import KnowledgeGraph
from kgrec.drawing import MOST_LABELS, draw, draw_curves, draw_map
from kgrec.explore import neighbourhood
from matplotlib.backends.backend_agg import FigureCanvasAgg


@pytest.mark.parametrize("limit", [1, 10, 30, 120])
def test_no_labels_overlap(debian_graph: KnowledgeGraph, limit: int, tmp_path: Path) -> None:
    around = neighbourhood(debian_graph, "python3-all-venv", limit=limit)
    figure = draw(around)
    figure.savefig(tmp_path / "picture.png")
    (axes,) = figure.axes
    drawn = sum(np.asarray(points.get_offsets()).shape[0] for points in axes.collections)
    assert drawn == len(around) == limit
    assert isinstance(figure.canvas, FigureCanvasAgg)
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert min(limit, MOST_LABELS) * 0.7 <= len(boxes) <= MOST_LABELS
    assert axes.texts[0].get_text() == "python3-all-venv"


def test_the_legend_names_types_and_cold_items(debian_graph: KnowledgeGraph) -> None:
    around = neighbourhood(debian_graph, "python3-all-venv", limit=30)
    legend = draw(around).axes[0].get_legend()
    assert legend is not None
    words = {text.get_text() for text in legend.get_texts()}
    assert {kind for kind, _ in around} <= words
    assert "package, cold" in words


def test_wide_edges_carry_much(debian_graph: KnowledgeGraph) -> None:
    around = neighbourhood(debian_graph, "python3-all-venv", limit=10)
    edges = list(around.edges(keys=True))
    for number, edge in enumerate(edges):
        around.edges[edge]["share"] = (-1) ** number * 0.1 * number
    lines = draw(around).axes[0].lines
    widths = [line.get_linewidth() for line in lines]
    assert widths == sorted(widths)
    assert widths[-1] > 5 * widths[0]
    assert [line.get_linestyle() for line in lines[:2]] == ["-", "--"]


def test_a_map_shows_every_item_and_marks_the_cold(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [1.0, 0.0, 1.0], "cold": [False, True, True]})
    frame.attrs["kept"] = 0.256
    figure = draw_map(frame)
    figure.savefig(tmp_path / "map.svg")
    (axes,) = figure.axes
    warm, cold = (np.asarray(points.get_offsets()).tolist() for points in axes.collections)
    assert (warm, cold) == ([[0.0, 1.0]], [[1.0, 0.0], [2.0, 1.0]])
    assert "26%" in axes.get_xlabel()


def test_curves_have_a_line_a_model_with_its_interval() -> None:
    frame = pd.DataFrame(
        {"model": ["a", "b"] * 2, "share": [0.5, 0.5, 1.0, 1.0], "recall": [0.1, 0.2, 0.3, 0.4]}
    )
    frame["low"], frame["high"] = frame["recall"] - 0.05, frame["recall"] + 0.1
    (axes,) = draw_curves(frame, "share", "recall").axes
    assert [line.get_ydata() for line in axes.lines] == [
        pytest.approx([0.1, 0.3]),
        pytest.approx([0.2, 0.4]),
    ]
    band = np.asarray(axes.collections[0].get_paths()[0].vertices)
    assert (np.min(band[:, 1]), np.max(band[:, 1])) == pytest.approx((0.05, 0.4))


def test_names_get_points_with_bars() -> None:
    frame = pd.DataFrame(
        {"model": ["a", "b"] * 2, "without": [None, None, "of", "of"], "recall": 0.2}
    )
    frame["low"], frame["high"] = 0.1, 0.4
    (axes,) = draw_curves(frame, "without", "recall").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["nothing", "of"]
    assert axes.get_xlabel() == "recall"
    heights = np.concatenate([bars[0].get_ydata() for bars in axes.containers])
    assert len(set(heights.tolist())) == 4  # none covers another
