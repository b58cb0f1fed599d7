"""Whether a query reads something else than its source.

A schema folder may come from somebody else, and its queries run with the rights of whoever reads
the graph: they could fetch addresses of an inner network, or read files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Language = Literal["cypher", "sparql"]

# what names and values may hold, and what is no part of the query at all
_QUOTED: Mapping[Language, re.Pattern[str]] = MappingProxyType(
    {
        "cypher": re.compile(
            r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`(?:``|[^`])*`|//[^\n]*|/\*.*?\*/", re.DOTALL
        ),
        "sparql": re.compile(
            r'"""(?:\\.|[^\\])*?"""|' + r"'''(?:\\.|[^\\])*?'''|"
            r"'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|<[^<>\"{}|^`\\\s]*>|#[^\n]*",
            re.DOTALL,
        ),
    }
)
_OUTSIDE: Mapping[Language, re.Pattern[str]] = MappingProxyType(
    {
        "cypher": re.compile(
            r"(?<![.\w$:])(LOAD\s+(?:CSV|FROM|EXTENSION)\b|ATTACH(?=\s*'')|"
            r"INSTALL(?=\s+\w+\s*(?:;|$))|COPY(?=\s*\(|\s+\w+\s+(?:FROM|TO)\b)|"
            r"(?:EXPORT|IMPORT)\s+DATABASE\b|"
            r"apoc\s*\.\s*(?:load|import|export|cypher\s*\.\s*run\w*)\b)",
            re.IGNORECASE,
        ),
        "sparql": re.compile(r"(?<![?$:\w-])(SERVICE|LOAD)\b(?![:\w-])", re.IGNORECASE),
    }
)


def find_outside(text: str, language: Language) -> str | None:
    """Find what of a query reaches beyond its source.

    Parameters
    ----------
    text
        The query.
    language
        Its language.

    Returns
    -------
    str or None
        The words at fault as they stand, the first of them; None if there are none.

    Examples
    --------
    >>> find_outside("SELECT ?s { SERVICE <http://10.0.0.1/> { ?s ?p ?o } }", "sparql")
    'SERVICE'
    >>> find_outside("MATCH (n:Load {name: 'LOAD CSV'}) RETURN n.copy AS id", "cypher") is None
    True
    """
    comments = ("//", "/*", "#")
    bare = _QUOTED[language].sub(lambda at: " " if at[0].startswith(comments) else "''", text)
    found = _OUTSIDE[language].search(bare)
    return " ".join(found[1].split()) if found else None
