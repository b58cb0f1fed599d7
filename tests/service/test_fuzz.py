"""Whatever is sent, the service does not fail: schemathesis over its own description."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.service.conftest import Service


def test_no_server_error(service: Service, tmp_path: Path) -> None:
    found = subprocess.run(  # noqa: S603  our own command line
        [
            *(sys.executable, "-m", "schemathesis.cli", "run"),
            f"http://127.0.0.1:{service.port}/openapi.json",
            *("--checks", "not_a_server_error", "--max-examples", "5", "--seed", "1"),
            *("--phases", "examples,coverage,fuzzing"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-1000:]
    assert "Tested: 14" in found.stdout
