"""The CLIP path for real: a small open_clip model is trained here until it tells clips apart by their
captions, saved as safetensors, loaded by path, indexed and searched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from making import ENCODER, colour_folder

from index.base import FootageError, import_torch
from index.builder import build_index
from index.decode import Decoding
from index.encoders.base import Encoder
from index.encoders.clip import ClipEncoder, read_architecture
from index.encoders.registry import load_encoder
from index.library import Library
from index.query import Matcher
from tests.conftest import REPOSITORY

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
TRUTH = json.loads((REPOSITORY / "sample_library" / "truth.json").read_text(encoding="utf-8"))
SOURCES = {
    facts["shots"][0]["caption"]: name for name, facts in sorted(TRUTH.items()) if len(facts["shots"]) == 1
}
"""Caption to file of the sample clips that are one shot."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clips under names that say nothing, in the order of their captions."""
    folder = tmp_path_factory.mktemp("clips")
    for number, name in enumerate(SOURCES.values()):
        (folder / f"{number:04}.mp4").symlink_to(REPOSITORY / "sample_library" / name)
    return folder


@pytest.fixture(scope="module")
def frames(clips: Path) -> list[list[np.ndarray]]:
    """For each clip every twelfth frame, small."""
    return [
        [frame.picture(64) for number, frame in enumerate(Decoding(path)) if number % 12 == 0]
        for path in sorted(clips.glob("*.mp4"))
    ]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    torch = import_torch()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.json"
    path.write_text(json.dumps(CONFIG))
    return path


@pytest.fixture(scope="module")
def weights(frames: list[list[np.ndarray]], config: Path, one_thread: None) -> Path:
    """Weights trained with CLIP's own loss on the frames of each clip but the last."""
    torch = import_torch()
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from PIL import Image
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.CLIP(**read_architecture(str(config))["model"])
    transform = image_transform_v2(PreprocessCfg(size=64), is_train=False)
    tokens = open_clip.tokenizer.SimpleTokenizer(context_length=32)(list(SOURCES))
    pictures = torch.stack(
        [torch.stack([transform(Image.fromarray(frame)) for frame in shown[:4]]) for shown in frames]
    )
    loss_of = open_clip.ClipLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    for step in range(120):
        batch = pictures[torch.arange(len(SOURCES)), torch.randint(0, pictures.shape[1], (len(SOURCES),))]
        loss = loss_of(*model(batch, tokens))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step > 30 and loss.item() < 0.05:
            break
    path = config.parent / "tiny.safetensors"
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, str(path))
    return path


@pytest.fixture(scope="module")
def spec(config: Path, weights: Path) -> str:
    return f"clip:{config}:{weights}"


@pytest.fixture(scope="module")
def library(clips: Path, spec: str) -> Library:
    return build_index(clips, encoder=spec, workers=1)


def test_it_tells_held_out_frames_apart(frames: list[list[np.ndarray]], spec: str) -> None:
    encoder = load_encoder(spec)
    assert isinstance(encoder, Encoder)
    held_out = [shown[-1] for shown in frames]
    pictures = encoder.project(encoder.encode_images(held_out))
    texts = encoder.encode_texts(list(SOURCES))
    assert pictures.shape == texts.shape == (len(SOURCES), encoder.feature_size)
    np.testing.assert_allclose(np.linalg.norm(np.vstack([pictures, texts]), axis=1), 1, atol=1e-5)
    top1 = ((texts @ pictures.T).argmax(axis=1) == np.arange(len(SOURCES))).mean()
    assert top1 >= 0.75  # chance is 1 in 20 or so


def test_its_index_answers_searches(library: Library) -> None:
    matcher = Matcher(library)
    right = 0
    for number, caption in enumerate(SOURCES):
        hit = matcher.search(caption, k=3)[0]
        right += library.media[hit.shot.media].paths == (f"{number:04}.mp4",)
    assert right / len(SOURCES) >= 0.75


def test_weights_are_found_from_another_folder(
    weights: Path, config: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "footage").mkdir()
    shutil.copy(clips / "0000.mp4", tmp_path / "footage")
    monkeypatch.chdir(weights.parent)
    library = build_index(tmp_path / "footage", encoder=f"clip:{config.name}:{weights.name}", workers=1)
    monkeypatch.chdir(tmp_path)
    assert library.encoder_spec == f"clip:{config}:{weights}"
    assert Library.open("footage").search("a mountain", k=1)


