"""What would fill the memory or reach outside is refused, and told how to be allowed."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kgrec import SourceError, load_schema, open_graph, read_rdf, read_tables
from kgrec.errors import SchemaError
from kgrec.limits import Limits
from kgrec.outside import find_outside
from kgrec.schema import GraphSchema, NodeSchema, RelationSchema, TableName
from kgrec.sources.tables import Table
from pyarrow import parquet

SCHEMA = GraphSchema(
    name="films",
    user="person",
    item="film",
    interaction="watched",
    nodes={"person": NodeSchema(text=False), "film": NodeSchema()},
    relations={"follows": RelationSchema(head="film", tail="film")},
)
ENTITIES = pd.DataFrame({"id": ["alien", "heat"], "type": "film", "text": ["space", "a heist"]})
FOLLOWS = pd.DataFrame({"head": ["heat"], "relation": ["follows"], "tail": ["alien"]})
WATCHED = pd.DataFrame({"user": ["ada", "bob"], "item": ["alien", "alien"]})
FRAMES: dict[TableName, pd.DataFrame] = {
    "entities": ENTITIES,
    "relations": FOLLOWS,
    "interactions": WATCHED,
}
TABLES: dict[TableName, Table] = {**FRAMES}


def limited(**values: object) -> GraphSchema:
    return SCHEMA.model_copy(update={"limits": Limits.model_validate(values)})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("nodes", 1, "2 nodes, more than the 1"),
        ("edges", 0, "1 edges, more than the 0"),
        ("interactions", 1, "2 interactions, more than the 1"),
        ("text_characters", 6, "'heat' has more than the 6 characters"),
    ],
)
def test_names_the_limit_and_where_to_raise_it(name: str, value: int, words: str) -> None:
    with pytest.raises(SourceError, match=rf"{words}.*raise {name} in \[limits\]"):
        read_tables(TABLES, limited(**{name: value}))
    assert len(read_tables(TABLES, limited(**{name: value + 1})).items) == 2


def test_limits_stand_in_the_schema_folder(tmp_path: Path) -> None:
    folder = write_schema(tmp_path, "[limits]\nnodes = 3\n")
    assert load_schema(folder).limits == Limits(nodes=3)
    (folder / "schema.toml").write_text(TOML + "[limits]\nnodess = 3\n", encoding="utf-8")
    with pytest.raises(SchemaError, match=r"unknown key 'limits.nodess'"):
        load_schema(folder)


def test_limits_are_no_part_of_a_graph() -> None:
    assert read_tables(TABLES, limited(nodes=7)) == read_tables(TABLES, SCHEMA)


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    for name, frame in FRAMES.items():
        frame.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
    (tmp_path / "entities.tsv").unlink()
    with gzip.open(tmp_path / "entities.tsv.gz", "wb") as file:
        file.write(b"id\ttype\ttext\n")
        for _ in range(200):
            file.write(b"alien\tfilm\t" + b"a" * (1 << 20) + b"\n")
    with pytest.raises(SourceError, match="unpacks to more than 250 times its"):
        read_tables(tmp_path, SCHEMA)
    with pytest.raises(SourceError, match=r"more than the 0.05 GB"):
        read_tables(tmp_path, limited(file_gigabytes=0.05))


def test_damaged_gzip_is_refused_with_a_reason(tmp_path: Path) -> None:
    for name, frame in FRAMES.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "entities.csv").unlink()
    random = np.random.default_rng(0)
    many = pd.DataFrame({"id": random.integers(1 << 40, size=5_000), "type": "film"})
    many.to_csv(tmp_path / "entities.csv.gz", index=False)
    content = bytearray((tmp_path / "entities.csv.gz").read_bytes())
    content[2_000:2_100] = content[4_000:4_100]
    (tmp_path / "entities.csv.gz").write_bytes(content)
    with pytest.raises(SourceError, match=r"entities\.csv\.gz is malformed: .*write it again"):
        read_tables(tmp_path, SCHEMA)


def test_gzip_that_is_packed_as_usual_is_read(tmp_path: Path) -> None:
    many = pd.DataFrame({"id": [f"film{n}" for n in range(50_000)], "type": "film", "text": "same"})
    many.to_csv(tmp_path / "entities.csv.gz", index=False)
    FOLLOWS[:0].to_csv(tmp_path / "relations.csv", index=False)
    WATCHED.assign(item="film7").to_csv(tmp_path / "interactions.csv", index=False)
    assert len(read_tables(tmp_path, SCHEMA).items) == 50_000


def test_a_bomb_of_rdf_is_refused(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "films.nt.gz", "wb") as file:
        for _ in range(200):
            file.write(b'<http://a> <http://b> "' + b"c" * (1 << 20) + b'" .\n')
    schema = load_schema(write_schema(tmp_path / "schema", ""))
    with pytest.raises(SourceError, match="unpacks to more than 250 times its"):
        read_rdf(tmp_path / "films.nt.gz", schema)


def test_parquet_that_unpacks_to_too_much_is_refused_by_its_footer(tmp_path: Path) -> None:
    for name, frame in FRAMES.items():
        frame.to_parquet(tmp_path / f"{name}.parquet")
    rows = 5_000_000
    column = pa.array(["alien"]).take(pa.array([0] * rows, pa.int32()))
    parquet.write_table(
        pa.table({"user": column, "item": column}), tmp_path / "interactions.parquet"
    )
    with pytest.raises(SourceError, match=r"5,000,000 interactions, more than the 1,000"):
        read_tables(tmp_path, limited(interactions=1_000))


@pytest.mark.parametrize(
    "declared",
    [
        '<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">',
        '<!ENTITY a SYSTEM "file:///etc/hostname">',
        '<!ENTITY % a "b">',
        f'<!ENTITY a "{"a" * 10_000}">',
        "<!ENTITY a 'b'" + " " * (1 << 20) + "><!ENTITY c '&a;'>",
    ],
    ids=["made of others", "from elsewhere", "parameter", "long", "beyond the prologue"],
)
def test_xml_entities_that_grow_are_refused(tmp_path: Path, declared: str) -> None:
    schema = load_schema(write_schema(tmp_path / "schema", ""))
    (tmp_path / "films.rdf").write_text(xml(declared), encoding="utf-8")
    with pytest.raises(SourceError, match=r"films\.rdf declares entities .*as Turtle say"):
        read_rdf(tmp_path / "films.rdf", schema)


def test_xml_entities_that_shorten_names_are_read(tmp_path: Path) -> None:
    schema = load_schema(write_schema(tmp_path / "schema", ""))
    declared = '<!ENTITY f "http://films/"><!ENTITY p "http://people/">'
    (tmp_path / "films.rdf").write_text(xml(declared), encoding="utf-8")
    graph = read_rdf(tmp_path / "films.rdf", schema)
    assert graph.items.ids.to_pylist() == ["http://films/alien"]


@pytest.mark.parametrize(
    ("language", "query", "found"),
    [
        ("sparql", "SELECT * { service\n<http://10.0.0.1/> { ?s ?p ?o } }", "service"),
        ("sparql", "SELECT * { SERVICE SILENT ?where { ?s ?p ?o } }", "SERVICE"),
        ("cypher", "LOAD CSV FROM 'http://10.0.0.1/' AS row RETURN row", "LOAD CSV"),
        ("cypher", "load /* from */ csv with headers from $u as r RETURN r", "load csv"),
        ("cypher", "LOAD FROM '/etc/passwd' (header=false) RETURN *", "LOAD FROM"),
        ("cypher", "ATTACH 'other.db' AS other", "ATTACH"),
        ("cypher", "INSTALL httpfs", "INSTALL"),
        ("cypher", "COPY (MATCH (n) RETURN n) TO '/tmp/stolen.csv'", "COPY"),
        ("cypher", "EXPORT DATABASE '/tmp/stolen'", "EXPORT DATABASE"),
        ("cypher", "CALL apoc.load.json('http://10.0.0.1/') YIELD value RETURN value", "apoc.load"),
        ("cypher", "RETURN 1; CALL apoc . cypher . runFile('x')", "apoc . cypher . runFile"),
    ],
)
def test_finds_what_reaches_outside(language: str, query: str, found: str) -> None:
    assert find_outside(query, "sparql" if language == "sparql" else "cypher") == found


@pytest.mark.parametrize(
    ("language", "query"),
    [
        ("sparql", 'SELECT ?service { ?service <http://SERVICE> "SERVICE" } # SERVICE'),
        ("sparql", "PREFIX service: <http://x> SELECT * { ?s service:load ?load-SERVICE }"),
        ("cypher", "MATCH (n:Load)-[:COPY]->(m) WHERE n.load = 'LOAD CSV' RETURN m.copy AS id"),
        ("cypher", "MATCH (attach:A {install: $copy}) RETURN attach.id AS id // LOAD CSV"),
        ("cypher", "MATCH (n) RETURN n.`LOAD CSV` AS id, n.downloads AS load"),
    ],
)
def test_names_and_values_reach_nowhere(language: str, query: str) -> None:
    assert find_outside(query, "sparql" if language == "sparql" else "cypher") is None


@given(text=st.text())
def test_any_text_is_looked_through(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    assert find_outside(f"MATCH (n) WHERE n.name = '{quoted}' RETURN n", "cypher") is None


def test_a_folder_that_reaches_outside_is_refused_unless_it_is_trusted(tmp_path: Path) -> None:
    folder = write_schema(tmp_path / "schema", "")
    query = "SELECT ?id ?type { SERVICE <http://127.0.0.1:1/> { ?id a ?type } }"
    (folder / "entities.rq").write_text(query, encoding="utf-8")
    (tmp_path / "films.rdf").write_text(xml(""), encoding="utf-8")
    with pytest.raises(SchemaError, match=r"entities\.rq reads something else .*outside_sources"):
        open_graph(tmp_path / "films.rdf", load_schema(folder))
    text = TOML + "[limits]\noutside_sources = true\n"
    (folder / "schema.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=r"the query .* failed"):  # nobody listens there
        open_graph(tmp_path / "films.rdf", load_schema(folder))


TOML = """name = "films"
user = "person"
item = "film"
interaction = "watched"
[nodes.person]
[nodes.film]
"""


def write_schema(folder: Path, more: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "schema.toml").write_text(TOML + more, encoding="utf-8")
    entities = "SELECT ?id ('film' AS ?type) ?text { ?id <http://films/text> ?text }"
    (folder / "entities.rq").write_text(entities, encoding="utf-8")
    log = "SELECT ?user ?item { ?user <http://films/watched> ?item }"
    (folder / "interactions.rq").write_text(log, encoding="utf-8")
    return folder


def xml(declared: str) -> str:
    films, people = ("&f;", "&p;") if "&" not in declared and declared else ("http://films/",) * 2
    return f"""<?xml version="1.0"?>
<!DOCTYPE rdf:RDF [{declared}]>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:f="http://films/">
<rdf:Description rdf:about="{films}alien"><f:text>space</f:text></rdf:Description>
<rdf:Description rdf:about="{people}ada"><f:watched rdf:resource="{films}alien"/></rdf:Description>
</rdf:RDF>"""
