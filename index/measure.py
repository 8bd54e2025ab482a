"""Measure one file: its shots, how they look, and the features of their windows, from one decoding pass."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from index.base import Span
from index.boundaries import make_detector
from index.decode import Decoding, Frame, Image
from index.encoders.base import Encoder, FloatArray
from index.framing import zero_shot_size
from index.looks import FaceFinder, LookMeter
from index.loudness import LoudnessMeter
from index.probe import read_media
from index.speech import SpeechMeter
from index.values import Look, Media, Shot

__all__ = ["Measurement", "measure_file", "shot_id", "thumbnail_jpeg", "tile"]

WINDOW = Fraction(2)
"""Seconds of a long take that one window covers."""
SHORT = Fraction(4)
"""A shot up to this many seconds is one window."""
_EVERY = Fraction(1, 4)
"""Seconds between the frames kept to be embedded, until it is known where windows have their middles."""
FRAMES = 3
"""Frames embedded of each window, spread evenly, their features averaged: one alone is easily mistaken."""
_BATCH = 5 * FRAMES
"""Frames given to the encoder at once: those of whole windows."""
_AHEAD = 2
"""Batches that wait for the encoder while decoding goes on."""
_SAMPLES = 32
"""Small frames kept of a shot, spread evenly: its middle is taken from them, and faces are looked for."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """All that is known about one file."""

    media: Media
    shots: tuple[Shot, ...]
    features: FloatArray = field(repr=False)
    """(windows, feature_size) float32: the windows of all shots, in order."""
    thumbnails: tuple[bytes, ...] = field(default=(), repr=False)
    """A JPEG of each shot's middle frame, 320 px on its longer side."""
    note: str = ""
    """What was wrong with the file though it could be used, empty if nothing was."""


def shot_id(media: str, start: Fraction) -> str:
    """The id of a shot: the media's first 12 digits and its start in milliseconds."""
    return f"{media[:12]}-{math.floor(start * 1000)}"


def tile(span: Span) -> tuple[Span, ...]:
    """Windows that tile a shot: one up to ``SHORT`` seconds, else one for about every ``WINDOW``.

    Long takes are tiled from their start, so that a window is settled before the take has ended.
    """
    windows = []
    start = span.start
    while span.end - start >= SHORT + 1:
        windows.append(Span(start, start + WINDOW))
        start += WINDOW
    rest = span.end - start
    alone = not windows and rest <= SHORT
    count = 1 if alone else max(1, math.floor(rest / WINDOW + Fraction(1, 2)))
    edges = [start + rest * i / count for i in range(count + 1)]
    return (*windows, *(Span(a, b) for a, b in itertools.pairwise(edges)))


def thumbnail_jpeg(image: Image) -> bytes:
    """A small frame as JPEG."""
    import cv2

    _, data = cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return bytes(data)


