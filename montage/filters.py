"""ffmpeg's filters that bring a source's frames to the film: its clock, its size, its colours."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from montage.formats import Format
from montage.timeline import Clip, Grade
from montage.tonemapping import KNEE, PEAK, WHITE

__all__ = [
    "HDR_TRANSFERS",
    "HLG",
    "THUMB",
    "TOLERANCE",
    "WOVEN",
    "colour_in",
    "comparable",
    "fitting",
    "graph",
    "quoted",
    "timing",
    "untouched",
]

THUMB = 24
"""Side of the thumbnails by which segments are checked, pixels."""
TOLERANCE = Fraction(2, 1000)
"""Seconds by which a timestamp may be late and still count as on time: containers such as Matroska round
timestamps to a millisecond, and so do project files with in-points."""
WOVEN = "bwdif=mode=send_frame:deint=interlaced"
"""Interlaced pictures are made whole; others pass."""
PAD_SECONDS = Fraction(1, 2)
"""The last frame is held for this long at most where a source ends early; more is an error."""
HLG = "arib-std-b67"
HDR_TRANSFERS = frozenset({"smpte2084", HLG})
"""PQ (SMPTE ST 2084) and HLG (ARIB STD-B67, ITU-R BT.2100)."""
_SCALE_MATRICES = {
    "bt709": "bt709", "smpte170m": "smpte170m", "bt470bg": "bt470", "fcc": "fcc", "smpte240m": "smpte240m",
    "bt2020nc": "bt2020", "bt2020c": "bt2020",
}  # fmt: skip
_FILTER_MATRICES = {"bt470": "bt470bg", "bt2020": "bt2020nc"}
_FULL_COLOUR = {"yuv420p": "yuv444p", "yuv422p10": "yuv444p10"}
_TAGS = "range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"


def quoted(path: Path) -> str:
    """A path as the value of a filter's option within a filter graph, which are two levels of escaping."""
    value = re.sub(r"([\\':])", r"\\\1", str(path))
    return re.sub(r"([\\'\[\],;])", r"\\\1", value)


def colour_in(clip: Clip) -> tuple[str, str, bool]:
    """(matrix for swscale or empty, transfer if HDR or empty, whether there is alpha)."""
    media = clip.media
    if media is None:
        return "", "", False
    matrix = _SCALE_MATRICES.get(media.matrix, "")
    rgb = any(name in media.pixel_format for name in ("rgb", "bgr", "gbr", "argb", "pal8"))
    if not matrix and not rgb:
        # Untagged footage: high definition is BT.709, less is BT.601, as players assume.
        matrix = "bt709" if max(media.width, media.height) >= 1280 else "smpte170m"
    transfer = media.transfer if media.transfer in HDR_TRANSFERS else ""
    alpha = media.pixel_format.startswith(("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16"))
    return ("" if rgb else matrix), transfer, alpha


def comparable(clip: Clip, form: Format) -> bool:
    """Whether the film's picture may be compared with its source's, thumbnail by thumbnail.

    Not after tone mapping or blending, and not where so few pixels of the source are seen that rounding
    them moves the picture.
    """
    _, hdr, alpha = colour_in(clip)
    if hdr or alpha:
        return False
    if clip.media is None:
        return True
    width, height = clip.media.display_size
    aspect = form.width / form.height
    if form.fit == "crop":
        return min(width, height * aspect, height, width / aspect) >= 4 * THUMB
    return min(THUMB, THUMB * width / height / aspect, THUMB * height * aspect / width) >= THUMB / 4


def untouched(clip: Clip) -> range:
    """The frames of a clip that no transition changes, so that they can be held to the source's."""
    return range(max(clip.fade_in, clip.dissolve), clip.frames - clip.fade_out)


