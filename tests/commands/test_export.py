"""The command that writes a graph for other programs."""

from __future__ import annotations

from pathlib import Path

import pytest
from kgrec import datasets
from kgrec.graph import KnowledgeGraph
from kgrec.property_graph import read_property_graph
from kgrec.schema import load_schema
from kgrec.sources import open_graph
from kgrec.storage import load_graph

from tests.test_cli import run


@pytest.mark.parametrize("form", ["rdf", "neo4j-csv", "parquet"])
def test_export(tmp_path: Path, debian_graph: KnowledgeGraph, form: str) -> None:
    output = tmp_path / form
    source = str(datasets.debian_rdf())
    done = run("export", source, "--schema", "debian", "--as", form, "-o", str(output))
    assert done.exit_code == 0, done.output
    match form:
        case "rdf":
            assert open_graph(output, load_schema(output)) == debian_graph
        case "neo4j-csv":
            nodes, _ = read_property_graph(output)
            assert {file.label: len(file.rows) for file in nodes}["Package"] == 567
        case _:
            assert load_graph(output) == debian_graph