def measure_file(
    path: Path | str,
    encoder: Encoder | None,
    *,
    root: Path | str | None = None,
    content: str | None = None,
    detector: str = "auto",
    faces: FaceFinder | None = None,
    threads: int = 0,
    beat: Callable[[Fraction, Fraction], None] | None = None,
) -> Measurement:
    """Measure the file at ``path`` in one decoding pass.

    Without an encoder the features have no columns. ``root`` is the footage folder that the media's path
    is relative to, ``content`` the content id where it is known, ``threads`` the decoder's (0: one a core).
    ``beat`` is called all the time with the seconds of footage measured and those that the header promises.

    Raises:
        FootageError: if the file is no footage or nothing of it can be decoded.
    """
    media = read_media(path, root=root, content=content, films=False, sidecars=False)
    sound = _Sound() if media.audio else None
    decoding = Decoding(
        path,
        threads=threads,
        sound=sound.push if sound else None,
        beat=partial(_beat, beat, media.duration) if beat else None,
    )
    finder = make_detector(detector, threads=threads)
    with _Embedder(encoder, beside=threads != 1) as embedder:
        taker = _Taker(media.id, embedder, faces)
        held: deque[tuple[Fraction, Image]] = deque()
        boundaries: deque[Fraction] = deque()
        for frame in decoding:
            boundaries.extend(finder.push(frame.time, frame.image))
            taker.keep(frame)
            held.append((frame.time, frame.image))
            settled = finder.settled
            while held and held[0][0] < settled:
                taker.push(*held.popleft(), boundaries)
            del frame  # the next is decoded into memory that is warm
        boundaries.extend(finder.finish())
        while held:
            taker.push(*held.popleft(), boundaries)
        taker.close(decoding.end)
        features = embedder.finish()
    shots = taker.shots
    if encoder is None:
        features = np.zeros((sum(len(shot.windows) for shot in shots), 0), dtype=np.float32)
    shots = _sized(shots, encoder, features)
    if sound is not None:  # it may lag behind the picture in a file, so it is asked last
        shots = [replace(s, look=sound.heard(s)) for s in shots]
    return Measurement(
        media=replace(media, duration=decoding.end, start=decoding.start, rate=decoding.rate),
        shots=tuple(shots),
        features=features,
        thumbnails=tuple(taker.thumbnails),
        note=_note(decoding, media.duration),
    )


def _sized(shots: list[Shot], encoder: Encoder | None, features: FloatArray) -> list[Shot]:
    """The shots with their size as the encoder sees it, where it does; else it stays that by faces."""
    sized, row = [], 0
    for shot in shots:
        size = zero_shot_size(encoder, features[row : row + len(shot.windows)])
        row += len(shot.windows)
        sized.append(replace(shot, look=replace(shot.look, size=size)) if size else shot)
    return sized


class _Sound:
    """What is measured of a file's sound."""

    def __init__(self) -> None:
        self._loudness, self._speech = LoudnessMeter(), SpeechMeter()

    def push(self, time: Fraction, frame: Any) -> None:
        """Take the next audio frame."""
        self._loudness.push(time, frame)
        self._speech.push(time, frame)

    def heard(self, shot: Shot) -> Look:
        """The shot's look with its sound."""
        span = shot.span
        return replace(shot.look, loudness=self._loudness.loudness(span), speech=self._speech.share(span))


def _beat(beat: Callable[[Fraction, Fraction], None], promised: Fraction, done: Fraction) -> None:
    beat(done, promised)


class _Embedder:
    """Embeds windows in batches; ``beside``: in a thread of its own, while decoding goes on.

    Networks let go of Python's lock while they run, so one file keeps several cores busy. With one core a
    worker a thread more would only take turns.
    """

    def __init__(self, encoder: Encoder | None, *, beside: bool) -> None:
        self.size = encoder.image_size if encoder is not None else 0
        """Shorter side of the frames that it wants, pixels; 0: none."""
        self._encoder = encoder
        self._thread = ThreadPoolExecutor(1) if beside and encoder is not None else None
        self._batch: list[Image] = []
        self._running: deque[Future[FloatArray]] = deque()
        self._rows: list[FloatArray] = []

    def __enter__(self) -> _Embedder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def add(self, images: list[Image]) -> None:
        """Take the frames of the next window."""
        self._batch.extend(images)
        if len(self._batch) >= _BATCH:
            self._start()

    def finish(self) -> FloatArray:
        """The features of all windows, in order."""
        if self._batch:
            self._start()
        self._gather(0)
        columns = self._encoder.feature_size if self._encoder is not None else 0
        return np.concatenate(self._rows) if self._rows else np.zeros((0, columns), dtype=np.float32)

    def _start(self) -> None:
        batch, self._batch = self._batch, []
        if self._thread is None:
            self._rows.append(self._encode(batch))
        else:
            self._running.append(self._thread.submit(self._encode, batch))
            self._gather(_AHEAD)

    def _gather(self, ahead: int) -> None:
        """Wait until no more than ``ahead`` batches are under way."""
        while len(self._running) > ahead:
            self._rows.append(self._running.popleft().result())

    def _encode(self, batch: list[Image]) -> FloatArray:
        assert self._encoder is not None
        rows = np.asarray(self._encoder.encode_images(batch), dtype=np.float32)
        means: FloatArray = rows.reshape(-1, FRAMES, rows.shape[1]).mean(axis=1)
        return means


