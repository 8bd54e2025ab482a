"""Style: how a finished film is cut, learnt from its boundaries and looks, as a preset.

Lengths: the pace is their median, the spread the standard deviation of their logarithms (Cutting et al. 2010:
shot lengths are log-normal), the shortest and longest their 5% and 95% quantiles.

Transitions, of shot sizes and of camera moves alike: W[a, b] is the count of neighbours a, b over the count
of all neighbours (ESA, arXiv 2511.02505). Within a row, W / (largest W of the row) is 1 for what the film
does most after a, and 0 for what it never does. A row with n neighbours weighs n against ``PRIOR`` for the
grammar that the preset had, so that a row without evidence stays as it was:

    score[a, b] = (n[a] * W[a, b] / max W[a] + PRIOR * before[a, b]) / (n[a] + PRIOR)
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from index.values import CAMERA_MOVES, SHOT_SIZES, Look, Shot
from montage.presets import Preset, load_preset
from montage.rules import Grammar
from montage.values import MontageError

__all__ = ["FEWEST", "PRIOR", "Style", "learn_style", "read_style"]

FEWEST = 10
"""A film of fewer shots says nothing about how it is cut."""
PRIOR = 10.0
"""Neighbours that a row of the grammar must have to count as much as the grammar that it had before."""
EDGES = (0.05, 0.95)
"""Quantiles of the lengths that are the shortest and the longest picture."""
SPREADS = (0.1, 1.5)
"""Bounds of the spread: a metronome still allows a frame more or less, and no film is mere chance."""
SENTENCE = 5.0
"""Seconds that most sentences last, or less: so many pictures of the film's pace may one of them have."""
MOST_SLOTS = 8
TEMPO = 0.8
"""Weight of ``tempo``: twice its own, for the tempo is what was asked for."""
CARD_TEXT = 0.02
"""Share of a dark picture under text that makes it a title or credits."""
CARD_DARK = 0.15
"""Mean luma below which a picture may be a title, a logo or credits."""

Table = tuple[tuple[float, ...], ...]
Counts = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What was measured of a finished film; leaders, titles and credits are left out.

    Raises:
        ValueError: if there are no lengths.
    """

    film: str
    """File name."""
    lengths: tuple[float, ...]
    """Seconds of each shot, in order."""
    sizes: Counts
    """(5, 5) how often a shot size is followed by another, by ``SHOT_SIZES``; unknown ones are skipped."""
    moves: Counts
    """(8, 8) the same of camera moves, by ``CAMERA_MOVES``."""
    left_out: int = 0
    """Shots that are black, titles or credits."""

    def __post_init__(self) -> None:
        if not self.lengths or min(self.lengths) <= 0:
            raise ValueError(f"a style needs lengths above 0, got {self.lengths}")

    @property
    def pace(self) -> float:
        """Median of the lengths, seconds."""
        return statistics.median(self.lengths)

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithms of the lengths."""
        return statistics.stdev(map(math.log, self.lengths)) if len(self.lengths) > 1 else 0.0

    @property
    def rate(self) -> float:
        """Cuts a minute: shots over their seconds."""
        return 60 * len(self.lengths) / sum(self.lengths)

    def preset(self, name: str, extends: Preset | Path | str = "documentary") -> Preset:
        """The preset that cuts like the film; what a film does not tell is as in ``extends``."""
        before = extends if isinstance(extends, Preset) else load_preset(extends)
        low, high = (_quantile(self.lengths, edge) for edge in EDGES)
        pace = Fraction(max(1, round(self.pace * 20)), 20)
        minimum = Fraction(max(1, math.floor(low * 10 + 1e-9)), 10)
        maximum = Fraction(math.ceil(high * 10 - 1e-9), 10)
        spread = min(max(self.spread, SPREADS[0]), SPREADS[1])
        return replace(
            before,
            name=name,
            says=f"Cut like {self.film}: {self.rate:.0f} pictures a minute.",
            pace=pace,
            minimum=min(minimum, pace),
            maximum=max(maximum, pace),
            spread=round(spread, 2),
            slots=max(before.slots, min(MOST_SLOTS, math.ceil(SENTENCE / float(pace)))),
            weights={**before.weights, "tempo": max(TEMPO, before.all_weights["tempo"])},
            grammar=Grammar(
                sizes=_learnt(self.sizes, before.grammar.sizes),
                moves=_learnt(self.moves, before.grammar.moves),
            ),
        )

    def notes(self) -> tuple[str, ...]:
        """What it was learnt from, for a person."""
        sizes, moves = (sum(map(sum, table)) for table in (self.sizes, self.moves))
        seconds = sum(self.lengths)
        left_out = f"; {self.left_out} left out as black, titles or credits" if self.left_out else ""
        return (
            f"Learnt from {self.film}: {len(self.lengths)} shots in {seconds:.1f} s{left_out}.",
            f"{self.rate:.1f} pictures a minute; lengths {min(self.lengths):.2f} to "
            f"{max(self.lengths):.2f} s, median {self.pace:.2f}, mean {seconds / len(self.lengths):.2f}.",
            f"Shot sizes: {_told(self.sizes, SHOT_SIZES)}.",
            f"Camera moves: {_told(self.moves, CAMERA_MOVES)}.",
            f"From {PRIOR:.0f} neighbours on, a row of the grammar follows the film more than the preset "
            f"that it extends; of all rows, {sizes} neighbours have known sizes and {moves} moves.",
        )


