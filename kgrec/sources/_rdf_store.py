"""RDF documents into an Oxigraph store, with what the schema asks for done on the way.

Documents are streamed.  Merging by ``owl:sameAs`` and superclasses need to know all links
beforehand, so they read the documents twice; preferred languages hold the texts of the graph.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeAlias

import pyoxigraph as ox
from scipy.cluster.hierarchy import DisjointSet

from kgrec.errors import SourceError
from kgrec.limits import Limits, open_limited
from kgrec.progress import counted_rows
from kgrec.schema import RdfSettings

RDF_SUFFIXES = (".ttl", ".nt", ".n3", ".nq", ".trig", ".rdf", ".xml", ".owl", ".jsonld")
OTHER_NAMES: Mapping[str, str] = {".owl": ".rdf"}  # RDF/XML by another name
RDF_TYPE = ox.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")
SAME_AS = ox.NamedNode("http://www.w3.org/2002/07/owl#sameAs")
SUBCLASS_OF = ox.NamedNode("http://www.w3.org/2000/01/rdf-schema#subClassOf")
TEXT = ox.NamedNode("http://www.w3.org/2001/XMLSchema#string")

PROLOGUE_BYTES = 1 << 20  # of RDF/XML, in which the entities are declared
ENTITY_BYTES = 300  # namespaces are shorter
_DOCTYPE = re.compile(rb"<!DOCTYPE[^\[>]*\[(.*?)(?:\]\s*>|\Z)", re.DOTALL)
_ENTITY = re.compile(rb"<!ENTITY\s+[^\s%\"']+\s+(?:\"([^\"]*)\"|'([^']*)')\s*>")

Rank: TypeAlias = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Document:
    """RDF in one format, in a file or in memory.

    Parameters
    ----------
    name
        Path, or a name that errors show.
    format
        Its format.
    text
        The content, where it lies in memory.
    limits
        How large a file may be.
    """

    name: Path | str
    format: ox.RdfFormat
    text: bytes | None = None
    limits: Limits = field(default_factory=Limits)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open it, and name it in what goes wrong while it is read.

        Yields
        ------
        stream
            The content.

        Raises
        ------
        SourceError
            If it is malformed, too large, or can't be read.
        """
        try:
            if self.format == ox.RdfFormat.RDF_XML:
                self._refuse_expansion()
            with self._stream() as stream:
                yield stream
        except SyntaxError as error:
            line = "" if error.lineno is None else f", line {error.lineno}"
            raise SourceError(
                f"{self.name}{line} is not valid {self.format}: {self._line(error)}{error.msg}"
            ) from error
        except (OSError, EOFError, ValueError) as error:
            raise SourceError(f"{self.name} can't be read: {error}; write it again") from error

    def quads(self) -> Iterator[ox.Quad]:
        """Go through its quads.

        Yields
        ------
        pyoxigraph.Quad
            One after the other, as they stand.

        Raises
        ------
        SourceError
            As :meth:`open`.
        """
        with self.open() as stream:
            yield from ox.parse(stream, self.format)

    def _line(self, error: SyntaxError) -> str:
        """Show a line of what lies in memory, where nobody can look it up."""
        if self.text is None or error.lineno is None:
            return ""
        return f"{self.text.splitlines()[error.lineno - 1].decode(errors='replace')} "

    def _stream(self) -> AbstractContextManager[IO[bytes]]:
        if self.text is not None:
            return io.BytesIO(self.text)
        return open_limited(Path(self.name), self.limits)

    def _refuse_expansion(self) -> None:
        """Refuse entities that grow as they are replaced: the parser would take all memory."""
        with self._stream() as stream:
            start = stream.read(PROLOGUE_BYTES)
        subset = _DOCTYPE.search(start)
        declared = subset[1] if subset else b""
        values = [double or single for double, single in _ENTITY.findall(declared)]
        simple = all(len(value) <= ENTITY_BYTES and b"&" not in value for value in values)
        if subset is None or (simple and len(values) == declared.count(b"<!ENTITY")):
            return
        raise SourceError(
            f"{self.name} declares entities that are read from elsewhere, are made of others or "
            f"have more than {ENTITY_BYTES} characters, as files do that are made to fill a "
            "memory: write it again without them, as Turtle say"
        )


def load_documents(store: ox.Store, documents: Sequence[Document], settings: RdfSettings) -> None:
    """Load documents into a store.

    Parameters
    ----------
    store
        The store.
    documents
        What to load, blank nodes kept apart.
    settings
        What to do on the way.

    Raises
    ------
    SourceError
        If a document is malformed, or can't be read.
    """
    if settings == RdfSettings():
        for document in documents:
            with counted_rows(str(document.name)), document.open() as stream:
                store.bulk_load(stream, document.format)
        return
    with counted_rows(", ".join(str(document.name) for document in documents)):
        store.bulk_extend(_prepared(documents, settings))


