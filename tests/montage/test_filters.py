"""Sources that need care: HDR of light coded by the standards' formulas, transparency in WebM, slow pans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filmlab import SIZE, clip_of, colours, luma, make, timeline

from index.probe import read_media
from montage.film import render_timeline
from montage.process import run_ffmpeg
from montage.timeline import Framing

PATCHES = np.array(
    [[118] * 3, [190] * 3, [255] * 3, [192, 32, 32], [32, 160, 64], [48, 80, 208], [224, 172, 140]]
)
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
LUMA = np.array([0.2627, 0.678, 0.0593])
WHITE = 203
"""Nits (ITU-R BT.2408)."""


def _coded(nits: np.ndarray, transfer: str) -> np.ndarray:
    """Light as SMPTE ST 2084 or ITU-R BT.2100 HLG (1000 nits) codes it."""
    if transfer == "smpte2084":
        power = (nits / 10_000) ** 0.1593017578125
        return np.asarray(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375)
    scene = nits / 1000 * ((nits / 1000) @ LUMA)[:, None] ** (1 / 1.2 - 1)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright))


def _hdr(path: Path, nits: np.ndarray, transfer: str) -> Path:
    """Upright bands of this light, ten bits, tagged."""
    code = _coded(nits, transfer)
    bright = code @ LUMA
    planes = [64 + 876 * bright, 512 + 896 * (code[:, 2] - bright) / 1.8814,
              512 + 896 * (code[:, 0] - bright) / 1.4746]  # fmt: skip
    frame = b"".join(
        np.repeat(np.repeat(plane.round().astype("<u2"), 40 // step)[None], 180 // step, 0).tobytes()
        for plane, step in zip(planes, (1, 2, 2), strict=True)
    )
    tags = ["-color_trc", transfer, "-color_primaries", "bt2020", "-colorspace", "bt2020nc"]
    run_ffmpeg(
        ["-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s", f"{40 * len(nits)}x180",
         "-r", "25", "-i", "pipe:0",
         "-vf", f"setparams=color_trc={transfer}:color_primaries=bt2020:colorspace=bt2020nc:range=tv",
         "-c:v", "libx265", "-x265-params", "log-level=none", "-crf", "4", *tags, str(path)],
        what="make HDR",
        data=[frame] * 8,
    )  # fmt: skip
    return path


def _seen(path: Path, bands: int, folder: Path) -> np.ndarray:
    size = (40 * bands, 180)
    clip = replace(clip_of(path, 0, 6), media=read_media(path, root=None, sidecars=False))
    film = render_timeline(timeline([clip]), folder / "film.mp4", size=size, cache=folder / "cache")
    picture = colours(film.path, size)[3].astype(float)
    return np.array([picture[80:100, 40 * n + 12 : 40 * n + 28].mean(axis=(0, 1)) for n in range(bands)])


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_is_neither_grey_nor_red(transfer: str, tmp_path: Path) -> None:
    """Colours come out as they were in SDR, bright ones a little darker, and white stays white."""
    nits = WHITE * ((PATCHES / 255) ** 2.4 @ TO_2020.T)
    seen = _seen(_hdr(tmp_path / "hdr.mkv", nits, transfer), len(PATCHES), tmp_path)
    assert np.ptp(seen[:3], axis=1).max() < 4
    assert np.abs(seen[:2] - PATCHES[:2]).max() < 6
    assert seen[2].min() > 220
    assert np.abs(seen[6] - PATCHES[6]).max() < 22
    assert np.abs(seen[3:6] - PATCHES[3:6]).max() < 12


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_highlights_keep_their_steps(transfer: str, tmp_path: Path) -> None:
    levels = np.array([1, 10, 50, 100, 203, 400, 600, 1000.0])
    seen = _seen(_hdr(tmp_path / "ramp.mkv", np.repeat(levels[:, None], 3, 1), transfer), 8, tmp_path).mean(
        axis=1
    )
    assert np.diff(seen).min() > 3
    assert seen[-1] > 248
    assert seen[0] < 32


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_transparent_parts_of_a_webm_are_black(codec: str, tmp_path: Path) -> None:
    source = make(
        tmp_path / "alpha.webm", "-f", "lavfi", "-i",
        "color=white:s=160x90:r=25:d=0.5,format=rgba,geq=r=255:g=255:b=255:a='255*gte(X,80)'",
        "-c:v", codec, "-pix_fmt", "yuva420p", "-auto-alt-ref", "0",
    )  # fmt: skip
    clip = replace(clip_of(source, 0, 8), media=read_media(source, root=None, sidecars=False))
    seen = luma(render_timeline(timeline([clip]), tmp_path / "f.mp4", size=SIZE, cache=tmp_path / "c").path)[
        4
    ]
    assert seen[:, :70].max() < 12
    assert seen[:, 90:].min() > 240


def test_a_slow_pan_moves_by_parts_of_a_pixel(tmp_path: Path) -> None:
    y, x = np.mgrid[:180, :480]
    spot = (30 + 200 * np.exp(-((x - 240) ** 2 + (y - 90) ** 2) / 288)).astype(np.uint8).tobytes()
    source = tmp_path / "spot.mp4"
    run_ffmpeg(
        ["-f", "rawvideo", "-pix_fmt", "gray", "-s", "480x180", "-r", "25", "-i", "pipe:0",
         "-pix_fmt", "yuv420p", "-crf", "3", str(source)],
        what="draw a spot",
        data=[spot] * 60,
    )  # fmt: skip
    clip = replace(clip_of(source, 0, 50), framing=Framing(0.45, 0.475))
    size = (180, 180)
    film = render_timeline(timeline([clip]), tmp_path / "f.mp4", size=size, cache=tmp_path / "c")
    assert film.ok
    light = np.maximum(luma(film.path, size).astype(float) - 38, 0)
    middle = (light * np.arange(180)).sum(axis=(1, 2)) / light.sum(axis=(1, 2))
    wanted = 240 - 300 * np.linspace(0.45, 0.475, 50)
    assert np.abs(middle - wanted).max() < 0.25
    assert np.diff(middle).std() < 0.05
