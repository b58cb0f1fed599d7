"""Where the real data sets are that the project may not ship."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent.parent / "shared" / "data"


def data_folder(name: str) -> Path:
    """Find a data set, or skip the test.

    Parameters
    ----------
    name
        Name of its folder.

    Returns
    -------
    Path
        The folder.
    """
    folder = FOLDER / name
    if not folder.is_dir():
        pytest.skip(f"needs the data set {name}, which may not be shipped, in {FOLDER}")
    return folder
