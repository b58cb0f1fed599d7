"""The command that looks at a database, and options that go to sources."""

from __future__ import annotations

from pathlib import Path

import neo4j
import pytest
from kgrec import datasets
from kgrec.commands.options import Login, source_options
from kgrec.errors import ConfigError

from tests.test_cli import refusal, run, run_json

NOBODY = Login(None, None, None)


def test_init_and_check(tmp_path: Path) -> None:
    source, folder = str(datasets.debian_rdf()), str(tmp_path / "debian")
    shown = run("schema", "init", source, "--output", folder, "--user", "Project")
    assert shown.exit_code == 0, shown.output
    assert "urn:kgrec:debian:vocab/buildDependsOn" in shown.output
    assert f"next: kgrec check {source} --schema {folder}" in shown.output
    report = run_json("check", source, "--schema", folder)
    assert report["ok"]
    assert report["interactions"]["rows"] == 11_311
    again = ("schema", "init", source, "--output")
    assert "exists and is not empty" in refusal(*again, folder)
    assert "there is no 'Film'" in refusal(*again, f"{folder}2", "--item", "Film")
    found = run_json(*again, f"{folder}2")
    assert (found["user"], found["interaction"]) == (None, None)


def test_a_log_beside_the_graph_and_shapes(tmp_path: Path) -> None:
    log, shapes = tmp_path / "log.csv", tmp_path / "shapes.ttl"
    log.write_text("user,item\nada,python3-numpy\n")
    shapes.write_text(
        "@prefix sh: <http://www.w3.org/ns/shacl#> . @prefix v: <urn:kgrec:debian:vocab/> ."
        "<urn:shape> a sh:NodeShape ; sh:targetClass v:Team ;"
        ' sh:property [ sh:path v:motto ; sh:minCount 1 ; sh:message "no motto" ;'
        " sh:severity sh:Warning ] ."
    )
    source = ("check", str(datasets.debian_rdf()), "--schema", "debian")
    report = run_json(*source, "--interactions", str(log), "--shapes", str(shapes))
    assert report["interactions"]["rows"] == 1
    assert sum("no motto" in problem["message"] for problem in report["problems"]) == 71


def test_logins_go_to_their_own_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARQL_USERNAME", "ada")
    monkeypatch.setenv("SPARQL_PASSWORD", "secret")
    login = Login("neo4j", "other", "films")
    assert source_options("graph.ttl", login) == {}
    assert source_options("http://127.0.0.1/sparql", login) == {"auth": ("ada", "secret")}
    bolt = source_options("bolt://127.0.0.1", login)
    assert bolt == {"auth": ("neo4j", "other"), "database": "films"}
    monkeypatch.setenv("NEO4J_TOKEN", "token")
    assert source_options("bolt://127.0.0.1", NOBODY)["auth"] == neo4j.bearer_auth("token")
    monkeypatch.setenv("SPARQL_TOKEN", "bearer")
    assert source_options("https://127.0.0.1/sparql", NOBODY)["auth"] == "bearer"
    with pytest.raises(ConfigError, match="belong together: give both --username"):
        source_options("bolt://127.0.0.1", Login("neo4j", None, None))


def test_parameters_have_types() -> None:
    given = ["since=2024", "share=0.5", "kind=film", "all=true", 'name="7"', "ids=[1, 2]"]
    options = source_options("graph.lbug", NOBODY, parameters=given)
    assert options["parameters"] == {
        "since": 2024,
        "share": 0.5,
        "kind": "film",
        "all": True,
        "name": "7",
        "ids": [1, 2],
    }
    with pytest.raises(ConfigError, match="'since' is no parameter: write NAME=VALUE"):
        source_options("graph.lbug", NOBODY, parameters=["since"])
