"""What a run should cost: bytes and processor seconds by the sizes of the data.

Each stage has one or two drivers, the counts that its work is proportional to.  The seconds a unit
are taken from the smaller runs of :mod:`benchmarks.scale`, and the largest run says whether they
hold; what has not been run is told from them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kgrec.config import Config

COMPONENTS = 512  # numbers of a compressed column
VECTOR = 384  # numbers of a text's vector
CORE_MATRICES = 7  # as large as the square of the core, held at once while fitting

Run = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Counts that costs depend on.

    Parameters
    ----------
    items, nodes, edges, interactions
        Of the graph.
    core
        Items with collaborative weights.
    """

    items: int
    nodes: int
    edges: int
    interactions: int
    core: int

    @classmethod
    def of(cls, run: Run) -> Sizes:
        """Take the sizes of a run with the default settings."""
        core = min(Config().core_items, run["items"] - run["cold_items"])
        return cls(run["items"], run["nodes"], run["edges"], run["interactions"], core)

    @property
    def others(self) -> int:
        """Items outside the core."""
        return self.items - self.core


LARGE_USERS = 50_000_000
RANKED_USERS = 2_000  # of the last stage of a run
PRICE = 0.05  # dollars a core and hour, assumed; memory comes with the cores
LARGE = Sizes(100_000_000, 120_000_000, 10_000_000_000, 1_000_000_000, 16_384)


def predict_seconds(stage: str, sizes: Sizes, small: Run, middle: Run) -> float:
    """Predict the processor seconds of a stage.

    Parameters
    ----------
    stage
        Name of the stage.
    sizes
        Of the data.
    small, middle
        Runs to learn from: all items of the small one are core items, most of the other are not.

    Returns
    -------
    float
        Seconds.
    """
    known = Sizes.of(middle)
    taken = middle["stages"][stage]["cpu_seconds"]
    if stage == "fit":
        start = Sizes.of(small)
        cube = small["stages"][stage]["cpu_seconds"] / start.core**3
        other = max(0.0, taken - cube * known.core**3) / known.others
        return float(cube * sizes.core**3 + other * sizes.others)
    return float(taken * _driver(stage, sizes) / _driver(stage, known))


def _driver(stage: str, sizes: Sizes) -> int:
    match stage:
        case "load":
            return sizes.edges + sizes.interactions
        case "encode, cached":
            return sizes.nodes
        case "propagate":
            return sizes.edges
        case _:
            return sizes.items  # for a fixed number of users


def predict_gigabytes(sizes: Sizes) -> dict[str, float]:
    """Predict what the largest parts take in memory.

    Parameters
    ----------
    sizes
        Of the data.

    Returns
    -------
    dict
        Gigabytes by part.
    """
    number, position = 4, 8
    parts = {
        "columns of items outside the core": sizes.others * (2 * COMPONENTS + 1) * number,
        "vectors of texts, while fitting": sizes.nodes * VECTOR * number,
        "edges, and their matrices": sizes.edges * (2 * position + number + position),
        "interactions, and their matrix": sizes.interactions * (2 * position + number + position),
        "matrices of the core, while fitting": CORE_MATRICES * sizes.core**2 * number,
    }
    return {name: size / 1e9 for name, size in parts.items()}


def to_markdown(found: Mapping[str, Run]) -> list[str]:
    """Hold predictions against what was measured, and tell what a far larger world would take.

    Parameters
    ----------
    found
        Three runs, the smallest first.

    Returns
    -------
    list of str
        Lines of Markdown.
    """
    small, middle, large = list(found.values())
    sizes = Sizes.of(large)
    seconds: dict[str, float] = {}
    lines = [
        "\n## The cost model\n",
        f"Predicted for {sizes.items:,} items from the smaller runs, beside what was measured; and "
        f"for {LARGE.items:,} items, {LARGE.edges:,} edges and {LARGE.interactions:,} "
        "interactions, which nobody has run.\n",
        f"| processor seconds | predicted | measured | for {LARGE.items:,} items |",
        "|---|---:|---:|---:|",
    ]
    for stage, measured in large["stages"].items():
        predicted = predict_seconds(stage, sizes, small, middle)
        far = seconds[stage] = predict_seconds(stage, LARGE, middle, large)
        lines.append(
            f"| {stage} | {predicted:,.0f} | {measured['cpu_seconds']:,.0f} | {far:,.0f} |"
        )
    now, far_off = predict_gigabytes(sizes), predict_gigabytes(LARGE)
    lines += [
        f"\n| gigabytes | {sizes.items:,} items | {LARGE.items:,} items |",
        "|---|---:|---:|",
        *(f"| {part} | {now[part]:,.1f} | {far_off[part]:,.0f} |" for part in now),
        f"| together | {sum(now.values()):,.1f} | {sum(far_off.values()):,.0f} |",
    ]
    *once, last = seconds.values()
    model, lists = sum(once) / 3600, last * LARGE_USERS / RANKED_USERS / 3600
    dollars = f"{PRICE * model:,.0f} and {PRICE * lists:,.0f} dollars"
    lines.append(
        f"\nFor {LARGE.items:,} items a model takes {model:,.0f} core-hours, and exact lists for "
        f"{LARGE_USERS:,} users {lists:,.0f}: {dollars} at {PRICE} a core-hour (assumed). Each "
        "process that shares a fit holds all of the memory."
    )
    return lines
