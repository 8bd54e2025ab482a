"""Whether a generated take may be shown: a zero-shot look at its frames, where the encoder can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from generate.base import Take
    from index.library import Library

__all__ = ["CHECKED", "UNCHECKED", "unsafe"]

CHECKED = "checked by the library's CLIP encoder"
UNCHECKED = "unchecked: the library's encoder is no CLIP model"
FRAMES = 5
"""Frames of a take that are looked at."""


def unsafe(take: Take, library: Library) -> tuple[str, str]:
    """(why a take must not be shown, empty if nothing speaks against it; whether it was looked at).

    Five frames are compared with descriptions, in the space and at the temperature of the library's encoder.
    The embedded encoder knows objects and no nakedness: with it a take is marked as unchecked.
    """
    if not library.encoder_name.startswith("clip:"):
        return "", UNCHECKED
    from generate.safety import is_sexual, sexual_probability
    from index.stills import frames_at

    seconds = take.frames / take.fps
    times = [seconds * (2 * n + 1) / (2 * FRAMES) for n in range(FRAMES)]
    encoder = library.encoder
    images = encoder.project(encoder.encode_images(frames_at(take.path, times)), "en")

    def texts(said: list[str]) -> NDArray[np.float32]:
        return np.asarray(encoder.encode_texts(said), np.float32)

    how = encoder.calibration
    # A sigmoid model's scale multiplies cosines, where a temperature divides them.
    temperature = 1 / how.temperature if how.kind == "sigmoid" else how.temperature
    chance = sexual_probability(images, texts, temperature)
    return (f"sexual content ({chance:.0%} likely)" if is_sexual(chance) else ""), CHECKED
