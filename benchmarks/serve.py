"""How fast kgrec serves and takes in what is new, against peers in the same run.

    python -m benchmarks.serve                  # all sections
    python -m benchmarks.serve put load         # some
    python -m benchmarks.serve --data FOLDER    # with ml1m-kg of benchmarks.datasets in FOLDER

Every section runs in a process of its own, with one thread for it and its peer.  Results go to
``benchmarks/results/serve.json`` and ``serve.md``; a section that did not run keeps its old one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import serving

RESULTS = Path(__file__).parent / "results"
SECTIONS: dict[str, Callable[[Path | None], dict[str, Any]]] = {
    "put": lambda _: serving.measure_put(),
    "topk": serving.measure_topk,
    "approximate": lambda _: serving.measure_approximate(),
    "load": lambda _: serving.measure_load(),
    "faults": lambda _: serving.measure_faults(),
    "fuzz": lambda _: serving.measure_fuzz(),
    "explanations": lambda _: serving.measure_deletion(),
}


def run_section(name: str, data: Path | None) -> dict[str, Any]:
    """Run a section in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.serve", "--section", name]
    if data is not None:
        command += ["--data", str(data)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    start = time.perf_counter()
    done = subprocess.run(  # noqa: S603  our own command line
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result | {"section_seconds": round(time.perf_counter() - start, 1)}


def describe_machine() -> dict[str, Any]:
    """Say what the numbers were measured on."""
    model = "unknown"
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((ln.split(": ")[1] for ln in lines if ln.startswith("model name")), model)
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def to_markdown(results: dict[str, Any]) -> str:
    """Write the results as tables."""
    lines = [
        "# Serving",
        "",
        "Made by `make bench-serve` (`python -m benchmarks.serve`); one thread for kgrec and for "
        "its peers, on a machine that others used at the same time.",
        "",
    ]
    for name, section in results.items():
        lines += [f"## {name}", ""]
        for key, value in section.items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                columns = list(value[0])
                lines += ["", f"**{key}**", "", "| " + " | ".join(columns) + " |"]
                lines += ["|" + "---|" * len(columns)]
                lines += ["| " + " | ".join(str(row[c]) for c in columns) + " |" for row in value]
                lines += [""]
            else:
                lines.append(f"- {key}: {value}")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Run the sections and write what they found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", choices=[[], *SECTIONS], default=[])
    parser.add_argument("--section", choices=list(SECTIONS), help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help="folder of the benchmark data sets")
    arguments = parser.parse_args()
    if arguments.section:
        print(json.dumps(SECTIONS[arguments.section](arguments.data)))
        return
    path = RESULTS / "serve.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in arguments.sections or SECTIONS:
        print(f"measuring {name}", file=sys.stderr)
        results[name] = run_section(name, arguments.data) | {"machine": describe_machine()}
        path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        (RESULTS / "serve.md").write_text(to_markdown(results), encoding="utf-8")


if __name__ == "__main__":
    main()
