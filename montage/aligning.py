"""Which moment of a recording says which word of a known text, without any trained model of speech.

The text becomes a chain of sounds with optional pauses between words (``montage.pronouncing``), and the
chain a hidden Markov model whose states are passed in order. What each sound is like is guessed at first
from its kind (loud or not, sharp or not) and then learnt from the recording itself by Baum and Welch's
algorithm, a "flat start" as in training speech recognisers (Rabiner, "A tutorial on hidden Markov models",
Proc. IEEE 1989; Young et al., The HTK Book). Sounds that are rare keep close to their kind (maximum a
posteriori adaptation, Gauvain and Lee 1994). A word begins at the median of its posterior: its error is the
least expected one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from montage.listening import FRAME_SECONDS, Heard
from montage.process import Cancel
from montage.pronouncing import KIND_OF, PAUSES, SOUND_KINDS, SpokenWord
from montage.values import FilmError

__all__ = ["Alignment", "align_words"]

Array = NDArray[np.float64]
Places = NDArray[np.intp]

STEPS = 2
"""States that one sound passes; each lasts a frame or more, so that a sound lasts 32 ms or more."""
PASSES = 4
"""How often the sounds are learnt anew."""
SCALE = 0.25
"""By how much what is heard is weighed against how long it takes; frames are far from independent."""
MOST = 8.0
"""A frame says no more than e to this against any sound, so that a cough does not break the chain."""
NEAR, FAR = 15.0, 30.0
"""Least and most seconds of speech by which the place in the text may differ from what the lengths say."""
SURE_SECONDS = 0.15
"""Confidence is the probability that a word begins within this of where it is said to begin."""
KEEP = 12.0
"""Frames of a kind that weigh as much as what is known of it beforehand; of a sound against its kind."""

_PAUSE = STEPS
"""States of a pause."""
_KNOWN = 3
"""How many of a frame's values something is known of beforehand: level, sharpness, speech."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """When each word is spoken."""

    starts: Array
    """(words,) seconds."""
    ends: Array
    """(words,) seconds, after the starts."""
    confidence: Array
    """(words,) probability that the word begins within 0.15 s of its start, if it is spoken at all."""
    misfit: Array
    """(words,) how badly the sounds of each word explain what is heard then: 0 as well as any sounds could, 1
    as badly as sounds taken at random. About 0.1 where the text is read, 0.25 or more where it is not."""


LEAST = 1e-30
"""No place in the band is less likely than this against the likeliest, so that a recording that is not quite
what the text says (words more, words less) is lost for a while only."""


@dataclass(frozen=True, slots=True)
class _Chain:
    """The S states in the order in which they are passed."""

    sound: Places
    """(S,) place in ``kinds``; 0 is silence."""
    kinds: tuple[str, ...]
    """Kind of each of the U sounds, "" for silence."""
    count: Array
    """(U,) how many states each sound has."""
    length: Array
    """(S,) mean frames in a state."""
    enter: Array
    """(S,) probability to come from the state before, when that is left."""
    leap: Array
    """(S,) probability to come from before the pause that precedes."""
    first: Places
    """(words,) the state at which each word begins."""
    after: Places
    """(words,) the state after its last."""


def align_words(
    heard: Heard, words: Sequence[SpokenWord], *, passes: int = PASSES, cancel: Cancel | None = None
) -> Alignment:
    """Align the words of a whole recording, in order.

    Args:
        heard: The recording, in which somebody speaks.
        words: All that is spoken in it, at least one.
        passes: How often the sounds are learnt.
        cancel: Asked between passes.

    Raises:
        FilmError: if it was cancelled.
    """
    chain = _chain(words)
    spoken = chain.sound != 0
    values = np.concatenate(
        [heard.level[:, None] * 4, heard.sharp[:, None], _logit(heard.speech)[:, None], heard.shape], axis=1
    )
    rate = float(np.clip((heard.speech >= 0.5).sum() / chain.length[spoken].sum(), 0.3, 3.0))
    lengths = np.where(spoken, np.maximum(chain.length * rate, 1.02), chain.length)
    means, variances = _beforehand(chain)

    def passed(means: Array, variances: Array, lengths: Array) -> tuple[_Path, Array, Array]:
        if cancel is not None and cancel():
            raise FilmError("cancelled while aligning the narration")
        likelihood = _likelihood(values[:, : means.shape[1]], means, variances)
        path = _Path.through(likelihood, chain, lengths, _band(heard, chain))
        return path, likelihood, path.occupied(chain)

    for _ in range(passes):
        occupied = passed(means, variances, lengths)[2]  # the path is large: it is not kept
        means, variances = _learn(values, occupied, chain)
        lengths = _lengths(chain, occupied, rate)
    path, likelihood, occupied = passed(means, variances, lengths)
    return path.alignment(chain, likelihood, occupied)


