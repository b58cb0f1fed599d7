"""The command line: read, call the verbs, print.

What takes long to import is imported inside the commands that need it.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.markup import escape
from typer.core import TyperGroup

from kgrec.commands.export import export
from kgrec.commands.inspect import inspect
from kgrec.commands.options import (
    AsJson,
    ConfigFile,
    Database,
    Device,
    History,
    Length,
    Log,
    Login,
    Model,
    Parameters,
    Password,
    RayAddress,
    RayWorkers,
    Schema,
    Source,
    Username,
    check_device,
    find_schema,
    load_settings,
    read_graph,
    source_options,
)
from kgrec.commands.recommend_all import recommend_all
from kgrec.commands.schema import schema_app
from kgrec.commands.sync import sync
from kgrec.commands.tune import tune
from kgrec.commands.write_back import write_back
from kgrec.errors import ConfigError, KgrecError
from kgrec.service.command import serve
from kgrec.terminal import (
    announce,
    frame_records,
    frame_table,
    make_console,
    measured_table,
    print_json,
)

if TYPE_CHECKING:
    import pandas as pd

    from kgrec.check import Problem
    from kgrec.evaluation import EvaluationReport
    from kgrec.graph import KnowledgeGraph
    from kgrec.lineup import Maker, Measured
    from kgrec.recommender import Recommender
    from kgrec.schema import GraphSchema

USER_ERROR = 2
OWN_ERROR = 1
INTERRUPTED = 130


class CandidateSet(StrEnum):
    """Which items are ranked in an evaluation."""

    COLD = "cold"
    WARM = "warm"
    ALL = "all"


class _Group(TyperGroup):
    """Answers every error with one line, and with the traceback only where it is asked for."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # noqa: ANN401
        try:
            return super().invoke(ctx)
        except KgrecError as error:
            _fail(ctx, str(error), USER_ERROR)
        except BrokenPipeError:
            raise  # whoever read the output has seen enough, and typer ends quietly
        except OSError as error:
            _fail(ctx, _describe_os_error(error), USER_ERROR)
        except MemoryError:
            _fail(ctx, "memory is used up: use a larger machine or a smaller graph", USER_ERROR)
        except KeyboardInterrupt:
            _fail(ctx, "interrupted", INTERRUPTED)


def _fail(ctx: typer.Context, reason: str, code: int) -> NoReturn:
    _tell(reason, debug=ctx.params["debug"])
    raise typer.Exit(code) from None


