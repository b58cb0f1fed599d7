"""RDF files and rdflib graphs."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import rdflib
from kgrec.errors import SchemaError, SourceError
from kgrec.graph import GraphTables
from kgrec.schema import GraphSchema, RdfSettings
from kgrec.sources import open_graph, rdf_tables, read_rdf

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
    with pytest.raises(SourceError, match=r"not valid N-Triples: <relative> .*IRI"):
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


WORLD = """
@prefix : <http://films.example/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
:Thriller rdfs:subClassOf :Drama . :Drama rdfs:subClassOf :Film . :Film rdfs:subClassOf :Drama .
:alien a :Thriller ; :title "Alien"@en-GB , "Das Ding"@de , "L'alien"@fr .
:heat a :Drama ; :title "Heat" , "La chaleur"@fr .
:aliens a :Film ; :title "Le retour"@fr , "El retorno"@es ; :sequelOf <http://other.example/1> .
:alien owl:sameAs <http://other.example/1> .
<http://third.example/x> owl:sameAs <http://other.example/1> .
<http://third.example/x> :stars 4 .
:ada :watched [ :film <http://other.example/1> ; :on 7 ; :stars 2 ] .
"""


def world_schema(schema: GraphSchema, **settings: object) -> GraphSchema:
    return schema.model_copy(update={"rdf": RdfSettings.model_validate(settings)})


def read_world(tmp_path: Path, schema: GraphSchema, **settings: object) -> GraphTables:
    (tmp_path / "world.ttl").write_text(WORLD)
    return rdf_tables(tmp_path / "world.ttl", world_schema(schema, **settings))


@pytest.mark.parametrize(
    ("languages", "titles"),
    [
        (["en", "de"], ["Alien", "El retorno", "Heat"]),
        (["de", "en"], ["Das Ding", "El retorno", "Heat"]),
        (["fr"], ["L'alien", "Le retour", "La chaleur"]),
    ],
)
def test_preferred_languages(
    tmp_path: Path, schema: GraphSchema, languages: list[str], titles: list[str]
) -> None:
    query = f"{PREFIX}SELECT ?id ?type ?text WHERE {{ ?id :title ?text BIND('film' AS ?type) }}"
    (tmp_path / "entities.rq").write_text(query)
    assert len(read_world(tmp_path, schema).entities) == 7
    tables = read_world(tmp_path, schema, languages=languages)
    found = dict(zip(*tables.entities.select(["id", "text"]).to_pydict().values(), strict=True))
    assert [found[f"http://films.example/{name}"] for name in ("alien", "aliens", "heat")] == titles
    assert len(tables.entities) == 3


def test_superclasses(tmp_path: Path, schema: GraphSchema) -> None:
    before = read_world(tmp_path, schema).entities
    assert set(before["id"].to_pylist()) == {"aliens"}
    after = read_world(tmp_path, schema, subclasses=True).entities
    assert set(after["id"].to_pylist()) == {"alien", "aliens", "heat"}


def test_what_is_the_same_is_merged(tmp_path: Path, schema: GraphSchema) -> None:
    before = read_world(tmp_path, schema)
    assert before.relations["tail"].to_pylist() == ["1"]  # its name elsewhere
    after = read_world(tmp_path, schema, same_as=True, subclasses=True)
    assert after.relations["tail"].to_pylist() == ["alien"]
    assert after.interactions["item"].to_pylist() == ["alien"]
    count = "SELECT ?id ?type WHERE { ?id ?p ?type FILTER(CONTAINS(STR(?id), 'third.example')) }"
    (tmp_path / "entities.rq").write_text(count)
    assert len(read_world(tmp_path, schema, same_as=True).entities) == 0
    assert len(read_world(tmp_path, schema).entities) == 2


def test_named_graphs_on_request(tmp_path: Path, schema: GraphSchema) -> None:
    head, _, body = TURTLE.partition(":alien a")
    text = f"{head} :archive {{ :alien a{body} }} :other {{ :jaws a :Film }}"
    (tmp_path / "films.trig").write_text(text)
    assert len(read_rdf(tmp_path / "films.trig", schema).items) == 4
    chosen = world_schema(schema, graphs=["http://films.example/archive"])
    assert len(read_rdf(tmp_path / "films.trig", chosen).items) == 3
    nowhere = world_schema(schema, graphs=["http://films.example/nowhere"])
    with pytest.raises(SourceError, match=r"no triple in the graphs 'http://films.example/nowhere"):
        read_rdf(tmp_path / "films.trig", nowhere)


def test_broken_file_is_named_when_streamed(tmp_path: Path, schema: GraphSchema) -> None:
    (tmp_path / "a.nt").write_text("<http://a> <http://b> <http://c> .\nbad\n")
    with pytest.raises(SourceError, match=r"a.nt, line 2 is not valid N-Triples"):
        read_rdf(tmp_path / "a.nt", world_schema(schema, languages=["en"]))


def test_log_from_a_table(tmp_path: Path, schema: GraphSchema) -> None:
    (tmp_path / "films.ttl").write_text(TURTLE)
    (tmp_path / "log.csv").write_text("user,item\nbob,heat\nbob,alien\n")
    (tmp_path / "interactions.rq").unlink()
    graph = open_graph(tmp_path / "films.ttl", schema, interactions=tmp_path / "log.csv")
    assert graph.cold_items.to_pylist() == ["aliens"]
    assert graph.users.ids.to_pylist() == ["bob"]
    (tmp_path / "log.csv").write_text("user,item,weight\nbob,heat,\nbob,alien,3\n")
    with pytest.raises(SourceError, match=r"/log.csv: the weight is empty in 1 of 2 rows, row 1 "):
        open_graph(tmp_path / "films.ttl", schema, interactions=tmp_path / "log.csv")