def _chain(words: Sequence[SpokenWord]) -> _Chain:
    kinds, names = [""], {"": 0}
    sound, length = [0] * _PAUSE, [0.3 / FRAME_SECONDS / _PAUSE] * _PAUSE
    enter, leap = [1.0] * _PAUSE, [0.0] * _PAUSE
    first, after = [], []
    before = 0.8
    for word in words:
        first.append(len(sound))
        for place, name in enumerate(word.sounds):
            if name not in names:
                names[name] = len(kinds)
                kinds.append(KIND_OF[name])
            sound += [names[name]] * STEPS
            length += [SOUND_KINDS[KIND_OF[name]].seconds / FRAME_SECONDS / STEPS] * STEPS
            enter += [1.0] * STEPS
            leap += [0.0 if place else 1 - before, *([0.0] * (STEPS - 1))]
        after.append(len(sound))
        before, seconds = PAUSES[word.pause]
        sound += [0] * _PAUSE
        length += [seconds / FRAME_SECONDS / _PAUSE] * _PAUSE
        enter += [before, *([1.0] * (_PAUSE - 1))]
        leap += [0.0] * _PAUSE
    return _Chain(
        sound=np.array(sound, np.intp),
        kinds=tuple(kinds),
        count=np.bincount(sound, minlength=len(kinds)).astype(float),
        length=np.maximum(np.array(length), 1.02),
        enter=np.array(enter),
        leap=np.array(leap),
        first=np.array(first, np.intp),
        after=np.array(after, np.intp),
    )


def _logit(probability: Array) -> Array:
    kept = np.clip(probability, 0.01, 0.99)
    return np.asarray(np.log(kept / (1 - kept)) / 2)


def _beforehand(chain: _Chain) -> tuple[Array, Array]:
    """(U, 3) means and variances of level, sharpness and speech, by the kind of sound alone."""
    means = np.array(
        [
            (4 * SOUND_KINDS[kind].level, SOUND_KINDS[kind].sharp, 1.5) if kind else (0.3, 0.0, -1.5)
            for kind in chain.kinds
        ]
    )
    variances = np.tile([0.8, 1.0, 1.0], (len(means), 1))
    variances[0] = [0.8, 2.0, 1.0]
    return means, variances


def _likelihood(values: Array, means: Array, variances: Array) -> Array:
    """(frames, U) how well each sound explains each frame, the best 1, tempered."""
    weights = 1 / variances
    logs = values @ (means * weights).T - 0.5 * (values**2 @ weights.T)
    logs -= 0.5 * ((means**2 * weights).sum(axis=1) + np.log(variances).sum(axis=1))
    logs -= logs.max(axis=1, keepdims=True)
    return np.asarray(np.exp(np.maximum(logs * SCALE, -MOST)))


def _learn(values: Array, occupied: Array, chain: _Chain) -> tuple[Array, Array]:
    """(U, features) means and variances from (frames, U) probabilities of each sound."""
    prior, spread = _beforehand(chain)
    missing = values.shape[1] - _KNOWN
    prior = np.concatenate([prior, np.zeros((len(prior), missing))], axis=1)
    spread = np.concatenate([spread, np.ones((len(spread), missing))], axis=1)
    for kind in set(chain.kinds):
        members = [place for place, name in enumerate(chain.kinds) if name == kind]
        share = occupied[:, members].sum(axis=1, keepdims=True)
        prior[members], spread[members] = _adapted(values, share, prior[members[:1]], spread[members[:1]])
    return _adapted(values, occupied, prior, spread)


def _adapted(values: Array, share: Array, prior: Array, spread: Array) -> tuple[Array, Array]:
    weight = share.sum(axis=0)[:, None]
    total = share.T @ values
    square = share.T @ values**2
    means = (total + KEEP * prior) / (weight + KEEP)
    variances = (square + KEEP * (spread + prior**2)) / (weight + KEEP) - means**2
    return means, np.maximum(variances, 0.15)


def _lengths(chain: _Chain, occupied: Array, rate: float) -> Array:
    """(S,) mean frames in each state as heard; rare sounds keep near what was expected of them."""
    expected = np.bincount(chain.sound, weights=chain.length, minlength=len(chain.count)) * rate
    frames = occupied.sum(axis=0)
    overall = frames[1:].sum() / max(expected[1:].sum(), 1e-9)
    few = 20 * STEPS
    mean = (frames + few * overall * expected / chain.count) / (chain.count + few)
    return np.where(chain.sound == 0, chain.length, np.maximum(mean[chain.sound], 1.02))


def _band(heard: Heard, chain: _Chain) -> tuple[Places, Places]:
    """(frames,) first state and state after the last that are thought of at each frame."""
    voiced = np.cumsum(heard.speech >= 0.5) * FRAME_SECONDS
    passed = np.cumsum(np.where(chain.sound == 0, 0.0, chain.length))
    passed *= voiced[-1] / passed[-1]
    width = min(max(NEAR, 0.08 * voiced[-1]), FAR)
    low = np.searchsorted(passed, voiced - width, side="left")
    high = np.searchsorted(passed, voiced + width, side="right")
    # The end can be reached from everywhere in time, and every state lies in the band of some frame.
    return np.maximum.accumulate(low), np.maximum.accumulate(high)


