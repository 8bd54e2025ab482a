"""Content keys: one name for everything that shapes a take, so that it is made once."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from generate.base import Frame, Request

__all__ = ["frame_digest", "request_key"]


def frame_digest(frame: Frame) -> str:
    """SHA-256 of a frame's shape and pixels, as 64 hex digits."""
    digest = hashlib.sha256(repr((frame.shape, frame.dtype.str)).encode())
    digest.update(np.ascontiguousarray(frame).tobytes())
    return digest.hexdigest()


def request_key(request: Request, backend: str, identity: str) -> str:
    """The name of the take that ``backend`` makes of ``request``: 32 hex digits."""
    parts: dict[str, object] = {
        "backend": backend,
        "identity": identity,
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "seed": request.seed,
        "frames": request.frames,
        "fps": str(request.fps),
        "size": [request.width, request.height],
        "reference": None if request.reference is None else frame_digest(request.reference),
        "neighbours": [frame_digest(frame) for frame in request.neighbours],
    }
    # What most requests lack is named only where it is there, so that a key outlives what is added here.
    given = {
        "strategy": request.strategy if request.strategy != "direct" else None,
        "last": None if request.last is None else frame_digest(request.last),
        "video": [frame_digest(frame) for frame in request.video],
        "video_fps": None if request.video_fps is None else str(request.video_fps),
        "strength": request.strength if request.strategy == "restyle" else None,
        "subjects": [frame_digest(frame) for frame in request.subjects],
        "control": request.control,
        "camera": request.camera,
    }
    parts.update({name: value for name, value in given.items() if value})
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
