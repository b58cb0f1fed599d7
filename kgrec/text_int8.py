"""A BERT model in eight-bit integers, by ONNX Runtime: for CPUs that don't compute bfloat16."""

from __future__ import annotations

import os
import tempfile
import warnings
from contextlib import contextmanager
from logging import ERROR, getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from kgrec.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnxruntime import InferenceSession
    from torch import Tensor

EXAMPLE_TOKENS = 7  # of the text that the model is traced with; any number goes afterwards


def load_int8(model: torch.nn.Module, file: Path | None) -> InferenceSession:
    """Give a model in eight-bit integers, made now or on an earlier occasion.

    The weights of each output have a scale of their own; activations are scaled when they are
    there, one scale for all tokens that go through the model together.

    Parameters
    ----------
    model
        A BERT model in float32, on the CPU.
    file
        Where the quantised model is kept; None keeps nothing.

    Returns
    -------
    InferenceSession
        Takes ``ids`` [1, L] int64 and gives the last hidden states [1, L, D] float32.

    Raises
    ------
    ConfigError
        If ONNX Runtime is not installed.
    ArtifactError
        If the kept file can't be read or written.
    """
    try:
        import onnxruntime
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise ConfigError(
            f"dtype=\"int8\" needs the package {error.name}: pip install 'kgrec[onnx]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    with tempfile.TemporaryDirectory(prefix="kgrec-") as name:
        made = Path(name)
        if file is None or not file.exists():
            with _quiet():
                _export(model, made / "whole.onnx")
                quantize_dynamic(
                    made / "whole.onnx",
                    made / "int8.onnx",
                    per_channel=True,
                    weight_type=QuantType.QInt8,
                )
            if file is not None:
                _keep(made / "int8.onnx", file)
        used = made / "int8.onnx" if file is None else file
        try:
            return onnxruntime.InferenceSession(used, options, ["CPUExecutionProvider"])
        except Exception as error:  # its own errors share no base class
            raise ArtifactError(f"{used} can't be read ({error}): delete it") from error


def states_of(session: InferenceSession, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Give the last hidden states of one text, [1, L] -> [1, L, D]."""
    states: NDArray[np.float32] = session.run(None, {"ids": ids})[0]
    return states


class _States(torch.nn.Module):
    """The model with tokens alone as its input."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        """Give the last hidden states."""
        states: Tensor = self.model(
            input_ids=ids, attention_mask=torch.ones_like(ids)
        ).last_hidden_state
        return states


def _export(model: torch.nn.Module, path: Path) -> None:
    positions: Any = model.config
    length = torch.export.Dim("length", min=2, max=int(positions.max_position_embeddings))
    program = torch.onnx.export(
        _States(model).eval(),
        (torch.ones(1, EXAMPLE_TOKENS, dtype=torch.int64),),
        input_names=["ids"],
        output_names=["states"],
        dynamic_shapes=({1: length},),
        dynamo=True,
        verbose=False,
    )
    if program is not None:
        program.save(path)


def _keep(made: Path, file: Path) -> None:
    """Put a file in its place at once, whoever else does the same."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as beside:
            beside.write(made.read_bytes())
        os.replace(beside.name, file)  # noqa: PTH105  the name is a text
    except OSError as error:
        raise ArtifactError(f"the quantised model can't be kept in {file}: {error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter and the quantiser say of their own inner workings."""
    loggers = [getLogger(), getLogger("torch.onnx"), getLogger("onnxscript"), getLogger("onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
