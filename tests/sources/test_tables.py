"""Tables from files and from memory."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from kgrec.errors import SourceError
from kgrec.sources import plain_tables, read_tables
from pyarrow import feather, parquet

from tests.films import SCHEMA, film_graph, film_tables

ENTITIES = "id,type,text\nalien,film,A crew\nheat,film,A heist\nnoir,genre,Noir\n"
INTERACTIONS = "user,item\nada,alien\n"


def write(folder: Path, **contents: str) -> Path:
    for name, content in contents.items():
        (folder / f"{name}.csv").write_text(content)
    return folder


def test_relations_are_optional(tmp_path: Path) -> None:
    graph = read_tables(write(tmp_path, entities=ENTITIES, interactions=INTERACTIONS), SCHEMA)
    assert graph.items.ids.to_pylist() == ["alien", "heat"]
    assert all(len(edges) == 0 for edges in graph.edges.values())


def test_an_empty_rating_is_named(tmp_path: Path) -> None:
    log = "user,item,weight\nada,alien,4\nbob,heat,\n"
    folder = write(tmp_path, entities=ENTITIES, interactions=log)
    message = r"/interactions.csv: the weight is empty in 1 of 2 rows, row 2 the first \(user 'bob'"
    with pytest.raises(SourceError, match=message):
        read_tables(folder, SCHEMA)
    frame = pd.DataFrame({"user": ["ada", "bob"], "item": ["alien"] * 2, "weight": [1.0, None]})
    with pytest.raises(SourceError, match="the frame interactions: the weight is empty"):
        read_tables(folder, SCHEMA, interactions=frame)
    write(tmp_path, interactions="user,item,weight\nada,alien,\nbob,heat,\n")
    assert read_tables(folder, SCHEMA).interactions.weight is None


def test_ids_stay_as_they_look(tmp_path: Path) -> None:
    entities = "id,type,text\n007,film,NA\nNA,film,null\n1e5,film,\nnan,genre,true\n"
    log = "user,item,weight,time\nnull,007,1,2024-01-01\ntrue,NA,0.5,2024-01-02\n"
    graph = read_tables(write(tmp_path, entities=entities, interactions=log), SCHEMA)
    assert graph.items.ids.to_pylist() == ["007", "1e5", "NA"]
    assert graph.items.texts.to_pylist() == ["NA", None, "null"]
    assert graph.users.ids.to_pylist() == ["null", "true"]
    assert graph.interactions.weight is not None
    assert graph.interactions.weight.tolist() == [1.0, 0.5]
    assert graph.interactions.time is not None
    assert graph.interactions.time.tolist() == [1704067200, 1704153600]


def test_quotes_and_line_breaks(tmp_path: Path) -> None:
    entities = 'id\ttype\ttext\na\tfilm\t"two\nlines, a ""quote"""\nb\tfilm\tnot "quoted"\n'
    (tmp_path / "entities.tsv").write_text(entities)
    (tmp_path / "interactions.tsv").write_text("user\titem\nada\ta\n")
    texts = read_tables(tmp_path, SCHEMA).items.texts.to_pylist()
    assert texts == ['two\nlines, a "quote"', 'not "quoted"']


@pytest.mark.parametrize("separator", [" ", ";", "; "])
def test_features_in_text(tmp_path: Path, separator: str) -> None:
    entities = f"id,type,features\na,film,1{separator}2.5\nb,film,\n"
    graph = read_tables(write(tmp_path, entities=entities, interactions="user,item\nx,a\n"), SCHEMA)
    assert graph.items.features is not None
    assert graph.items.features[0].tolist() == [1.0, 2.5]


def test_files_of_several_kinds(tmp_path: Path) -> None:
    tables = film_tables()
    parquet.write_table(tables.entities, tmp_path / "entities.parquet")
    feather.write_feather(tables.relations, str(tmp_path / "relations.feather"))
    frame = tables.interactions.to_pandas()
    sources = {
        "entities": tmp_path / "entities.parquet",
        "relations": str(tmp_path / "relations.feather"),
        "interactions": frame,
    }
    assert read_tables(sources, SCHEMA) == film_graph()  # type: ignore[arg-type]


def test_frames_with_mixed_ids() -> None:
    entities = pd.DataFrame({"id": pd.Series([7, "x"], dtype=object), "type": "film"})
    log = pd.DataFrame({"user": [1, 2], "item": pd.Series([7, "x"], dtype=object)})
    graph = read_tables({"entities": entities, "interactions": log}, SCHEMA)
    assert graph.items.ids.to_pylist() == ["7", "x"]


