"""Saved models: the same, bit for bit, or refused with the reason."""

from __future__ import annotations

import ast
import copy
import json
import resource
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import kgrec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from kgrec import Config, Recommender, TextEncoder, artifact
from kgrec.calibration import Curve, Mixing
from kgrec.errors import ArtifactError, ConfigError
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.model.channels import Channel
from safetensors import SafetensorError

from tests.baselines.worlds import checkerboard
from tests.bert import save_random_bert
from tests.live_world import live_graph

FILES = (
    "manifest.json",
    "model.json",
    "arrays.safetensors",
    "keys.parquet",
    "graph/graph.json",
    "graph/entities.parquet",
    "graph/relations.parquet",
    "graph/interactions.parquet",
)
NEW = GraphTables(
    pa.table({"id": ["late"], "type": ["film"], "text": ["a thief plans to rob the planet"]}),
    pa.table(
        {
            "head": ["late", "late"],
            "relation": ["has_genre", "follows"],
            "tail": ["heist", "heist1"],
        }
    ),
    pa.table({"user": pa.array([], pa.string()), "item": pa.array([], pa.string())}),
)


def rich_graph() -> KnowledgeGraph:
    """Make the checkerboard with features and sequels, so that every kind of channel is there."""
    tables = checkerboard().to_tables()
    entities = tables.entities
    features = [
        [float(len(name)), float(name.startswith("heist")), float(name[-1] in "02468")]
        if kind == "film"
        else None
        for name, kind in zip(entities["id"].to_pylist(), entities["type"].to_pylist(), strict=True)
    ]
    follows = pa.table({"head": ["heist2"], "relation": ["follows"], "tail": ["heist1"]})
    return KnowledgeGraph.from_tables(
        checkerboard().schema,
        GraphTables(
            entities.append_column("features", pa.array(features, pa.list_(pa.float32()))),
            pa.concat_tables([tables.relations, follows]),
            tables.interactions,
        ),
    )


@pytest.fixture(scope="module")
def fitted(tiny_encoder: TextEncoder) -> Recommender:
    return Recommender(Config(steps=5), encoder=tiny_encoder).fit(rich_graph())