@dataclass(frozen=True, slots=True)
class _Path:
    """Where in the chain the recording is at each frame."""

    posterior: NDArray[np.float32]
    """(frames, width) probability of the states from ``low`` on."""
    low: Places
    high: Places

    @classmethod
    def through(cls, likelihood: Array, chain: _Chain, lengths: Array, band: tuple[Places, Places]) -> _Path:
        """Forward and backward in scaled probabilities."""
        low, high = band
        frames, states = len(likelihood), len(chain.sound)
        leave = 1 / lengths
        stay = 1 - leave
        width = int((high - low).max())
        kept = np.zeros((frames, width), np.float32)
        reach = 1 + _PAUSE
        # Padded, so that a state before the first and after the last may be asked for.
        enter = np.concatenate([chain.enter, np.zeros(reach)])
        leap = np.concatenate([chain.leap, np.zeros(reach)])
        left_by = np.concatenate([np.zeros(reach), leave])
        now = np.zeros(states + 2 * reach)
        now[reach] = chain.enter[0]
        now[reach + _PAUSE] = chain.leap[_PAUSE]
        now[reach : reach + states] *= likelihood[0][chain.sound]
        kept[0, : high[0] - low[0]] = now[reach + low[0] : reach + high[0]]
        for t in range(1, frames):
            a, b = low[t], high[t]
            left = now[a : reach + b] * left_by[a : reach + b]
            now[reach + low[t - 1] : reach + a] = 0
            part = now[reach + a : reach + b]
            part *= stay[a:b]
            part += left[reach - 1 : -1] * chain.enter[a:b]
            part += left[: b - a] * chain.leap[a:b]
            part *= likelihood[t].take(chain.sound[a:b])
            part /= part.max()
            np.maximum(part, LEAST, out=part)
            kept[t, : b - a] = part
        end = np.zeros(states + reach)
        end[[states - 1, states - 1 - _PAUSE]] = 1.0
        later = end
        for t in range(frames - 1, -1, -1):
            a, b = low[t], high[t]
            if t < frames - 1:
                c, d = low[t + 1], high[t + 1]
                later[:c] = 0
                later[d:] = 0
                later[c:d] *= likelihood[t + 1].take(chain.sound[c:d])
                came = later[a + 1 : b + 1] * enter[a + 1 : b + 1]
                came += later[a + reach : b + reach] * leap[a + reach : b + reach]
                came *= leave[a:b]
                part = later[a:b]
                part *= stay[a:b]
                part += came
                part /= part.max()
                np.maximum(part, LEAST, out=part)
            both = kept[t, : b - a] * later[a:b]
            kept[t, : b - a] = both / both.sum()
        return cls(kept, low, high)

    def occupied(self, chain: _Chain) -> Array:
        """(frames, U) probability of each sound at each frame."""
        out = np.empty((len(self.posterior), len(chain.kinds)))
        for t, (a, b) in enumerate(zip(self.low, self.high, strict=True)):
            out[t] = np.bincount(chain.sound[a:b], self.posterior[t, : b - a], minlength=len(chain.kinds))
        return out

    def alignment(self, chain: _Chain, likelihood: Array, occupied: Array) -> Alignment:
        """What the posterior says of each word; it is used up."""
        passed = np.cumsum(self.posterior, axis=1, out=self.posterior)  # in place: it is large
        # The median state never goes back, for states are passed in order.
        median = np.maximum.accumulate((passed < 0.5).sum(axis=1) + self.low)
        first = np.searchsorted(median, chain.first)
        after = np.searchsorted(median, chain.after)
        slack = round(SURE_SECONDS / FRAME_SECONDS)

        def reached(frame: Places) -> Array:
            """Probability that each word has begun by these frames."""
            at = np.clip(frame, 0, len(passed) - 1)
            place = chain.first - self.low[at] - 1
            before = passed[at, np.clip(place, 0, passed.shape[1] - 1)]
            share = np.where(place < 0, 1.0, np.where(place >= passed.shape[1], 0.0, 1 - before))
            return np.where(frame < 0, 0.0, np.where(frame >= len(passed), 1.0, share))

        sure = np.clip(reached(first + slack) - reached(first - slack - 1), 0, 1)
        voiced = 1 - occupied[:, 0]
        logs = np.log(likelihood)
        ours = np.concatenate([[0.0], np.cumsum((occupied * logs).sum(axis=1) * voiced)])
        random = np.concatenate([[0.0], np.cumsum(logs[:, 1:].mean(axis=1) * voiced)])
        stop = np.clip(np.maximum(after, first + 1), 0, len(passed))
        first = np.minimum(first, stop - 1)
        return Alignment(
            misfit=(ours[stop] - ours[first]) / np.minimum(random[stop] - random[first], -1e-9),
            starts=np.asarray(first * FRAME_SECONDS, np.float64),
            ends=np.asarray(stop * FRAME_SECONDS, np.float64),
            confidence=sure,
        )
