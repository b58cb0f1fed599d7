"""Settings of the service: what it serves, where it listens, who may ask."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from kgrec.errors import ConfigError

READ_TOKEN = "KGREC_READ_TOKEN"  # noqa: S105  names of variables
WRITE_TOKEN = "KGREC_WRITE_TOKEN"  # noqa: S105
SETTINGS = "KGREC_SERVICE"
LEAST_TOKEN = 16


class Tokens(BaseModel):
    """Bearer tokens by what they allow; one that may write may read as well."""

    model_config = ConfigDict(frozen=True)

    read: tuple[str, ...] = Field(default=(), repr=False)
    write: tuple[str, ...] = Field(default=(), repr=False)

    def __bool__(self) -> bool:
        return bool(self.read or self.write)


class ServiceSettings(BaseModel):
    """Settings of a service; tokens are read by each process itself and are not among them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path = Field(description="folder of the saved model")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=0, le=65_535, description="port to listen on")
    workers: int = Field(default=1, ge=1, description="processes that answer")
    read_only: bool = Field(default=False, description="follow what others write, write nothing")
    recall: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="search approximately, with this share of the exact best on average",
    )
    read_token_file: Path | None = Field(default=None, description="file with tokens, one a line")
    write_token_file: Path | None = Field(default=None, description="file with tokens, one a line")
    rate: str = Field(default="200/second", description="requests of one client, empty for any")
    max_body: int = Field(default=4 * 1024**2, ge=1, description="bytes of a request at most")
    reload_seconds: float = Field(
        default=2.0, ge=0, description="how often to look for a new model; 0 for never"
    )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def read_tokens(settings: ServiceSettings) -> Tokens:
    """Read the tokens from the environment and from files.

    Parameters
    ----------
    settings
        Says which files.

    Returns
    -------
    Tokens
        Empty where there are none.

    Raises
    ------
    ConfigError
        If a file can't be read, a token is too short to be a secret, or there is none and
        others than this machine could reach the service.
    """
    tokens = Tokens(
        read=_tokens(READ_TOKEN, settings.read_token_file),
        write=_tokens(WRITE_TOKEN, settings.write_token_file),
    )
    if not tokens and not settings.is_loopback:
        raise ConfigError(
            f"{settings.host} can be reached by other machines, and there is no token: set "
            f"{WRITE_TOKEN} and {READ_TOKEN}, or name files with --write-token-file and "
            "--read-token-file, or listen on 127.0.0.1"
        )
    return tokens


def _tokens(variable: str, path: Path | None) -> tuple[str, ...]:
    found = [os.environ.get(variable, "").strip()]
    if path is not None:
        try:
            found += path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the token file {path} can't be read: {error}") from error
    tokens = tuple(token for token in found if token)
    if any(len(token) < LEAST_TOKEN or not token.isascii() for token in tokens):
        raise ConfigError(
            f"a token of {variable if path is None else path} is shorter than {LEAST_TOKEN} "
            "characters or not plain ASCII: make one with `openssl rand -hex 32`"
        )
    return tokens


def to_environment(settings: ServiceSettings) -> None:
    """Leave the settings for the processes that are started next."""
    os.environ[SETTINGS] = settings.model_dump_json()


def from_environment() -> ServiceSettings:
    """Take the settings that the process was started with.

    Raises
    ------
    ConfigError
        If there are none.
    """
    if SETTINGS not in os.environ:
        raise ConfigError(f"{SETTINGS} is not set: start the service with `kgrec serve`")
    return ServiceSettings.model_validate_json(os.environ[SETTINGS])
