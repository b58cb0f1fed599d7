"""Pictures to look around in, for notebooks and browsers."""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pandas as pd

from kgrec.drawing import draw_map

if TYPE_CHECKING:
    import networkx as nx
    from neo4j_viz import Node, Relationship

HEIGHT = 600  # pixels
MOST_CAPTIONS = 25  # edges; the relations of more are read by a click
ITEM_SIZE, NODE_SIZE = 40, 22  # pixels, radius of the item and of what is around it
WIDTH, WIDEST = 1.0, 8.0  # pixels, of an edge without and with the greatest share
COLD = "#d95f02"
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
HOVER_CHARACTERS = 200
UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
EDGE, NEGATIVE = "#a5abb6", "#c0392b"
PALETTE = (
    "#4c8eda", "#57b894", "#c990c0", "#f0c04c", "#8dcce8", "#9a8f7a", "#b5a0e0", "#7aa874",
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A page that holds a picture and all it needs: it asks nothing of other hosts.

    In a notebook it shows itself.

    Parameters
    ----------
    page
        The HTML document.
    title
        What it shows, for those who can't see it.
    """

    page: str = field(repr=False)
    title: str = field(default="A neighbourhood in the graph", repr=False)

    def save(self, file: str | Path) -> None:
        """Write the page into a file for browsers.

        Parameters
        ----------
        file
            Where to.
        """
        Path(file).write_text(self.page, encoding="utf-8")

    def _repr_html_(self) -> str:
        """Give the page in a frame of its own, so that pictures of one notebook do not mix."""
        return (
            f'<iframe title="{html.escape(self.title)}" srcdoc="{html.escape(self.page)}" '
            f'style="width:100%;height:{HEIGHT + 20}px;border:0"></iframe>'
        )


def show(neighbourhood: nx.MultiDiGraph) -> Picture:
    """Draw a neighbourhood to look around in.

    Parameters
    ----------
    neighbourhood
        As :func:`kgrec.explore.neighbourhood` gives it.

    Returns
    -------
    Picture
        The item is the large node; colours are node types, and cold items have one of their own.
        The greater the absolute share of an edge, the wider it is; a negative share is red.
        Edges are named while there are :data:`MOST_CAPTIONS` at most.  A click on a node or an
        edge shows its text, score, weight and share.

    Raises
    ------
    ImportError
        If neo4j-viz is not installed.
    """
    try:
        from neo4j_viz import VisualizationGraph
    except ImportError as error:
        raise ImportError(
            "pictures to move in need neo4j-viz: pip install 'kgrec[interactive]'"
        ) from error
    colors = _choose_colors(neighbourhood)
    graph = VisualizationGraph(_nodes(neighbourhood, colors), _relationships(neighbourhood))
    graph.set_legend(nodes=list(colors.items()))
    return Picture(str(graph.render(height=f"{HEIGHT}px", theme="light").data))


def show_map(items: pd.DataFrame) -> Picture:
    """Draw items on a plane, each with its id and text where the pointer is.

    Parameters
    ----------
    items
        As :func:`kgrec.explore.vector_map` gives it.

    Returns
    -------
    Picture
        As :func:`kgrec.drawing.draw_map` draws it, without a script.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    figure = draw_map(items)
    for kind, points in zip(("warm", "cold"), figure.axes[0].collections, strict=True):
        points.set_gid(kind)
    written = io.BytesIO()
    figure.savefig(written, format="svg")
    drawing = ET.fromstring(written.getvalue())  # noqa: S314  written a line ago
    for kind, rows in (("warm", items[~items["cold"]]), ("cold", items[items["cold"]])):
        drawn = drawing.iterfind(f".//{{{SVG}}}g[@id='{kind}']//{{{SVG}}}use")
        for point, name, text in zip(drawn, rows["item"], rows["text"], strict=True):
            words = f"{name}: {text[:HOVER_CHARACTERS]}" if pd.notna(text) else name
            ET.SubElement(point, f"{{{SVG}}}title").text = UNPRINTABLE.sub(" ", words)
    drawing.attrib |= {"width": "100%", "height": f"{HEIGHT}px"}
    for prefix, namespace in (("", SVG), ("xlink", XLINK)):  # an HTML page knows no others
        ET.register_namespace(prefix, namespace)
    picture = ET.tostring(drawing, encoding="unicode")
    return Picture(f"<!doctype html><meta charset=utf-8>{picture}", "A map of the items")


def _kind(values: Mapping[str, object]) -> str:
    return f"{values['type']}, cold" if values["cold"] else str(values["type"])


def _choose_colors(neighbourhood: nx.MultiDiGraph) -> dict[str, str]:
    """Give each type a colour in the order of their names, and cold items the one of theirs."""
    values = [values for _, values in neighbourhood.nodes(data=True)]
    types = sorted({str(one["type"]) for one in values})
    colors = {kind: PALETTE[place % len(PALETTE)] for place, kind in enumerate(types)}
    shown = {_kind(one) for one in values}
    return {kind: colors.get(kind, COLD) for kind in sorted(shown)}


def _nodes(neighbourhood: nx.MultiDiGraph, colors: Mapping[str, str]) -> list[Node]:
    from neo4j_viz import Node

    return [
        Node(  # type: ignore[call-arg]  # mypy sees no default in Field(None, …)
            id=_key(node),
            caption=node[1],
            size=ITEM_SIZE if values["hop"] == 0 else NODE_SIZE,
            color=colors[_kind(values)],
            properties=_known({**values, "type": _kind(values)}),
        )
        for node, values in neighbourhood.nodes(data=True)
    ]


def _relationships(neighbourhood: nx.MultiDiGraph) -> list[Relationship]:
    from neo4j_viz import Relationship

    edges = [
        (head, tail, relation, values, _share(values))
        for head, tail, relation, values in neighbourhood.edges(keys=True, data=True)
    ]
    greatest = max((abs(share) for *_, share in edges), default=0.0) or 1.0
    return [
        Relationship(  # type: ignore[call-arg]
            id=str(place),
            source=_key(head),
            target=_key(tail),
            caption=relation if len(edges) <= MOST_CAPTIONS else None,
            width=WIDTH + (WIDEST - WIDTH) * abs(share) / greatest,
            color=NEGATIVE if share < 0 else EDGE,
            properties=_known(values),
        )
        for place, (head, tail, relation, values, share) in enumerate(edges)
    ]


def _share(values: Mapping[str, float]) -> float:
    """Give the share of an edge, 0 where it is not known."""
    share = values.get("share", 0.0)
    return share if math.isfinite(share) else 0.0


def _key(node: tuple[str, str]) -> str:
    return f"{node[0]}/{node[1]}"


def _known(values: Mapping[str, object]) -> dict[str, object]:
    """Leave out what is not known, and give plain numbers with the digits that say something."""
    plain: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, float):
            if math.isfinite(value):
                plain[name] = float(f"{value:.4g}")
        elif value is not None:
            plain[name] = value
    return plain
