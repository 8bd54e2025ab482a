from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from making import ffmpeg

MEASURE = r"""
import json, re, sys
import cv2
sys.path.insert(0, sys.argv[2])
from colour_encoder import ColourEncoder
from index.measure import measure_file
cv2.setNumThreads(1)
found = measure_file(sys.argv[1], ColourEncoder(), detector="fast", threads=2)
# Not getrusage: its peak is that of the process that started this one, too.
peak = int(re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())[1]) / 1024
print(json.dumps([peak, float(found.media.duration), len(found.features), len(found.shots)]))
"""


pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")


def looped(folder: Path, seconds: float) -> Path:
    """Half a minute of moving pictures and a tone, repeated without encoding it again."""
    clip = folder / "clip.mp4"
    if not clip.exists():
        ffmpeg(
            *("-f", "lavfi", "-i", "testsrc2=s=320x180:r=5:d=15,setpts=PTS-STARTPTS"),
            *("-f", "lavfi", "-i", "sine=440:d=15:r=8000"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac", "-shortest", clip),
        )
    path = folder / f"{seconds:g}.mp4"
    ffmpeg("-stream_loop", "-1", "-i", clip, "-t", str(seconds), "-c", "copy", path)
    return path


def measured(path: Path) -> tuple[float, float, int, int]:
    """(peak MB, seconds, windows, shots) of a process that measures ``path`` and nothing else."""
    command = [sys.executable, "-c", MEASURE, str(path), str(Path(__file__).parent)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak, seconds, windows, shots = json.loads(done.stdout)
    return peak, seconds, windows, shots


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Four times the length, the same memory: a frame kept of every second would be 30 MB more."""
    short, seconds, windows, _ = measured(looped(tmp_path, 60))
    long, longer, more, _ = measured(looped(tmp_path, 240))
    assert longer == pytest.approx(4 * seconds, rel=0.02)
    assert more > 3 * windows
    assert long < short + 15


@pytest.mark.slow
def test_three_hours_fit_into_memory(tmp_path: Path) -> None:
    peak, seconds, windows, _ = measured(looped(tmp_path, 3 * 3600))
    assert seconds == pytest.approx(3 * 3600, rel=0.01)
    assert windows >= 3 * 3600 / 2 * 0.9
    assert peak < 1500
    assert peak < measured(looped(tmp_path, 240))[0] + 150