def test_calibration_is_the_models_own(spec: str) -> None:
    how = load_encoder(spec).calibration
    assert how.kind == "softmax"
    assert 0.005 < how.temperature < 0.2


def test_a_sigmoid_model_uses_its_own_scale_and_bias(tmp_path: Path, config: Path, weights: Path) -> None:
    torch = import_torch()
    from safetensors.torch import load_file, save_file

    sigmoid = tmp_path / "sigmoid.json"
    sigmoid.write_text(json.dumps({**CONFIG, "init_logit_bias": -10}))
    save_file({**load_file(str(weights)), "logit_bias": torch.tensor(-7.5)}, str(tmp_path / "w.safetensors"))
    encoder = load_encoder(f"clip:{sigmoid}:{tmp_path / 'w.safetensors'}")
    assert encoder.calibration.kind == "sigmoid"
    assert encoder.calibration.bias == -7.5
    assert encoder.encode_texts(["a red wall"]).shape == (1, 32)


def test_the_hash_changes_with_weights_and_preprocessing(
    tmp_path: Path, config: Path, weights: Path, spec: str
) -> None:
    same = tmp_path / "same.safetensors"
    same.write_bytes(weights.read_bytes())
    assert load_encoder(f"clip:{config}:{same}").hash == load_encoder(spec).hash
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {"mean": [0.5, 0.5, 0.5]}}))
    assert load_encoder(f"clip:{other}:{weights}").hash != load_encoder(spec).hash


def test_an_index_of_another_encoder_is_refused(library: Library, tmp_path: Path) -> None:
    with pytest.raises(FootageError, match="built with the encoder"):
        library.use_encoder(load_encoder("embedded"))
    other = build_index(colour_folder(tmp_path / "footage"), encoder=ENCODER, workers=1)
    with pytest.raises(FootageError, match="index again"):
        other.use_encoder(library.encoder)


def test_wrong_architecture(weights: Path) -> None:
    encoder = load_encoder(f"clip:ViT-B-32:{weights}")
    with pytest.raises(FootageError, match="do not fit the architecture 'ViT-B-32'"):
        encoder.encode_texts(["a red wall"])


@pytest.mark.parametrize("keep", [0, 7, 0.5])
def test_corrupt_weights(tmp_path: Path, config: Path, weights: Path, keep: float) -> None:
    data = weights.read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])
    with pytest.raises(FootageError, match="damaged"):
        load_encoder(f"clip:{config}:{path}").encode_images([np.zeros((8, 8, 3), np.uint8)])
    with pytest.raises(FootageError, match="damaged"):
        assert load_encoder(f"clip:{config}:{path}").calibration


@pytest.mark.parametrize("name", ["model.pt", "model.bin", "model.pth", "model"])
def test_pickles_are_refused(tmp_path: Path, config: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(FootageError, match="safetensors"):
        load_encoder(f"clip:{config}:{tmp_path / name}")


def test_missing_weights_and_unknown_architectures(tmp_path: Path, config: Path, weights: Path) -> None:
    with pytest.raises(FootageError, match="check the path"):
        load_encoder(f"clip:{config}:{tmp_path / 'none.safetensors'}")
    with pytest.raises(FootageError, match="no CLIP architecture"):
        load_encoder(f"clip:ViT-Z-99:{weights}")
    (tmp_path / "odd.json").write_text('{"embed_dim": 3}')
    with pytest.raises(FootageError, match="no open_clip model configuration"):
        load_encoder(f"clip:{tmp_path / 'odd.json'}:{weights}")


def test_a_missing_tokenizer_says_what_to_put_where(tmp_path: Path, weights: Path) -> None:
    path = tmp_path / "hf.json"
    text = {**CONFIG["text_cfg"], "hf_tokenizer_name": "someone/tokenizer"}
    path.write_text(json.dumps({**CONFIG, "text_cfg": text}))
    encoder = ClipEncoder("clip:hf", str(path), weights)
    with pytest.raises(FootageError, match=r"tokenizer\.json"):
        encoder.encode_texts(["a red wall"])
