"""A saved model that takes changes for good: a recommender with a journal beside its folder."""

from __future__ import annotations

import copy
import logging
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from kgrec.artifact import digest_of_model, read_journal_position
from kgrec.errors import ArtifactError, ConfigError, SourceError, UnknownIdError
from kgrec.items import AddInteractions, Change
from kgrec.journal import Entry, Header, Journal, Place
from kgrec.recommender import Recommender
from kgrec.storage import finish_replacement
from kgrec.text import TextEncoder

logger = logging.getLogger(__name__)


def journal_path(folder: Path) -> Path:
    """Name the journal of a model: ``shop.kgrec.journal`` beside ``shop.kgrec``."""
    return folder.with_name(f"{folder.name}.journal")


class LiveModel:
    """A model that several processes may serve and change at the same time.

    Whoever asks gets a recommender that never changes under their hands and that has all changes
    in it that any process has acknowledged before.

    Parameters
    ----------
    folder
        Folder of the saved model; the journal lies beside it.
    encoder
        Encoder of the texts; by default the BERT model that the settings name.
    read_only
        Follow what others write, and write nothing.
    recall
        Search a catalogue that is large enough to be compressed approximately, with this share
        of the exact best on average (:meth:`~kgrec.recommender.Recommender.build_index`); by
        default each is searched exactly.

    Raises
    ------
    ArtifactError
        If the model or the journal is missing, was altered, or can't be written.

    Examples
    --------
    Changes of one process are seen by all::

        live = LiveModel("shop.kgrec")
        live.apply(PutItems(items=[Item(id="kettle", text="A blue kettle")]))
        live.current().recommend("ada")
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        encoder: TextEncoder | None = None,
        read_only: bool = False,
        recall: float | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.read_only = read_only
        self._recall = recall
        self.skipped = 0
        self.is_warm = False
        self._encoder = encoder
        self._journal = Journal(journal_path(self.folder))
        self._changing = threading.RLock()
        self._loaded = self._load()
        if not read_only:
            self._begin_journal()

    @property
    def position(self) -> int:
        """Number of the last change that is in the model."""
        return self._loaded.position

    @property
    def version(self) -> str:
        """Hash that tells the saved model from others."""
        return self._loaded.digest

    def warm_up(self) -> None:
        """Load the text model now, rather than when the first new item arrives.

        Raises
        ------
        ArtifactError
            If it is not to be had.
        """
        self._loaded.recommender.encoder.load()
        self.is_warm = True

    def current(self) -> Recommender:
        """Give the recommender with all changes in it that were acknowledged before.

        Returns
        -------
        Recommender
            To be read, and not to be changed.

        Raises
        ------
        ArtifactError
            If the journal was altered.
        """
        if self._journal.has_more(self._loaded.place):
            with self._changing:
                self._loaded = self._catch_up(self._loaded)
        return self._loaded.recommender

    def apply(self, change: Change) -> int:
        """Carry out a change, and write it down before anybody sees it.

        Parameters
        ----------
        change
            Items to put or to remove, or interactions.

        Returns
        -------
        int
            Number of the change.

        Raises
        ------
        SourceError, UnknownIdError
            If it breaks the schema or names what is not there; nothing has changed.
        ConfigError
            If the model is served read-only, or the encoder is another one.
        ArtifactError
            If it can't be written down; nothing has changed.
        """
        if self.read_only:
            raise ConfigError("this replica is read-only: send changes to the one that writes")
        with self._changing, self._journal.lock():
            before = self._catch_up(self._loaded)
            if before.place is not None:  # of another writer that was killed
                self._journal.cut_torn_line(before.place)
            recommender = copy.copy(before.recommender)
            dated = _dated(change, recommender)
            recommender.apply(dated)
            self._journal.append(before.position + 1, dated)
            _, _, place = self._journal.read(before.place)
            self._loaded = replace(
                before, recommender=recommender, position=before.position + 1, place=place
            )
            return self._loaded.position

    def compact(self) -> None:
        """Save the model with all changes in it, and begin an empty journal.

        Raises
        ------
        ArtifactError
            If the folder or the journal can't be written; a crash half way loses nothing.
        ConfigError
            If the model is served read-only.
        """
        if self.read_only:
            raise ConfigError("this replica is read-only: compact the one that writes")
        with self._changing, self._journal.lock():
            now = self._catch_up(self._loaded)
            now.recommender.save(self.folder, journal_position=now.position)
            digest = digest_of_model(self.folder)
            self._journal.begin(Header(digest, now.position + 1))
            _, _, place = self._journal.read()
            self._loaded = _Loaded(now.recommender, digest, now.position, place)

    def reload(self) -> bool:
        """Load the model of the folder if it is another one by now; who asks is served meanwhile.

        Returns
        -------
        bool
            Whether there was another one.

        Raises
        ------
        ArtifactError
            If it is broken; the one that was loaded goes on.
        """
        if digest_of_model(self.folder) == self._loaded.digest:
            return False
        fresh = self._load()
        with self._changing:
            self._loaded = self._catch_up(fresh)
        return True

    def _load(self) -> _Loaded:
        """Load the model and replay what it has not in it."""
        for _ in range(3):
            finish_replacement(self.folder)
            digest = digest_of_model(self.folder)
            recommender = Recommender.load(self.folder, encoder=self._encoder)
            self._encoder = recommender.encoder
            if self._recall is not None and recommender.is_compressed:
                recommender.build_index(self._recall)
            position = read_journal_position(self.folder)
            if position is None:  # trained anew: what was compacted away is in its source
                header, _, _ = self._journal.read()
                position = 0 if header is None else header.first - 1
            if digest_of_model(self.folder) == digest:  # not replaced while it was read
                return self._catch_up(_Loaded(recommender, digest, position, None))
        raise ArtifactError(f"{self.folder} is replaced again and again: wait until it rests")

    def _begin_journal(self) -> None:
        with self._journal.lock():
            header, _, place = self._journal.read(self._loaded.place)
            if header is None:
                first = self._loaded.position + 1
                self._journal.begin(Header(self._loaded.digest, first))
            elif place is not None:
                self._journal.cut_torn_line(place)
        self._loaded = self._catch_up(self._loaded)

    def _catch_up(self, loaded: _Loaded) -> _Loaded:
        header, entries, place = self._journal.read(loaded.place)
        if header is None:
            return loaded
        new = [entry for entry in entries if entry.number > loaded.position]
        if max(header.first, new[0].number if new else 0) > loaded.position + 1:
            return self._after_gap(loaded, header)
        is_own = header.model == loaded.digest
        for entry in new:
            loaded = self._replay(loaded, entry, strict=is_own)
        return replace(loaded, place=place)

    def _after_gap(self, loaded: _Loaded, header: Header) -> _Loaded:
        """Load the model anew: the changes in between are in it and no more in the journal."""
        if digest_of_model(self.folder) != loaded.digest:
            return self._load()
        raise ArtifactError(
            f"the journal {self._journal.path} begins with change {header.first}, and the model "
            f"in {self.folder} has {loaded.position} changes in it: the ones between are lost; "
            "restore the model or the journal that belongs to the other, or move the journal away"
        )

    def _replay(self, loaded: _Loaded, entry: Entry, *, strict: bool) -> _Loaded:
        recommender = copy.copy(loaded.recommender)
        try:
            recommender.apply(entry.change)
        except (SourceError, UnknownIdError) as error:
            if strict:
                raise ArtifactError(
                    f"change {entry.number} of the journal {self._journal.path} does not fit the "
                    f"model that it was made for: {error}"
                ) from error
            self.skipped += 1
            logger.warning(
                "change %d of %s does not fit the new model and is left out: %s",
                entry.number,
                self._journal.path,
                error,
            )
            recommender = loaded.recommender
        return replace(loaded, recommender=recommender, position=entry.number)


@dataclass(frozen=True, slots=True, eq=False)
class _Loaded:
    """A recommender and how it came about; replaced as a whole."""

    recommender: Recommender
    digest: str
    position: int
    place: Place | None


def _dated(change: Change, recommender: Recommender) -> Change:
    """Write down when interactions happened, so that replaying them later gives the same."""
    if not isinstance(change, AddInteractions) or recommender.graph.interactions.time is None:
        return change
    now = int(time.time())
    return AddInteractions(
        interactions=tuple(
            one if one.time is not None else one.model_copy(update={"time": now})
            for one in change.interactions
        )
    )