def timing(clip: Clip, form: Format) -> str:
    """Filters that put on each frame of the grid the source frame that is on screen at that moment.

    Slowed footage has pictures between those of the source, where the format asks for them.
    """
    begin = round((clip.origin + clip.span.start) * 1_000_000)
    early = round(min(TOLERANCE, Fraction(1, 5) / form.fps) * 1_000_000)
    pad = max(1, int(PAD_SECONDS * form.fps))
    rate = f"{form.fps.numerator}/{form.fps.denominator}"
    sampled = f"fps={rate}:start_time=0:round=up"
    source = clip.media.rate if clip.media is not None else None
    if clip.speed < 1 and form.slow != "repeat" and source is not None and source * clip.speed < form.fps:
        # The source's own pictures, evenly spaced from the in-point on: what lies between is made from them.
        own = source * clip.speed
        mode = "blend" if form.slow == "blend" else "mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1"
        sampled = (
            f"fps={own.numerator}/{own.denominator}:start_time=0:round=up,"
            f"minterpolate=fps={rate}:mi_mode={mode},fps={rate}:start_time=0"
        )
    return (
        f"settb=AVTB,setpts='(PTS-{begin})*{clip.speed.denominator}/{clip.speed.numerator}-{early}',"
        f"{sampled},"
        f"tpad=stop={pad}:stop_mode=clone,trim=end_frame={clip.frames},"
        f"settb={form.fps.denominator}/{form.fps.numerator},setpts=N"
    )


def _place(clip: Clip) -> str:
    """Where the film's frame lies along the picture, as an expression of the frame's number."""
    first, last = clip.framing.first, clip.framing.last
    if first == last:
        return f"{first:.6f}"
    return f"({first:.6f}+{(last - first) / max(1, clip.frames - 1):.9f}*n)"


def fitting(clip: Clip, form: Format, hlg: str) -> str:
    """Filters that bring the picture to the film's size and colours, in square pixels."""
    matrix, transfer, alpha = colour_in(clip)
    width, height = form.width, form.height
    flags = "fast_bilinear" if form.quality == "draft" else "bicubic"
    if form.fit == "crop":
        size = f"w='max({width},2*round({height}*dar/2))':h='max({height},2*round({width}/dar/2))'"
        place = _place(clip)
        frame = f"crop={width}:{height}:x='(iw-ow)*{place}':y='(ih-oh)*{place}'"
        if clip.framing.first != clip.framing.last and form.pixel_format == "yuv420p":
            # The picture is moved under the frame by parts of a pixel: by whole ones a slow pan stutters.
            # Its colour is brought to full size for that, or it would move by two.
            at = _place(clip).replace("*n)", "*(in-1))")  # it counts from 1
            over, down = f"(W-{width})*{at}", f"(H-{height})*{at}"
            frame = (
                f"format=yuv444p,perspective=x0='{over}':y0='{down}':x1='W+{over}':y1='{down}'"
                f":x2='{over}':y2='H+{down}':x3='W+{over}':y3='H+{down}':interpolation=cubic:sense=source"
                f":eval=frame,crop={width}:{height}:0:0:exact=1,format={form.pixel_format}"
            )
        elif clip.framing.first != clip.framing.last:
            # Colour at full size lets the frame go by single pixels, where it would go by two.
            frame = f"format={_FULL_COLOUR[form.pixel_format]},{frame}:exact=1,format={form.pixel_format}"
    else:
        size = (
            f"w='max(2,min({width},2*round({height}*dar/2)))':h='max(2,min({height},2*round({width}/dar/2)))'"
        )
        frame = f"pad={width}:{height}:-1:-1:black"
    chain = ["premultiply=inplace=1"] if alpha else []
    if transfer:
        chain += [
            f"scale={size}:flags={flags}",
            # What the file does not say is said here: zscale finds no way from what is unknown.
            f"setparams=color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc",
        ]
        if transfer == HLG:
            chain += ["zscale=min=bt2020nc:m=gbr:r=pc,format=gbrp12", f"lut3d=file={hlg}:interp=tetrahedral"]
            chain.append("zscale=tin=bt709:pin=bt709:min=gbr:rin=pc:t=bt709:p=bt709:m=bt709:r=tv")
        else:
            chain += [
                f"zscale=tin={transfer}:pin=bt2020:min=bt2020nc:t=linear:npl={WHITE}",
                "format=gbrpf32le,zscale=p=bt709",
                f"tonemap=mobius:param={KNEE}:peak={PEAK / WHITE:.3f}:desat=0",
                "zscale=t=bt709:m=bt709:r=tv",
            ]
    else:
        # swscale changes a matrix by way of RGB, slowly and a level too dark; the colorspace filter does
        # not. Primaries and transfer are the same to the eye in all of SDR and stay as they are.
        stay = matrix or "bt709"
        into = f"in_color_matrix={stay}:" if matrix else ""
        chain.append(f"scale={size}:flags={flags}:{into}out_color_matrix={stay}:out_range=tv")
        chain.append(f"format={form.pixel_format}")
        if stay != "bt709":
            name = _FILTER_MATRICES.get(stay, stay)
            chain.append(f"setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace={name}")
            chain.append(
                f"colorspace=space=bt709:trc=bt709:primaries=bt709:range=tv:format={form.pixel_format}"
            )
    chain += [f"format={form.pixel_format}", frame, *_graded(clip), "setsar=1", f"setparams={_TAGS}"]
    return ",".join(chain)


