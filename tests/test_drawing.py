"""Pictures: every node is drawn, and no label overlaps another."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from kgrec import KnowledgeGraph
from kgrec.drawing import MOST_LABELS, draw
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
