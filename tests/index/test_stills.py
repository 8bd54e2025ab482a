"""Single frames: the same, whether decoded one by one or leapt to."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from index.base import FootageError
from index.probe import main_stream, open_footage
from index.stills import frame_at, frames_at


@pytest.mark.parametrize("name", ["yellow-flower.mp4", "a-day-in-the-mountains.mp4", "IMG_2207.mp4"])
def test_frames_are_those_that_a_plain_decoder_shows(name: str, sample_library: Path) -> None:
    path = sample_library / name
    with open_footage(path) as container:
        stream = main_stream(container, path)
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]
    first = Fraction(frames[0][0])
    whole = Fraction(frames[-1][0]) - first
    times = [Fraction(0), whole / 7, whole / 7 + Fraction(1, 100), whole * 5 / 6, whole, whole + 5]
    found = frames_at(path, times, start=first)
    for time, image in zip(times, found, strict=True):
        shown = [picture for at, picture in frames if at <= float(first + time) + 1e-9][-1]
        assert image.shape == shown.shape
        assert np.abs(image.astype(int) - shown).mean() < 1
        assert np.array_equal(image, frame_at(path, time, start=first))


def test_times_out_of_order_and_files_that_are_no_footage_are_refused(sample_library: Path) -> None:
    with pytest.raises(ValueError, match="in order"):
        frames_at(sample_library / "tabby-cat.mp4", [Fraction(1), Fraction(0)])
    with pytest.raises(FootageError):
        frames_at(sample_library / "README.md", [Fraction(0)])
