"""Finishing: frames of any size and rate become a video of the film's size, rate and length.

Everything is piped through one ffmpeg. The result is an intermediate that the film encodes once more, so
it is kept far above the film's own quality: H.264 at CRF 12, short closed groups of pictures, BT.709 tags,
square pixels. It is written under a temporary name and renamed when whole.
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from generate.base import Cancel, Cancelled, Frame, GenerationError, Progress, Request, Take, TakeKind
from generate.interpolation import LEAST_SIDE, Interpolator, chosen, in_between
from generate.provenance import DIGITAL_SOURCE_TYPES, marks_for, metadata_arguments
from generate.tuning import Tuning
from generate.upscaling import Upscaler, enlarged, is_larger
from index.base import ffmpeg_path, open_local

__all__ = ["Finishing", "check_length", "crop_to_cover", "write_video"]

CRF = 12
"""x264 constant rate factor of the intermediate; the film's is higher (worse)."""
LEAST_GRAIN = 0.5
"""Grain below this, in levels of 255, is not seen and not added."""
MOTION_MIN_SIDE = 96
"""Shortest side in pixels that motion-compensated interpolation takes; smaller frames are blended."""
MOTION_MIN_FRAMES = 8
"""Fewer frames are blended: motion-compensated interpolation swallows some at both ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finishing:
    """What brings frames to the film's rate and size; without any of it, ffmpeg does."""

    interpolator: Interpolator | None = None
    motion: bool = True
    """Whether ffmpeg's interpolation follows motion, where there is no interpolator."""
    upscaler: Upscaler | None = None

    @classmethod
    def of(cls, tuning: Tuning) -> Finishing:
        """What a model's settings say; nothing is loaded.

        Raises:
            GenerationError: if what they name is not there.
        """
        file = tuning.upscaler if tuning.upscaler is not None and not tuning.upscaler.is_dir() else None
        return cls(
            interpolator=chosen(tuning.interpolation, tuning.rife_model, tuning.device),
            motion=tuning.interpolation != "blend",
            upscaler=None if file is None else Upscaler(file, tuning.device),
        )

    def details(self, own: tuple[int, int], size: tuple[int, int]) -> dict[str, str]:
        """What the record says of a take that was made at the size ``own`` for a film of ``size``."""
        ways = {"interpolation": "motion" if self.motion else "blend"}
        if self.interpolator is not None:
            ways["interpolation"] = self.interpolator.identity
        if self.upscaler is not None and is_larger(size, own):
            ways["upscaler"] = self.upscaler.path.name
        return ways

    def sample(self, frame: Frame, size: tuple[int, int]) -> Frame:
        """One frame as the upscaler makes it for a film of ``size`` (width, height)."""
        if self.upscaler is None or not is_larger(size, (frame.shape[1], frame.shape[0])):
            return frame
        return enlarged(frame, self.upscaler, size)


