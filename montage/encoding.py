"""Encoding the sound of a whole film, piece by piece beside each other, and only what changed.

AAC cannot be joined from files that were encoded apart: each begins with silence of its own. But its frames
overlap by one half only, so that frames cut out of a stretch that was encoded with some sound before and
after it go on from one another. They are cut where it is quiet, where two ways of coding differ least.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.base import open_local
from montage.cache import Cache, key_of
from montage.process import Cancel, as_input, run_ffmpeg
from montage.timeline import SAMPLE_RATE

__all__ = ["encode_sound"]

VERSION = 1
CHANNELS = 2
FRAME = 1024
"""Samples a channel in a frame of AAC."""
STRETCH = 20 * SAMPLE_RATE // FRAME
"""Frames from one cut to the next, about."""
SEARCH = 4 * SAMPLE_RATE // FRAME
"""Frames before and after that place among which the quietest is taken."""
BEFORE = 16
"""Frames encoded before a stretch and thrown away: by then the encoder has forgotten its beginning."""
AFTER = 3
"""The same after it: the encoder looks ahead."""


def encode_sound(
    raw: Path,
    output: Path,
    coder: Sequence[str],
    cache: Cache,
    *,
    workers: int = 1,
    cancel: Cancel | None = None,
) -> None:
    """Encode a film's sound.

    Args:
        raw: float32 samples at 48 kHz, stereo, interleaved.
        output: The encoded file; its suffix names the container.
        coder: ffmpeg's options for the encoder.
        cache: Keeps encoded stretches of AAC, so that one changed sentence encodes but its own.
        workers: Stretches encoded at a time.
        cancel: Asked while it works.

    Raises:
        FilmError: if it cannot be encoded or was cancelled.
    """
    samples = raw.stat().st_size // (4 * CHANNELS)
    if "aac" not in coder or samples < 2 * STRETCH * FRAME:
        _encode(["-i", as_input(raw)], None, output, coder, cancel)
        return
    sound = np.memmap(raw, dtype=np.float32, mode="r", shape=(samples, CHANNELS))
    # The first frame is the encoder's run-up, so that there is one more than the sound has.
    count = -(-samples // FRAME) + 1
    cuts = _cuts(sound, count)
    stretches = list(zip(cuts, [*cuts[1:], count], strict=True))

    def stretch(ends: tuple[int, int]) -> list[bytes]:
        begin, end = ends
        run_up = min(BEFORE, begin)
        piece = np.ascontiguousarray(sound[(begin - run_up) * FRAME : (end + AFTER) * FRAME])
        key = key_of(
            {
                "version": VERSION,
                "coder": list(coder),
                "frames": [run_up, end - begin],
                "sound": hashlib.sha256(piece.tobytes()).hexdigest(),
            }
        )
        found = cache.find(key, ".aac.mp4")
        if found is None:
            temporary = cache.temporary(".mp4")
            try:
                _encode(["-i", "pipe:0"], piece, temporary, coder, cancel)
                found = cache.keep(temporary, key, ".aac.mp4")
            finally:
                with suppress(OSError):
                    temporary.unlink()
        return _frames(found)[run_up : run_up + end - begin]

    with ThreadPoolExecutor(workers) as pool:
        frames = [frame for part in pool.map(stretch, stretches) for frame in part]
    _write(frames, samples, cache.temporary(".mp4"), output, coder, cancel)


def _cuts(sound: NDArray[np.float32], count: int) -> list[int]:
    """Frames at which a stretch begins: 0, and the quietest about every ``STRETCH`` frames."""
    cuts = [0]
    while cuts[-1] + STRETCH + SEARCH < count - STRETCH // 2:
        first = cuts[-1] + STRETCH - SEARCH
        around = sound[first * FRAME : (first + 2 * SEARCH) * FRAME]
        power = np.square(around, dtype=np.float32).reshape(-1, FRAME * CHANNELS).sum(axis=1)
        # What is cut is the overlap of a frame and the next.
        cuts.append(first + 1 + int(np.argmin(power[:-1] + power[1:])))
    return cuts


def _encode(
    source: list[str],
    sound: NDArray[np.float32] | None,
    output: Path,
    coder: Sequence[str],
    cancel: Cancel | None,
) -> None:
    raw = ("-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", str(CHANNELS))
    run_ffmpeg(
        [*raw, *source, *coder, as_input(output)],
        what="encode the film's sound",
        data=None if sound is None else [sound.tobytes()],
        cancel=cancel,
    )


def _frames(path: Path) -> list[bytes]:
    with open_local(path) as container:
        return [
            bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.pts is not None
        ]


def _write(
    frames: Sequence[bytes],
    samples: int,
    temporary: Path,
    output: Path,
    coder: Sequence[str],
    cancel: Cancel | None,
) -> None:
    """Write frames of AAC as one stream that says how long its sound is."""
    import av
    from av.packet import Packet

    # A moment of silence says how such a stream describes itself.
    try:
        _encode(["-i", "pipe:0"], np.zeros((FRAME, CHANNELS), np.float32), temporary, coder, cancel)
        with open_local(temporary) as template, av.open(as_input(output), "w") as container:
            stream = container.add_stream_from_template(template.streams.audio[0], opaque=True)
            for number, data in enumerate(frames):
                packet = Packet(data)
                packet.pts = packet.dts = (number - 1) * FRAME
                packet.duration = min(FRAME, samples - (number - 1) * FRAME)
                packet.time_base = Fraction(1, SAMPLE_RATE)
                packet.stream = stream
                container.mux(packet)
    finally:
        with suppress(OSError):
            temporary.unlink()
