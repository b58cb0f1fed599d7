"""The documentation: it builds without a warning, leaves nothing out, and its tutorial runs."""

from __future__ import annotations

import os
import pkgutil
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import kgrec
import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
# packages whose names are listed by the package's own page, and what only kgrec itself uses
LISTED = {"baselines", "evaluation", "exchange", "explore", "inspection", "sources", "syncing"}
LISTED |= {"writeback"}
OWN_USE = {"calibration", "cli", "commands", "cypher", "demo", "iris", "notebook", "paths"}
OWN_USE |= {"progress", "service", "terminal"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the documentation in a process of its own, where a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--fail-on-warning", "--keep-going", "--quiet", "-b", "html"]
    command = [sys.executable, "-m", "sphinx", *options, "-d", str(folder / "trees")]
    done = subprocess.run(  # noqa: S603  our own command line
        [*command, str(DOCS), str(folder / "html")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


class _Loaded(HTMLParser):
    """Collects what a page makes a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {"script": "src", "img": "src", "iframe": "src", "link": "href"}
        address = dict(attrs).get(names.get(tag, ""))
        if address:
            self.addresses.append(address)


def test_pages_ask_nothing_of_other_hosts(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        loaded = _Loaded()
        loaded.feed(page.read_text(encoding="utf-8"))
        assert loaded.addresses
        outside = [one for one in loaded.addresses if re.match(r"(https?:)?//", one)]
        assert not outside, page


def test_equations_are_drawn_by_the_browser(site: Path) -> None:
    page = (site / "model.html").read_text(encoding="utf-8")
    assert page.count("<math") > 10
    assert r"\langle" not in page


def test_functions_are_described_from_their_docstrings(site: Path) -> None:
    page = (site / "api" / "recommender.html").read_text(encoding="utf-8")
    assert 'id="kgrec.ranker.Ranker.recommend"' in page
    assert "NotFittedError" in page


def test_no_module_is_forgotten() -> None:
    named = set()
    for page in (DOCS / "api").glob("*.md"):
        named |= set(re.findall(r"automodule:: (\S+)", page.read_text(encoding="utf-8")))
    modules = {
        module.name
        for module in pkgutil.walk_packages(kgrec.__path__, "kgrec.")
        if "._" not in module.name and module.name.split(".")[1] not in LISTED | OWN_USE
    }
    assert modules - named - {"kgrec.model"} == set()
    assert all(find_spec(name) for name in named)


def test_the_tutorial_runs_as_it_is_written(tmp_path: Path) -> None:
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) > 6
    script = tmp_path / "tutorial.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(  # noqa: S603  our own command line
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "recall@20" in done.stdout
    assert (tmp_path / "debian.kgrec" / "manifest.json").is_file()
    kgrec_command = Path(sys.executable).with_name("kgrec")
    for line in re.findall(r"^kgrec (?:inspect|recommend) .*$", text, re.MULTILINE):
        words = line.split("#")[0].split()[1:]
        done = subprocess.run(  # noqa: S603
            [str(kgrec_command), *words],
            cwd=tmp_path,
            env=os.environ | {"NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