def crop_to_cover(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Size in pixels of the largest centred crop of ``width`` x ``height`` with the given aspect."""
    if Fraction(width, height) > aspect:
        return max(1, round(height * aspect)), height
    return width, max(1, round(width / aspect))


def finish_take(
    frames: Iterable[Frame],
    path: Path,
    request: Request,
    *,
    kind: TakeKind,
    model: str,
    model_hash: str,
    details: Mapping[str, object],
    source_size: tuple[int, int] | None = None,
    source_fps: Fraction | None = None,
    source_count: int = 0,
    grain: float = 0.0,
    finishing: Finishing | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Take:
    """Finish a backend's frames to what was asked for, mark them, and write them to ``path``.

    The frames are taken to have the request's size and rate unless ``source_size`` and ``source_fps`` say
    otherwise. The rate comes first, on small frames, and then the size; ffmpeg, which does what ``finishing``
    leaves, has no upscaler, so its interpolation comes last where there is one.

    Raises:
        GenerationError: if they cannot be finished or written.
        Cancelled: if ``cancel`` said so.
    """
    size = (request.width, request.height)
    finishing = finishing or Finishing()
    own_size, own_fps = source_size or size, source_fps or request.fps
    interpolator, upscaler = finishing.interpolator, finishing.upscaler
    if interpolator is not None and own_fps != request.fps and min(own_size) >= LEAST_SIDE:
        frames = in_between(frames, own_fps, request.fps, request.frames, interpolator, cancel)
        own_fps, source_count = request.fps, request.frames
    if upscaler is not None and is_larger(size, own_size):
        frames = (enlarged(frame, upscaler, size, cancel) for frame in frames)
        own_size = size
    write_video(
        frames,
        path,
        source_size=own_size,
        source_fps=own_fps,
        size=size,
        fps=request.fps,
        count=request.frames,
        source_count=source_count,
        motion=finishing.motion,
        marks=marks_for(kind, model=model, model_hash=model_hash, prompt=request.prompt, seed=request.seed),
        grain=grain,
        seed=request.seed,
        progress=progress,
        cancel=cancel,
    )
    return Take(
        path=path,
        kind=kind,
        frames=request.frames,
        fps=request.fps,
        width=request.width,
        height=request.height,
        seed=request.seed,
        prompt=request.prompt,
        model=model,
        model_hash=model_hash,
        digital_source_type=DIGITAL_SOURCE_TYPES[kind],
        details=details,
    )


def write_video(
    frames: Iterable[Frame],
    path: Path,
    *,
    source_size: tuple[int, int],
    source_fps: Fraction,
    size: tuple[int, int],
    fps: Fraction,
    count: int,
    marks: Mapping[str, str],
    source_count: int = 0,
    motion: bool = True,
    grain: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> None:
    """Write exactly ``count`` frames at ``fps`` and ``size`` (width, height) to the MP4 file ``path``.

    Frames of another size are cropped at the centre to the film's aspect and scaled (Lanczos); frames at
    another rate are interpolated, motion-compensated with ``motion`` where the frames are large and many
    enough, else blended. A source that is short is held on its last frame. ``grain`` is the standard
    deviation, in levels of 255, of the noise that is added to the brightness at the film's size, drawn by
    ``seed``. ``progress`` counts the frames given in, out of ``source_count`` (or ``count``).

    Raises:
        GenerationError: if the size is odd or ffmpeg fails.
        Cancelled: if ``cancel`` said so; nothing is left behind.
    """
    width, height = size
    if width % 2 or height % 2:
        raise GenerationError(
            f"H.264 video needs an even width and height, got {width}x{height}: choose an even film size"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=path.stem[:16] + ".", suffix=".part.mp4", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        filters = _filters(source_size, source_fps, size, fps, count, source_count or count, motion)
        if grain >= LEAST_GRAIN:
            # all_seed: ffmpeg overwrites c0_seed with a number of its own.
            filters.append(f"noise=c0_strength={_range(grain)}:c0_flags=t+u:all_seed={seed % 100_000 + 1}")
        command = [
            *[ffmpeg_path(), "-nostdin", "-v", "error", "-y", "-protocol_whitelist", "file,pipe"],
            *["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "{}x{}".format(*source_size)],
            *["-r", str(source_fps), "-i", "pipe:0"],
            *[
                "-filter_threads",
                "1",
                "-vf",
                ",".join(filters),
                "-frames:v",
                str(count),
                "-an",
                "-map_metadata",
                "-1",
            ],
            # One thread each: the output depends on their number, and a seed should give one picture.
            *["-c:v", "libx264", "-preset", "veryfast", "-crf", str(CRF), "-threads", "1"],
            *(["-tune", "grain"] if grain >= LEAST_GRAIN else []),
            *["-profile:v", "high", "-pix_fmt", "yuv420p", "-g", str(max(1, round(fps / 2)))],
            *["-x264-params", "open-gop=0:scenecut=0", "-r", str(fps)],
            *[
                "-color_primaries",
                "bt709",
                "-color_trc",
                "bt709",
                "-colorspace",
                "bt709",
                "-color_range",
                "tv",
            ],
            *["-fflags", "+bitexact", "-flags:v", "+bitexact", "-write_tmcd", "0"],
            *metadata_arguments(marks),
            str(part.resolve()),
        ]
        _pipe(command, frames, source_size, source_count or count, progress, cancel)
        check_length(part, count, fps)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _range(grain: float) -> int:
    """The strength that gives ffmpeg's uniform noise a standard deviation of ``grain`` levels of 255.

    It is the number n of its values, which deviate by sqrt((n * n - 1) / 12) levels of the 219 that
    brightness has in video. Only for odd n is their mean zero.
    """
    deviation = grain * 219 / 255
    return max(3, 2 * round((math.sqrt(12 * deviation**2 + 1) - 1) / 2) + 1)


def check_length(path: Path, count: int, fps: Fraction) -> None:
    """Open a video and count its frames.

    Raises:
        GenerationError: if it has not exactly ``count`` frames at ``fps``.
    """
    import av

    try:
        with open_local(path) as container:
            stream = container.streams.video[0]
            rate = Fraction(stream.average_rate or 0)
            packets = sum(1 for packet in container.demux(stream) if packet.size)
    except (OSError, IndexError, av.error.FFmpegError) as error:
        raise GenerationError(f"{path} was written and cannot be read again: {error}") from error
    if packets != count or (count > 1 and rate != fps):
        raise GenerationError(
            f"{path} has {packets} frames at {float(rate):.6g} a second where {count} at {float(fps):.6g} "
            "were asked for: report this with the film's size and rate"
        )


def _filters(
    source_size: tuple[int, int],
    source_fps: Fraction,
    size: tuple[int, int],
    fps: Fraction,
    count: int,
    source_count: int,
    motion: bool,
) -> list[str]:
    """The filter chain: rate first, on the small frames, then size, then exactly ``count`` frames."""
    filters = []
    if source_fps != fps:
        # The interpolators need a frame beyond the last one asked for.
        filters.append("tpad=stop_mode=clone:stop_duration=2")
        if motion and min(source_size) >= MOTION_MIN_SIDE and source_count >= MOTION_MIN_FRAMES:
            # scd=none: a take holds no cuts (an inner cut is refused later), and a false alarm would judder.
            filters.append(f"minterpolate=fps={fps}:mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1:scd=none")
        else:
            filters.append(f"framerate=fps={fps}:scene=100:interp_start=0:interp_end=255")
    if source_size != size:
        crop = crop_to_cover(*source_size, Fraction(*size))
        if crop != source_size:
            filters.append("crop={}:{}".format(*crop))
    # The matrix must be named: swscale would take BT.601 for RGB input and every colour would shift.
    filters.append(
        "scale={}:{}:flags=lanczos+accurate_rnd+full_chroma_int:out_color_matrix=bt709:out_range=tv".format(
            *size
        )
    )
    filters += ["setsar=1", "format=yuv420p", "tpad=stop_mode=clone:stop=-1"]
    return [*filters, f"trim=end_frame={count}", f"setpts=N/({fps})/TB"]


def _pipe(
    command: list[str],
    frames: Iterable[Frame],
    source_size: tuple[int, int],
    total: int,
    progress: Progress | None,
    cancel: Cancel | None,
) -> None:
    """Feed frames to ffmpeg and wait for it."""
    width, height = source_size
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            process_group=0,  # Ctrl-C is for us to heed, who keep what is finished
        )
        pipe = process.stdin
        assert pipe is not None
        try:
            for done, frame in enumerate(frames, start=1):
                if cancel is not None and cancel():
                    raise Cancelled("stopped while writing a take: nothing was kept")
                if frame.shape != (height, width, 3) or frame.dtype.name != "uint8":
                    raise GenerationError(
                        f"a frame has shape {frame.shape} and type {frame.dtype}, "
                        f"expected ({height}, {width}, 3) and uint8"
                    )
                if not _offered(pipe.write, frame.tobytes()):
                    break
                if progress is not None:
                    progress(min(done, total), total)
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            with contextlib.suppress(OSError):
                pipe.close()
        if code:
            if cancel is not None and cancel():
                raise Cancelled("stopped while writing a take: nothing was kept")
            complaints.seek(0)
            said = complaints.read().decode("utf-8", "replace").strip()[-800:]
            raise GenerationError(f"ffmpeg could not write a take (exit {code}): {said or 'it said nothing'}")


def _offered(write: Callable[[bytes], object], data: bytes) -> bool:
    """Whether ffmpeg still takes frames: it closes the pipe once it has enough, or has failed."""
    try:
        write(data)
    except BrokenPipeError:
        return False
    return True
