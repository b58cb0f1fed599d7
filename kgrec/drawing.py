"""Still pictures of neighbourhoods, maps and curves, for papers and terminals."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pandas as pd

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
BESIDE = 0.15  # between models at one name
NOTHING = "nothing"  # where a curve of names has none
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
    side = 8 if len(neighbourhood) <= 60 else 12
    figure, axes = _start(side * 1.25, side)
    axes.set_axis_off()
    places = _layout(neighbourhood)
    _draw_edges(axes, neighbourhood, places)
    _draw_nodes(axes, neighbourhood, places)
    axes.margins(0.12)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.canvas.draw()
    _label(axes, neighbourhood, places)
    return figure


def draw_map(items: pd.DataFrame) -> Figure:
    """Draw items on a plane.

    Parameters
    ----------
    items
        As :func:`kgrec.explore.vector_map` gives it.

    Returns
    -------
    matplotlib.figure.Figure
        Warm items are pale, cold ones dark.  The first collection of the axes holds the warm
        items, the second the cold ones, each in the order of the frame.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    figure, axes = _start(8, 6)
    for kind, rows, colour in (
        ("warm", items[~items["cold"]], "0.75"),
        ("cold", items[items["cold"]], "C1"),
    ):
        size = 30 if len(items) <= 500 else 10
        axes.scatter(rows["x"], rows["y"], s=size, color=colour, label=f"{kind} ({len(rows):,})")
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    if "kept" in items.attrs:
        axes.set_xlabel(f"The plane keeps {items.attrs['kept']:.0%} of the variance.")
    return figure


def draw_curves(curves: pd.DataFrame, x: str, y: str) -> Figure:
    """Draw a curve a model, with its interval.

    Parameters
    ----------
    curves
        As the functions of :mod:`kgrec.explore.curves` give it, with the columns ``model``,
        ``low`` and ``high``.
    x, y
        Columns to draw; where ``x`` holds names, points with bars stand in place of lines.

    Returns
    -------
    matplotlib.figure.Figure
        Colours are models, in the order of the frame.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    KeyError
        If the frame lacks a column.
    """
    is_named = not pd.api.types.is_numeric_dtype(curves[x])
    figure, axes = _start(7, 4.5)
    models = list(dict.fromkeys(curves["model"]))
    names = list(dict.fromkeys(curves[x].fillna(NOTHING))) if is_named else []
    for number, model in enumerate(models):
        rows = curves[curves["model"] == model]
        error = np.abs(rows[["low", "high"]].to_numpy().T - rows[y].to_numpy())
        if is_named:
            shift = (number - (len(models) - 1) / 2) * BESIDE
            places = [names.index(name) + shift for name in rows[x].fillna(NOTHING)]
            axes.errorbar(rows[y], places, xerr=error, fmt="o", label=model)
        else:
            axes.plot(rows[x], rows[y], marker="o", label=model)
            axes.fill_between(rows[x], rows["low"], rows["high"], alpha=0.15)
    if is_named:
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
    across, up = (y, x) if is_named else (x, y)
    axes.set(xlabel=across, ylabel=up)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def _start(width: float, height: float) -> tuple[Figure, Axes]:
    """Begin a figure of so many inches, without a window."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install 'kgrec[explore]'") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


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
