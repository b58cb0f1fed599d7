"""RDF files and rdflib graphs."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import rdflib
from kgrec.errors import SchemaError, SourceError
from kgrec.schema import GraphSchema
from kgrec.sources import read_rdf

from tests.sources.folders import schema_with

TURTLE = """
@prefix : <http://films.example/> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
:alien a :Film ; :title "A crew,\\nand a \\"stranger\\""@EN ; :vector "0.5 1.5" .
:heat a :Film .
:aliens a :Film ; :sequelOf :alien .
:ada :watched [ :film :alien ; :on "1970-01-02T01:00:00+01:00"^^xsd:dateTime ; :stars 4.50 ] .
"""
PREFIX = "PREFIX : <http://films.example/>\n"
ENTITIES = f"""{PREFIX}SELECT ?id ?type ?text ?features WHERE {{
  ?film a :Film . BIND(STRAFTER(STR(?film), "example/") AS ?id) BIND("film" AS ?type)
  OPTIONAL {{ ?film :title ?text }} OPTIONAL {{ ?film :vector ?features }} }}"""
RELATIONS = f"""{PREFIX}SELECT ?head ?relation ?tail WHERE {{
  ?h :sequelOf ?t . BIND("sequel_of" AS ?relation)
  BIND(STRAFTER(STR(?h), "example/") AS ?head) BIND(STRAFTER(STR(?t), "example/") AS ?tail) }}"""
INTERACTIONS = f"""{PREFIX}SELECT ?user ?item ?weight ?time WHERE {{
  ?user :watched [ :film ?f ; :on ?time ; :stars ?weight ] .
  BIND(STRAFTER(STR(?f), "example/") AS ?item) }}"""


@pytest.fixture
def schema(tmp_path: Path) -> GraphSchema:
    return schema_with(
        tmp_path, "rq", entities=ENTITIES, relations=RELATIONS, interactions=INTERACTIONS
    )


def test_literals_of_all_kinds(tmp_path: Path, schema: GraphSchema) -> None:
    (tmp_path / "films.ttl").write_text(TURTLE)
    graph = read_rdf(tmp_path / "films.ttl", schema)
    assert graph.items.ids.to_pylist() == ["alien", "aliens", "heat"]
    assert graph.items.texts.to_pylist() == ['A crew,\nand a "stranger"', None, None]
    assert graph.items.features is not None
    assert graph.items.features[0].tolist() == [0.5, 1.5]
    assert graph.users.ids.to_pylist() == ["http://films.example/ada"]
    assert graph.interactions.weight is not None
    assert graph.interactions.weight.tolist() == [4.5]
    assert graph.interactions.time is not None
    assert graph.interactions.time.tolist() == [86400]
    assert graph.edges["film", "sequel_of", "film"].edge_index.tolist() == [[1], [0]]


def test_gzip_several_files_and_folder(tmp_path: Path, schema: GraphSchema) -> None:
    folder = tmp_path / "rdf"
    folder.mkdir()
    (folder / "one.ttl.gz").write_bytes(gzip.compress(TURTLE.encode()))
    more = "<http://films.example/jaws> a <http://films.example/Film> .\n"
    (folder / "two.ttl").write_text(more)
    (folder / "notes.txt").write_text("not RDF")
    whole = read_rdf(folder, schema)
    assert len(whole.items) == 4
    assert read_rdf([folder / "one.ttl.gz", folder / "two.ttl"], schema) == whole


def test_named_graphs_are_seen(tmp_path: Path, schema: GraphSchema) -> None:
    head, _, body = TURTLE.partition(":alien a")
    (tmp_path / "films.trig").write_text(f"{head} :archive {{ :alien a{body} }}")
    assert len(read_rdf(tmp_path / "films.trig", schema).items) == 3


def test_rdflib_graph_and_dataset(tmp_path: Path, schema: GraphSchema) -> None:
    (tmp_path / "films.ttl").write_text(TURTLE)
    expected = read_rdf(tmp_path / "films.ttl", schema)
    graph = rdflib.Graph().parse(data=TURTLE, format="turtle")
    assert read_rdf(graph, schema) == expected
    dataset = rdflib.Dataset()
    dataset.graph(rdflib.URIRef("http://films.example/archive")).parse(data=TURTLE, format="turtle")
    assert read_rdf(dataset, schema) == expected


def test_names_broken_rdflib_triple(schema: GraphSchema) -> None:
    graph = rdflib.Graph()
    graph.add((rdflib.URIRef("relative"), rdflib.RDF.type, rdflib.URIRef("http://x.example/y")))
    with pytest.raises(SourceError, match=r"not valid RDF: <relative> .*IRI"):
        read_rdf(graph, schema)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.nt", "<http://a> <http://b> <http://c> .\nbad\n", r"a.nt, line 2 is not valid N-Trip"),
        ("a.ttl", ":a :b :c .", r"a.ttl, line 1 is not valid Turtle"),
        ("a.rdf", "<rdf:RDF>", r"a.rdf.* is not valid RDF/XML"),
        ("a.jsonld", "{", r"a.jsonld.* is not valid JSON-LD"),
        ("a.nt", "", r"a.nt is empty"),
        ("a.nt", "# nothing\n", r"a.nt holds no triple"),
        ("a.txt", "x", r"a.txt is no RDF by its suffix"),
        ("a.nt.gz", "not gzipped", r"a.nt.gz can't be read"),
    ],
)
def test_names_broken_files(
    tmp_path: Path, schema: GraphSchema, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SourceError, match=message):
        read_rdf(tmp_path / name, schema)


def test_names_missing_files(tmp_path: Path, schema: GraphSchema) -> None:
    with pytest.raises(SourceError, match=r"nowhere.ttl is missing"):
        read_rdf(tmp_path / "nowhere.ttl", schema)
    with pytest.raises(SourceError, match=r"holds no RDF file: they end in .ttl"):
        read_rdf(tmp_path, schema)
    (tmp_path / "cut.ttl.gz").write_bytes(gzip.compress(TURTLE.encode())[:-12])
    with pytest.raises(SourceError, match=r"cut.ttl.gz can't be read"):
        read_rdf(tmp_path / "cut.ttl.gz", schema)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT ?id WHERE { ?id", r"entities.rq is not valid SPARQL: error at 1:"),
        ("ASK { ?s ?p ?o }", r"entities.rq is no SELECT query"),
        ("CONSTRUCT WHERE { ?s ?p ?o }", r"entities.rq is no SELECT query"),
        (
            f"{PREFIX}SELECT ?id ?text WHERE {{ ?id :title ?text }}",
            r"entities.rq lacks the column 'type': .*the first row is \(http://films.example/alien",
        ),
        (
            'SELECT ?id ?type ?name WHERE { ?id a ?type BIND("x" AS ?name) }',
            r"entities.rq has the unknown column 'name'",
        ),
        ("", r"entities.rq is empty"),
    ],
)
def test_names_broken_queries(
    tmp_path: Path, schema: GraphSchema, query: str, message: str
) -> None:
    (tmp_path / "films.ttl").write_text(TURTLE)
    (tmp_path / "entities.rq").write_text(query)
    with pytest.raises((SourceError, SchemaError), match=message):
        read_rdf(tmp_path / "films.ttl", schema)
