"""Broken inputs, made from sound ones by damage of known kinds, and what a reader makes of them."""

from __future__ import annotations

import gzip
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyoxigraph as ox
from kgrec.errors import KgrecError
from kgrec.exchange import export_rdf
from kgrec.graph import GraphTables, KnowledgeGraph
from kgrec.schema import GraphSchema, NodeSchema, RelationSchema, load_schema
from kgrec.sources import open_graph
from pyarrow import csv, feather, parquet

SCHEMA = GraphSchema(
    name="films",
    user="person",
    item="film",
    interaction="watched",
    nodes={"person": NodeSchema(text=False), "film": NodeSchema(), "genre": NodeSchema()},
    relations={"has_genre": RelationSchema(head="film", tail="genre")},
)
RDF_FORMATS = {
    "ttl": ox.RdfFormat.TURTLE,
    "nt": ox.RdfFormat.N_TRIPLES,
    "nq": ox.RdfFormat.N_QUADS,
    "trig": ox.RdfFormat.TRIG,
    "rdf": ox.RdfFormat.RDF_XML,
    "jsonld": ox.RdfFormat.JSON_LD,
}
TABLE_SUFFIXES = ("csv", "tsv", "csv.gz", "parquet", "arrow")
FILMS = 30


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reader made of one broken input.

    Parameters
    ----------
    damage
        What was done to it.
    kind
        ``"refused"`` with an error of kgrec's own, ``"read"`` where what is left is a sound graph
        (a letter more in a title, say), or the name of another exception, which is a defect.
    message
        The error's message.
    seconds
        How long it took.
    """

    damage: str
    kind: str
    message: str
    seconds: float


def films() -> KnowledgeGraph:
    """Make a small sound graph."""
    ids = [f"film-{n}" for n in range(FILMS)]
    entities = pa.table(
        {
            "id": [*ids, "noir", "drama"],
            "type": ["film"] * FILMS + ["genre"] * 2,
            "text": [f'Film "{n}", a story' for n in range(FILMS)] + ["Noir", "Drama"],
        }
    )
    genres = ["noir" if n % 2 else "drama" for n in range(FILMS)]
    relations = pa.table({"head": ids, "relation": ["has_genre"] * FILMS, "tail": genres})
    log = pa.table({"user": ["ada", "bob"] * 10, "item": ids[:20], "time": list(range(20))})
    return KnowledgeGraph.from_tables(SCHEMA, GraphTables(entities, relations, log))


def read_broken(folder: Path, count: int, seed: int = 0) -> Iterator[Outcome]:
    """Damage RDF and tables in turn, and read what is left.

    Parameters
    ----------
    folder
        An empty folder to work in.
    count
        How many inputs.
    seed
        Seed of what is damaged, and where.

    Yields
    ------
    Outcome
        One an input.
    """
    draw = random.Random(seed)  # noqa: S311  no secrets
    graph = films()
    export_rdf(graph, folder / "rdf")
    schema = load_schema(folder / "rdf")
    text = (folder / "rdf" / "graph.nt").read_bytes()
    for number in range(count):
        place = folder / str(number)
        place.mkdir()
        if number % 2:
            damage = _broken_rdf(place, text, draw)
            yield _read(damage, next(place.iterdir()), schema)
        else:
            damage = _broken_tables(place, graph.to_tables(), draw)
            yield _read(damage, place, SCHEMA)


def count_kinds(outcomes: list[Outcome]) -> dict[str, int]:
    """Count outcomes by their kinds."""
    return dict(Counter(outcome.kind for outcome in outcomes))


def _read(damage: str, source: Path, schema: GraphSchema) -> Outcome:
    start = time.perf_counter()
    try:
        open_graph(source, schema)
        kind, message = "read", ""
    except KgrecError as error:
        kind, message = "refused", str(error)
    except Exception as error:  # noqa: BLE001  any other exception is what is looked for
        kind, message = type(error).__name__, str(error)
    return Outcome(damage, kind, message, time.perf_counter() - start)


def _broken_rdf(place: Path, text: bytes, draw: random.Random) -> str:
    suffix = draw.choice(list(RDF_FORMATS))
    sound = ox.serialize(
        (quad.triple for quad in ox.parse(text, ox.RdfFormat.N_TRIPLES)),
        format=RDF_FORMATS[suffix],
    )
    broken, damage = _damage(sound or b"", draw)
    is_zipped = draw.random() < 0.3
    if is_zipped:
        broken = gzip.compress(broken)
        if draw.random() < 0.5:
            broken, damage = broken[: draw.randrange(1, len(broken))], "cut within gzip"
    path = place / f"graph.{suffix}{'.gz' if is_zipped else ''}"
    path.write_bytes(broken)
    return f"{suffix}: {damage}"


def _broken_tables(place: Path, tables: GraphTables, draw: random.Random) -> str:
    suffix = draw.choice(TABLE_SUFFIXES)
    victim = draw.choice(("entities", "relations", "interactions"))
    damage = "none"
    for name in ("entities", "relations", "interactions"):
        table = getattr(tables, name)
        path = place / f"{name}.{suffix}"
        in_rows = name == victim and draw.random() < 0.5
        if in_rows:
            table, damage = _damage_rows(table, draw)
        _write(table, path)
        if name == victim and not in_rows:
            broken, damage = _damage(path.read_bytes(), draw)
            path.write_bytes(broken)
    return f"{victim}.{suffix}: {damage}"


def _damage(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    middle = draw.randrange(len(content) // 4, 3 * len(content) // 4)
    kind = draw.choice(("cut", "empty", "flipped", "binary", "text", "twice", "encoding"))
    match kind:
        case "cut":
            return content[:middle], "cut off"
        case "empty":
            return b"", "emptied"
        case "flipped":
            flipped = bytearray(content)
            for _ in range(20):
                flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
            return bytes(flipped), "bits flipped"
        case "binary":
            return content[:middle] + draw.randbytes(200) + content[middle:], "binary inside"
        case "text":
            return content[:middle] + b'\n"<>,\t;{\n' + content[middle:], "punctuation inside"
        case "twice":
            return content[:middle] + content[middle // 2 :], "a part twice"
        case _:
            return content.replace(b"story", b"st\xf6ry"), "not UTF-8"


def _damage_rows(table: pa.Table, draw: random.Random) -> tuple[pa.Table, str]:
    rows = table.to_pylist()
    row = draw.choice(rows)
    column = draw.choice(table.column_names)
    match draw.choice(("null", "unknown", "missing", "extra", "twice", "word")):
        case "null":
            row[column] = None
            return _from_rows(rows, table), f"no {column}"
        case "unknown":
            row[table.column_names[0]] = "nowhere"
            return _from_rows(rows, table), "an unknown id"
        case "missing":
            return table.drop_columns([table.column_names[1]]), "a column missing"
        case "extra":
            return table.append_column("colour", pa.array(["red"] * len(rows))), "a column more"
        case "twice":
            return pa.concat_tables([table, table.slice(0, 2)]), "rows twice"
        case _:
            values = ["soon"] * len(rows)
            return table.set_column(
                len(table.column_names) - 1, table.column_names[-1], pa.array(values)
            ), "words in the last column"


def _from_rows(rows: list[dict[str, object]], table: pa.Table) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=table.schema)


def _write(table: pa.Table, path: Path) -> None:
    match path.suffix:
        case ".parquet":
            parquet.write_table(table, path)
        case ".arrow":
            feather.write_feather(table, str(path), compression="uncompressed")
        case _:
            delimiter = "\t" if ".tsv" in path.suffixes else ","
            with pa.output_stream(path) as stream:
                csv.write_csv(table, stream, csv.WriteOptions(delimiter=delimiter))
