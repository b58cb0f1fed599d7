"""What is common to all Cypher that kgrec reads or writes: names and parameters."""

from __future__ import annotations

import re

QUOTED_OR_COMMENT = re.compile(
    r"""'(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" | //[^\n]* | /\*.*?\*/""", re.DOTALL | re.VERBOSE
)
PARAMETER = re.compile(r"\$([A-Za-z_]\w*)")


def quote_name(name: str) -> str:
    """Write a label, a relationship type or a property so that it can be nothing else.

    Parameters
    ----------
    name
        The name as the database has it.

    Returns
    -------
    str
        The name in backticks, those within doubled.

    Examples
    --------
    >>> quote_name("Movie"), quote_name("a`b")
    ('`Movie`', '`a``b`')
    """
    return f"`{name.replace('`', '``')}`"


def parameters_of(text: str) -> set[str]:
    """Find the parameters that a query uses.

    Parameters
    ----------
    text
        A query; what is quoted or commented out doesn't count.

    Returns
    -------
    set of str
        Their names, without the ``$``.

    Examples
    --------
    >>> parameters_of("MATCH (n {id: $key}) RETURN '$other' // $third")
    {'key'}
    """
    return set(PARAMETER.findall(QUOTED_OR_COMMENT.sub("", text)))
