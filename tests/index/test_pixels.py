from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import ffmpeg

from index.decode import Decoding
from index.pixels import small_rgb

FORMATS = [
    *("yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuvj420p", "yuvj422p", "yuvj444p", "nv12"),
    *("yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le", "yuv422p12le", "yuv444p12le"),
]
MATRICES = {"bt709": 1, "not said": 2, "bt601": 6, "bt2020": 9}
RANGES = {"limited": 1, "full": 2}


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One frame with edges, ramps and strong colours; its width is no multiple of a decoder's alignment."""
    path = tmp_path_factory.mktemp("pixels") / "card.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=1002x566:r=10:d=0.1", "-c:v", "ffv1", "-pix_fmt", "yuv444p", path)
    return next(iter(Decoding(path))).source


@pytest.mark.parametrize("range_name", RANGES)
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_small_pictures_are_what_swscale_makes(
    frame: Any, pixel_format: str, matrix: str, range_name: str
) -> None:
    """Of every format that is read by itself, in every matrix and range, at whole and broken factors.

    On a chart of hard edges: swscale repeats colour samples where here they are interpolated.
    """
    source = frame.reformat(format=pixel_format)
    source.colorspace, source.color_range = MATRICES[matrix], RANGES[range_name]
    for width, height in ((320, 181), (501, 283), (250, 142)):
        ours = small_rgb(source, width, height)
        assert ours.shape == (height, width, 3)
        assert ours.dtype == np.uint8
        other = source.reformat(width=width, height=height, format="rgb24", interpolation="AREA").to_ndarray()
        off = np.abs(ours.astype(int) - other.astype(int))
        assert off.mean() < 3.0
        assert np.corrcoef(ours.ravel(), other.ravel())[0, 1] > 0.995


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le", "yuvj420p", "nv12", "yuv410p", "gray"])
def test_plain_colours_are_exact(tmp_path: Path, pixel_format: str) -> None:
    """A plain colour comes back as itself, also from formats that are left to swscale."""
    import av

    colour = (128, 128, 128) if pixel_format == "gray" else (200, 60, 30)
    plain = np.full((270, 480, 3), colour, np.uint8)
    source = av.VideoFrame.from_ndarray(plain, format="rgb24").reformat(format=pixel_format)
    assert np.abs(small_rgb(source, 160, 90).astype(int) - colour).max() <= 4


def test_a_picture_smaller_than_asked_for_is_enlarged(frame: Any) -> None:
    assert small_rgb(frame, 2004, 1132).shape == (1132, 2004, 3)


def test_every_pixel_counts() -> None:
    """One white line of 1080 is a sixth of a small frame's line, wherever it lies."""
    import av

    for line in range(480, 492):
        luma = np.full((1080, 1920), 0, np.uint8)
        luma[line] = 240
        planes = np.concatenate([luma, np.full((540, 1920), 128, np.uint8)])
        source = av.VideoFrame.from_ndarray(planes, format="yuvj420p")
        small = small_rgb(source, 320, 180)[:, :, 0].astype(int)
        assert small.sum(axis=0)[0] == pytest.approx(40, abs=11)


def test_real_footage_is_what_swscale_makes(footage: Path) -> None:
    frame = next(iter(Decoding(footage / "clips/yoga.mp4")))
    assert frame.image.shape == (180, 320, 3)
    other = frame.source.reformat(width=320, height=180, format="rgb24", interpolation="AREA").to_ndarray()
    off = np.abs(frame.image.astype(int) - other.astype(int))
    assert off.mean() < 2.5
    assert np.corrcoef(frame.image.ravel(), other.ravel())[0, 1] > 0.9995
