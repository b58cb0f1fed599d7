"""What the command line prints: tables for people, JSON for machines, and what is going on."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

    from kgrec.lineup import Measured

PLAIN_WIDTH = 200  # columns where the output is no terminal, so that no id is folded
SHOWN_METRICS = ("recall", "ndcg", "precision", "hit_rate", "mrr")
SHOWN_WITH_ALL = ("cold_recall", "warm_recall")


def make_console() -> Console:
    """Make a console for standard output.

    Returns
    -------
    Console
        As wide as the terminal, or wide enough for tables in a file or a pipe.
    """
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(width=width, highlight=False, emoji=False)


def announce(description: str) -> None:
    """Say on standard error what is being done, if that is a terminal.

    Bars of the work itself come below, so that this is a line and no spinner.

    Parameters
    ----------
    description
        What is being done.
    """
    console = Console(stderr=True, highlight=False, emoji=False)
    if console.is_terminal:
        console.print(f"{description} …", style="dim", markup=False)


def print_json(value: object) -> None:
    """Print a value as JSON: NaN becomes null, an id keeps its letters.

    Parameters
    ----------
    value
        Mappings, sequences and plain values.
    """
    print(json.dumps(_without_nan(value), indent=2, ensure_ascii=False))


def frame_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Turn a frame into plain values.

    Parameters
    ----------
    frame
        Any frame.

    Returns
    -------
    list of dict
        One a row.
    """
    return [
        {str(name): value.item() if hasattr(value, "item") else value for name, value in r.items()}
        for r in frame.to_dict("records")
    ]


def frame_table(frame: pd.DataFrame, title: str | None = None) -> Table:
    """Show a frame.

    Parameters
    ----------
    frame
        Any frame.
    title
        What stands above it.

    Returns
    -------
    Table
        Numbers to the right.
    """
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in frame.columns:
        is_number = frame[name].dtype.kind in "iuf"
        table.add_column(str(name), justify="right" if is_number else "left", overflow="fold")
    for record in frame_records(frame):
        table.add_row(*(format_value(value) for value in record.values()))
    return table


def measured_table(
    measured: Sequence[Measured], *, intervals: bool = False, title: str | None = None
) -> Table:
    """Show what was measured, one row a model and length of the list.

    Parameters
    ----------
    measured
        One a model, evaluated alike.
    intervals
        Show the confidence interval under each mean, and the difference in recall from the first
        model with an interval of its own.
    title
        What stands above the table.

    Returns
    -------
    Table
        The mean, with the standard deviation where there are several seeds, and the seconds of
        a fit.
    """
    with_all = any(entry.reports[0].candidates == "all" for entry in measured)
    metrics = SHOWN_METRICS + (SHOWN_WITH_ALL if with_all else ())
    table = Table(title=title, title_justify="left", title_style="bold")
    compared = intervals and len(measured) > 1
    headings = ["model", "k", *(metric.replace("_", " ") for metric in metrics), "fit s"]
    headings += [f"recall against {measured[0].model}"] if compared else []
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
    for entry in measured:
        reference = measured[0] if compared and entry is not measured[0] else None
        _add_rows(table, entry, metrics, reference, intervals=intervals)
    return table


def _add_rows(
    table: Table,
    measured: Measured,
    metrics: Sequence[str],
    reference: Measured | None,
    *,
    intervals: bool,
) -> None:
    found = _by_metric(measured.report.to_frame())
    differences = {} if reference is None else _by_metric(measured.difference(reference))
    lengths = measured.reports[0].k
    seconds = sum(measured.fit_seconds) / len(measured.fit_seconds)
    for row, k in enumerate(lengths):
        cells = [
            _metric_cell(found[metric, k], measured.spread(metric, k), intervals=intervals)
            for metric in metrics
        ]
        first = (measured.model, f"{seconds:.1f}") if row == 0 else ("", "")
        last = [
            _metric_cell(values, math.nan, intervals=True)
            for (metric, length), values in differences.items()
            if (metric, length) == ("recall", k)
        ]
        table.add_row(
            first[0],
            str(k),
            *cells,
            first[1],
            *last,
            end_section=row == len(lengths) - 1,
        )


def _by_metric(frame: pd.DataFrame) -> dict[tuple[str, int], dict[str, Any]]:
    return {(row["metric"], row["k"]): row for row in frame_records(frame)}


def _metric_cell(values: Mapping[str, float], spread: float, *, intervals: bool) -> str:
    lines = [format_value(values["mean"])]
    if not math.isnan(spread):
        lines.append(f"±{spread:.4f}")
    if intervals and not math.isnan(values["low"]):  # one user has no interval
        lines.append(f"[{values['low']:.3f}, {values['high']:.3f}]")
    return "\n".join(lines)


def format_value(value: object) -> str:
    """Show one value of a table.

    Parameters
    ----------
    value
        Anything.

    Returns
    -------
    str
        Four decimals for a fraction, nothing for what is not there, "yes" for what is true.

    Examples
    --------
    >>> format_value(0.25), format_value(True), format_value(None), format_value(7)
    ('0.2500', 'yes', '', '7')
    """
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else ""
        case float():
            return "" if math.isnan(value) else f"{value:.4f}"
        case _:
            return str(value)


def _without_nan(value: object) -> object:
    match value:
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {str(key): _without_nan(entry) for key, entry in value.items()}
        case str():
            return value
        case Sequence():
            return [_without_nan(entry) for entry in value]
        case _:
            return value
