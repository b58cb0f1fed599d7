"""How graphs, models and reports show themselves in a notebook."""

from __future__ import annotations

import html

import pandas as pd


def card(title: str, line: str, *tables: pd.DataFrame) -> str:
    """Write a title, a line and tables as HTML.

    Parameters
    ----------
    title, line
        Plain text.
    tables
        Shown without their index; what is not known stays empty.

    Returns
    -------
    str
        HTML in which all that came from data is escaped.

    Examples
    --------
    >>> card("shop <1>", "2 items")
    '<div><strong>shop &lt;1&gt;</strong><div>2 items</div></div>'
    """
    shown = [
        table.to_html(index=False, border=0, na_rep="", float_format="{:.4f}".format)
        for table in tables
    ]
    parts = [f"<strong>{html.escape(title)}</strong>", f"<div>{html.escape(line)}</div>", *shown]
    return f"<div>{''.join(parts)}</div>"