def _prepared(documents: Sequence[Document], settings: RdfSettings) -> Iterator[ox.Quad]:
    quads = _all_quads(documents, settings.graphs)
    if settings.same_as:
        quads = _merged(quads, _representatives(_links(documents, SAME_AS, settings.graphs)))
    if settings.subclasses:
        above = _superclasses(_links(documents, SUBCLASS_OF, settings.graphs))
        quads = _with_superclasses(quads, above)
    if settings.languages:
        quads = _in_best_language(quads, settings.languages)
    return quads


def _all_quads(documents: Sequence[Document], graphs: Sequence[str]) -> Iterator[ox.Quad]:
    wanted = {ox.NamedNode(name) for name in graphs}
    for document in documents:
        for quad in document.quads():
            if not wanted or quad.graph_name in wanted:
                yield quad


def _links(
    documents: Sequence[Document], predicate: ox.NamedNode, graphs: Sequence[str]
) -> Iterator[tuple[ox.NamedNode, ox.NamedNode]]:
    for quad in _all_quads(documents, graphs):
        if quad.predicate == predicate:  # blank nodes are other ones in another reading
            head, tail = quad.subject, quad.object
            if isinstance(head, ox.NamedNode) and isinstance(tail, ox.NamedNode):
                yield head, tail


def _representatives(
    links: Iterable[tuple[ox.NamedNode, ox.NamedNode]],
) -> dict[ox.NamedNode, ox.NamedNode]:
    """Choose the one to stand for all that are the same.

    It is one that the links go out from and none goes to, as from a catalogue's own node to
    those of others; the first by the alphabet, where that leaves several or none.
    """
    groups: DisjointSet[ox.NamedNode] = DisjointSet()
    linked_to = set()
    for head, tail in links:
        groups.add(head)
        groups.add(tail)
        groups.merge(head, tail)
        linked_to.add(tail)
    chosen: dict[ox.NamedNode, ox.NamedNode] = {}
    for group in groups.subsets():
        best = min(group, key=lambda node: (node in linked_to, node.value))
        chosen |= {node: best for node in group if node != best}
    return chosen


def _merged(
    quads: Iterator[ox.Quad], chosen: Mapping[ox.NamedNode, ox.NamedNode]
) -> Iterator[ox.Quad]:
    others: Mapping[Any, Any] = chosen  # asked for terms of every kind
    for quad in quads:
        subject, value = quad.subject, quad.object
        if quad.predicate == SAME_AS:
            continue
        if subject in others or value in others:
            yield ox.Quad(
                others.get(subject, subject),
                quad.predicate,
                others.get(value, value),
                quad.graph_name,
            )
        else:
            yield quad


def _superclasses(
    links: Iterable[tuple[ox.NamedNode, ox.NamedNode]],
) -> dict[ox.NamedNode, set[ox.NamedNode]]:
    direct: dict[ox.NamedNode, set[ox.NamedNode]] = {}
    for head, tail in links:
        direct.setdefault(head, set()).add(tail)
    closure = {}
    for start in direct:
        above: set[ox.NamedNode] = set()
        waiting = [start]
        while waiting:
            new = direct.get(waiting.pop(), set()) - above
            above |= new
            waiting += new
        closure[start] = above
    return closure


def _with_superclasses(
    quads: Iterator[ox.Quad], above: Mapping[ox.NamedNode, set[ox.NamedNode]]
) -> Iterator[ox.Quad]:
    for quad in quads:
        yield quad
        if quad.predicate == RDF_TYPE and isinstance(quad.object, ox.NamedNode):
            for kind in above.get(quad.object, ()):
                yield ox.Quad(quad.subject, RDF_TYPE, kind, quad.graph_name)


def _in_best_language(quads: Iterator[ox.Quad], languages: Sequence[str]) -> Iterator[ox.Quad]:
    preferred = [language.lower() for language in languages]
    best: dict[tuple[object, ox.NamedNode, object], tuple[Rank, list[ox.Quad]]] = {}
    for quad in quads:
        value = quad.object
        if not isinstance(value, ox.Literal) or not (value.language or value.datatype == TEXT):
            yield quad
            continue
        rank = _rank(value.language, preferred)
        key = (quad.subject, quad.predicate, quad.graph_name)
        before = best.get(key)
        if before is None or rank < before[0]:
            best[key] = (rank, [quad])
        elif rank == before[0]:
            before[1].append(quad)
    for _, kept in best.values():
        yield from kept


def _rank(language: str | None, preferred: Sequence[str]) -> Rank:
    """Rank a preferred language first, then no language, then others by the alphabet.

    >>> _rank("de-at", ["en", "de"]), _rank(None, ["en", "de"]), _rank("fr", ["en", "de"])
    ((1, ''), (2, ''), (3, 'fr'))
    """
    if not language:
        return len(preferred), ""
    tag = language.lower()
    for place, wanted in enumerate(preferred):
        if tag == wanted or tag.startswith(f"{wanted}-"):
            return place, ""
    return len(preferred) + 1, tag
