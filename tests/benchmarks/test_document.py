"""Numbers in the documentation are those that were measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.document import DOCUMENTS, RESULTS, fill


def test_a_table_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "films.md").write_text("# films\n\n## cold\n\n| a |\n", encoding="utf-8")
    text = "before\n<!-- from films.md -->\nold\n<!-- end of films.md -->\nafter\n"
    filled = fill(text, tmp_path)
    assert filled == (
        "before\n<!-- from films.md -->\n\n## films\n\n### cold\n\n| a |\n\n"
        "<!-- end of films.md -->\nafter\n"
    )
    assert fill(filled, tmp_path) == filled


def test_a_table_that_was_never_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fill("<!-- from films.md -->\n<!-- end of films.md -->", tmp_path)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_documentation_is_up_to_date(path: Path) -> None:
    document = path.read_text(encoding="utf-8")
    assert "<!-- from " in document
    assert fill(document, RESULTS) == document
