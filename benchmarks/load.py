"""Reading while others write: ``python -m benchmarks.load``.

Threads ask one model for recommendations while others put, remove and use items.  Every answer
has to be that of one version of the model: afterwards the changes are replayed one by one on the
saved model, and each answer is looked for among those of the versions.  With ``--soak`` the same
goes on for minutes, and the memory of the process is compared between its first minute and its end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from kgrec import Config, Recommender, TextEncoder
from kgrec.items import AddInteractions, Change, Edge, Interaction, Item, PutItems, RemoveItems
from kgrec.journal import Journal
from kgrec.live import LiveModel, journal_path
from tests.bert import save_random_bert
from tests.live_world import WORDS, live_graph

from benchmarks.quality import write_text

ASKED = [f"person{number:02}" for number in range(6)]
LISTED = 8
CHANGING = 12  # items that come and go
PAUSE_SECONDS = 0.01  # between changes
KEPT = 4_000  # answers a reader keeps to be compared
PAGE = os.sysconf("SC_PAGE_SIZE")

Answer = tuple[tuple[str, float], ...]


@dataclass
class Found:
    """What a run found.

    Parameters
    ----------
    answers
        How many answers there were.
    changes
        How many changes were made.
    wrong
        Answers that belong to no version.
    errors
        What was raised.
    memory
        Megabytes in use, once a second.
    """

    answers: int = 0
    changes: int = 0
    wrong: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """By which share the memory of the last tenth is above that after the first tenth."""
        tenth = max(1, len(self.memory) // 10)
        early, late = self.memory[tenth : 2 * tenth] or self.memory, self.memory[-tenth:]
        return float(np.median(late) / np.median(early) - 1)


def answer_of(model: Recommender, user: str) -> Answer:
    """Give a user's list with its scores."""
    frame = model.recommend(user, LISTED)
    return tuple(zip(frame["item"].tolist(), frame["score"].tolist(), strict=True))


def draw_change(random: np.random.Generator, writer: int) -> Change:
    """Draw a change; each writer has items of its own."""
    name = f"new{writer}-{random.integers(CHANGING)}"
    if random.random() < 0.4:
        item = f"film{random.integers(20):02}"
        user = str(random.choice(ASKED))
        return AddInteractions(interactions=(Interaction(user=user, item=item, time=1),))
    edges = (Edge(relation="has_genre", node=f"genre{random.integers(9)}"),)
    return PutItems(items=(Item(id=name, text=" ".join(random.choice(WORDS, 3)), edges=edges),))


def run(folder: Path, seconds: float, *, readers: int, writers: int, compact: bool) -> Found:
    """Read and write for some time.

    Parameters
    ----------
    folder
        An empty folder to work in.
    seconds
        How long.
    readers, writers
        How many threads of each.
    compact
        Whether writers fold their changes into the model now and then, which a soak does, so that
        the journal stays short; the answers are not compared then.

    Returns
    -------
    Found
        What was found.
    """
    encoder = TextEncoder(save_random_bert(folder), max_length=32, cache_dir=False)
    model = Recommender(Config(steps=2, core_items=20), encoder=encoder).fit(live_graph(), seed=1)
    model.save(folder / "model")
    live = LiveModel(folder / "model", encoder=encoder)
    found, until = Found(), time.monotonic() + seconds
    given: list[tuple[str, Answer]] = []
    answers, changes = list[int](), list[int]()  # of each thread

    def read(number: int) -> None:
        random, own = np.random.default_rng(number), list[tuple[str, Answer]]()
        count = 0
        while time.monotonic() < until:
            user = str(random.choice(ASKED))
            answer = answer_of(live.current(), user)
            count += 1
            if not compact and (len(own) < KEPT or random.random() < KEPT / count):
                own.append((user, answer))
        answers.append(count)
        given.extend(own)

    def write(number: int) -> None:
        random = np.random.default_rng(1_000 + number)
        count = 0
        while time.monotonic() < until:
            live.apply(draw_change(random, number))
            count += 1
            if compact and count % 200 == 0:
                there = live.current().graph.items.ids.to_pylist()
                own = tuple(name for name in there if name.startswith(f"new{number}-"))
                live.apply(RemoveItems(ids=own))
                live.compact()
            time.sleep(PAUSE_SECONDS)
        changes.append(count)

    def watch() -> None:
        while time.monotonic() < until:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            found.memory.append(pages * PAGE / 1e6)
            time.sleep(1.0)

    threads = [_thread(found, read, number) for number in range(readers)]
    threads += [_thread(found, write, number) for number in range(writers)]
    threads.append(_thread(found, lambda _: watch(), 0))
    for thread in threads:
        thread.join()
    found.answers, found.changes = sum(answers), sum(changes)
    if not compact:
        _compare(folder / "model", encoder, given, found)
    return found


def _thread(found: Found, work: Callable[[int], None], number: int) -> threading.Thread:
    def carry_out() -> None:
        try:
            work(number)
        except Exception as error:  # noqa: BLE001  any error is one too many
            found.errors.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=carry_out)
    thread.start()
    return thread


def _compare(
    folder: Path, encoder: TextEncoder, given: list[tuple[str, Answer]], found: Found
) -> None:
    """Look each answer up among those of all versions."""
    model = Recommender.load(folder, encoder=encoder)
    _, entries, _ = Journal(journal_path(folder)).read()
    known = {(user, answer_of(model, user)) for user in ASKED}
    for entry in entries:
        model.apply(entry.change)
        known |= {(user, answer_of(model, user)) for user in ASKED}
    found.wrong = [f"{user}: {answer}" for user, answer in given if (user, answer) not in known]


def keep(output: Path, kind: str, seconds: float, found: Found, how: dict[str, int]) -> None:
    """Keep what a run found, and print the table of all kinds.

    Parameters
    ----------
    output
        Folder of the results.
    kind
        ``load`` or ``soak``.
    seconds
        How long the run took.
    found
        What it found.
    how
        How many readers and writers there were.
    """
    path = output / "load.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    rows[kind] = {"seconds": seconds, **how, "answers": found.answers, "changes": found.changes}
    rows[kind] |= {"errors": len(found.errors), "of no version": len(found.wrong)}
    rows[kind]["memory grown"] = round(found.growth, 4)
    write_text(path, json.dumps(rows, indent=2) + "\n")
    lines = [
        "| run | seconds | readers | writers | answers | changes | errors | of none | memory |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in rows.items():
        # answers are kept to be compared in one and not in the other, where memory says something
        versions = f"{row['of no version']}" if name == "load" else ""
        memory = f"{row['memory grown']:+.1%}" if name == "soak" else ""
        cells = [name, f"{row['seconds']:.0f}", row["readers"], row["writers"]]
        cells += [f"{row['answers']:,}", f"{row['changes']:,}", row["errors"], versions, memory]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    write_text(output / "load.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


def main() -> None:
    """Print what was found, and fail if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--soak", action="store_true", help="look at the memory")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kgrec-load-") as name:
        how = {"readers": given.readers, "writers": given.writers}
        found = run(Path(name), given.seconds, **how, compact=given.soak)
    keep(given.output, "soak" if given.soak else "load", given.seconds, found, how)
    for what in [*found.errors[:5], *found.wrong[:5]]:
        print(what, file=sys.stderr)
    sys.exit(bool(found.errors or found.wrong))


if __name__ == "__main__":
    main()
