"""An append-only file of changes: what was acknowledged is there after a crash, and nothing else.

The first line says what the file is; each further line is one change as JSON behind its number
and a checksum.  A line counts once it is on the disk with its line break: a crash in the middle of
writing leaves a last line without one, which was never acknowledged and is cut off.  Anything else
that is wrong was altered, and is refused.
"""

from __future__ import annotations

import io
import json
import logging
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from kgrec.errors import ArtifactError
from kgrec.items import Change
from kgrec.storage import sync_to_disk

FORMAT = "kgrec journal"
VERSION = 1
CHANGE: TypeAdapter[Change] = TypeAdapter(Change)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """A change of the journal.

    Parameters
    ----------
    number
        Counted from 1, on and on through compactions.
    change
        What it is.
    """

    number: int
    change: Change


@dataclass(frozen=True, slots=True)
class Place:
    """How far a journal has been read.

    Parameters
    ----------
    inode
        Which file: a compaction makes another one.
    offset
        Bytes of it that were read.
    """

    inode: int
    offset: int


@dataclass(frozen=True, slots=True)
class Header:
    """First line of a journal.

    Parameters
    ----------
    model
        Hash of the manifest of the model that it was begun beside.
    first
        Number of the first change that is in it.
    """

    model: str
    first: int


class Journal:
    """The journal of one model, which several processes may read and write.

    Parameters
    ----------
    path
        The file.  Beside it lies a lock that who writes holds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep all other writers out.

        Raises
        ------
        ArtifactError
            If the lock can't be made.
        """
        import fcntl  # not on Windows, where nothing else of this module is of use either

        place = self.path.with_name(f"{self.path.name}.lock")
        try:
            file = place.open("ab")
        except OSError as error:
            raise ArtifactError(f"{place} can't be written: {error}; make it writable") from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def begin(self, header: Header) -> None:
        """Write a journal without changes, in place of one that is there; under the lock.

        Raises
        ------
        ArtifactError
            If it can't be written; what was there is intact.
        """
        facts = {"format": FORMAT, "version": VERSION, "model": header.model, "first": header.first}
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            with new.open("wb") as file:
                file.write(json.dumps(facts).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
            sync_to_disk(self.path.parent)
        except OSError as error:
            raise ArtifactError(f"the journal {self.path} can't be written: {error}") from error

    def append(self, number: int, change: Change) -> None:
        """Write a change and wait until it is on the disk; under the lock.

        Raises
        ------
        ArtifactError
            If it can't be written; the journal is as it was.
        """
        line = _line(number, change)
        try:
            with self.path.open("ab", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                try:
                    _write_whole(file, line)
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(size)
                    raise
        except OSError as error:
            raise ArtifactError(
                f"the journal {self.path} can't be written: {error}; free some space, the change "
                "was not accepted"
            ) from error

    def has_more(self, place: Place | None) -> bool:
        """Tell quickly whether there may be something after a place."""
        try:
            facts = self.path.stat()
        except FileNotFoundError:
            return False
        return place is None or (facts.st_ino, facts.st_size) != (place.inode, place.offset)

    def read(self, place: Place | None = None) -> tuple[Header | None, list[Entry], Place | None]:
        """Read what is after a place.

        Parameters
        ----------
        place
            Where the last reading ended; from the start if the file is another one by now.

        Returns
        -------
        header : Header or None
            None where there is no journal.
        entries : list of Entry
            Whole ones only; a line that is being written is left for the next time.
        place : Place or None
            How far was read.

        Raises
        ------
        ArtifactError
            If the file is no journal, was altered, or is of another version.
        """
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return None, [], None
        except OSError as error:
            raise ArtifactError(f"the journal {self.path} can't be read: {error}") from error
        with file:
            inode = os.fstat(file.fileno()).st_ino
            first_line = file.readline()
            header = self._read_header(first_line)
            start = len(first_line)
            if place is not None and place.inode == inode:
                start = place.offset
            file.seek(start)
            content = file.read()
        end = content.rfind(b"\n") + 1
        entries = self._read_entries(content[:end], start)
        return header, entries, Place(inode, start + end)

    def cut_torn_line(self, place: Place) -> None:
        """Cut off what a crash left behind the last whole line; under the lock.

        Raises
        ------
        ArtifactError
            If the file can't be written.
        """
        try:
            with self.path.open("r+b") as file:
                rest = os.fstat(file.fileno()).st_size - place.offset
                if rest > 0:
                    logger.warning(
                        "%s ended in %d bytes of a change that was never acknowledged: cut off",
                        self.path,
                        rest,
                    )
                    file.truncate(place.offset)
                    os.fsync(file.fileno())
        except OSError as error:
            raise ArtifactError(f"the journal {self.path} can't be written: {error}") from error

    def _read_header(self, line: bytes) -> Header:
        try:
            facts = json.loads(line)
            if facts["format"] != FORMAT:
                raise ArtifactError(f"{self.path} is no kgrec journal: name another file")
            if facts["version"] != VERSION:
                raise ArtifactError(
                    f"{self.path} has the format {facts['version']}, and this kgrec reads {VERSION}"
                )
            return Header(str(facts["model"]), int(facts["first"]))
        except (ValueError, KeyError, TypeError) as error:
            raise self._altered(0, f"its first line is broken ({error})") from error

    def _read_entries(self, content: bytes, start: int) -> list[Entry]:
        entries: list[Entry] = []
        offset = start
        for line in content.splitlines(keepends=True):
            entry = self._read_entry(line, offset)
            if entries and entry.number != entries[-1].number + 1:
                raise self._altered(offset, f"change {entry.number} follows {entries[-1].number}")
            entries.append(entry)
            offset += len(line)
        return entries

    def _read_entry(self, line: bytes, offset: int) -> Entry:
        checksum, _, content = line.rstrip(b"\n").partition(b" ")
        if checksum != _checksum(content):
            raise self._altered(offset, "the checksum does not match")
        try:
            facts: dict[str, Any] = json.loads(content)
            return Entry(int(facts.pop("number")), CHANGE.validate_python(facts["change"]))
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise self._altered(offset, f"it holds no change ({error})") from error

    def _altered(self, offset: int, reason: str) -> ArtifactError:
        return ArtifactError(
            f"the journal {self.path} was altered at byte {offset:,}: {reason}; restore it from a "
            "copy, or move it away to go on without the changes in it"
        )


def _write_whole(file: io.FileIO, content: bytes) -> None:
    written = 0
    while written < len(content):
        written += file.write(content[written:])


def _line(number: int, change: Change) -> bytes:
    facts = {"number": number, "change": change.model_dump(mode="json", exclude_none=True)}
    content = json.dumps(facts, ensure_ascii=True, separators=(",", ":")).encode()
    return _checksum(content) + b" " + content + b"\n"


def _checksum(content: bytes) -> bytes:
    return f"{zlib.crc32(content):08x}".encode()
