"""Progress bars: in terminals and notebooks, and only where something takes a while."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Timer
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import track as rich_track
from rich.text import Text

Element = TypeVar("Element")

PATIENCE_SECONDS = 2.0


def track(elements: Sequence[Element], description: str) -> Iterator[Element]:
    """Go through elements with a bar on standard error, silent when that is no terminal.

    Parameters
    ----------
    elements
        What to go through.
    description
        What is being done.

    Yields
    ------
    Element
        Each element in turn.
    """
    console = Console(file=sys.stderr)
    silent = not (console.is_terminal or console.is_jupyter)
    yield from rich_track(elements, description, console=console, transient=True, disable=silent)


class RowRate(ProgressColumn):
    """How many rows have come, and how many a second; nothing while they aren't counted."""

    def render(self, task: Task) -> Text:
        """Show it for one task."""
        if not task.completed:
            return Text("")
        speed = f", {task.finished_speed or task.speed or 0:,.0f} a second"
        return Text(f"{int(task.completed):,} rows{speed}", style="progress.data.speed")


@contextmanager
def counted_rows(description: str) -> Iterator[Callable[[int], None]]:
    """Show on the terminal that a read goes on, once it takes over two seconds.

    Parameters
    ----------
    description
        What is read.

    Yields
    ------
    callable
        To be called with the number of rows each time that some have come.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _ignore
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), RowRate(), TimeElapsedColumn())
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(f"Reading {description}", total=None)
    timer = Timer(PATIENCE_SECONDS, bar.start)
    timer.start()
    try:
        yield partial(bar.advance, task)
    finally:
        timer.cancel()
        timer.join()
        bar.stop()


def _ignore(_: int) -> None:
    """Count nothing: nobody looks."""
