"""What the README tells a stranger to do works as it is written there."""

import re
from pathlib import Path

import pytest
from kgrec.baselines import Popularity, TextNearest
from kgrec.evaluation.report import compare, read_pairs
from kgrec.schema import COLUMNS, GraphSchema, NodeSchema, RelationSchema, load_schema
from kgrec.sources import open_graph
from kgrec.text import TextEncoder

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def walkthrough(tmp_path: Path) -> Path:
    """Write the files of 'From your own tables, start to end'."""
    files = re.findall(r"`((?:films/)?\w+\.csv)`.*?```csv\n(.*?)```", README, re.DOTALL)
    (tmp_path / "films").mkdir()
    for name, content in files:
        lines = [line.strip() for line in content.strip().splitlines()]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    toml = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert toml
    (tmp_path / "films_schema").mkdir()
    (tmp_path / "films_schema" / "schema.toml").write_text(toml[1], encoding="utf-8")
    return tmp_path


def test_walkthrough(walkthrough: Path) -> None:
    schema = load_schema(walkthrough / "films_schema")
    graph = open_graph(walkthrough / "films", schema)
    rankers = {"text": TextNearest(TextEncoder()).fit(graph), "popular": Popularity().fit(graph)}
    result = compare(rankers, read_pairs(walkthrough / "held_out.csv"), candidates="cold", k=[20])

    assert graph.cold_items.to_pylist() == ["dune"]
    assert result["users"].tolist() == [1, 1]
    assert result["recall@20"].tolist() == [1, 1]


def test_every_schema_key_and_column_is_explained() -> None:
    keys = {*GraphSchema.model_fields, *NodeSchema.model_fields, *RelationSchema.model_fields}
    columns = {name for table in COLUMNS.values() for name in table.all}
    unexplained = [
        name for name in (keys | columns) - {"folder"} if not re.search(rf"`\[?{name}\b", README)
    ]

    assert unexplained == []
