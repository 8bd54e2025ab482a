"""Shot size by prompts: a small open_clip model learns here what pictures of each size look like, and names
those of other crops of real footage."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from filmed import middle_frames

from index.base import import_torch
from index.decode import Image
from index.encoders.clip import ClipEncoder, read_architecture
from index.encoders.embedded import EmbeddedEncoder
from index.framing import SIZE_PROMPTS, zero_shot_size
from index.measure import measure_file
from index.values import SHOT_SIZES, ShotSize

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
CLIPS = ("beach", "parkour", "scooter-black")
SHARES: dict[ShotSize, float] = {"ELS": 1.0, "MS": 0.3, "ECU": 0.06}
"""How much of the picture's height a crop of each size shows."""


def crop(still: Image, size: ShotSize, chance: np.random.Generator) -> Image:
    """A part of a picture, as a camera nearer to it would see it."""
    import cv2

    side = round(min(still.shape[:2]) * SHARES[size])
    top, left = (int(chance.integers(0, length - side + 1)) for length in still.shape[:2])
    part = still[top : top + side, left : left + side]
    return np.asarray(cv2.resize(part, (64, 64), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture(scope="module")
def stills(footage: Path) -> list[Image]:
    return middle_frames([footage / "clips" / f"{name}.mp4" for name in CLIPS], longer=960)


@pytest.fixture(scope="module")
def encoder(stills: list[Image], tmp_path_factory: pytest.TempPathFactory) -> ClipEncoder:
    """Trained to put crops beside the sentences of their sizes."""
    torch = import_torch()
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from PIL import Image as Pillow
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("sizes")
    (folder / "tiny.json").write_text(json.dumps(CONFIG))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    chance = np.random.default_rng(0)
    model = open_clip.CLIP(**read_architecture(str(folder / "tiny.json"))["model"])
    texts = [text for size in SHOT_SIZES for text in SIZE_PROMPTS[size]]
    tokens = open_clip.tokenizer.SimpleTokenizer(context_length=32)(texts)
    transform = image_transform_v2(PreprocessCfg(size=64), is_train=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    sizes = [size for size in SHARES for _ in range(8)]
    wanted = torch.tensor([SHOT_SIZES.index(size) for size in sizes])
    for _ in range(220):
        crops = [crop(stills[int(chance.integers(len(stills)))], size, chance) for size in sizes]
        pictures = torch.stack([transform(Pillow.fromarray(image)) for image in crops])
        vectors = model.encode_image(pictures, normalize=True)
        sentences = model.encode_text(tokens, normalize=True).reshape(len(SHOT_SIZES), -1, 32).mean(dim=1)
        sentences = torch.nn.functional.normalize(sentences, dim=1)
        loss = torch.nn.functional.cross_entropy(model.logit_scale.exp() * vectors @ sentences.T, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(before)
    path = folder / "tiny.safetensors"
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, str(path))
    return ClipEncoder("clip:tiny", str(folder / "tiny.json"), path)


def test_sizes_of_crops_that_were_not_trained_on(stills: list[Image], encoder: ClipEncoder) -> None:
    chance = np.random.default_rng(1)
    found = []
    for number in range(60):
        size = tuple(SHARES)[number % 3]
        windows = [crop(stills[int(chance.integers(len(stills)))], size, chance) for _ in range(3)]
        found.append((size, zero_shot_size(encoder, encoder.encode_images(windows))))
    told = Counter(found)
    assert sum(true == named for true, named in found) >= 36, told
    assert told["ELS", "ECU"] + told["ECU", "ELS"] <= 4, told


def test_a_measured_file_has_the_size_that_the_encoder_sees(footage: Path, encoder: ClipEncoder) -> None:
    measured = measure_file(footage / "clips/beach.mp4", encoder, faces=lambda _: [0.2])
    assert [shot.look.size for shot in measured.shots] == ["ELS"]
    by_faces = measure_file(footage / "clips/beach.mp4", None, faces=lambda _: [0.2])
    assert [shot.look.size for shot in by_faces.shots] == ["MS"]


def test_an_unsure_encoder_and_one_without_sentences_name_no_size(encoder: ClipEncoder) -> None:
    assert zero_shot_size(None, np.ones((1, 4), np.float32)) is None
    assert zero_shot_size(EmbeddedEncoder(), np.ones((1, 1000), np.float32)) is None
    assert zero_shot_size(encoder, np.zeros((0, 32), np.float32)) is None
    assert zero_shot_size(encoder, np.zeros((2, 32), np.float32)) is None
