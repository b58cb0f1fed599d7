"""SHACL shapes, by pySHACL."""

from __future__ import annotations

from pathlib import Path

import pytest
from kgrec.errors import SourceError
from kgrec.shapes import find_violations

DATA = """
@prefix : <http://films.example/> .
:alien a :Film ; :title "Alien" .
:heat a :Film .
:jaws a :Film ; :title "Jaws" , "Der weiße Hai" .
"""
SHAPES = """
@prefix : <http://films.example/> .
@prefix sh: <http://www.w3.org/ns/shacl#> .
:FilmShape a sh:NodeShape ; sh:targetClass :Film ;
  sh:property [ sh:path :title ; sh:minCount 1 ; sh:message "a film needs a title" ] ,
              [ sh:path :title ; sh:maxCount 1 ; sh:severity sh:Warning ] .
"""


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    (tmp_path / "shapes.ttl").write_text(SHAPES)
    return tmp_path / "shapes.ttl"


def test_names_the_nodes_at_fault(tmp_path: Path, shapes: Path) -> None:
    (tmp_path / "films.ttl").write_text(DATA)
    heat, jaws = find_violations(tmp_path / "films.ttl", shapes)
    assert (heat.node, heat.path) == ("http://films.example/heat", "http://films.example/title")
    assert (heat.message, heat.severity) == ("a film needs a title", "Violation")
    assert (jaws.node, jaws.severity) == ("http://films.example/jaws", "Warning")


def test_conforming_data(tmp_path: Path, shapes: Path) -> None:
    (tmp_path / "films.ttl").write_text(DATA.partition(":heat")[0])
    assert find_violations(tmp_path / "films.ttl", shapes) == []


def test_broken_shapes(tmp_path: Path, shapes: Path) -> None:
    (tmp_path / "films.ttl").write_text(DATA)
    shapes.write_text(SHAPES.replace("sh:minCount 1", 'sh:minCount "many"'))
    with pytest.raises(SourceError, match=r"shapes.ttl can't be used as shapes"):
        find_violations(tmp_path / "films.ttl", shapes)
