"""Schema folders: what is read, and what each mistake is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest
from kgrec.errors import SchemaError
from kgrec.schema import GraphSchema, NodeSchema, load_schema

GOOD = """
name = "films"
user = "person"
item = "film"
interaction = "watched"
[nodes.person]
text = false
[nodes.film]
[nodes.genre]
[relations.has_genre]
head = "film"
tail = "genre"
"""


def write_schema(folder: Path, content: str) -> Path:
    (folder / "schema.toml").write_text(content)
    return folder


def test_reads_folder(tmp_path: Path) -> None:
    schema = load_schema(write_schema(tmp_path, GOOD))
    assert schema.folder == tmp_path
    assert not schema.nodes["person"].text
    assert schema.nodes["film"].text
    assert schema.relations["has_genre"].messages == "both"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "films"', 'name = "films', "not valid TOML"),
        ('user = "person"', "", "key 'user' is missing"),
        ('user = "person"', 'user = "viewer"', "user = 'viewer' is not among the node types"),
        ('user = "person"', 'user = "film"', "user and item are both 'film'"),
        ('tail = "genre"', 'tail = "genres"', r"relations.has_genre.tail = 'genres'"),
        ('tail = "genre"', "", "key 'relations.has_genre.tail' is missing"),
        ("text = false", "txt = false", "unknown key 'nodes.person.txt'"),
        ("text = false", 'text = "perhaps"', "key 'nodes.person.text'"),
        ('interaction = "watched"', 'interaction = "has_genre"', r"is also in \[relations\]"),
        ('name = "films"', 'name = "films"\nfolder = "x"', "unknown key 'folder'"),
    ],
)
def test_names_the_mistake(tmp_path: Path, old: str, new: str, message: str) -> None:
    folder = write_schema(tmp_path, GOOD.replace(old, new))
    with pytest.raises(SchemaError, match=message) as caught:
        load_schema(folder)
    assert "schema.toml" in str(caught.value)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"schema.toml is missing \(the folder is empty"):
        load_schema(tmp_path / "nowhere")


def test_not_text(tmp_path: Path) -> None:
    (tmp_path / "schema.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SchemaError, match="can't be read as UTF-8"):
        load_schema(tmp_path)


def test_reads_query(tmp_path: Path) -> None:
    schema = load_schema(write_schema(tmp_path, GOOD))
    (tmp_path / "entities.cypher").write_text("RETURN 1 AS id")
    query = schema.read_query("entities", "cypher")
    assert (query.table, query.text, query.path.name) == (
        "entities",
        "RETURN 1 AS id",
        "entities.cypher",
    )


def test_missing_or_empty_query(tmp_path: Path) -> None:
    schema = load_schema(write_schema(tmp_path, GOOD))
    with pytest.raises(SchemaError, match=r"entities.rq is missing .*'schema.toml'"):
        schema.read_query("entities", "sparql")
    (tmp_path / "entities.rq").write_text(" \n")
    with pytest.raises(SchemaError, match=r"entities.rq is empty"):
        schema.read_query("entities", "sparql")


def test_schema_without_folder() -> None:
    schema = GraphSchema(
        name="films",
        user="person",
        item="film",
        interaction="watched",
        nodes={"person": NodeSchema(), "film": NodeSchema()},
    )
    with pytest.raises(SchemaError, match=r"has no folder to read entities.cypher from"):
        schema.read_query("entities", "cypher")