def _quantile(values: Sequence[float], share: float) -> float:
    """Linear between the values in order."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _learnt(counts: Counts, before: Table) -> Table:
    """The scores of a table, by the formula above; to three digits, as a file holds them."""
    total = sum(map(sum, counts)) or 1
    out = []
    for seen, old in zip(counts, before, strict=True):
        evidence = sum(seen)
        shares = [count / total for count in seen]
        most = max(shares) or 1.0
        out.append(
            tuple(
                round((evidence * share / most + PRIOR * score) / (evidence + PRIOR), 3)
                for share, score in zip(shares, old, strict=True)
            )
        )
    return tuple(out)


def _told(counts: Counts, names: Sequence[str]) -> str:
    """The commonest neighbours in words."""
    found = [
        (count, a, b)
        for a, row in zip(names, counts, strict=True)
        for count, b in zip(row, names, strict=True)
    ]
    best = sorted((one for one in found if one[0]), key=lambda one: -one[0])[:4]
    return ", ".join(
        f"{a} to {b} {count} times" if count > 1 else f"{a} to {b} once" for count, a, b in best
    ) or ("none known")


def _left_out(look: Look, at_the_end: bool) -> bool:
    """Whether a shot is black, a title or credits: text on a dark ground, or a dark still card at an end."""
    if look.brightness < 0.04 and look.contrast < 0.02:
        return True
    if look.brightness >= CARD_DARK:
        return False
    still = look.saturation < 0.15 and look.motion < 0.005
    return (look.text or 0.0) >= CARD_TEXT or (at_the_end and still)


def read_style(
    path: Path | str,
    *,
    detector: str = "auto",
    progress: Callable[[float, float, str], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Style:
    """Measure how a finished film is cut, in one decoding pass.

    ``progress`` is called with the seconds measured, those of the film, and its name; ``cancel`` is asked now
    and then.

    Raises:
        MontageError: if it has fewer than ``FEWEST`` shots, or ``cancel`` said to stop.
        FootageError: if the file is no footage.
    """
    from index.faces import find_faces
    from index.measure import measure_file

    path = Path(path)

    def beat(done: Fraction, promised: Fraction) -> None:
        if cancel is not None and cancel():
            raise MontageError(f"stopped before {path.name} was measured to its end: nothing was learnt")
        if progress is not None:
            progress(float(done), float(promised), path.name)

    measured = measure_file(path, None, detector=detector, faces=find_faces, beat=beat)
    return _style(path.name, measured.shots)


def _style(film: str, shots: Sequence[Shot]) -> Style:
    """The style of these shots in order; a shot that is left out parts its neighbours."""
    kept: list[bool] = [not _left_out(shot.look, False) for shot in shots]
    for order in (range(len(shots)), range(len(shots) - 1, -1, -1)):
        for i in order:
            if kept[i] and not _left_out(shots[i].look, True):
                break
            kept[i] = False
    shown = sum(kept)
    if shown < FEWEST:
        shots_said = "1 shot" if shown == 1 else f"{shown} shots"
        raise MontageError(
            f"{film} has {shots_said} besides black, titles and credits, too few to learn a style from: "
            f"it takes {FEWEST} or more. Name a longer film"
        )
    sizes = [[0] * len(SHOT_SIZES) for _ in SHOT_SIZES]
    moves = [[0] * len(CAMERA_MOVES) for _ in CAMERA_MOVES]
    for (first, one), (second, other) in itertools.pairwise(zip(shots, kept, strict=True)):
        if not (one and other):
            continue
        a, b = first.look, second.look
        moves[CAMERA_MOVES.index(a.move)][CAMERA_MOVES.index(b.move)] += 1
        if a.size is not None and b.size is not None:
            sizes[SHOT_SIZES.index(a.size)][SHOT_SIZES.index(b.size)] += 1
    return Style(
        film=film,
        lengths=tuple(float(shot.span.seconds) for shot, one in zip(shots, kept, strict=True) if one),
        sizes=tuple(map(tuple, sizes)),
        moves=tuple(map(tuple, moves)),
        left_out=len(shots) - shown,
    )


def learn_style(
    path: Path | str,
    *,
    extends: Preset | Path | str = "documentary",
    detector: str = "auto",
    progress: Callable[[float, float, str], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Preset:
    """The preset that cuts like a finished film.

    Raises:
        MontageError: if the film has too few shots, or ``cancel`` said to stop.
        FootageError: if the file is no footage.
    """
    base = extends if isinstance(extends, Preset) else load_preset(extends)
    return read_style(path, detector=detector, progress=progress, cancel=cancel).preset(Path(path).stem, base)
