"""High dynamic range becomes what it was graded to look like: neither grey nor red."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from filmlab import clip_of, colours, make, timeline

from montage.film import render_timeline

PATCHES = {
    "black": (16, 16, 16),
    "dark grey": (70, 70, 70),
    "grey": (128, 128, 128),
    "light grey": (190, 190, 190),
    "skin": (198, 150, 128),
    "dark skin": (115, 80, 66),
    "red": (180, 40, 40),
    "green": (50, 150, 60),
    "blue": (50, 70, 170),
    "sky": (120, 160, 200),
    "leaf": (90, 110, 60),
    "yellow": (200, 180, 60),
}
"""BT.709 colours as a grader sees them, all below the white of SDR."""
WIDTH, HEIGHT = 480, 90


def hdr(path: Path) -> Path:
    """The patches side by side, put into PQ by zscale with their white at 203 nits (ITU-R BT.2408)."""
    step = WIDTH // len(PATCHES)
    boxes = ",".join(
        f"drawbox=x={n * step}:y=0:w={step}:h={HEIGHT}:color=0x{r:02x}{g:02x}{b:02x}:t=fill"
        for n, (r, g, b) in enumerate(PATCHES.values())
    )
    return make(
        path, "-f", "lavfi", "-i", f"color=black:s={WIDTH}x{HEIGHT}:r=25:d=1,format=gbrp,{boxes}",
        "-vf",
        "zscale=tin=bt709:min=gbr:pin=bt709:rin=pc:t=smpte2084:m=bt2020nc:p=bt2020:r=tv:npl=203,"
        "format=yuv420p10le",
        "-c:v", "libx265", "-x265-params", "log-level=none", "-crf", "8", "-color_trc", "smpte2084",
        "-color_primaries", "bt2020", "-colorspace", "bt2020nc", "-color_range", "tv",
    )  # fmt: skip


def seen(path: Path) -> dict[str, np.ndarray]:
    picture = colours(path, (WIDTH, HEIGHT))[10].astype(float)
    step = WIDTH // len(PATCHES)
    return {
        name: picture[30:60, n * step + 10 : (n + 1) * step - 10].mean(axis=(0, 1))
        for n, name in enumerate(PATCHES)
    }


def test_pq_made_by_another_program_is_neither_grey_nor_red(tmp_path: Path) -> None:
    source = hdr(tmp_path / "hdr.mp4")
    clip = clip_of(source, 0, 20, transfer="smpte2084", matrix="bt2020nc")
    film = render_timeline(
        timeline([clip]), tmp_path / "film.mp4", size=(WIDTH, HEIGHT), cache=tmp_path / "cache"
    )
    found = seen(film.path)
    for name in ("dark grey", "grey", "light grey"):
        assert np.ptp(found[name]) < 6, (name, found[name])
    for name, wanted in PATCHES.items():
        assert np.abs(found[name] - wanted).max() < 12, (name, found[name], wanted)


def test_light_above_white_rolls_off_and_keeps_its_order(tmp_path: Path) -> None:
    """Four steps from 100 to 1000 nits, in PQ."""
    steps = "if(lt(X,120),0.1,if(lt(X,240),0.203,if(lt(X,360),0.5,1)))"
    # The PQ curve of SMPTE ST 2084 over light in thousands of nits.
    power = f"pow(({steps})/10,0.1593017578125)"
    code = f"pow((0.8359375+18.8515625*{power})/(1+18.6875*{power}),78.84375)"
    source = make(
        tmp_path / "steps.mp4", "-f", "lavfi", "-i", f"color=black:s={WIDTH}x{HEIGHT}:r=25:d=1",
        "-vf", f"format=yuv420p10le,geq=lum='64+876*{code}':cb=512:cr=512",
        "-c:v", "libx265", "-x265-params", "log-level=none", "-crf", "8", "-color_trc", "smpte2084",
        "-color_primaries", "bt2020", "-colorspace", "bt2020nc", "-color_range", "tv",
    )  # fmt: skip
    clip = clip_of(source, 0, 20, transfer="smpte2084", matrix="bt2020nc")
    film = render_timeline(
        timeline([clip]), tmp_path / "film.mp4", size=(WIDTH, HEIGHT), cache=tmp_path / "cache"
    )
    picture = colours(film.path, (WIDTH, HEIGHT))[10].astype(float)
    levels = [picture[30:60, n * 120 + 20 : n * 120 + 100].mean() for n in range(4)]
    assert all(b - a > 4 for a, b in pairwise(levels)), levels
    assert 150 < levels[0] < 200
    assert levels[3] > 245
