"""Convert the benchmark data sets to kgrec's tables format.

One folder a data set, each with a ``schema.toml``, the three tables
(``entities.tsv.gz``, ``relations.tsv.gz``, ``interactions.tsv.gz``) and one
held-out file a protocol (``cold_test.tsv.gz``, ``warm_test.tsv.gz``).  The
source data is not shipped with the project: its folder is an argument, and
whatever is missing there is skipped with a reason.

Run ``python -m benchmarks.datasets SOURCE TARGET``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd

SPLIT_SEED = 2026
COLD_SHARE = 5  # one item in five is cold

Tables = dict[str, pd.DataFrame]


def read_items(path: Path) -> pd.DataFrame:
    """Read a gzipped JSON-lines file into a frame, every value as given."""
    return pd.read_json(path, lines=True, dtype=False, compression="gzip")


def cold_fifth(items: list[str]) -> set[str]:
    """Draw the cold fifth of the items: ids in numeric order, one fixed permutation."""
    order = sorted(items, key=int)
    permutation = np.random.default_rng(SPLIT_SEED).permutation(len(order))
    return {order[i] for i in permutation[: len(order) // COLD_SHARE]}


def joined(*parts: object) -> str:
    """Join the non-empty parts of a text with full stops."""
    return ". ".join(str(part).strip(" .") for part in parts if isinstance(part, str) and part)


def entity_frame(ids: pd.Series, kind: str, texts: pd.Series) -> pd.DataFrame:
    """Build rows of the ``entities`` table."""
    return pd.DataFrame({"id": ids.astype(str), "type": kind, "text": texts}).drop_duplicates("id")


def schema_toml(name: str, item: str, relations: dict[str, tuple[str, str]]) -> str:
    """Write the schema of a data set whose users carry no text."""
    lines = [f'name = "{name}"', 'user = "user"', f'item = "{item}"', 'interaction = "used"', ""]
    kinds = sorted({kind for pair in relations.values() for kind in pair} | {item})
    lines += [f"[nodes.{kind}]\n" for kind in kinds]
    lines.append("[nodes.user]\ntext = false\n")
    for relation, (head, tail) in sorted(relations.items()):
        lines.append(f'[relations.{relation}]\nhead = "{head}"\ntail = "{tail}"\n')
    return "\n".join(lines)


def write_folder(
    target: Path, schema: str, tables: Tables, held_out: dict[str, pd.DataFrame]
) -> None:
    """Write one data set's folder."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    (target / "schema.toml").write_text(schema, encoding="utf-8")
    for name, frame in {**tables, **held_out}.items():
        frame.to_csv(target / f"{name}.tsv.gz", sep="\t", index=False)


