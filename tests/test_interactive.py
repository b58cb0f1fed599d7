"""Pictures to move in: what they say, and that a real browser draws them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pytest
from kgrec.interactive import (
    COLD,
    ITEM_SIZE,
    MOST_CAPTIONS,
    NEGATIVE,
    NODE_SIZE,
    WIDEST,
    WIDTH,
    Picture,
    show,
    show_map,
)
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser import needs_browser, open_browser

EVIL = "</script><script>document.title = 'broken in'</script>"


@pytest.fixture
def around() -> nx.MultiDiGraph:
    """Make a cold film, a warm one with text that looks like a script, and a genre."""
    graph = nx.MultiDiGraph()
    for kind, name, hop, cold, text in (
        ("film", "jaws", 0, True, "a shark"),
        ("genre", "fear", 1, False, None),
        ("film", "alien", 2, False, EVIL),
    ):
        graph.add_node((kind, name), type=kind, id=name, text=text, hop=hop, cold=cold, score=0.5)
    jaws, fear, alien = graph
    graph.add_edge(jaws, fear, "of", relation="of", weight=1.0, share=0.4)
    graph.add_edge(alien, fear, "of", relation="of", weight=1.0, share=-0.2)
    graph.add_edge(alien, jaws, "like", relation="like", weight=1.0, share=float("nan"))
    return graph


def data_of(picture: Picture) -> Any:  # noqa: ANN401  whatever JSON holds
    found = re.search(
        r'<script type="application/json" id="neo4j-viz-data">(.*?)</script>', picture.page
    )
    assert found is not None
    return json.loads(found[1])


def test_nodes_say_what_they_are(around: nx.MultiDiGraph) -> None:
    jaws, fear, alien = data_of(show(around))["nodes"]
    assert (jaws["caption"], jaws["size"], jaws["color"]) == ("jaws", ITEM_SIZE, COLD)
    assert jaws["properties"]["type"] == "film, cold"
    assert "text" not in fear["properties"]
    assert alien["properties"]["text"] == EVIL
    assert alien["size"] == NODE_SIZE
    assert len({one["color"] for one in (jaws, fear, alien)}) == 3


def test_a_terminal_is_spared_the_page(around: nx.MultiDiGraph) -> None:
    assert repr(show(around)) == "Picture()"


def test_wide_edges_carry_much(around: nx.MultiDiGraph) -> None:
    good, bad, unknown = data_of(show(around))["relationships"]
    assert good["width"] == WIDEST
    assert bad["width"] == pytest.approx((WIDTH + WIDEST) / 2)
    assert bad["color"] == NEGATIVE != good["color"]
    assert unknown["width"] == WIDTH
    assert "share" not in unknown["properties"]


@pytest.mark.parametrize("more", [0, MOST_CAPTIONS])
def test_edges_are_named_while_they_are_few(around: nx.MultiDiGraph, more: int) -> None:
    jaws = ("film", "jaws")
    for number in range(more):
        around.add_edge(jaws, ("genre", "fear"), f"kind {number}", weight=1.0)
    edges = data_of(show(around))["relationships"]
    named = [edge for edge in edges if edge.get("caption")]
    assert len(named) == (0 if more else len(edges))


def canvases(driver: webdriver.Chrome) -> int:
    """Count the pictures drawn in the frame where the browser is."""
    return int(driver.execute_script("return document.querySelectorAll('canvas').length"))


@needs_browser
def test_a_browser_draws_two_pictures_side_by_side(around: nx.MultiDiGraph, tmp_path: Path) -> None:
    genre = around.subgraph([("genre", "fear")])
    frames = show(around)._repr_html_() + show(genre)._repr_html_()
    page = tmp_path / "notebook.html"
    page.write_text(f"<!doctype html><title>notebook</title>{frames}", encoding="utf-8")
    with open_browser(tmp_path / "profile") as driver:
        driver.get(page.as_uri())
        for number, expected in enumerate(("film, cold", "genre")):
            driver.switch_to.frame(number)
            WebDriverWait(driver, 20).until(canvases)
            legend = driver.execute_script("return document.body.innerText")
            assert expected in legend
            assert ("film" in legend) == (number == 0)
            assert not driver.execute_script(
                "return performance.getEntriesByType('resource')"
                ".filter(e => e.name.startsWith('http')).length"
            )
            driver.switch_to.default_content()
        assert driver.title == "notebook"
        assert driver.get_log("browser") == []  # type: ignore[no-untyped-call]


@needs_browser
def test_a_saved_picture_opens(around: nx.MultiDiGraph, tmp_path: Path) -> None:
    show(around).save(tmp_path / "picture.html")
    with open_browser(tmp_path / "profile") as driver:
        driver.get((tmp_path / "picture.html").as_uri())
        WebDriverWait(driver, 20).until(canvases)
        assert driver.title != "broken in"


@needs_browser
def test_a_map_tells_what_is_under_the_pointer(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "item": ["jaws", "alien", "mute"],
            "x": [0.0, 1.0, 2.0],
            "y": [1.0, 0.0, 1.0],
            "cold": [True, False, False],
            "text": ["a\x00shark & more", EVIL, None],
        }
    )
    show_map(frame).save(tmp_path / "map.html")
    with open_browser(tmp_path / "profile") as driver:
        driver.get((tmp_path / "map.html").as_uri())
        told = driver.execute_script(
            "return [...document.querySelectorAll('svg use > title')].map(t => t.textContent)"
        )
        assert told == [f"alien: {EVIL}", "mute", "jaws: a shark & more"]
        places = driver.execute_script(
            "return [...document.querySelectorAll('#cold use, #warm use')]"
            ".map(u => { const box = u.getBoundingClientRect(); return [box.width, box.x] })"
        )
        assert all(width > 1 for width, _ in places)
        assert driver.title != "broken in"
        assert driver.get_log("browser") == []  # type: ignore[no-untyped-call]
