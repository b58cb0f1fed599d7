"""Results as RDF, read again by Oxigraph and rdflib."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyoxigraph
import pytest
import rdflib
from kgrec.errors import ConfigError
from kgrec.recommender import Recommender
from kgrec.schema import RdfSettings
from kgrec.sources.rdf import load_store
from kgrec.writeback import compute_results, write_rdf

AT = datetime(2024, 5, 1, tzinfo=UTC)
LIST = """
PREFIX kgrec: <urn:kgrec:vocab/>
SELECT ?item ?score WHERE {
  GRAPH <urn:kgrec:results/kgrec> {
    ?user kgrec:recommended ?item .
    ?node kgrec:user ?user ; kgrec:item ?item ; kgrec:score ?score ; kgrec:rank ?rank .
    FILTER(CONTAINS(STR(?user), "tea%20lover%200"))
  }
} ORDER BY ?rank"""


def solutions(store: pyoxigraph.Store, query: str) -> list[pyoxigraph.QuerySolution]:
    found = store.query(query)
    assert isinstance(found, pyoxigraph.QuerySolutions)
    return list(found)


@pytest.mark.parametrize("ending", ["trig", "nq", "trig.gz"])
def test_lists_in_a_named_graph(tmp_path: Path, model: Recommender, ending: str) -> None:
    results = compute_results(model, n=3, similar=1, dimensions=3, with_reasons=True, at=AT)
    write_rdf(results, tmp_path / f"out.{ending}")
    store = load_store(tmp_path / f"out.{ending}", RdfSettings())
    rows = solutions(store, LIST)
    expected = model.recommend("tea lover 0", 3)
    found = [row["item"].value for row in rows]
    assert found == [f"http://shop.example/{item}" for item in expected["item"]]
    scores = [float(row["score"].value) for row in rows]
    assert scores == pytest.approx(expected["score"].tolist(), rel=1e-5)
    count = "SELECT (COUNT(*) AS ?n) WHERE { GRAPH ?g { ?s <urn:kgrec:vocab/vector> ?v } }"
    [row] = solutions(store, count)
    assert int(row["n"].value) == len(model.graph.users) + len(model.graph.items)


def test_writing_twice_changes_nothing(tmp_path: Path, model: Recommender) -> None:
    results = compute_results(model, n=3, at=AT)
    write_rdf(results, tmp_path / "out.ttl")
    before = (tmp_path / "out.ttl").read_bytes()
    write_rdf(results, tmp_path / "out.ttl")
    assert (tmp_path / "out.ttl").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out.ttl"]
    graph = rdflib.Graph().parse(tmp_path / "out.ttl")
    recommended = rdflib.URIRef("urn:kgrec:vocab/recommended")
    assert len(list(graph.subject_objects(recommended))) == 3 * len(model.graph.users)


def test_other_endings(tmp_path: Path, model: Recommender) -> None:
    with pytest.raises(ConfigError, match=r"must end in one of .trig, .nq, .ttl, .nt"):
        write_rdf(compute_results(model, n=1, at=AT), tmp_path / "out.rdf")
