"""Kill a writer again and again: what it acknowledged is there, and nothing by halves.

Each round loads a model, lets a child make random changes that it acknowledges one by one, kills
the child with SIGKILL at a random moment, and compares the model that is loaded then with one that
has got the acknowledged changes (and the one that was under way, or not) in the same order.

    python -m benchmarks.kills --rounds 50 --writes 1000
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kgrec import Config, Recommender, TextEncoder
from kgrec.items import AddInteractions, Change, Edge, Interaction, Item, PutItems, RemoveItems
from kgrec.journal import CHANGE
from kgrec.live import LiveModel
from kgrec.ranker import UserBatch
from tests.bert import save_random_bert
from tests.live_world import WORDS, live_graph


@dataclass(frozen=True)
class Round:
    """What one round found.

    Parameters
    ----------
    acknowledged
        Changes that the child had acknowledged when it was killed.
    found
        Changes in the model afterwards.
    equal
        Whether the model scores exactly as one that got these changes without a crash.
    """

    acknowledged: int
    found: int
    equal: bool

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, and nothing is there by halves."""
        return self.equal and self.acknowledged <= self.found <= self.acknowledged + 1


def draw_change(random: np.random.Generator, number: int) -> Change:
    """Draw a change: mostly new items, some of them changed or removed later, and interactions."""
    match random.integers(4):
        case 0:
            return AddInteractions(
                interactions=(
                    Interaction(
                        user=f"person{random.integers(30):02}",
                        item=f"film{random.integers(20):02}",
                        time=number,
                    ),
                )
            )
        case 1 if number > 8:
            ids = tuple(f"new{number % 8}" for _ in range(1))
            return PutItems(items=tuple(Item(id=name, text="song") for name in ids))
        case _:
            return PutItems(
                items=tuple(
                    Item(
                        id=f"new{(number + part) % 40}",
                        text=" ".join(random.choice(WORDS, 3)),
                        edges=(Edge(relation="has_genre", node=f"genre{random.integers(9)}"),),
                    )
                    for part in range(random.integers(1, 3))
                )
            )


def write_until_killed(
    folder: Path, encoder: TextEncoder, seed: int, writes: int, ack: int
) -> None:
    """Make changes and acknowledge each by a byte."""
    live = LiveModel(folder, encoder=encoder)
    random = np.random.default_rng(seed)
    for number in range(writes):
        live.apply(draw_change(random, number))
        os.write(ack, b"+")
        if number % 37 == 36:
            live.apply(RemoveItems(ids=(live.current().graph.items.ids[-1].as_py(),)))
            os.write(ack, b"+")
        if number % 97 == 96:
            live.compact()


def run_round(original: Path, encoder: TextEncoder, seed: int, writes: int) -> Round:
    """Kill one child and look at what is left."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        Recommender.load(original, encoder=encoder).save(folder)
        listen, ack = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                write_until_killed(folder, encoder, seed, writes, ack)
                os._exit(0)
            finally:
                os._exit(1)
        os.close(ack)
        time.sleep(float(np.random.default_rng(seed).uniform(0.05, 1.5)))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WEXITSTATUS(status):
            raise RuntimeError("the writer failed before it was killed")
        acknowledged = 0
        while chunk := os.read(listen, 65_536):
            acknowledged += len(chunk)
        os.close(listen)
        live = LiveModel(folder, encoder=encoder)
        expected = Recommender.load(original, encoder=encoder)
        for change in _changes(expected, seed, writes, live.position):
            expected.apply(change)
        return Round(acknowledged, live.position, _same(live.current(), expected))


def _changes(ranker: Recommender, seed: int, writes: int, count: int) -> list[Change]:
    """Draw the same changes once more."""
    random = np.random.default_rng(seed)
    other = Recommender.__new__(Recommender)
    other.__setstate__(ranker.__getstate__())
    drawn: list[Change] = []
    for number in range(writes):
        if len(drawn) >= count:
            break
        drawn.append(draw_change(random, number))
        other.apply(drawn[-1])
        if number % 37 == 36 and len(drawn) < count:
            drawn.append(RemoveItems(ids=(other.graph.items.ids[-1].as_py(),)))
            other.apply(drawn[-1])
    return [CHANGE.validate_python(change) for change in drawn]


def _same(left: Recommender, right: Recommender) -> bool:
    if left.graph != right.graph:
        return False
    one, other = (r._score(UserBatch(r.histories)) for r in (left, right))  # noqa: SLF001
    return bool((one == other).all())


def run_rounds(rounds: int, writes: int) -> list[Round]:
    """Run all rounds on a small model."""
    with tempfile.TemporaryDirectory() as name:
        encoder = TextEncoder(save_random_bert(Path(name)), max_length=32, cache_dir=False)
        ranker = Recommender(Config(steps=2, core_items=20), encoder=encoder).fit(live_graph())
        ranker.save(Path(name) / "model")
        return [run_round(Path(name) / "model", encoder, seed, writes) for seed in range(rounds)]


def main() -> None:
    """Print what the rounds found, and fail if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--writes", type=int, default=1000)
    arguments = parser.parse_args()
    found = run_rounds(arguments.rounds, arguments.writes)
    facts = {
        "rounds": len(found),
        "ok": sum(one.ok for one in found),
        "acknowledged": sum(one.acknowledged for one in found),
        "lost": sum(max(0, one.acknowledged - one.found) for one in found),
        "half": sum(not one.equal for one in found),
    }
    print(json.dumps(facts))
    sys.exit(facts["ok"] != facts["rounds"])


if __name__ == "__main__":
    main()