def split_pairs(pairs: pd.DataFrame, cold: set[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split pairs into those of warm and those of cold items."""
    is_cold = pairs["item"].isin(cold)
    return pairs[~is_cold], pairs[is_cold]


def convert_citeulike(source: Path, target: Path) -> None:
    """citeulike-a: official cold split, and the official warm split beside it."""
    items = read_items(source / "items.jsonl.gz")
    tags = items["tags"].map(lambda names: ", ".join(names).replace("_", " "))
    texts = [
        joined(title, abstract, names)
        for title, abstract, names in zip(items["title"], items["abstract"], tags, strict=True)
    ]
    triples = pd.read_csv(source / "kg.tsv.gz", sep="\t", dtype=str)
    for side in ("head", "tail"):
        triples[side] = triples[side].str.split("/").str[1]
    names = pd.read_csv(
        source / "raw" / "tags.dat.gz", header=None, sep="\x01", dtype=str, keep_default_na=False
    )[0]
    used = triples.loc[triples["relation"] == "hasTag", "tail"].drop_duplicates()
    tag_names = used.astype(int).map(names).str.replace("_", " ")
    entities = pd.concat(
        [
            entity_frame(items["item"].astype(str), "article", pd.Series(texts)),
            entity_frame(used, "tag", tag_names),
        ]
    )
    schema = schema_toml(
        "citeulike-a",
        "article",
        {"hasTag": ("article", "tag"), "cites": ("article", "article")},
    )
    for protocol in ("cold", "warm"):
        train = pd.read_csv(source / f"{protocol}_train.tsv.gz", sep="\t", dtype=str)
        test = pd.read_csv(source / f"{protocol}_test.tsv.gz", sep="\t", dtype=str)
        tables = {"entities": entities, "relations": triples, "interactions": train}
        write_folder(target / f"citeulike-a-{protocol}", schema, tables, {f"{protocol}_test": test})


def ml1m_graph(source: Path, keep: set[str]) -> tuple[Tables, dict[str, tuple[str, str]]]:
    """Entities and relations of ml1m-kg: the metadata graph and the DBpedia edges."""
    movies = read_items(source / "items.jsonl.gz")
    movies["movie_id"] = movies["movie_id"].astype(str)
    movies = movies[movies["movie_id"].isin(keep)]
    texts = pd.Series(
        [joined(t, o) for t, o in zip(movies["title"], movies["overview"], strict=True)],
        index=movies.index,
    )
    labels = pd.read_csv(source / "entities.tsv.gz", sep="\t", dtype=str, keep_default_na=False)
    labels = labels[labels["type"] != "movie"]
    metadata = pd.read_csv(source / "kg_tmdb.tsv.gz", sep="\t", dtype=str, keep_default_na=False)
    metadata["head"] = metadata["head"].str.rsplit("/", n=1).str[1]
    metadata = metadata[metadata["head"].isin(keep)]
    kinds = labels.set_index("iri")["type"]
    relations = {
        str(relation): ("movie", str(kinds[group["tail"].iloc[0]]))
        for relation, group in metadata.groupby("relation")
    }
    links = pd.read_csv(source / "movie_to_dbpedia.tsv", sep="\t", dtype=str)
    links = links[links["movie_id"].isin(keep)].drop_duplicates("dbpedia_uri")
    dbpedia = pd.read_csv(source / "kg_dbpedia.tsv.gz", sep="\t", dtype=str, keep_default_na=False)
    dbpedia["head"] = dbpedia["head"].map(links.set_index("dbpedia_uri")["movie_id"])
    dbpedia = dbpedia.dropna(subset=["head"])
    dbpedia["relation"] = dbpedia["relation"].str.replace("dbo:", "dbo_")
    relations |= {str(relation): ("movie", "resource") for relation in dbpedia["relation"].unique()}
    resources = dbpedia["tail"].drop_duplicates()
    names = resources.str.rsplit("/", n=1).str[1].map(unquote).str.replace("_", " ")
    triples = pd.concat([metadata, dbpedia])[["head", "relation", "tail"]].drop_duplicates()
    others = labels[labels["iri"].isin(triples["tail"])]
    entities = pd.concat(
        [
            entity_frame(movies["movie_id"], "movie", texts),
            others.rename(columns={"iri": "id", "label": "text"})[["id", "type", "text"]],
            entity_frame(resources, "resource", names),
        ]
    )
    return {"entities": entities, "relations": triples}, relations


def convert_ml1m(source: Path, target: Path) -> None:
    """ml1m-kg: a cold fifth of the items, and the warm split as given."""
    columns = {"user_id": "user", "movie_id": "item"}
    train, test = (
        pd.read_csv(source / f"{name}.tsv.gz", sep="\t", dtype=str).rename(columns=columns)
        for name in ("train", "test")
    )
    pairs = pd.concat([train, test], ignore_index=True)
    items = set(pairs["item"])
    graph, relations = ml1m_graph(source, items)
    schema = schema_toml("ml1m-kg", "movie", relations)
    warm, cold = split_pairs(pairs, cold_fifth(sorted(items)))
    write_folder(
        target / "ml1m-kg-cold", schema, {**graph, "interactions": warm}, {"cold_test": cold}
    )
    write_folder(
        target / "ml1m-kg-warm", schema, {**graph, "interactions": train}, {"warm_test": test}
    )


def convert_neo4j_recs(source: Path, target: Path) -> None:
    """neo4j-recs: movies with at least two ratings, a cold fifth of them."""
    ratings = pd.read_csv(source / "ratings.tsv.gz", sep="\t", dtype=str).rename(
        columns={"user_id": "user", "movie_id": "item", "timestamp": "time"}
    )
    counts = ratings["item"].value_counts()
    keep = set(counts.index[counts >= 2])
    ratings = ratings[ratings["item"].isin(keep)]
    movies = read_items(source / "items.jsonl.gz")
    movies["movie_id"] = movies["movie_id"].astype(str)
    movies = movies[movies["movie_id"].isin(keep)]
    texts = pd.Series(
        [joined(t, p) for t, p in zip(movies["ml_title"], movies["plot"], strict=True)],
        index=movies.index,
    )
    labels = pd.read_csv(source / "entities.tsv.gz", sep="\t", dtype=str, keep_default_na=False)
    triples = pd.read_csv(source / "kg.tsv.gz", sep="\t", dtype=str, keep_default_na=False)
    triples["head"] = triples["head"].str.rsplit("/", n=1).str[1]
    triples = triples[triples["head"].isin(keep)].drop_duplicates()
    others = labels[(labels["type"] != "movie") & labels["iri"].isin(triples["tail"])]
    kinds = others.set_index("iri")["type"]
    relations = {
        str(relation): ("movie", str(kinds[group["tail"].iloc[0]]))
        for relation, group in triples.groupby("relation")
    }
    entities = pd.concat(
        [
            entity_frame(movies["movie_id"], "movie", texts),
            others.rename(columns={"iri": "id", "label": "text"})[["id", "type", "text"]],
        ]
    )
    schema = schema_toml("neo4j-recs", "movie", relations)
    warm, cold = split_pairs(ratings, cold_fifth(sorted(keep)))
    tables = {
        "entities": entities,
        "relations": triples,
        "interactions": warm[["user", "item", "time"]],
    }
    write_folder(
        target / "neo4j-recs-cold", schema, tables, {"cold_test": cold[["user", "item", "time"]]}
    )


CONVERTERS = {
    "citeulike-a": convert_citeulike,
    "ml1m-kg": convert_ml1m,
    "neo4j-recs": convert_neo4j_recs,
}


def convert_all(source: Path, target: Path) -> list[str]:
    """Convert every data set whose source is present; say which ones are not."""
    converted = []
    for name, convert in CONVERTERS.items():
        if not (source / name).is_dir():
            print(f"skipped {name}: {source / name} is not there", file=sys.stderr)
            continue
        convert(source / name, target)
        converted.append(name)
    return converted


def main() -> None:
    """Convert from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="folder with one folder a raw data set")
    parser.add_argument("target", type=Path, help="folder to write the converted data sets to")
    arguments = parser.parse_args()
    print(json.dumps({"converted": convert_all(arguments.source, arguments.target)}))


if __name__ == "__main__":
    main()
