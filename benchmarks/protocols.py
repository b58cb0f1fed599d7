"""The data sets and protocols of the quality benchmark, prepared from what is there.

A protocol is a folder with a saved graph to learn from (``graph``) and held-out pairs
(``test.parquet``).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
from kgrec import datasets
from kgrec.evaluation import Candidates, read_pairs
from kgrec.graph import KnowledgeGraph
from kgrec.schema import load_schema
from kgrec.sources import read_rdf, read_tables
from kgrec.storage import is_saved_graph, save_graph

from benchmarks.datasets import CONVERTERS, cold_fifth

SHIPPED = "debian-python"


@dataclass(frozen=True, slots=True)
class Protocol:
    """A graph to learn from, pairs to find, and the candidates to rank.

    Parameters
    ----------
    dataset
        Name of the data set.
    name
        Name of the protocol: ``cold``, ``warm`` or ``mixed``.
    candidates
        Candidate sets to evaluate one fit on.
    """

    dataset: str
    name: str
    candidates: tuple[Candidates, ...]

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f"{self.dataset}-{self.name}"


PROTOCOLS = (
    Protocol(SHIPPED, "cold", ("cold", "all")),
    Protocol("neo4j-recs", "cold", ("cold", "all")),
    Protocol("ml1m-kg", "cold", ("cold", "all")),
    Protocol("ml1m-kg", "warm", ("all", "warm")),
    Protocol("ml1m-kg", "mixed", ("all", "cold", "warm")),
    Protocol("citeulike-a", "cold", ("cold", "all")),
    Protocol("citeulike-a", "warm", ("all", "warm")),
)
NAMES = tuple(dict.fromkeys(protocol.name for protocol in PROTOCOLS))
DATASETS = tuple(dict.fromkeys(protocol.dataset for protocol in PROTOCOLS))


def prepare(source: Path, work: Path, names: Sequence[str]) -> list[Protocol]:
    """Prepare the protocols of some data sets.

    Parameters
    ----------
    source
        Folder with one folder a raw data set.
    work
        Where the prepared protocols go; those that are there already stay.
    names
        Data sets.

    Returns
    -------
    list of Protocol
        Those whose data are there; why others are skipped is said on standard error.
    """
    ready = []
    for protocol in (protocol for protocol in PROTOCOLS if protocol.dataset in names):
        if protocol.dataset != SHIPPED and not (source / protocol.dataset).is_dir():
            reason = f"{source / protocol.dataset} is not there"
            print(f"skipped {protocol.folder}: {reason}", file=sys.stderr)
            continue
        if not is_saved_graph(work / protocol.folder / "graph"):
            _write(protocol, source, work)
        ready.append(protocol)
    return ready


def _write(protocol: Protocol, source: Path, work: Path) -> None:
    if protocol.dataset == SHIPPED:
        graph, test = _read_shipped()
    else:
        folder = work / "tables" / protocol.folder.replace("mixed", "warm")
        if not folder.is_dir():
            CONVERTERS[protocol.dataset](source / protocol.dataset, folder.parent)
        graph, test = _read_converted(folder, "warm" if protocol.name == "mixed" else protocol.name)
        if protocol.name == "mixed":
            graph = without_cold_fifth(graph, test)
    target = work / protocol.folder
    target.mkdir(parents=True, exist_ok=True)
    test.to_parquet(target / "test.parquet", index=False)
    save_graph(graph, target / "graph")  # last: its presence says that the folder is complete


def _read_shipped() -> tuple[KnowledgeGraph, pd.DataFrame]:
    graph = read_rdf(datasets.debian_rdf(), load_schema(datasets.debian_folder()))
    return graph, datasets.debian_cold_test().to_pandas()


def _read_converted(folder: Path, protocol: str) -> tuple[KnowledgeGraph, pd.DataFrame]:
    graph = read_tables(folder, load_schema(folder))
    return graph, read_pairs(folder / f"{protocol}_test.tsv.gz")


def without_cold_fifth(graph: KnowledgeGraph, test: pd.DataFrame) -> KnowledgeGraph:
    """Take the training pairs of the cold fifth of the items away.

    Parameters
    ----------
    graph
        The graph of the warm protocol.
    test
        Its held-out pairs.

    Returns
    -------
    KnowledgeGraph
        With fewer interactions: the test asks for warm and cold items at once.
    """
    used = graph.items.ids.filter(pa.array(~graph.is_cold)).to_pylist()
    cold = cold_fifth(sorted({*used, *test["item"]}))
    is_cold = graph.items.positions(sorted(cold))
    log = graph.interactions
    return graph.with_interactions(log.select(~pd.Series(log.item).isin(is_cold).to_numpy()))