def _tell(reason: str, *, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    print(f"kgrec: {' '.join(reason.split())}", file=sys.stderr)


def _describe_os_error(error: OSError) -> str:
    """Name the file and what the system says of it, without the number of the error."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


app = typer.Typer(
    name="kgrec",
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(schema_app, name="schema")


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="show the traceback of an error beside its reason")
    ] = False,
) -> None:
    """Recommendations of items that nobody has used yet, from your knowledge graph."""


app.command(
    epilog="Example: kgrec export ./shop --schema ./shop_schema --as neo4j-csv --output shop_csv",
)(export)
app.command(epilog="Example: kgrec inspect shop.kgrec")(inspect)
app.command(
    epilog="Example: kgrec sync shop.kgrec bolt://localhost:7687 --schema ./shop_schema",
)(sync)
app.command(
    "write-back",
    epilog="Example: NEO4J_USERNAME=neo4j NEO4J_PASSWORD=… kgrec write-back shop.kgrec "
    "bolt://localhost:7687 -n 20 --similar 10",
)(write_back)
app.command(
    name="recommend-all",
    epilog="Example: kgrec recommend-all shop.kgrec --output lists -n 20 --ray local",
)(recommend_all)
app.command(
    epilog="Example: kgrec tune ./shop --schema ./shop_schema --trials 20 --output best.toml",
)(tune)


@app.command(epilog="Example: kgrec demo")
def demo(
    quick: Annotated[
        bool,
        typer.Option("--quick", help="one seed instead of three"),
    ] = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="also the baselines that are trained step by step: minutes"),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show kgrec on the data that comes with it: graph, comparison, recommendations.

    Builds an embedded Cypher database of Debian's Python packages, reads it, fits kgrec and the
    baselines, and ranks the 54 packages that no project of the graph depends on yet.  Needs no
    network and, on two cores, one to three minutes.
    """
    from kgrec.demo import run_demo

    result = run_demo(None if as_json else make_console(), quick=quick, full=full)
    if as_json:
        print_json(result)


@app.command(
    epilog="Example: NEO4J_USERNAME=neo4j NEO4J_PASSWORD=… kgrec check bolt://localhost:7687 "
    "--schema ./my_schema"
)
def check(
    source: Source,
    schema: Schema = None,
    interactions: Log = None,
    parameter: Parameters = None,
    shapes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="SHACL shapes that an RDF source must conform to"),
    ] = None,
    username: Username = None,
    password: Password = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Look a graph over: what is there, what is missing, what is wrong.

    Ends with exit code 2 if no graph can be built from the source.
    """
    from kgrec.check import check_tables
    from kgrec.sources import open_tables

    declared = find_schema(source, schema)
    login = Login(username, password, database)
    options = source_options(source, login, interactions=interactions, parameters=parameter)
    announce(f"reading {source}")
    report = check_tables(declared, open_tables(source, declared, **options))
    if shapes is not None:
        report = replace(
            report, problems=report.problems + _shape_problems(source, shapes, declared)
        )
    if as_json:
        print_json(report.to_dict())
    else:
        make_console().print(report)
    if not report.ok:
        faults = sum(problem.severity == "error" for problem in report.problems)
        raise ConfigError(f"{source}: {faults} errors to put right before a graph can be built")


@app.command(epilog="Example: kgrec train ./shop --schema ./shop_schema --output shop.kgrec")
def train(
    source: Source,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="MODEL", help="folder to write")
    ],
    schema: Schema = None,
    interactions: Log = None,
    parameter: Parameters = None,
    config: ConfigFile = None,
    seed: Annotated[int, typer.Option(min=0, help="seed of every random draw")] = 0,
    device: Device = None,
    force: Annotated[bool, typer.Option("--force", help="replace a model that is there")] = False,
    ray: RayAddress = None,
    ray_workers: RayWorkers = 2,
    username: Username = None,
    password: Password = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Learn from a graph and save the model.

    Started by torchrun, its processes share out the work; the first one saves.
    """
    if output.exists() and not force:
        raise ConfigError(f"{output} exists: name another folder, or replace it with --force")
    settings = load_settings(config)
    check_device(device)
    graph = read_graph(source, schema, Login(username, password, database), interactions, parameter)
    start = time.perf_counter()
    if ray is not None:
        from kgrec.on_ray import RayCluster

        announce(f"fitting {graph}")
        gpus = device is not None and device.startswith("cuda")
        model = RayCluster(ray, ray_workers, gpus).fit(graph, output, config=settings, seed=seed)
        _report_training(output, model, time.perf_counter() - start, as_json=as_json)
        return
    from kgrec.recommender import Recommender
    from kgrec.workers import workers_of_environment

    with workers_of_environment() as workers:
        if workers.rank == 0:
            announce(f"fitting {graph}")
        model = Recommender(
            settings,
            encoder=settings.make_encoder(device),
            device=device,
            checkpoint=output.with_name(f"{output.name}.unfinished"),
            workers=workers,
        ).fit(graph, seed=seed)
        if workers.rank:
            return
    model.save(output)
    _report_training(output, model, time.perf_counter() - start, as_json=as_json)


