"""Transitions that editing convention asks for; everywhere else a cut.

A dissolve says that time passes, and a fade to black that a part has ended: neither belongs within one train
of thought (Thompson and Bowen, *Grammar of the Edit*). So a film dissolves from one paragraph to the next,
dips to black where day becomes night or footage for a dissolve is missing, and fades around title cards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from index.base import Span
from index.values import Look
from montage.rules.looks import night
from montage.timeline import Clip, Framing, Timeline

__all__ = ["with_transitions"]

SECONDS = Fraction(12, 25)
"""Length of a dissolve, or of a dip to black and up again."""
LEAST = 3
"""Clips shorter than so many transitions have none."""
GUARD_FRAMES = 3
"""Frames at the end of a shot that are not shown: a boundary may be a frame off."""
HOUR = 0.5
"""Difference in how much two pictures look like night from which it is another time of day."""


def with_transitions(
    timeline: Timeline, paragraphs: Mapping[str, int], looks: Mapping[int, Look]
) -> Timeline:
    """The timeline with a transition wherever a paragraph ends, and around title cards.

    Lengths and places stay as they are.

    Args:
        timeline: What to show; clips that know their shot can dissolve.
        paragraphs: Sentence id to its paragraph.
        looks: First frame of a clip to the look of its shot, where that is known.
    """
    frames = max(2, round(SECONDS * timeline.fps))
    clips = list(timeline.picture)
    for at in range(1, len(clips)):
        before, after = clips[at - 1], clips[at]
        if min(before.frames, after.frames) < LEAST * frames:
            continue
        if "title" in (before.kind, after.kind):
            # The card has fades of its own.
            if before.kind != "title":
                clips[at - 1] = replace(before, fade_out=frames // 2)
            if after.kind != "title":
                clips[at] = replace(after, fade_in=frames // 2)
            continue
        one, other = paragraphs.get(before.sentence), paragraphs.get(after.sentence)
        if one is None or other is None or one == other:
            continue
        under = _continued(before, frames, timeline.fps)
        if under is None or _other_hour(looks.get(before.start), looks.get(after.start)):
            clips[at - 1] = replace(before, fade_out=frames // 2)
            clips[at] = replace(after, fade_in=frames // 2)
        else:
            clips[at] = replace(after, dissolve=frames, under=under)
    return replace(timeline, picture=tuple(clips))


def _other_hour(one: Look | None, other: Look | None) -> bool:
    return one is not None and other is not None and abs(night(one) - night(other)) > HOUR


def _continued(clip: Clip, frames: int, fps: Fraction) -> Clip | None:
    """What a clip would go on to show for so many frames; None where its shot ends before."""
    if clip.shot is None:
        return None
    start = clip.span.start + clip.frames * clip.speed / fps
    end = start + frames * clip.speed / fps
    if end > clip.shot.end - GUARD_FRAMES / fps:
        return None
    place = clip.framing.last
    return replace(
        clip,
        start=0,
        frames=frames,
        span=Span(start, end),
        framing=Framing(place, place),
        fade_in=0,
        fade_out=0,
        dissolve=0,
        under=None,
        burn=None,
    )
