"""The reader is picked by the address."""

from __future__ import annotations

from pathlib import Path

import pytest
from kgrec import datasets
from kgrec.errors import SourceError
from kgrec.schema import GraphSchema
from kgrec.sources import open_graph, open_tables
from kgrec.storage import save_graph

from tests.films import SCHEMA, film_graph


def test_saved_graph_and_tables(tmp_path: Path) -> None:
    save_graph(film_graph(), tmp_path / "saved")
    assert open_graph(str(tmp_path / "saved"), SCHEMA) == film_graph()


def test_rdf_by_suffix(debian_schema: GraphSchema) -> None:
    assert len(open_tables(datasets.debian_rdf(), debian_schema).interactions) == 11_311


def test_names_the_fault(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="the scheme 'ftp' is not one of bolt, bolt\\+s"):
        open_graph("ftp://127.0.0.1:7474", SCHEMA)
    with pytest.raises(SourceError, match="nowhere is missing: give a path that exists"):
        open_graph(tmp_path / "nowhere", SCHEMA)
    with pytest.raises(SourceError, match="holds neither tables"):
        open_graph(tmp_path, SCHEMA)
    with pytest.raises(SourceError, match="takes no auth, database"):
        open_graph(tmp_path, SCHEMA, auth=("a", "b"), database="c")
    (tmp_path / "a.lbug").write_text("x")
    with pytest.raises(SourceError, match=r"a.lbug takes no batch_size"):
        open_graph(tmp_path / "a.lbug", SCHEMA, batch_size=3)