@app.command(
    epilog="Example: kgrec recommend shop.kgrec --user ada --user bob -n 5 --output best.parquet"
)
def recommend(
    model: Model,
    user: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="a user of the graph; may be repeated")
    ] = None,
    history: History = None,
    n: Length = 10,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="write .parquet, .csv or .tsv"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recommend items to users of the graph, or to somebody with a given history."""
    _refuse_both(user, history)
    _check_suffix(output)
    ranker = _load_model(model)
    items = _split_ids(history)
    frame = ranker.recommend(user, n) if user else ranker.recommend_for(items, n)
    if output is None:
        _show_frame(frame, as_json=as_json)
        return
    _write_frame(frame, output)
    _show_facts({"output": str(output), "rows": len(frame)}, as_json=as_json)


@app.command(epilog="Example: kgrec similar shop.kgrec --item blue-kettle -n 5")
def similar(
    model: Model,
    item: Annotated[list[str], typer.Option(metavar="ID", help="an item; may be repeated")],
    n: Length = 10,
    as_json: AsJson = False,
) -> None:
    """Find the items most like others, cold ones among them."""
    _show_frame(_load_model(model).similar_items(item, n), as_json=as_json)


@app.command(epilog="Example: kgrec explain shop.kgrec --user ada --item blue-kettle")
def explain(
    model: Model,
    item: Annotated[str, typer.Option(metavar="ID", help="the item to explain")],
    user: Annotated[str | None, typer.Option(metavar="ID", help="a user of the graph")] = None,
    history: History = None,
    n: Length = 5,
    as_json: AsJson = False,
) -> None:
    """Say why an item is recommended: what of the history speaks for it, and how they relate."""
    _refuse_both(user, history)
    ranker = _load_model(model)
    items = _split_ids(history)
    frame = ranker.explain(user, item, n) if user else ranker.explain_for(items, item, n)
    _show_frame(frame, as_json=as_json)


@app.command(
    epilog="Example: kgrec evaluate ./shop --schema ./shop_schema --test held_out.tsv "
    "--candidates cold -k 20 -k 100 --model kgrec,textnearest --seed 0 --seed 1"
)
def evaluate(
    source: Source,
    test: Annotated[
        Path, typer.Option(metavar="FILE", help="held-out pairs, columns user and item")
    ],
    schema: Schema = None,
    interactions: Log = None,
    parameter: Parameters = None,
    candidates: Annotated[
        CandidateSet, typer.Option(help="items to rank: those without interactions, others, all")
    ] = CandidateSet.COLD,
    k: Annotated[
        list[int] | None,
        typer.Option("-k", min=1, help="length of the lists; may be repeated; 20 by default"),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,NAME",
            help="models to compare, or all; kgrec, popularity and textnearest by default",
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(min=0, help="fit with this seed; may be repeated; 0 by default"),
    ] = None,
    config: ConfigFile = None,
    device: Device = None,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="show 95 % confidence intervals over users")
    ] = False,
    username: Username = None,
    password: Password = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Fit models on a graph and rank every candidate for the users of held-out pairs.

    Models: kgrec, popularity, textnearest, tfidfprofile, graphneighbourvote, itemknn, ease, als,
    contentridge, kernelridgeease, lightgcn, dropoutnet, clcrec, graphsage,
    gat.
    """
    from kgrec.evaluation import read_pairs
    from kgrec.lineup import encode_texts, ranker_makers

    settings = load_settings(config)
    check_device(device)
    encoder = settings.make_encoder(device)
    makers = _choose_models(_split_ids(model), ranker_makers(encoder, settings, device))
    pairs = read_pairs(test)
    graph = read_graph(source, schema, Login(username, password, database), interactions, parameter)
    _check_pairs(graph, pairs, test)
    announce("encoding texts")
    encode_texts(graph, encoder, makers)
    seeds, lengths = seed or [0], k or [20]
    measured = list(_measure_all(makers, graph, pairs, candidates, lengths, seeds))
    if as_json:
        models = [_compared(entry, measured[0]) for entry in measured]
        print_json({"source": source, "test": str(test), "models": models})
        return
    title = _describe_users(measured[0].report)
    make_console().print(measured_table(measured, intervals=confidence, title=escape(title)))


app.command(epilog="Example: kgrec serve shop.kgrec --port 8000")(serve)


def main() -> None:
    """Run the command line."""
    # ends like an interruption: what a command cleans up or keeps, it does then too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except Exception as error:  # noqa: BLE001  what no command expects is a fault of kgrec
        debug = "--debug" in sys.argv
        hint = "" if debug else "; kgrec --debug … shows where"
        _tell(
            f"a fault of kgrec, please report it: {type(error).__name__}: {error}{hint}",
            debug=debug,
        )
        sys.exit(OWN_ERROR)


