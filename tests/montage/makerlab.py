"""A generator that writes down which process asked it, and does what its seed says; it needs no torch."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from generate.base import Cancel, Cancelled, Frame, GenerationError, Progress, Request, Take, TakeKind
from generate.finish import finish_take
from generate.keys import request_key
from generate.takes import SEED_STEP

BLACK, FATAL, ENDLESS, WRONG, BROKEN_GPU = 101, 102, 103, 104, 105
"""Seeds of a take that is black, that kills its process, that is never finished, that cannot be made, and
that its GPU fails at."""
MEETING = (107, 108)
"""Seeds of two takes that wait for each other to be begun."""
ONCE = 106
"""The seed of a take that kills its process the first time."""


@dataclass
class Lab:
    """Takes of waves that wander, as bright as the reference where there is one."""

    directory: Path
    log: Path
    kind: TakeKind = "diffusion"
    name: str = "lab"

    @property
    def identity(self) -> str:
        """What the machine holds for weights, by its environment."""
        return f"lab {os.environ.get('LAB_WEIGHTS', 'good')}"

    @property
    def device(self) -> str:
        return "cuda" if os.environ.get("CUDA_VISIBLE_DEVICES") else "cpu"

    def generate(
        self, request: Request, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Take:
        self._write(str(request.seed))
        if request.seed == FATAL or (request.seed == ONCE and len(self.written(str(ONCE))) == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if request.seed == WRONG:
            raise GenerationError("the lab is closed: come tomorrow")
        if request.seed == BROKEN_GPU:
            raise GenerationError("CUDA error: an illegal memory access was encountered")
        if request.seed in MEETING:
            for _ in count():
                if all(self.written(str(seed)) for seed in MEETING):
                    break
        if request.seed == ENDLESS:
            for _ in count():
                if cancel is not None and cancel():
                    raise Cancelled("stopped")
        path = self.directory / f"{request_key(request, self.name, self.identity)}.mp4"
        return finish_take(
            self._frames(request), path, request, kind=self.kind, model="lab", model_hash="0" * 64, details={}
        )

    def picture(
        self, request: Request, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Frame:
        self._write("picture")
        return np.full((32, 32, 3), 200, np.uint8)

    def _frames(self, request: Request) -> Iterator[Frame]:
        level = 30.0 if request.reference is None else float(request.reference.mean()) / 4
        light = float(request.seed % SEED_STEP != BLACK)
        across, down = np.arange(request.width), np.arange(request.height)[:, None]
        for number in range(request.frames):
            waves = 1 + np.sin((across + 3 * number + request.seed % 97) / 12) * np.cos(down / 15)
            grey = (light * (level + 70 * waves)).astype(np.uint8)
            yield np.repeat(grey[..., None], 3, axis=-1)

    def _write(self, what: str) -> None:
        with open(self.log, "a") as log:
            log.write(f"{what} {os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES', '')}\n")

    def written(self, what: str = "") -> list[list[str]]:
        """Lines of the log, of one thing that was made or of all."""
        if not self.log.exists():
            return []
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [line for line in lines if not what or line[0] == what]
