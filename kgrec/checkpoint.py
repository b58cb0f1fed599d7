"""What a fit has chosen so far, so that one that was interrupted goes on where it was.

A fit chooses settings in three stages, which take most of its time, and then solves for the
weights.  The settings are a few numbers, written in a form that gives the same bits again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from kgrec.calibration import Mixing
from kgrec.config import Config
from kgrec.graph import KnowledgeGraph
from kgrec.selection import ColdSettings, WarmSettings

Chosen = TypeVar("Chosen", ColdSettings, WarmSettings, Mixing)
Buffer: TypeAlias = bytes | pa.Buffer | memoryview


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Keeps the stages of one fit in a file.

    Parameters
    ----------
    file
        Where; made with the first stage.
    key
        What the fit depends on (:func:`fit_key`): stages of another fit are not taken.
    writes
        Whether stages are kept; of several processes that go through the same fit, one does it.
    """

    file: Path
    key: str
    writes: bool = True

    def stage(self, kind: type[Chosen], choose: Callable[[], Chosen]) -> Chosen:
        """Give what a stage has chosen, or choose and keep it.

        Parameters
        ----------
        kind
            What the stage chooses: each kind is chosen once in a fit.
        choose
            What chooses.

        Returns
        -------
        ColdSettings, WarmSettings or Mixing
            The same bits, chosen now or before.

        Raises
        ------
        OSError
            If the file can't be written.
        """
        stages = self._stages()
        if kind.__name__ in stages:
            return TypeAdapter(kind).validate_python(stages[kind.__name__])
        chosen = choose()
        if not self.writes:
            return chosen
        stages[kind.__name__] = asdict(chosen)
        unfinished = self.file.with_name(f"{self.file.name}.new")
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps({"key": self.key, "stages": stages}), encoding="utf-8")
        unfinished.replace(self.file)
        return chosen

    def finish(self) -> None:
        """Delete the file: the fit is done."""
        if self.writes:
            self.file.unlink(missing_ok=True)

    def _stages(self) -> dict[str, dict[str, object]]:
        """Give the stages that were kept; none where they are of another fit or unreadable."""
        try:
            kept = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        is_ours = isinstance(kept, dict) and kept.get("key") == self.key
        return dict(kept["stages"]) if is_ours else {}


def fit_key(graph: KnowledgeGraph, config: Config, seed: int, encoder: str) -> str:
    """Name all that a fit depends on.

    Parameters
    ----------
    graph
        What is learned from.
    config
        Settings.
    seed
        Seed of every draw.
    encoder
        Fingerprint of the text encoder.

    Returns
    -------
    str
        A hash: of two fits with the same key the stages are the same.
    """
    facts = [metadata.version("kgrec"), config.model_dump_json(), seed, encoder]
    summary = hashlib.sha256(json.dumps(facts).encode())
    summary.update(graph.schema.model_dump_json().encode())
    for part in _content(graph):
        summary.update(part)
    return summary.hexdigest()


def _content(graph: KnowledgeGraph) -> Iterator[Buffer]:
    for name, nodes in graph.nodes.items():
        yield name.encode()
        yield from _of_array(nodes.ids)
        yield from _of_array(nodes.texts)
        yield from _of_numbers(nodes.features)
    for edge_type, edges in graph.edges.items():
        yield "\0".join(edge_type).encode()
        yield from _of_numbers(edges.edge_index)
        yield from _of_numbers(edges.weight)
    log = graph.interactions
    for column in (log.user, log.item, log.weight, log.time):
        yield from _of_numbers(column)


def _of_array(values: pa.Array) -> Iterator[Buffer]:
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([values], ["values"])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    yield sink.getvalue()


def _of_numbers(values: np.ndarray | None) -> Iterator[Buffer]:
    yield str(None if values is None else (values.shape, values.dtype.str)).encode()
    if values is not None:
        yield np.ascontiguousarray(values).data