def _shape_problems(source: str, shapes: Path, schema: GraphSchema) -> tuple[Problem, ...]:
    from kgrec.check import Problem
    from kgrec.shapes import find_violations

    return tuple(
        Problem(
            "error" if found.severity == "Violation" else "warning",
            f"{found.node} {found.path}: {found.message}",
            f"correct it in {source}, or the shape in {shapes}",
        )
        for found in find_violations(source, shapes, schema.rdf)
    )


def _load_model(folder: Path) -> Recommender:
    from kgrec.recommender import Recommender

    announce(f"loading {folder}")
    return Recommender.load(folder)


def _choose_models(names: list[str], makers: dict[str, Maker]) -> dict[str, Maker]:
    from kgrec.lineup import choose_makers, missing_package

    if names == ["all"]:
        return {name: make for name, make in makers.items() if not missing_package(name)}
    return choose_makers(makers, names or ["kgrec", "popularity", "textnearest"])


def _check_pairs(graph: KnowledgeGraph, pairs: pd.DataFrame, path: Path) -> None:
    """Look the ids up before anything is fitted."""
    if pairs.empty:
        raise ConfigError(f"{path} holds no pair: give held-out interactions")
    graph.positions(graph.schema.user, pairs["user"].unique())
    graph.positions(graph.schema.item, pairs["item"].unique())


def _measure_all(
    makers: dict[str, Maker],
    graph: KnowledgeGraph,
    pairs: pd.DataFrame,
    candidates: CandidateSet,
    lengths: list[int],
    seeds: list[int],
) -> Iterator[Measured]:
    from kgrec.lineup import fit_model, measure

    for name, make in makers.items():
        announce(f"fitting {name}")
        fits = (fit_model(make, graph, seed) for seed in dict.fromkeys(seeds))
        yield measure(name, fits, pairs, candidates=candidates.value, k=lengths)


def _compared(measured: Measured, reference: Measured) -> dict[str, Any]:
    """Give what was measured as plain values, with the differences from the first model."""
    differences = frame_records(measured.difference(reference))
    return {**measured.to_dict(), "against": reference.model, "differences": differences}


def _describe_users(report: EvaluationReport) -> str:
    left_out = (
        f"left out: {report.users_without_history:,} users without a history, "
        f"{report.users_without_pair:,} without a pair among the candidates, "
        f"{report.seen_pairs:,} pairs that are in the history"
    )
    return (
        f"{report.candidate_count:,} candidates ({report.candidates}) ranked for "
        f"{report.users:,} users; {left_out}"
    )


def _split_ids(values: list[str] | None) -> list[str]:
    parts = [part.strip() for value in values or [] for part in value.split(",")]
    return [part for part in parts if part]


def _refuse_both(user: object, history: list[str] | None) -> None:
    if bool(user) == bool(_split_ids(history)):
        raise ConfigError("give either --user or --history, and not both")


def _check_suffix(path: Path | None) -> None:
    if path is not None and path.suffix not in (".parquet", ".csv", ".tsv"):
        raise ConfigError(f"{path} must end in .parquet, .csv or .tsv")


def _write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write beside the file and rename, so that nobody reads half of it."""
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as beside:
            unfinished = Path(beside) / path.name
            if path.suffix == ".parquet":
                frame.to_parquet(unfinished, index=False)
            else:
                frame.to_csv(unfinished, sep="," if path.suffix == ".csv" else "\t", index=False)
            unfinished.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error}") from error


def _show_frame(frame: pd.DataFrame, *, as_json: bool) -> None:
    if as_json:
        print_json(frame_records(frame))
    else:
        make_console().print(frame_table(frame))


def _show_facts(facts: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        print(f"{name}: {value}")


def _report_training(output: Path, model: Recommender, seconds: float, *, as_json: bool) -> None:
    facts: dict[str, object] = {
        "model": str(output),
        "graph": repr(model.graph),
        "seconds": round(seconds, 1),
        "validation": model.validation if as_json else json.dumps(model.validation),
    }
    _show_facts(facts, as_json=as_json)


if __name__ == "__main__":
    main()
