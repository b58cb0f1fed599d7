"""Processes that run the same program on the same data, and share out its independent parts.

Every process goes through ``fit`` alike.  Where the work falls into parts that need nothing of each
other (folds and settings to validate, draws to train on, items to compute columns of, texts to
encode), each process does some of them and all get all results.  A part is computed as it would be
in one process, so that the result is the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch
from torch import distributed

from kgrec.errors import ConfigError, TrainingError

WORLD_SIZE = "WORLD_SIZE"  # set by torchrun

Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers(Protocol):
    """Some processes, of which this is one."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        ...

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    def share_out(self, tasks: Sequence[Task], work: Callable[[Task], Result]) -> list[Result]:
        """Do some work for each task; every process calls this with the same tasks.

        Parameters
        ----------
        tasks
            What there is to do.
        work
            Does one of them, and nothing else.

        Returns
        -------
        list
            What each task gave, in their order, in every process.
        """
        ...


class Alone:
    """One process, which does everything.

    Examples
    --------
    >>> Alone().share_out([1, 2, 3], lambda number: number**2)
    [1, 4, 9]
    """

    @property
    def rank(self) -> int:
        """Zero."""
        return 0

    @property
    def count(self) -> int:
        """One."""
        return 1

    def share_out(self, tasks: Sequence[Task], work: Callable[[Task], Result]) -> list[Result]:
        """Do all of the work."""
        return [work(task) for task in tasks]


class TorchWorkers:
    """The processes of torch's default group, as ``torchrun`` or Ray Train start them.

    Raises
    ------
    ConfigError
        If there is no group.
    """

    def __init__(self) -> None:
        if not (distributed.is_available() and distributed.is_initialized()):
            raise ConfigError(
                "torch.distributed has no group of processes: start them with torchrun, or leave "
                "workers away"
            )
        self._rank, self._count = distributed.get_rank(), distributed.get_world_size()

    @property
    def rank(self) -> int:
        """Number of this process."""
        return self._rank

    @property
    def count(self) -> int:
        """How many processes there are."""
        return self._count

    def share_out(self, tasks: Sequence[Task], work: Callable[[Task], Result]) -> list[Result]:
        """Do each ``count``-th of the work, and get the rest from the others.

        Raises
        ------
        TrainingError
            If it failed in another process; in the one where it did, that error.
        """
        done: dict[int, Result] = {}
        failure: Exception | None = None
        try:
            for place in range(self._rank, len(tasks), self._count):
                done[place] = work(tasks[place])
        except Exception as error:  # noqa: BLE001  the others wait for an answer
            failure = error
        told = None if failure is None else f"{type(failure).__name__}: {failure}"
        answers: list[tuple[dict[int, Result], str | None] | None] = [None] * self._count
        distributed.all_gather_object(answers, (done, told))
        if failure is not None:
            raise failure
        everything: dict[int, Result] = {}
        for rank, answer in enumerate(answers):
            if answer is None or answer[1] is not None:
                reason = "no answer" if answer is None else answer[1]
                raise TrainingError(f"worker {rank} failed ({reason}): see its output")
            everything |= answer[0]
        return [everything[place] for place in range(len(tasks))]


@contextmanager
def workers_of_environment() -> Iterator[Workers]:
    """Join the processes that ``torchrun`` started, where it did; else be alone.

    Yields
    ------
    Workers
        Until the group is taken apart.
    """
    if int(os.environ.get(WORLD_SIZE, "1")) < 2:
        yield Alone()
        return
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield TorchWorkers()
    finally:
        distributed.destroy_process_group()
