"""Progress bars: in terminals and notebooks, and only where something takes a while."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track as rich_track

Element = TypeVar("Element")


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