class _Taker:
    """Takes frames in order, and makes shots of them; holds a few seconds at a time."""

    def __init__(self, media: str, embedder: _Embedder, faces: FaceFinder | None) -> None:
        self.shots: list[Shot] = []
        self.thumbnails: list[bytes] = []
        self._media = media
        self._embedder = embedder
        self._faces = faces
        self._candidates: deque[tuple[Fraction, Image]] = deque()
        self._next_candidate = Fraction(0)
        self._begin(Fraction(0))

    def _begin(self, start: Fraction) -> None:
        self._start = self._window = start
        self._meter = LookMeter()
        self._samples: list[tuple[Fraction, Image]] = []
        self._stride = _EVERY
        self._next_sample = start

    def keep(self, frame: Frame) -> None:
        """Keep a frame to be embedded, if one is due."""
        if self._embedder.size and frame.time >= self._next_candidate:
            self._candidates.append((frame.time, frame.picture(self._embedder.size)))
            self._next_candidate = frame.time + _EVERY

    def push(self, time: Fraction, image: Image, boundaries: deque[Fraction]) -> None:
        """Take the next frame once it is known whether a shot begins with it."""
        if boundaries and time >= boundaries[0]:
            self.close(boundaries.popleft())
        self._meter.push(time, image)
        if time >= self._next_sample:
            self._samples.append((time, image))
            self._next_sample = time + self._stride
            if len(self._samples) > _SAMPLES:
                self._samples = self._samples[::2]
                self._stride *= 2
        if time - self._window >= SHORT + 1:
            self._embed(Span(self._window, self._window + WINDOW))
            self._window += WINDOW

    def close(self, end: Fraction) -> None:
        """End the shot at ``end`` and begin the next."""
        span = Span(self._start, end)
        windows = tile(span)
        for window in windows:
            if window.start >= self._window:
                self._embed(window)
        middle = min(self._samples, key=lambda sample: abs(sample[0] - span.middle))[1]
        look = self._meter.finish(middle, samples=[image for _, image in self._samples], faces=self._faces)
        name = shot_id(self._media, span.start)
        self.shots.append(Shot(id=name, media=self._media, span=span, windows=windows, look=look))
        self.thumbnails.append(thumbnail_jpeg(middle))
        self._begin(end)

    def _embed(self, window: Span) -> None:
        if not self._embedder.size:
            return
        within = [c for c in self._candidates if window.contains(c[0])] or self._candidates
        times = [window.start + window.seconds * (2 * n + 1) / (2 * FRAMES) for n in range(FRAMES)]
        self._embedder.add([min(within, key=lambda c: abs(c[0] - time))[1] for time in times])
        while len(self._candidates) > 1 and self._candidates[0][0] < window.end - _EVERY:
            self._candidates.popleft()


def _note(decoding: Decoding, promised: Fraction) -> str:
    notes = []
    if decoding.damaged:
        notes.append(f"{decoding.damaged} damaged places in the picture were skipped")
    if decoding.damaged_sound:
        notes.append(f"{decoding.damaged_sound} damaged places in the sound were skipped")
    if decoding.jump is not None:
        at, gap = map(float, decoding.jump)
        notes.append(f"its clock leaps ahead by {gap:.0f} s at {at:.2f} s: what follows was left out")
    elif promised - decoding.end > max(Fraction(1, 2), promised / 50):
        notes.append(
            f"it ends at {float(decoding.end):.2f} s of {float(promised):.2f} s: cut short or damaged"
        )
    elif decoding.cut_short:
        notes.append("it ends in the middle of a frame: cut short")
    return "; ".join(notes)
