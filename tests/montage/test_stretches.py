"""Stretches of footage as frames: the ones of the film, in order, whole or left in the middle."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from index.builder import build_index
from index.library import Library
from index.stills import frames_at
from montage.stretches import own_size, stretch
from montage.values import MontageError

NAMES = ("wine-and-drum.mp4", "rocket-on-the-pad.mp4")
FPS = Fraction(25)


@pytest.fixture(scope="module")
def library(sample_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("two")
    for name in NAMES:
        shutil.copy(sample_library / name, folder)
    build_index(folder, encoder="embedded")
    return Library.open(folder)


def shot_of(library: Library, name: str) -> str:
    media = next(media for media in library.media.values() if media.paths == (name,))
    return next(shot.id for shot in library.shots.values() if shot.media == media.id)


@pytest.mark.parametrize("name", NAMES)
def test_frames_are_those_shown_at_their_times(library: Library, name: str) -> None:
    import cv2

    shot = shot_of(library, name)
    size = own_size(library, shot, (192, 192))  # whole numbers of both
    width, height = library.media[library.shots[shot].media].display_size
    assert size[0] * height == size[1] * width
    start = Fraction(1)
    found = list(stretch(library, shot, start, 20, FPS, size))
    path = library.path_of(library.shots[shot].media)
    plain = frames_at(path, [start + n / FPS + Fraction(1, 1000) for n in range(20)])
    scaled = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(int) for frame in plain]
    assert len(found) == 20
    for number, ours in enumerate(found):
        assert ours.shape == scaled[0].shape
        apart = [np.abs(ours - theirs).mean() for theirs in scaled]
        assert apart[number] < 10  # other filters shrink them
        assert apart[number] <= min(apart) + 0.05, "another moment is nearer"


def test_half_speed_shows_each_moment_half_as_late(library: Library) -> None:
    shot = shot_of(library, "rocket-on-the-pad.mp4")
    plain = list(stretch(library, shot, Fraction(1), 21, Fraction(15), (128, 72)))
    slow = list(stretch(library, shot, Fraction(1), 21, Fraction(30), (128, 72), speed=Fraction(2)))
    assert all(np.abs(a.astype(int) - b).mean() < 1 for a, b in zip(plain, slow, strict=True))


def test_the_end_of_the_source_is_an_error_and_leaving_early_is_none(library: Library) -> None:
    shot = shot_of(library, "rocket-on-the-pad.mp4")
    with pytest.raises(MontageError, match=r"the source gives \d+ of 200 frames"):
        list(stretch(library, shot, Fraction(1), 200, FPS, (128, 72)))
    begun = stretch(library, shot, Fraction(0), 90, FPS, (640, 360))
    first = next(begun)
    begun.close()
    assert first.shape == (360, 640, 3)
