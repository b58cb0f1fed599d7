"""Settings: from TOML, and refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kgrec.config import Config, load_config
from kgrec.errors import ConfigError
from pydantic import ValidationError

from tests.bert import save_random_bert


def write(folder: Path, content: str) -> Path:
    path = folder / "kgrec.toml"
    path.write_text(content, encoding="utf-8")
    return path


def test_read_from_toml(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "steps = 7\npooling = 'cls'\ncold_tolerance = 0\n"))
    assert (config.steps, config.pooling, config.cold_tolerance) == (7, "cls", 0.0)
    assert config.learning_rate == Config().learning_rate
    assert load_config(write(tmp_path, "")) == Config()


def test_json_and_back() -> None:
    config = Config(steps=3, text_model="some/folder")
    assert Config(**json.loads(json.dumps(config.model_dump(mode="json")))) == config


def test_every_field_is_described() -> None:
    assert all(field.description for field in Config.model_fields.values())


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().steps = 3


def test_a_wrong_setting_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"'hops': .*; 'step': .*; fields are text_model, ") as it:
        Config(step=3, hops=7)  # type: ignore[call-arg]
    assert isinstance(it.value.__cause__, ValidationError)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("step = 3", r"'step': .*; fields are text_model, "),
        ("steps = -1", r"'steps': .*greater than or equal to 0"),
        ("steps = 'many'", r"'steps': "),
        ("cold_tolerance = 1.0", r"'cold_tolerance': .*less than 1"),
        ("learning_rate = inf", r"'learning_rate': .*finite"),
        ("prior_strength = nan", r"'prior_strength': "),
        ("pooling = 'max'", r"'pooling': .*'mean' or 'cls'"),
        ("steps = -1\nstep = 3", r"'steps': .*; 'step': "),
        ("steps =", r"is not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml can't be read"):
        load_config(tmp_path / "nowhere.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(binary)


def test_the_encoder_is_the_one_that_the_settings_name(tmp_path: Path) -> None:
    config = Config(text_model=str(save_random_bert(tmp_path)), max_length=32, text_dtype="int8")
    encoder = config.make_encoder("cuda")  # integers are computed on the CPU
    assert encoder.dimension == 32
    other = config.model_copy(update={"text_dtype": None}).make_encoder()
    assert encoder.fingerprint == other.fingerprint
    with pytest.raises(ConfigError, match="text_dtype"):
        Config(text_dtype="int4")  # type: ignore[arg-type]