def test_large_strings_and_dictionaries() -> None:
    ids = pa.array(["a", "b"], pa.large_string())
    entities = pa.table({"id": ids, "type": pa.array(["film"] * 2).dictionary_encode()})
    log = pa.table({"user": pa.array(["x"]).dictionary_encode(), "item": ids.slice(0, 1)})
    graph = read_tables({"entities": entities, "interactions": log}, SCHEMA)
    assert graph.items.ids.to_pylist() == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"entities.csv is empty: write at least its header"),
        ("id,type,text\n", "there are no items"),
        ("id,text\na,A\n", r"entities.csv lacks the column 'type'.*the first row is \(a, A\)"),
        ("id,type,title\na,film,A\n", r"entities.csv has the unknown column 'title'"),
        ("id,type,type\na,film,A\n", r"entities.csv has twice the column 'type'"),
        ("id,type,text\na,film,A\nb,film,B,C\n", r"entities.csv is malformed.*[Rr]ow.*3"),
        ("id,type\na,film\na,film\n", "the entities hold 'a' of the type film more than once"),
        ("id,type,features\na,film,1 x\n", r"entities.csv: the column 'features'"),
        ("id,type,features\na,film,nan 1\n", "features of the film 'a' hold NaN"),
    ],
)
def test_names_the_fault(tmp_path: Path, content: str, message: str) -> None:
    write(tmp_path, entities=content, interactions="user,item\n")
    with pytest.raises(SourceError, match=message):
        read_tables(tmp_path, SCHEMA)


def test_not_utf8(tmp_path: Path) -> None:
    write(tmp_path, interactions=INTERACTIONS)
    (tmp_path / "entities.csv").write_bytes(b"id,type,text\na,film,\xff\n")
    with pytest.raises(SourceError, match=r"entities.csv is malformed: .*UTF8"):
        read_tables(tmp_path, SCHEMA)


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "csv.gz"])
def test_broken_files(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, interactions=INTERACTIONS)
    (tmp_path / f"entities.{suffix}").write_bytes(b"nonsense" * 10)
    with pytest.raises(SourceError, match=rf"entities.{suffix} is malformed"):
        read_tables(tmp_path, SCHEMA)


def test_cut_gzip(tmp_path: Path) -> None:
    write(tmp_path, interactions=INTERACTIONS)
    content = gzip.compress(ENTITIES.encode() * 50)
    (tmp_path / "entities.csv.gz").write_bytes(content[:-20])
    with pytest.raises(SourceError, match=r"entities.csv.gz is malformed"):
        read_tables(tmp_path, SCHEMA)


def test_names_what_is_missing_or_twice(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere is no folder"):
        read_tables(tmp_path / "nowhere", SCHEMA)
    with pytest.raises(SourceError, match=r"holds no entities: it needs entities.tsv"):
        read_tables(tmp_path, SCHEMA)
    write(tmp_path, entities=ENTITIES, interactions=INTERACTIONS)
    (tmp_path / "entities.tsv").write_text("")
    with pytest.raises(SourceError, match=r"entities more than once, 'entities.tsv', 'entities"):
        read_tables(tmp_path, SCHEMA)
    with pytest.raises(SourceError, match="the table interactions is missing"):
        plain_tables({"entities": tmp_path / "entities.csv"})
    with pytest.raises(SourceError, match="there is no table named 'nodes'"):
        plain_tables({"nodes": tmp_path / "entities.csv"})  # type: ignore[dict-item]
    with pytest.raises(SourceError, match=r"a.txt is missing"):
        plain_tables({"entities": tmp_path / "a.txt", "interactions": tmp_path / "a.txt"})
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(SourceError, match=r"a.txt is no table by its suffix"):
        plain_tables({"entities": tmp_path / "a.txt", "interactions": tmp_path / "a.txt"})


def test_frame_with_a_mixed_column() -> None:
    entities = pd.DataFrame({"id": ["a", "b"], "type": "film", "text": [object(), "x"]})
    with pytest.raises(SourceError, match="the frame entities has a column of mixed values"):
        plain_tables({"entities": entities, "interactions": pd.DataFrame()})


def test_broken_rows_pass_unchecked(tmp_path: Path) -> None:
    write(tmp_path, entities="id,type\n,film\na,film\na,film\n", interactions=INTERACTIONS)
    assert plain_tables(tmp_path).entities["id"].to_pylist() == ["", "a", "a"]
