"""Copy the tables of the benchmarks into the documentation.

``python -m benchmarks.document`` puts what lies in ``benchmarks/results`` between the marks
``<!-- from NAME.md -->`` and ``<!-- end of NAME.md -->`` of some pages, so that no number there was
ever typed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
DOCUMENTS = tuple(
    Path(__file__).parent.parent / "docs" / name
    for name in ("benchmarks.md", "rating.md", "benchmarks-trust.md", "scaling.md")
)

_MARKED = re.compile(
    r"(<!-- from (?P<name>[\w.-]+) -->\n).*?(<!-- end of (?P=name) -->)", re.DOTALL
)


def fill(document: str, results: Path) -> str:
    """Put tables between their marks.

    Parameters
    ----------
    document
        Text with marks.
    results
        Folder of the tables, in Markdown.

    Returns
    -------
    str
        The text with the tables as they are now, their headings one level lower.

    Raises
    ------
    FileNotFoundError
        If a table that is asked for was never made.
    """

    def insert(found: re.Match[str]) -> str:
        table = (results / found["name"]).read_text(encoding="utf-8").strip()
        lowered = re.sub(r"^#", "##", table, flags=re.MULTILINE)
        return f"{found[1]}\n{lowered}\n\n{found[3]}"

    return _MARKED.sub(insert, document)


def main() -> None:
    """Run from the command line; with ``--check`` nothing is written."""
    for document in DOCUMENTS:
        before = document.read_text(encoding="utf-8")
        after = fill(before, RESULTS)
        if "--check" not in sys.argv[1:]:
            document.write_text(after, encoding="utf-8")
        elif before != after:
            raise SystemExit(f"{document} is out of date")


if __name__ == "__main__":
    main()