def _graded(clip: Clip) -> list[str]:
    """Filters that change exposure and colour; at any depth, in limited range."""
    grade = clip.grade
    if grade == Grade():
        return []
    luma = f"clip((val-minval)*{grade.gain:.5f}+minval,minval,maxval)"
    blue, red = (
        f"clip(val+{shift:.4f}*(maxval-minval)/224,minval,maxval)" for shift in (grade.blue, grade.red)
    )
    return [f"lutyuv=y='{luma}':u='{blue}':v='{red}'"]


def _faded(clip: Clip) -> list[str]:
    """Filters that bring a clip up from black and down to it."""
    fades = []
    if clip.fade_in:
        fades.append(f"fade=t=in:s=0:n={clip.fade_in}")
    if clip.fade_out:
        fades.append(f"fade=t=out:s={clip.frames - clip.fade_out}:n={clip.fade_out}")
    return fades


def graph(clip: Clip, form: Format, burn: str = "", hlg: str = "") -> str:
    """The filter graph of a segment: from input 0, and for a dissolve input 1, to ``v`` and ``t``.

    ``v`` is the picture. ``t`` is the thumbnails of what the source shows, before transitions and captions.

    Args:
        clip: What is shown.
        form: How.
        burn: The filter that draws captions; empty for none.
        hlg: The table that brings HLG to SDR, a path escaped for a filter graph.
    """
    parts = [
        f"[0:v:0]{WOVEN},{timing(clip, form)},split=2[a][b]",
        f"[b]{thumbing(clip, form)}[t]",
        f"[a]{fitting(clip, form, hlg)}[m]",
    ]
    last = "m"
    if clip.under is not None:
        seconds = float(clip.dissolve / form.fps)
        parts.append(f"[1:v:0]{WOVEN},{timing(clip.under, form)},{fitting(clip.under, form, hlg)}[u]")
        parts.append(f"[u][m]xfade=transition=fade:duration={seconds:.6f}:offset=0[x]")
        last = "x"
    after = [*_faded(clip), *([burn] if burn else []), f"format={form.pixel_format}", f"setparams={_TAGS}"]
    parts.append(f"[{last}]{','.join(after)}[v]")
    return ";".join(parts)


def thumbing(clip: Clip, form: Format) -> str:
    """Filters that make the thumbnails of what is planned straight from the source's frames."""
    aspect = form.width / form.height
    if form.fit == "crop":
        place = _place(clip)
        fit = (
            f"crop=w='min(iw,ih*{aspect}/(dar*ih/iw))':h='min(ih,iw*(dar*ih/iw)/{aspect})'"
            f":x='(iw-ow)*{place}':y='(ih-oh)*{place}',"
        )
        return f"{fit}scale={THUMB}:{THUMB}:flags=area:out_range=pc,format=gray"
    size = f"w='max(2,round({THUMB}*min(1,dar/{aspect})))':h='max(2,round({THUMB}*min(1,{aspect}/dar)))'"
    return f"scale={size}:flags=area:out_range=pc,format=gray,pad={THUMB}:{THUMB}:-1:-1:black"
