"""The model's settings: one frozen value, every field described, unknown keys refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kgrec.errors import ConfigError
from kgrec.text import DEFAULT_MODEL, TextEncoder


class Config(BaseModel):
    """Settings of a :class:`~kgrec.recommender.Recommender`.

    The defaults are meant to be left alone: what depends on the data (penalties, channel
    weights, the share of cold items) is chosen inside ``fit`` on validation pairs.

    Raises
    ------
    ConfigError
        If a setting is unknown or has a bad value.

    Examples
    --------
    >>> Config(steps=20).steps
    20
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    text_model: str = Field(default=DEFAULT_MODEL, description="BERT model, by name or folder")
    pooling: Literal["mean", "cls"] = Field(default="mean", description="pooling of BERT's tokens")
    text_dtype: Literal["float32", "bfloat16", "int8"] | None = Field(
        default=None,
        description="numbers that BERT computes with; by default bfloat16 where the processor has "
        "it, else float32",
    )
    max_length: int = Field(default=128, ge=8, description="tokens of a text that are read")
    hops: int = Field(default=2, ge=0, le=2, description="edges that content may travel to an item")
    words: bool = Field(default=True, description="whether words count beside vectors of texts")
    prominence: bool = Field(
        default=True,
        description="whether new items of which much is known may be ranked higher for it, "
        "as far as hidden items say",
    )
    core_items: int = Field(
        default=16_384,
        ge=2,
        description="warm items that get collaborative weights, the most used first; "
        "memory grows with its square",
    )
    catalogue_gigabytes: float = Field(
        default=4.0,
        ge=0,
        description="memory for the weights of items outside the core; where they would take more, "
        "principal components stand for them",
    )
    catalogue_components: int = Field(
        default=512,
        ge=1,
        description="how many of those components: about as many groups of items can be told "
        "apart; memory and time of a large catalogue grow with it",
    )
    steps: int = Field(default=40, ge=0, description="training steps of the propagation")
    learning_rate: float = Field(default=0.1, gt=0, description="learning rate of Adam")
    prior_strength: float = Field(
        default=0.003, ge=0, description="pull of the channel weights towards equal shares"
    )
    episode_items: int = Field(
        default=3_000, ge=2, description="warm items, drawn once, that training works on"
    )
    episode_users: int = Field(default=2_000, ge=1, description="users of a training step")
    selection_items: int = Field(
        default=6_000,
        ge=2,
        description="warm items, drawn once, that warm ranking and mixing are validated on; "
        "with more, cold ranking is validated on one fold instead of three",
    )
    low_pass_rank: int = Field(
        default=128, ge=0, description="rank of the spectral smoothing of warm scores; 0 for none"
    )
    cold_tolerance: float = Field(
        default=0.035,
        ge=0,
        lt=1,
        description="share of overall recall (on validation pairs) that may be given up to show "
        "cold items among warm ones; 0 mixes by calibrated probability alone",
    )

    if not TYPE_CHECKING:  # whoever checks types is to see the fields

        def __init__(self, **settings: object) -> None:
            try:
                super().__init__(**settings)
            except ValidationError as error:
                raise ConfigError(f"the settings are wrong: {_describe(error)}") from error

    def make_encoder(self, device: str | None = None) -> TextEncoder:
        """Make the encoder that the settings name.

        Parameters
        ----------
        device
            Device of torch; the best by default.  Integers are computed on the CPU whatever it is.

        Returns
        -------
        TextEncoder
            Nothing is loaded yet.
        """
        return TextEncoder(
            self.text_model,
            pooling=self.pooling,
            max_length=self.max_length,
            device="cpu" if self.text_dtype == "int8" else device,
            dtype=self.text_dtype,
        )


def load_config(path: str | Path) -> Config:
    """Read settings from a TOML file.

    Parameters
    ----------
    path
        A TOML file with some of the fields of :class:`Config`.

    Returns
    -------
    Config
        The settings, defaults where the file says nothing.

    Raises
    ------
    ConfigError
        If the file can't be read, is not TOML, or has an unknown key or a bad value.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        return Config(**content)
    except OSError as error:
        raise ConfigError(f"the config {path} can't be read: {error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the config {path} is not valid TOML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"the config {path}: {error}") from error


def _describe(error: ValidationError) -> str:
    faults = "; ".join(
        f"'{'.'.join(map(str, fault['loc']))}': {fault['msg']}" for fault in error.errors()
    )
    return f"{faults}; fields are {', '.join(Config.model_fields)}"
