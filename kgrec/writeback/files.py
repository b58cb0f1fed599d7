"""Results into a folder of Parquet files, for whatever reads those."""

from __future__ import annotations

import json
from pathlib import Path

from pyarrow import parquet

from kgrec.errors import ArtifactError
from kgrec.storage import is_empty_folder, replace_folder
from kgrec.writeback.results import Results

RUN = "run.json"


def write_parquet(results: Results, folder: str | Path) -> None:
    """Write results as Parquet files, all of them at once or none.

    Parameters
    ----------
    results
        What to write.
    folder
        Where to; results that are there are replaced.  It holds ``recommendations.parquet``,
        where they were asked for ``similar_items.parquet``, ``user_vectors.parquet`` and
        ``item_vectors.parquet``, and ``run.json``.

    Raises
    ------
    ArtifactError
        If the folder holds something else, or can't be written; what was there is intact.
    """
    target = Path(folder)
    is_ours = (target / RUN).is_file() or is_empty_folder(target)
    if target.exists() and not is_ours:
        raise ArtifactError(f"{target} holds something else than results: name another folder")
    try:
        replace_folder(target, lambda new: _write(results, new))
    except OSError as error:
        raise ArtifactError(
            f"the results can't be written to {target}: {error}; free some space or name a folder "
            "that can be written"
        ) from error


def _write(results: Results, folder: Path) -> None:
    folder.mkdir()
    for name in results.counts():
        parquet.write_table(getattr(results, name), folder / f"{name}.parquet", compression="zstd")
    facts = {"model": results.model, "at": results.at.isoformat(), "rows": results.counts()}
    (folder / RUN).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
