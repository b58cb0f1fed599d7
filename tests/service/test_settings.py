"""Who may reach the service, and what its command refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from kgrec.cli import app
from kgrec.errors import ConfigError
from kgrec.service.settings import ServiceSettings, Tokens, read_tokens
from typer.testing import CliRunner

LONG = "a-token-that-is-long-enough"


@pytest.fixture(autouse=True)
def no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KGREC_READ_TOKEN", raising=False)
    monkeypatch.delenv("KGREC_WRITE_TOKEN", raising=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "shop.example"])  # noqa: S104
def test_beyond_this_machine_only_with_a_token(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ServiceSettings(model=Path("model"), host=host)
    with pytest.raises(ConfigError, match=r"there is no token.*KGREC_WRITE_TOKEN"):
        read_tokens(settings)
    monkeypatch.setenv("KGREC_WRITE_TOKEN", LONG)
    assert read_tokens(settings) == Tokens(write=(LONG,))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    assert not read_tokens(ServiceSettings(model=Path("model"), host=host))


def test_tokens_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"{LONG}-1\n\n{LONG}-2\n")
    monkeypatch.setenv("KGREC_READ_TOKEN", f"{LONG}-3")
    settings = ServiceSettings(model=Path("model"), read_token_file=path)
    assert read_tokens(settings).read == (f"{LONG}-3", f"{LONG}-1", f"{LONG}-2")
    path.write_text("short")
    with pytest.raises(ConfigError, match=r"tokens is shorter than 16"):
        read_tokens(settings)
    path.unlink()
    with pytest.raises(ConfigError, match="can't be read"):
        read_tokens(settings)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "holds no kgrec model"),
        (["nowhere", "--host", "0.0.0.0"], "there is no token"),  # noqa: S104
        (["nowhere", "--rate", "often"], "the rate 'often' is none"),
    ],
)
def test_what_the_command_refuses(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["serve", *arguments])
    assert result.exit_code == 2
    assert said in result.stderr
