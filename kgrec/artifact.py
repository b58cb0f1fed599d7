"""Models on disk: safetensors, Parquet and JSON, with a manifest of what must be there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from pyarrow import parquet
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from scipy import sparse

from kgrec.calibration import Curve, Mixing
from kgrec.catalogue import Catalogue, Columns, Compression, Head
from kgrec.config import Config
from kgrec.errors import ArtifactError, name_ids
from kgrec.graph import EdgeType, KnowledgeGraph
from kgrec.model.channels import (
    Channel,
    FarChannel,
    FeatureChannel,
    Matrix,
    NeighbourChannel,
    NeighbourVectorChannel,
    RelatedItemChannel,
    TermChannel,
    VectorChannel,
)
from kgrec.model.network import Network
from kgrec.model.prominence import Prominence
from kgrec.model.propagation import Propagation
from kgrec.model.vocabulary import Vocabulary
from kgrec.model.whitening import Whitening
from kgrec.storage import (
    finish_replacement,
    is_empty_folder,
    load_graph,
    replace_folder,
    save_graph,
)

FORMAT = "kgrec model"
VERSION = 2
MANIFEST = "manifest.json"
MODEL = "model.json"
ARRAYS = "arrays.safetensors"
KEYS = "keys.parquet"
GRAPH = "graph"
PACKAGES = ("kgrec", "torch", "numpy", "scipy", "transformers")

Arrays = dict[str, NDArray[Any]]
Facts = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class SavedModel:
    """All that a fitted recommender holds.

    Parameters
    ----------
    config, graph, catalogue, mixing, core_ids, seed, validation
        As in the recommender; the catalogue is compact.
    text_fingerprint
        Fingerprint of the encoder that the texts were encoded with.
    journal_position
        Number of the last change of a journal that the model has in it; None where it was
        trained and never had one.
    """

    config: Config
    graph: KnowledgeGraph
    catalogue: Catalogue
    mixing: Mixing
    core_ids: pa.StringArray
    seed: int
    validation: dict[str, object]
    text_fingerprint: str
    journal_position: int | None = None


def save_model(model: SavedModel, folder: str | Path) -> None:
    """Write a model beside its folder and put it in place by renaming.

    Parameters
    ----------
    model
        What to write.
    folder
        Where to; a model that was saved there is replaced.

    Raises
    ------
    ArtifactError
        If the folder holds something else, or can't be written; what was there is intact.
    """
    target = Path(folder)
    if target.exists() and not (_is_model(target) or is_empty_folder(target)):
        raise ArtifactError(f"{target} holds something else than a model: name another folder")
    try:
        replace_folder(target, lambda new: _write(model, new))
    except (OSError, SafetensorError) as error:
        raise ArtifactError(
            f"the model can't be saved to {target}: {error}; free some space or name a folder "
            "that can be written"
        ) from error


def load_model(folder: str | Path) -> SavedModel:
    """Read a model, every file checked against the manifest.

    Parameters
    ----------
    folder
        Where it was saved.

    Returns
    -------
    SavedModel
        Equal, bit for bit, to what was saved.

    Raises
    ------
    ArtifactError
        If the folder is no model, is incomplete, was altered, or is of another version.
    """
    place = Path(folder)
    finish_replacement(place)
    _check_manifest(place)
    try:
        facts = json.loads((place / MODEL).read_text(encoding="utf-8"))
        arrays = _map_arrays(place / ARRAYS)
        keys = _read_keys(place / KEYS)
        return _assemble(facts, arrays, keys, load_graph(place / GRAPH))
    except ArtifactError:
        raise
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
        raise ArtifactError(
            f"the model in {place} is broken: {error}; train it again and save it anew"
        ) from error


def describe_model(folder: str | Path) -> Facts:
    """Say how a saved model came about, without loading it; every file is checked.

    Parameters
    ----------
    folder
        Where it was saved.

    Returns
    -------
    dict
        ``format``, ``packages`` (versions it was saved with), ``seed``, ``data`` (hash of the
        graph's files), ``text_fingerprint``, ``journal_position``, ``validation``, ``config``,
        ``bytes`` and ``files`` (bytes and SHA-256 of each).

    Raises
    ------
    ArtifactError
        As :func:`load_model`.
    """
    place = Path(folder)
    finish_replacement(place)
    _check_manifest(place)
    try:
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        facts = json.loads((place / MODEL).read_text(encoding="utf-8"))
        files = manifest["files"]
        of_graph = [
            f"{name} {files[name]['sha256']}" for name in sorted(files) if name.startswith(GRAPH)
        ]
        return {
            "format": manifest["version"],
            "packages": manifest["packages"],
            "seed": facts["seed"],
            "data": hashlib.sha256("\n".join(of_graph).encode()).hexdigest(),
            "text_fingerprint": facts["text_fingerprint"],
            "journal_position": facts["journal_position"],
            "validation": facts["validation"],
            "config": facts["config"],
            "bytes": sum(file["bytes"] for file in files.values()),
            "files": files,
        }
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ArtifactError(f"the model in {place} is broken: {error}; train it again") from error


def read_journal_position(folder: Path) -> int | None:
    """Read which changes of a journal a saved model has in it.

    Parameters
    ----------
    folder
        Where the model was saved.

    Returns
    -------
    int or None
        Number of the last one; None for a model that was trained and not compacted.

    Raises
    ------
    ArtifactError
        If the file can't be read.
    """
    path = folder / MODEL
    try:
        position = json.loads(path.read_text(encoding="utf-8"))["journal_position"]
        return None if position is None else int(position)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} can't be read: {error}; train the model again") from error


def digest_of_model(folder: Path) -> str:
    """Tell one saved model from another.

    Parameters
    ----------
    folder
        Where it was saved.

    Returns
    -------
    str
        Hash of its manifest, which has the hashes of all its files.

    Raises
    ------
    ArtifactError
        If there is no model.
    """
    try:
        return _digest(folder / MANIFEST)
    except OSError as error:
        raise ArtifactError(
            f"{folder} holds no kgrec model: {MANIFEST} is missing; name a folder that "
            "'kgrec train' has written"
        ) from error


def _is_model(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def _write(model: SavedModel, folder: Path) -> None:
    folder.mkdir()
    save_graph(model.graph, folder / GRAPH)
    head, base = model.catalogue.head, model.catalogue.base
    network = head.network
    channels = [_dismantle(channel) for channel in network.channels]
    arrays: Arrays = {
        "offset": network.propagation.offset.detach().numpy(),
        "prior": network.propagation.prior.numpy(),
        "core_weights": network.core_weights.numpy(),
        "teacher": network.teacher.numpy(),
        "inverse": network.inverse.numpy(),
        "typical": head.typical,
        "slots": model.catalogue.slots,
        "weights": base.weights,
        "projection": base.projection,
        "lengths": base.lengths,
    }
    arrays |= _name_parts("prominence.", network.prominence)
    if head.compression is not None:
        arrays |= _name_parts("compression.", head.compression)
    for number, anchor in enumerate(head.anchors):
        arrays |= {f"anchor{number}.{name}": part for name, part in _matrix_parts(anchor).items()}
    keys = {"core": model.core_ids}
    for number, (_, own_arrays, own_keys) in enumerate(channels):
        arrays |= {f"channel{number}.{name}": value for name, value in own_arrays.items()}
        if own_keys is not None:
            keys[f"channel{number}"] = own_keys
    save_file(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / ARRAYS
    )
    _write_keys(keys, folder / KEYS)
    facts: Facts = {
        "config": model.config.model_dump(mode="json"),
        "seed": model.seed,
        "sharpness": network.propagation.sharpness,
        "prominence_strength": network.prominence_strength,
        "mixing": asdict(model.mixing),
        "channels": [facts for facts, _, _ in channels],
        "validation": model.validation,
        "text_fingerprint": model.text_fingerprint,
        "journal_position": model.journal_position,
    }
    (folder / MODEL).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    (folder / ARRAYS).chmod((folder / MODEL).stat().st_mode)  # safetensors keeps all others out
    _write_manifest(folder)


def _assemble(
    facts: Mapping[str, Any],
    arrays: Arrays,
    keys: Mapping[str, pa.StringArray],
    graph: KnowledgeGraph,
) -> SavedModel:
    config = Config(**facts["config"])
    propagation = Propagation(arrays["prior"].tolist(), float(facts["sharpness"]))
    propagation.load_state_dict(
        {"prior": torch.from_numpy(arrays["prior"]), "offset": torch.from_numpy(arrays["offset"])}
    )
    channels = tuple(
        _rebuild(channel, _part(arrays, f"channel{number}."), keys.get(f"channel{number}"))
        for number, channel in enumerate(facts["channels"])
    )
    network = Network(
        channels,
        propagation,
        torch.from_numpy(arrays["core_weights"]),
        torch.from_numpy(arrays["teacher"]),
        torch.from_numpy(arrays["inverse"]),
        Prominence(**_part(arrays, "prominence.")),
        float(facts["prominence_strength"]),
    )
    anchors = tuple(
        _matrix(_part(arrays, f"anchor{number}."), len(arrays["typical"]))
        for number in range(len(channels))
    )
    parts = _part(arrays, "compression.")
    head = Head(network, anchors, arrays["typical"], Compression(**parts) if parts else None)
    base = Columns(arrays["weights"], arrays["projection"], arrays["lengths"])
    mixing = facts["mixing"]
    return SavedModel(
        config,
        graph,
        Catalogue.of(head, base, arrays["slots"]),
        Mixing(Curve(**mixing["warm"]), Curve(**mixing["cold"]), mixing["lift"]),
        keys["core"],
        int(facts["seed"]),
        facts["validation"],
        str(facts["text_fingerprint"]),
        facts["journal_position"],
    )


def _map_arrays(path: Path) -> Arrays:
    """Map the file into memory, so that processes that load the same model share its pages."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118


def _matrix_parts(matrix: Matrix) -> Arrays:
    if sparse.issparse(matrix):
        return {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
    return {"dense": matrix}


def _matrix(parts: Arrays, columns: int) -> Matrix:
    if "dense" in parts:
        return parts["dense"]
    shape = (len(parts["indptr"]) - 1, columns)
    return sparse.csr_array((parts["data"], parts["indices"], parts["indptr"]), shape=shape)


def _name_parts(prefix: str, whole: Prominence | Compression) -> Arrays:
    return {f"{prefix}{field.name}": getattr(whole, field.name) for field in fields(whole)}


def _part(arrays: Arrays, prefix: str) -> Arrays:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _dismantle(channel: Channel) -> tuple[Facts, Arrays, pa.StringArray | None]:
    """Take a channel apart into what JSON, safetensors and Parquet can hold."""
    match channel:
        case TermChannel(name, vocabulary, with_neighbours):
            facts: Facts = {"kind": "terms", "name": name, "with_neighbours": with_neighbours}
            return facts, {"weight": vocabulary.weight}, vocabulary.keys
        case NeighbourChannel(name, relations, vocabulary):
            facts = {"kind": "neighbours", "name": name, "relations": relations}
            return facts, {"weight": vocabulary.weight}, vocabulary.keys
        case FarChannel(name, vocabulary):
            return {"kind": "far", "name": name}, {"weight": vocabulary.weight}, vocabulary.keys
        case RelatedItemChannel(name, relations, vocabulary, anchors):
            facts = {
                "kind": "related items",
                "name": name,
                "relations": relations,
                "shape": [int(size) for size in anchors.shape],
            }
            arrays = {
                "weight": vocabulary.weight,
                "data": anchors.data,
                "indices": anchors.indices,
                "indptr": anchors.indptr,
            }
            return facts, arrays, vocabulary.keys
        case NeighbourVectorChannel(name, relations, vocabulary, whitening):
            facts = {"kind": "neighbour vectors", "name": name, "relations": relations}
            arrays = {"weight": vocabulary.weight} | _whitening_arrays(whitening)
            return facts, arrays, vocabulary.keys
        case VectorChannel(name, whitening):
            return {"kind": "vectors", "name": name}, _whitening_arrays(whitening), None
        case FeatureChannel(name, whitening):
            return {"kind": "features", "name": name}, _whitening_arrays(whitening), None
        case _:
            raise TypeError(f"a {type(channel).__name__} can't be saved")


def _rebuild(facts: Facts, arrays: Arrays, keys: pa.StringArray | None) -> Channel:
    name = str(facts["name"])
    relations = tuple(_edge_type(relation) for relation in facts.get("relations", ()))
    match facts["kind"]:
        case "terms":
            return TermChannel(name, _vocabulary(arrays, keys), bool(facts["with_neighbours"]))
        case "neighbours":
            return NeighbourChannel(name, relations, _vocabulary(arrays, keys))
        case "far":
            return FarChannel(name, _vocabulary(arrays, keys))
        case "related items":
            parts = (arrays["data"], arrays["indices"], arrays["indptr"])
            anchors = sparse.csr_array(parts, shape=tuple(facts["shape"]))
            return RelatedItemChannel(name, relations, _vocabulary(arrays, keys), anchors)
        case "neighbour vectors":
            vocabulary = _vocabulary(arrays, keys)
            return NeighbourVectorChannel(name, relations, vocabulary, _whitening(arrays))
        case "vectors":
            return VectorChannel(name, _whitening(arrays))
        case "features":
            return FeatureChannel(name, _whitening(arrays))
        case other:
            raise ValueError(f"unknown kind of channel '{other}'")


def _edge_type(parts: Sequence[str]) -> EdgeType:
    head, relation, tail = parts
    return head, relation, tail


def _vocabulary(arrays: Arrays, keys: pa.StringArray | None) -> Vocabulary:
    if keys is None:
        keys = pa.array([], pa.string())
    return Vocabulary(keys, arrays["weight"])


def _whitening_arrays(whitening: Whitening) -> Arrays:
    return {"mean": whitening.mean, "projection": whitening.projection}


def _whitening(arrays: Arrays) -> Whitening:
    return Whitening(arrays["mean"], arrays["projection"])


def _write_keys(keys: Mapping[str, pa.StringArray], path: Path) -> None:
    owner = pa.concat_arrays([pa.repeat(name, len(values)) for name, values in keys.items()])
    table = pa.table({"owner": owner, "key": pa.concat_arrays(list(keys.values()))})
    parquet.write_table(table, path, compression="zstd")


def _read_keys(path: Path) -> dict[str, pa.StringArray]:
    table = parquet.read_table(path, partitioning=None).combine_chunks()
    owner = table["owner"]
    return {
        name: table.filter(pc.equal(owner, name))["key"].combine_chunks()
        for name in pc.unique(owner).to_pylist()
    }


def _files(folder: Path) -> list[Path]:
    return sorted(
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and path != folder / MANIFEST
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_manifest(folder: Path) -> None:
    files = {
        path.as_posix(): {
            "bytes": (folder / path).stat().st_size,
            "sha256": _digest(folder / path),
        }
        for path in _files(folder)
    }
    versions = {package: metadata.version(package) for package in PACKAGES}
    content = {"format": FORMAT, "version": VERSION, "packages": versions, "files": files}
    (folder / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _check_manifest(folder: Path) -> None:
    manifest = _read_manifest(folder)
    missing = [name for name in manifest if not (folder / name).is_file()]
    if missing:
        raise ArtifactError(
            f"the model in {folder} is incomplete: {name_ids(missing)} is missing; train it again"
        )
    links = [name for name in manifest if _is_link(folder, name)]
    if links:
        raise ArtifactError(
            f"the model in {folder} has links in it: {name_ids(links)}; copy the files themselves"
        )
    altered = [name for name, digest in manifest.items() if _digest(folder / name) != digest]
    if altered:
        raise ArtifactError(
            f"the model in {folder} was altered after it was saved: {name_ids(altered)} differs; "
            "train it again"
        )


def _is_link(folder: Path, name: str) -> bool:
    """Tell whether a file, or a folder on the way to it, lies somewhere else."""
    return (folder / name).resolve() != folder.resolve() / name


def _read_manifest(folder: Path) -> dict[str, str]:
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ArtifactError(f"{folder} holds no kgrec model: {path.name} says otherwise")
        if content["version"] != VERSION:
            raise ArtifactError(
                f"the model in {folder} has the format {content['version']}, and this kgrec reads "
                f"{VERSION}: train it again with this kgrec"
            )
        return {name: str(facts["sha256"]) for name, facts in content["files"].items()}
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{folder} holds no kgrec model: {path.name} is missing; name a folder that "
            "'kgrec train' has written"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} is broken: {error}; train the model again") from error
