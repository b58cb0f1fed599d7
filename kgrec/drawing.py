"""A still picture of a neighbourhood, for papers and terminals."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

LABEL_CHARACTERS = 24
MOST_LABELS = 60  # more are a grey mass
NODE_RADIUS = 4  # points around the middle of a node that labels keep clear of
SEED = 0
WIDTH, WIDEST = 0.6, 6.0  # points, of an edge without and with the greatest share
PLACES = [*product((0, 1, -1), (1, -1)), (1, 0), (-1, 0)]  # of a label beside its node
GAP = 7  # points between the middle of a node and its label

Node = tuple[str, str]


def draw(neighbourhood: nx.MultiDiGraph) -> Figure:
    """Draw a neighbourhood.

    Parameters
    ----------
    neighbourhood
        As :func:`kgrec.explore.neighbourhood` gives it.

    Returns
    -------
    matplotlib.figure.Figure
        The item is the large node, colours are node types, cold items have a thick
        dark edge.  The greater the absolute share of an edge, the wider it is; a negative share
        is dashed.  Labels are put where they overlap no other and no node, the nearest nodes first;
        where there is no such place, or :data:`MOST_LABELS` come before, there is none.
        ``figure.savefig`` writes SVG or PNG.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install 'kgrec[explore]'") from error
    side = 8 if len(neighbourhood) <= 60 else 12
    figure = Figure(figsize=(side * 1.25, side), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_axis_off()
    places = _layout(neighbourhood)
    _draw_edges(axes, neighbourhood, places)
    _draw_nodes(axes, neighbourhood, places)
    axes.margins(0.12)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    canvas.draw()  # type: ignore[no-untyped-call]
    _label(axes, neighbourhood, places)
    return figure


def _layout(neighbourhood: nx.MultiDiGraph) -> dict[Node, np.ndarray]:
    simple = nx.Graph(neighbourhood.to_undirected())
    for _, _, attributes in simple.edges(data=True):
        attributes["weight"] = 1.0
    connected = nx.is_connected(simple) and len(simple) > 2
    start = nx.kamada_kawai_layout(simple) if connected and len(simple) <= 100 else None
    if start is not None:
        return {node: np.asarray(place) for node, place in start.items()}
    spread = 2.0 / np.sqrt(len(simple))
    places = nx.spring_layout(simple, k=spread, seed=SEED, iterations=100)
    return {node: np.asarray(place) for node, place in places.items()}


def _draw_edges(axes: Axes, neighbourhood: nx.MultiDiGraph, places: dict[Node, np.ndarray]) -> None:
    edges = list(neighbourhood.edges(data="share", default=0.0))
    greatest = max((abs(share) for _, _, share in edges), default=0.0) or 1.0
    for start, end, share in edges:
        line = np.stack([places[start], places[end]])
        width = WIDTH + (WIDEST - WIDTH) * abs(share) / greatest
        style = "--" if share < 0 else "-"
        axes.plot(line[:, 0], line[:, 1], style, color="0.75", linewidth=width, zorder=1)


def _draw_nodes(axes: Axes, neighbourhood: nx.MultiDiGraph, places: dict[Node, np.ndarray]) -> None:
    attributes = dict(neighbourhood.nodes(data=True))
    small = 90 if len(neighbourhood) <= 60 else 30
    for number, kind in enumerate(sorted({node[0] for node in attributes})):
        for is_cold in (False, True):
            nodes = [
                node
                for node, values in attributes.items()
                if node[0] == kind and values["cold"] == is_cold
            ]
            if nodes:
                points = np.stack([places[node] for node in nodes])
                axes.scatter(
                    points[:, 0],
                    points[:, 1],
                    s=[3 * small if attributes[node]["hop"] == 0 else small for node in nodes],
                    color=f"C{number}",
                    edgecolors="black" if is_cold else "white",
                    linewidths=1.8 if is_cold else 0.8,
                    label=f"{kind}, cold" if is_cold else kind,
                    zorder=2,
                )


def _label(axes: Axes, neighbourhood: nx.MultiDiGraph, places: dict[Node, np.ndarray]) -> None:
    """Put the labels, the nearest nodes first, those of the greatest share before others."""
    from matplotlib.transforms import Bbox

    importance = dict.fromkeys(neighbourhood, 0.0)
    for start, end, share in neighbourhood.edges(data="share", default=0.0):
        importance[start] += abs(share)
        importance[end] += abs(share)
    hops = neighbourhood.nodes(data="hop")
    pixels = axes.figure.dpi / 72 * NODE_RADIUS
    middles = axes.transData.transform(np.stack(list(places.values())))
    taken = [Bbox([middle - pixels, middle + pixels]) for middle in middles]
    frame = axes.get_window_extent()
    order = sorted(neighbourhood, key=lambda node: (hops[node], -importance[node], node))
    for node in order[:MOST_LABELS]:
        text = axes.annotate(
            _shorten(node[1]),
            places[node].tolist(),
            xytext=(0, GAP),
            textcoords="offset points",
            fontsize=8 if len(neighbourhood) <= 60 else 6,
            fontweight="bold" if hops[node] == 0 else "normal",
            annotation_clip=False,
            zorder=3,
        )
        text.set_in_layout(False)
        box = _find_place(text, taken, frame)
        if box is None:
            text.remove()
        else:
            taken.append(box)


def _find_place(text: Text, taken: list[Bbox], frame: Bbox) -> Bbox | None:
    """Move a label to the first place where it overlaps none; None if there is none."""
    sides = {0: "center", 1: "left", -1: "right"}
    heights = {0: "center", 1: "bottom", -1: "top"}
    for right, up in PLACES:
        text.set_position((right * GAP, up * GAP))
        text.set_horizontalalignment(sides[right])  # type: ignore[arg-type]
        text.set_verticalalignment(heights[up])  # type: ignore[arg-type]
        box = text.get_window_extent()
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
        if inside and not any(box.overlaps(other) for other in taken):
            return box
    return None


def _shorten(name: str) -> str:
    return name if len(name) <= LABEL_CHARACTERS else f"{name[: LABEL_CHARACTERS - 1]}…"