@pytest.fixture(scope="module")
def original(fitted: Recommender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    fitted.save(folder)
    return folder


@pytest.fixture
def saved(original: Path, tmp_path: Path) -> Path:
    """Copy the saved model, so that a test may break it."""
    return Path(shutil.copytree(original, tmp_path / "model"))


def all_lists(ranker: Recommender) -> pd.DataFrame:
    return ranker.recommend(ranker.graph.users.ids.to_pylist(), 99, exclude_seen=False)


def unsigned(saved: Path) -> None:
    """Write the manifest anew, as if the model had been saved as it is now."""
    artifact._write_manifest(saved)


def test_every_kind_of_channel_is_saved(fitted: Recommender) -> None:
    kinds = {type(channel).__name__ for channel in fitted._fitted.catalogue.head.network.channels}
    assert kinds == {
        "TermChannel",
        "NeighbourChannel",
        "RelatedItemChannel",
        "VectorChannel",
        "NeighbourVectorChannel",
        "FeatureChannel",
    }


def test_bit_for_bit(fitted: Recommender, saved: Path, tiny_encoder: TextEncoder) -> None:
    loaded = Recommender.load(saved, encoder=tiny_encoder)
    pd.testing.assert_frame_equal(all_lists(loaded), all_lists(fitted), check_exact=True)
    verbs: tuple[Callable[[Recommender], pd.DataFrame], ...] = (
        lambda ranker: ranker.recommend_for(["heist1", "space_new0"], 9),
        lambda ranker: ranker.recommend_for([], 9),
        lambda ranker: ranker.similar_items(["heist1", "space_new0"], 9),
        lambda ranker: ranker.explain("heist_fan1", "heist_new0", 9),
    )
    for verb in verbs:
        pd.testing.assert_frame_equal(verb(loaded), verb(fitted), check_exact=True)
    assert loaded.graph == fitted.graph
    assert loaded.config == fitted.config
    assert loaded.validation == fitted.validation


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux tells what is mapped")
def test_matrices_are_mapped_so_that_processes_share_them(
    saved: Path, tiny_encoder: TextEncoder
) -> None:
    loaded = Recommender.load(saved, encoder=tiny_encoder)
    assert str(saved / "arrays.safetensors") in Path("/proc/self/maps").read_text()
    assert len(all_lists(loaded))


def test_the_mixing_of_warm_and_cold_items(
    fitted: Recommender, tiny_encoder: TextEncoder, tmp_path: Path
) -> None:
    mixing = Mixing(Curve(1.5, -3.25), Curve(0.1, 0.7, -0.5, 9.0, 2.0, 70.5), 1 / 3)
    other = copy.copy(fitted)
    other._state = replace(fitted._fitted, mixing=mixing)
    other.save(tmp_path / "mixed")
    loaded = Recommender.load(tmp_path / "mixed", encoder=tiny_encoder)
    assert loaded._fitted.mixing == mixing
    pd.testing.assert_frame_equal(all_lists(loaded), all_lists(other), check_exact=True)


def test_a_compressed_catalogue(tiny_encoder: TextEncoder, tmp_path: Path) -> None:
    config = Config(steps=5, catalogue_gigabytes=0, catalogue_components=8)
    model = Recommender(config, encoder=tiny_encoder).fit(rich_graph())
    assert model._fitted.catalogue.head.compression is not None
    model.save(tmp_path / "small")
    loaded = Recommender.load(tmp_path / "small", encoder=tiny_encoder)
    pd.testing.assert_frame_equal(all_lists(loaded), all_lists(model), check_exact=True)
    full = Recommender(Config(steps=5), encoder=tiny_encoder).fit(rich_graph())
    assert full._fitted.catalogue.head.compression is None
    wide, narrow = (
        one.recommend_for(["heist1", "space_new0"], 9).sort_values("item") for one in (full, model)
    )
    assert wide["item"].tolist() == narrow["item"].tolist()
    np.testing.assert_allclose(narrow["score"], wide["score"], atol=0.05)


def test_items_added_after_loading(saved: Path, tiny_encoder: TextEncoder) -> None:
    fresh = Recommender(Config(steps=5), encoder=tiny_encoder).fit(rich_graph())
    loaded = Recommender.load(saved, encoder=tiny_encoder)
    for ranker in (fresh, loaded):
        ranker.add_items(NEW)
    pd.testing.assert_frame_equal(all_lists(loaded), all_lists(fresh), check_exact=True)
    assert "late" in set(all_lists(loaded)["item"])


def test_another_text_model_is_refused(saved: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "bert"
    elsewhere.mkdir()
    other = TextEncoder(save_random_bert(elsewhere, seed=1), max_length=32, cache_dir=False)
    loaded = Recommender.load(saved, encoder=other)
    before = all_lists(loaded)  # which needs no texts
    with pytest.raises(ConfigError, match="another text model"):
        loaded.add_items(NEW)
    with pytest.raises(ConfigError, match="another text model"):
        loaded.explain("heist_fan1", "heist_new0")
    pd.testing.assert_frame_equal(all_lists(loaded), before)


def test_saving_what_was_loaded_writes_the_same_bytes(
    saved: Path, tiny_encoder: TextEncoder, tmp_path: Path
) -> None:
    Recommender.load(saved, encoder=tiny_encoder).save(tmp_path / "again")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_a_model_is_replaced(
    fitted: Recommender, saved: Path, tiny_encoder: TextEncoder, tmp_path: Path
) -> None:
    loaded = Recommender.load(saved, encoder=tiny_encoder)
    loaded.add_items(NEW)
    loaded.save(saved)
    assert len(Recommender.load(saved).graph.items) == len(fitted.graph.items) + 1
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_empty_folder_is_used(fitted: Recommender, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        {Path(name).parts[0] for name in FILES}
    )


def test_something_else_is_left_alone(fitted: Recommender, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtifactError, match="something else than a model"):
        fitted.save(tmp_path)
    with pytest.raises(ArtifactError, match="something else than a model"):
        fitted.save(tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_folder_below_a_file(fitted: Recommender, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match="can't be saved"):
        fitted.save(tmp_path / "file" / "model")


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("save_graph", ArtifactError("the graph can't be saved")),
        ("save_file", SafetensorError("no space left")),
        ("_write_keys", OSError("no space left")),
        ("_write_manifest", OSError("no space left")),
    ],
)
def test_a_failure_half_way_leaves_the_old_model(
    step: str,
    error: Exception,
    fitted: Recommender,
    saved: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(artifact, step, fail)
    with pytest.raises(ArtifactError, match="can't be saved"):
        fitted.save(saved)
    monkeypatch.undo()
    assert [path.name for path in saved.parent.iterdir()] == ["model"]
    pd.testing.assert_frame_equal(all_lists(Recommender.load(saved)), all_lists(fitted))


def test_a_failed_renaming_puts_the_old_model_back(
    fitted: Recommender, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "new" and target == saved:
            raise OSError("the disk is gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(ArtifactError, match="the disk is gone"):
        fitted.save(saved)
    monkeypatch.undo()
    assert len(Recommender.load(saved).graph.items) == len(fitted.graph.items)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_missing_file(name: str, saved: Path) -> None:
    (saved / name).unlink()
    with pytest.raises(ArtifactError, match=f"incomplete: '{name}' is missing"):
        Recommender.load(saved)


@pytest.mark.parametrize("name", FILES[1:])
def test_an_altered_byte(name: str, saved: Path) -> None:
    content = bytearray((saved / name).read_bytes())
    content[len(content) // 2] ^= 1
    (saved / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"altered after it was saved: '{name}' differs"):
        Recommender.load(saved)


@pytest.mark.parametrize("name", ["arrays.safetensors", "graph"])
def test_a_link_in_place_of_a_file(name: str, saved: Path, tmp_path: Path) -> None:
    (saved / name).rename(tmp_path / "elsewhere")
    (saved / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="has links in it"):
        Recommender.load(saved)


def test_a_link_to_the_whole_folder(saved: Path, tmp_path: Path, tiny_encoder: TextEncoder) -> None:
    (tmp_path / "current").symlink_to(saved)
    assert Recommender.load(tmp_path / "current", encoder=tiny_encoder)


def test_all_files_may_be_read_by_whom_the_umask_lets(saved: Path) -> None:
    modes = {path.stat().st_mode for path in saved.rglob("*") if path.is_file()}
    assert len(modes) == 1


def test_a_description_tells_models_and_data_apart(saved: Path, tmp_path: Path) -> None:
    facts = artifact.describe_model(saved)
    assert facts["format"] == 2
    assert facts["packages"]["torch"] == metadata.version("torch")
    assert facts["config"]["steps"] == 5
    assert facts["bytes"] == sum(
        path.stat().st_size
        for path in saved.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    )
    content = bytearray((saved / "arrays.safetensors").read_bytes())
    content[-1] ^= 1
    (saved / "arrays.safetensors").write_bytes(content)
    with pytest.raises(ArtifactError, match="altered"):
        artifact.describe_model(saved)
    with pytest.raises(ArtifactError, match="holds no kgrec model"):
        artifact.describe_model(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file(name: str, saved: Path) -> None:
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtifactError, match=Path(name).name):
        Recommender.load(saved)


def edit(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_model_of_another_version(saved: Path) -> None:
    edit(saved / "manifest.json", lambda content: content.update(version=99))
    with pytest.raises(ArtifactError, match="has the format 99, and this kgrec reads 2"):
        Recommender.load(saved)


@pytest.mark.parametrize("content", ["[]", "{}", '{"format": "kgrec model"}', "7", "not JSON"])
def test_a_broken_manifest(content: str, saved: Path) -> None:
    (saved / "manifest.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"manifest\.json is broken.*train"):
        Recommender.load(saved)


def test_what_is_no_model(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no kgrec model"):
        Recommender.load(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match="holds no kgrec model"):
        Recommender.load(saved / "graph")
    edit(saved / "manifest.json", lambda content: content.update(format="a cake"))
    with pytest.raises(ArtifactError, match="holds no kgrec model"):
        Recommender.load(saved)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channels", [{"kind": "telepathy", "name": "x"}]),
        ("channels", 7),
        ("channels", [7]),
        ("config", {"unknown": 1}),
        ("mixing", {"warm": {}}),
        ("sharpness", None),
    ],
)
def test_a_model_written_wrong(field: str, value: object, saved: Path) -> None:
    edit(saved / "model.json", lambda content: content.update({field: value}))
    unsigned(saved)
    with pytest.raises(ArtifactError, match="is broken"):
        Recommender.load(saved)


def test_arrays_that_do_not_fit(saved: Path) -> None:
    from safetensors.numpy import load_file, save_file

    arrays = load_file(saved / "arrays.safetensors")
    arrays["offset"] = arrays["offset"][:1].copy()
    save_file(arrays, saved / "arrays.safetensors")
    unsigned(saved)
    with pytest.raises(ArtifactError, match="is broken"):
        Recommender.load(saved)


def test_a_channel_that_cannot_be_saved() -> None:
    class Telepathy:
        name = "telepathy"

    channel: Channel = Telepathy()  # type: ignore[assignment]
    with pytest.raises(TypeError, match="a Telepathy can't be saved"):
        artifact._dismantle(channel)


def test_nothing_is_pickled() -> None:
    unsafe = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    for path in Path(kgrec.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not {str(name).split(".")[0] for name in modules} & unsafe, path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                called = f"{node.value.id}.{node.attr}"
                assert called not in {"torch.load", "torch.save", "np.load", "np.save"}, path
            if isinstance(node, ast.keyword):
                assert node.arg != "allow_pickle", path


def test_files_hold_what_their_names_say(saved: Path) -> None:
    assert sorted(
        path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()
    ) == sorted(FILES)
    facts = json.loads((saved / "model.json").read_text(), parse_constant=pytest.fail)
    assert facts["config"]["steps"] == 5
    assert np.isfinite(facts["sharpness"])


def test_a_disk_that_fills_up_leaves_the_old_model(
    tiny_encoder: TextEncoder, tmp_path: Path
) -> None:
    """A limit on the size of files stands for the disk: writing fails in the same place."""
    config = Config(steps=1, core_items=20)
    models = [Recommender(config, encoder=tiny_encoder).fit(live_graph(), seed=s) for s in (0, 1)]
    models[0].save(tmp_path / "model")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for allowed in (1_000, 20_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (allowed, before[1]))
        try:
            with pytest.raises(ArtifactError, match=r"can't be (written|saved)"):
                models[1].save(tmp_path / "model")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        again = Recommender.load(tmp_path / "model", encoder=tiny_encoder)
        expected = models[0].recommend("person00", 5)
        assert again.recommend("person00", 5).equals(expected)
        assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_too_few_components_are_told_of(tiny_encoder: TextEncoder) -> None:
    few = Config(steps=2, catalogue_gigabytes=0, catalogue_components=1)
    with pytest.warns(UserWarning, match=r"1 components keep \d+% .* raise catalogue_components"):
        Recommender(few, encoder=tiny_encoder).fit(rich_graph())
