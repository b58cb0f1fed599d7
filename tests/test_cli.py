"""The command line: what it prints, what it writes, and how it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from benchmarks.bolt_server import BoltServer
from kgrec.cli import app
from kgrec.demo import run_demo
from kgrec.terminal import frame_records, frame_table, make_console, print_json
from typer.testing import CliRunner, Result

COMMANDS = (
    "demo",
    "check",
    "train",
    "recommend",
    "similar",
    "explain",
    "evaluate",
    "export",
    "sync",
    "serve",
    "write-back",
)
KINDS = ("tea", "bicycle")
ITEMS_A_KIND = 12
USERS_A_KIND = 10
SCHEMA = """
name = "shop"
user = "customer"
item = "product"
interaction = "bought"

[nodes.customer]
text = false

[nodes.product]

[nodes.kind]

[relations.is_a]
head = "product"
tail = "kind"
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kinds of products and of customers; the last product of a kind is cold."""
    folder = tmp_path_factory.mktemp("shop")
    products = [(f"{kind}-{n}", kind) for kind in KINDS for n in range(ITEMS_A_KIND)]
    entities = [(name, "product", f"a {kind}") for name, kind in products]
    entities += [(kind, "kind", kind) for kind in KINDS]
    write(folder / "entities.tsv", "id type text", entities)
    write(
        folder / "relations.tsv",
        "head relation tail",
        [(name, "is_a", kind) for name, kind in products],
    )
    bought = [
        (f"{kind}-lover-{user}", f"{kind}-{n}")
        for kind in KINDS
        for user in range(USERS_A_KIND)
        for n in range(ITEMS_A_KIND - 1)
        if (user + n) % 3
    ]
    write(folder / "interactions.tsv", "user item", bought)
    last = ITEMS_A_KIND - 1
    held_out = [
        (f"{kind}-lover-{user}", f"{kind}-{last}") for kind in KINDS for user in range(USERS_A_KIND)
    ]
    write(folder / "test.tsv", "user item", held_out)
    (folder / "schema.toml").write_text(SCHEMA, encoding="utf-8")
    return folder


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep text vectors out of the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KGREC_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name in ("NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def model(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "shop.kgrec"
    values = run_json("train", str(shop), "--output", str(folder), "--device", "cpu")
    assert values["model"] == str(folder)
    assert "24 items (2 cold)" in values["graph"]
    assert values["validation"]
    return folder


def write(path: Path, header: str, rows: Sequence[tuple[str, ...]]) -> None:
    lines = [header.replace(" ", "\t"), *("\t".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


def run_process(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, after lines that break something."""
    broken = ["-c", f"{before}\nfrom kgrec.cli import main; main()"]
    how = broken if before else ["-m", "kgrec.cli"]
    return subprocess.run(  # noqa: S603  our own command line
        [sys.executable, *how, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )


def run_json(*arguments: str) -> Any:  # noqa: ANN401  whatever JSON holds
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refusal(*arguments: str) -> str:
    """Run what must fail, and give the one line of the reason."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    lines = [line for line in result.output.splitlines() if line.startswith("kgrec: ")]
    assert len(lines) == 1, result.output
    return lines[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"kgrec {command}" in result.output.partition("Example:")[2]


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["--help"], 0, "evaluate"),
        (["check", "nowhere", "--schema", "debian"], 2, "kgrec: nowhere is missing"),
        (["train", "nowhere"], 2, "--output"),
    ],
)
def test_exit_codes_of_the_process(arguments: list[str], code: int, expected: str) -> None:
    done = run_process(*arguments)
    assert done.returncode == code
    assert expected in (done.stderr if code else done.stdout)
    assert "Traceback" not in done.stderr
    if done.stderr.startswith("kgrec: "):
        assert done.stderr.count("\n") == 1


def test_the_traceback_is_shown_on_demand() -> None:
    done = run_process("--debug", "check", "nowhere", "--schema", "debian")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("kgrec: nowhere is missing")


@pytest.mark.parametrize(
    ("raised", "code", "expected"),
    [
        ("OSError(28, 'No space left on device', 'shop/a')", 2, "shop/a: No space left on device"),
        ("MemoryError()", 2, "memory is used up"),
        ("KeyboardInterrupt()", 130, "interrupted"),
        (
            "ZeroDivisionError('by zero')",
            1,
            "a fault of kgrec, please report it: ZeroDivisionError",
        ),
    ],
)
def test_unexpected_errors_are_one_line(raised: str, code: int, expected: str) -> None:
    broken = f"""
import kgrec.artifact
def fail(folder): raise {raised}
kgrec.artifact.describe_model = fail
"""
    done = run_process("inspect", "shop.kgrec", before=broken)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(f"kgrec: {expected}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("wrong", [["nonsense"], ["check", "x", "--unknown"], ["train", "x"]])
def test_wrong_usage(wrong: list[str]) -> None:
    result = run(*wrong)
    assert result.exit_code == 2
    assert "Usage" in result.output


def test_check(shop: Path) -> None:
    values = run_json("check", str(shop))
    assert values["ok"]
    assert values["interactions"]["cold_items"] == 2
    shown = run("check", str(shop)).output
    assert "is_a" in shown
    assert "product" in shown


def test_check_of_a_broken_graph(shop: Path, tmp_path: Path) -> None:
    copy(shop, tmp_path)
    write(tmp_path / "relations.tsv", "head relation tail", [("lamp", "is_a", "tea")])
    assert "1 errors to put right" in refusal("check", str(tmp_path))
    values = json.loads(run("check", str(tmp_path), "--json").stdout.partition("\nkgrec:")[0])
    assert not values["ok"]
    assert "no product: 'lamp'" in values["problems"][0]["message"]


def test_check_over_bolt(debian_bolt: BoltServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_USERNAME", debian_bolt.auth[0])
    monkeypatch.setenv("NEO4J_PASSWORD", debian_bolt.auth[1])
    call = ("check", debian_bolt.uri, "--schema", "debian", "--database", debian_bolt.database)
    assert run_json(*call)["interactions"]["cold_items"] == 54
    wrong = "--password", "wrong"
    assert debian_bolt.uri in refusal(*call, *wrong)


def test_recommendations_find_the_cold_product(model: Path) -> None:
    first, *others = run_json("recommend", str(model), "--user", "tea-lover-0", "-n", "24")
    assert first["user"] == "tea-lover-0"
    assert [first["rank"], *(row["rank"] for row in others)] == list(range(1, len(others) + 2))
    cold = [row["item"] for row in (first, *others) if row["cold"]]
    assert cold == [f"tea-{ITEMS_A_KIND - 1}", f"bicycle-{ITEMS_A_KIND - 1}"]


def test_one_history_equals_the_user_who_has_it(model: Path) -> None:
    history = ",".join(f"bicycle-{n}" for n in range(ITEMS_A_KIND - 1) if n % 3)
    wanted = run_json("recommend", str(model), "--user", "bicycle-lover-0", "-n", "3")
    found = run_json("recommend", str(model), "--history", history, "-n", "3")
    assert [row["item"] for row in found] == [row["item"] for row in wanted]


def test_output_files_hold_what_is_printed(model: Path, tmp_path: Path) -> None:
    call = ("recommend", str(model), "--user", "tea-lover-0", "--user", "tea-lover-1", "-n", "2")
    wanted = run_json(*call)
    for suffix, read in (
        (".parquet", pd.read_parquet),
        (".csv", pd.read_csv),
        (".tsv", pd.read_table),
    ):
        path = tmp_path / f"best{suffix}"
        assert run_json(*call, "--output", str(path)) == {"output": str(path), "rows": 4}
        frame = read(path)
        assert [row["item"] for row in wanted] == list(frame["item"])
        assert [row["score"] for row in wanted] == pytest.approx(list(frame["score"]))
    assert len(list(tmp_path.iterdir())) == 3


def test_similar_and_explain(model: Path) -> None:
    cold = f"tea-{ITEMS_A_KIND - 1}"
    nearest = run_json("similar", str(model), "--item", cold, "-n", "5")
    assert all(row["neighbour"].startswith("tea-") for row in nearest)
    assert cold in run("similar", str(model), "--item", cold).output
    for who in (("--user", "tea-lover-0"), ("--history", "tea-1,bicycle-1")):
        reasons = run_json("explain", str(model), *who, "--item", cold, "-n", "2")
        assert 1 <= len(reasons) <= 2
        assert {"history_item", "contribution"} <= set(reasons[0])


def test_evaluate(shop: Path) -> None:
    call = ("evaluate", str(shop), "--test", str(shop / "test.tsv"), "-k", "1", "-k", "2")
    chosen = (
        "--model",
        "kgrec,tfidfprofile",
        "--model",
        "popularity",
        "--seed",
        "0",
        "--seed",
        "1",
    )
    values = run_json(*call, *chosen, "--device", "cpu")
    models = {entry["model"]: entry for entry in values["models"]}
    assert list(models) == ["kgrec", "tfidfprofile", "popularity"]
    assert models["kgrec"]["seeds"] == [0, 1]
    assert len(models["kgrec"]["fit_seconds"]) == 2
    assert (models["kgrec"]["users"], models["kgrec"]["candidate_count"]) == (20, 2)
    assert value(models["kgrec"], "recall", 1) == 1.0
    assert value(models["tfidfprofile"], "recall", 1) == 1.0
    assert value(models["popularity"], "recall", 1) == 0.5  # all cold items are alike to it
    assert value(models["popularity"], "recall", 2) == 1.0
    (worse,) = [row for row in models["popularity"]["differences"] if row["metric"] == "recall"][:1]
    assert (models["popularity"]["against"], worse["mean"]) == ("kgrec", -0.5)
    assert worse["low"] < -0.5 < worse["high"] < 0
    assert not any(row["mean"] for row in models["kgrec"]["differences"])
    spreads = [row["spread"] for row in models["kgrec"]["metrics"] if row["metric"] == "recall"]
    assert spreads == [0.0, 0.0]


def test_evaluate_shows_a_table(shop: Path) -> None:
    call = ("evaluate", str(shop), "--test", str(shop / "test.tsv"), "-k", "1", "--confidence")
    shown = run(*call, "--model", "popularity,tfidfprofile", "--candidates", "all").output
    for expected in (
        *("popularity", "hit rate", "cold recall", "[0.", "recall against popularity"),
        *("24 candidates (all) ranked for 20 users", "0 users without a history"),
    ):
        assert expected in shown


def value(measured: dict[str, Any], metric: str, k: int) -> float:
    rows = [r for r in measured["metrics"] if (r["metric"], r["k"]) == (metric, k)]
    return float(rows[0]["mean"])


def copy(shop: Path, target: Path) -> None:
    for path in shop.iterdir():
        (target / path.name).write_bytes(path.read_bytes())


def test_train_does_not_overwrite(shop: Path, model: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in model.iterdir())
    assert "exists" in refusal("train", str(shop), "--output", str(model))
    config = tmp_path / "config.toml"
    config.write_text("steps = 2\n", encoding="utf-8")
    call = ("train", str(shop), "--output", str(model), "--config", str(config), "--force")
    assert run_json(*call)["model"] == str(model)
    assert sorted(path.name for path in model.iterdir()) == before


def test_refusals_of_a_source(shop: Path, tmp_path: Path) -> None:
    def check_after(name: str, content: str) -> str:
        copy(shop, tmp_path)
        (tmp_path / name).write_text(content, encoding="utf-8")
        return refusal("train", str(tmp_path), "--output", str(tmp_path / "model"))

    assert "unknown key 'users'" in check_after("schema.toml", SCHEMA.replace("user =", "users ="))
    assert "is not valid TOML" in check_after("schema.toml", "name =")
    assert "lacks the column 'item'" in check_after("interactions.tsv", "user\tproduct\na\ttea-1\n")
    assert "is no product: 'lamp'" in check_after("interactions.tsv", "user\titem\na\tlamp\n")
    assert "entities.tsv is empty" in check_after("entities.tsv", "")
    assert "there are no items" in check_after("entities.tsv", "id\ttype\ttext\n")
    assert "has no interactions" in check_after("interactions.tsv", "user\titem\n")
    assert not (tmp_path / "model").exists()


def test_refusals_of_addresses(tmp_path: Path) -> None:
    schema = ("--schema", "debian")
    assert "nowhere is missing" in refusal("check", "nowhere", *schema)
    assert "no schema 'nowhere' comes with kgrec" in refusal("check", "x", "--schema", "nowhere")
    assert "name a graph schema folder" in refusal("check", str(tmp_path))
    assert "holds neither tables" in refusal("check", str(tmp_path), *schema)
    assert "the scheme 'ftp'" in refusal("check", "ftp://x", *schema)
    server = "bolt://127.0.0.1:9"
    assert "127.0.0.1:9" in refusal("check", server, *schema)
    assert "belong together" in refusal("check", server, *schema, "--username", "neo4j")


def test_refusals_of_a_model(model: Path, tmp_path: Path) -> None:
    folder = str(model)
    for wrong in (tmp_path, tmp_path / "nowhere"):
        assert str(wrong) in refusal("recommend", str(wrong), "--user", "ada")
    assert "no customer has the id 'ada'" in refusal("recommend", folder, "--user", "ada")
    assert "no product has the id 'lamp'" in refusal("recommend", folder, "--history", "tea-1,lamp")
    assert "either --user or --history" in refusal("recommend", folder)
    both = ("--user", "tea-lover-0", "--history", "tea-1")
    assert "not both" in refusal("recommend", folder, *both)
    output = ("--user", "tea-lover-0", "--output")
    assert "must end in .parquet" in refusal("recommend", folder, *output, "best.txt")
    nowhere = str(tmp_path / "nowhere" / "best.csv")
    assert "can't be written" in refusal("recommend", folder, *output, nowhere)
    assert "'lamp'" in refusal("similar", folder, "--item", "lamp")
    assert "'lamp'" in refusal("explain", folder, "--user", "tea-lover-0", "--item", "lamp")
    assert "'ada'" in refusal("explain", folder, "--user", "ada", "--item", "tea-1")


def test_refusals_of_an_evaluation(shop: Path, tmp_path: Path) -> None:
    def refuse(pairs: Path, *options: str) -> str:
        return refusal("evaluate", str(shop), "--test", str(pairs), *options)

    good = shop / "test.tsv"
    assert "no model is called 'kgrek': choose from kgrec" in refuse(good, "--model", "kgrek")
    assert "nowhere.tsv can't be read" in refuse(tmp_path / "nowhere.tsv")
    pairs = tmp_path / "pairs.tsv"
    write(pairs, "user product", [("tea-lover-0", "tea-1")])
    assert "lacks the column 'item'" in refuse(pairs)
    write(pairs, "user item", [("ada", "tea-1")])
    assert "'ada'" in refuse(pairs)
    write(pairs, "user item", [])
    assert "holds no pair" in refuse(pairs)
    config = tmp_path / "config.toml"
    config.write_text("stepz = 3\n", encoding="utf-8")
    assert "stepz" in refuse(good, "--config", str(config))
    assert "the device 'warp' is not to be had" in refuse(good, "--device", "warp")


def test_the_quick_demo_finds_cold_packages() -> None:
    console = make_console()
    with console.capture() as captured:
        result: Any = run_demo(console, quick=True)
    shown = captured.get()
    models = {entry["model"]: entry for entry in result["models"]}
    assert value(models["kgrec"], "recall", 5) > 3 * value(models["popularity"], "recall", 5)
    assert "54 packages that nobody depends on yet" in shown
    assert "Left out lightgcn: takes minutes: kgrec demo --full." in shown
    assert any(row["cold"] for row in result["recommendations"])
    assert (
        json.loads(json.dumps(result))["left_out"]["clcrec"] == "takes minutes: kgrec demo --full"
    )


def test_printed_values(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({"item": ["ä"], "score": [float("nan")], "cold": [True], "rank": [1]})
    print_json({"rows": frame_records(frame), "pair": (1, "x")})
    values = json.loads(capsys.readouterr().out)
    row = {"item": "ä", "score": None, "cold": True, "rank": 1}
    assert values == {"rows": [row], "pair": [1, "x"]}
    make_console().print(frame_table(frame, title="a title"))
    assert "yes" in capsys.readouterr().out
