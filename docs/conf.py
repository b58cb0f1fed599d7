"""How the documentation is built: ``make docs``."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import fastapi  # noqa: F401  not to be imported anew by autodoc, which pydantic can't bear
from docutils.nodes import SkipNode
from latex2mathml.converter import convert

if TYPE_CHECKING:
    from docutils.nodes import math, math_block
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

project = "kgrec"
author = "The kgrec authors"
release = metadata.version("kgrec")
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser"]
html_theme = "furo"
html_title = f"kgrec {release}"
html_copy_source = False
html_show_copyright = False
exclude_patterns = ["README.md"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = False
napoleon_use_rtype = False
suppress_warnings = ["misc.highlighting_failure"]  # Cypher's parameters are unknown to Pygments
nitpicky = True
# types of libraries have no page here, nor have type variables
nitpick_ignore_regex = [
    (r"py:.*", r"(?!kgrec\.).*"),
    (r"py:.*", r"kgrec\..*\.(_\w*|Chosen|Kind|Result|Setting|Settings|Task)"),
]


def _show_inline(writer: HTML5Translator, node: math) -> None:
    writer.body.append(convert(node.astext()))
    raise SkipNode


def _show_block(writer: HTML5Translator, node: math_block) -> None:
    writer.body.append(convert(node.astext(), display="block"))
    raise SkipNode


def setup(app: Sphinx) -> None:
    """Let browsers draw equations themselves (MathML), without a script."""
    app.add_html_math_renderer("mathml", (_show_inline, None), (_show_block, None))
