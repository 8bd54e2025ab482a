"""Prompts: what a model is told to show for a sentence of a script."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from index.values import SHOT_SIZES
from montage.idioms import IdiomWish
from montage.presets import Preset
from montage.resolving import subjects_of
from montage.script import Script
from montage.taste import Taste
from montage.values import Sentence
from montage.wording import SIZES

__all__ = ["NEGATIVE", "Prompt", "noun_phrase", "prompt_for", "resolved"]

NEGATIVE = (
    "blurry, low quality, distorted, deformed, extra limbs, text, subtitles, watermark, logo, "
    "split screen, flicker"
)
"""What no generated shot should show; the words are those that the model cards of Wan and LTX suggest."""

_CAMERA = {
    "static": "static camera",
    "pan": "the camera pans slowly",
    "pan-left": "the camera pans left",
    "pan-right": "the camera pans right",
    "tilt": "the camera tilts slowly",
    "tilt-up": "the camera tilts up",
    "tilt-down": "the camera tilts down",
    "zoom": "slow zoom",
    "zoom-in": "slow zoom in",
    "zoom-out": "slow zoom out",
    "handheld": "handheld camera",
    "dolly-in": "slow dolly in",
    "dolly-out": "slow dolly out",
    "push-in": "the camera pushes in",
    "pull-out": "the camera pulls out",
    "truck-left": "the camera trucks left",
    "truck-right": "the camera trucks right",
    "crane-up": "the camera cranes up",
    "crane-down": "the camera cranes down",
    "pedestal-up": "the camera rises",
    "pedestal-down": "the camera sinks",
}
"""Camera moves in the words of prompts."""

_ARTICLES = frozenset("a an the one this that these those two three some many".split())  # noqa: SIM905
_SINGULAR = frozenset({"a", "an", "one", "this", "that"})
_OWNERS = frozenset({"my", "your", "our", "his", "her", "its", "their"})
_ENDS = frozenset(
    "is are was were be been being has have had do does did can could will would shall should may might "  # noqa: SIM905
    "must "
    "in on at by to from with without into onto over under above below across through along around behind "
    "beside near off up down out for against toward towards between among during before after until while "
    "who which that whose where when and or but so as than then not never always often slowly quickly "
    "stands stand sits sit runs run walks walk lies lie comes come goes go looks look makes make takes "
    "take".split()
)
"""Words that end a noun phrase: auxiliaries, prepositions, conjunctions, and the commonest verbs."""
_PLURALS = frozenset("children people men women mice feet teeth sheep geese deer fish".split())  # noqa: SIM905
_ADJECTIVES = frozenset(
    "old new young big small large little tall short long high low hot cold warm cool wet dry dark bright "  # noqa: SIM905
    "red blue green yellow white black brown grey gray golden silver wild busy empty quiet heavy light great "
    "good bad fast slow first last same other early late local whole huge tiny deep wide narrow".split()
)
"""The commonest words before a noun: after one, what ends in -s is a plural and no verb."""
_WORDS = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|[,;:.!?]")
_MOST = 5
"""Words of a noun phrase."""

_PRONOUN = re.compile(
    r"^(?P<before>\W*)(?P<word>it|he|she|they|this|these|that|those|its|his|her|hers|their)\b(?P<after>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_OWNING = frozenset({"its", "his", "her", "their"})
_CHINESE = re.compile(r"^(?P<before>\W*)(?P<word>它们|他们|她们|它|他|她|牠)(?P<after>的?.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is told."""

    text: str
    negative: str


def noun_phrase(text: str) -> str:
    """The noun phrase that an English sentence begins with, such as ``a red fox``; empty where none is seen.

    A reading of surfaces, not of grammar: an article or possessive, and the words up to the first verb,
    preposition or conjunction that is known, or that an ending gives away.
    """
    words = _WORDS.findall(text)
    if not words or words[0].casefold() not in _ARTICLES | _OWNERS:
        # A name is a phrase of its own: "Anna", "Mount Fuji".
        named = []
        for place, word in enumerate(words[:_MOST]):
            if not word[0].isupper() or (place == 0 and word.casefold() in _ENDS):
                break
            named.append(word)
        return " ".join(named) if len(named) > 1 else ""
    article = words[0].casefold()
    taken = [words[0]]
    for word in words[1 : _MOST + 1]:
        low = word.casefold()
        if not word[0].isalpha() or low in _ENDS or low in _ARTICLES or low.endswith("ly"):
            break
        before = taken[-1].casefold()
        if len(taken) > 1 and (_is_plural(before) or low.endswith("ing")):
            break  # "the dogs bark": what follows a plural is its verb
        if len(taken) > 1 and low.endswith("ed") and before not in _ADJECTIVES:
            break
        ends = _ends_in_s(low)
        many = article in ("these", "those", "two", "three", "some", "many")
        if len(taken) > 1 and ends and not many and (article in _SINGULAR or before not in _ADJECTIVES):
            break
        taken.append(word)
    return " ".join(taken) if len(taken) > 1 else ""


def _is_plural(word: str) -> bool:
    return word in _PLURALS or _ends_in_s(word)


def _ends_in_s(word: str) -> bool:
    """Whether a word has the ending of plurals and of verbs; an owner's is another."""
    return word.endswith("s") and not word.endswith(("ss", "us", "'s", "\u2019s"))


def resolved(sentence: Sentence, subject: str) -> str:
    """A sentence with the pronoun it begins with replaced by what it stands for.

    ``subject`` is the text of the sentence that names it. Where no noun is found, that text goes before the
    sentence, so that a model knows what is spoken of.
    """
    text = sentence.text
    found = None
    noun = ""
    if sentence.language == "en":
        found, noun = _PRONOUN.match(text), _definite(noun_phrase(subject))
    elif sentence.language == "zh":
        found, noun = _CHINESE.match(text), _chinese_noun(subject)
    if found is None or not noun:
        return f"{subject.rstrip()} {text}"
    word = found["word"].casefold()
    owned = noun + ("'" if noun.endswith("s") else "'s")
    follows = found["after"].lstrip()[:1]
    if word in _OWNING and follows.isalpha():
        noun = owned
    elif word in ("this", "these", "that", "those"):
        after = found["after"].split(maxsplit=1)
        if after and after[0].casefold() not in _ENDS:
            return text  # "this dog": the noun is there
    if sentence.language == "en":
        noun = noun[:1].upper() + noun[1:]
    return f"{found['before']}{noun}{found['after']}"


def _definite(phrase: str) -> str:
    """``a red fox`` spoken of again: ``the red fox``."""
    first, _, rest = phrase.partition(" ")
    if rest and first.casefold() in _ARTICLES | _OWNERS:
        return f"the {rest}"
    return phrase


def _chinese_noun(text: str) -> str:
    """The first noun of a Chinese text, with what describes it directly before."""
    import jieba.posseg

    taken = ""
    for pair in jieba.posseg.cut(text):
        word, flag = pair.word, pair.flag
        if flag.startswith("n"):
            taken += word
        elif taken and not flag.startswith(("a", "uj")):
            break
        elif flag.startswith("a"):
            taken += word
    return taken


def _size_and_move(sentence: Sentence, idiom: IdiomWish | None) -> Iterable[str]:
    directives = sentence.directives
    if directives.size is not None:
        yield SIZES[directives.size]
    elif idiom is not None and idiom.scale is not None:
        yield SIZES[SHOT_SIZES[round(idiom.scale)]]
    if directives.camera:
        yield _CAMERA[directives.camera]
    elif directives.move is not None:
        yield _CAMERA[directives.move]


def prompt_for(
    sentence: Sentence,
    script: Script,
    preset: Preset,
    taste: Taste,
    *,
    idiom: IdiomWish | None = None,
    same: str = "",
) -> Prompt:
    """What a model is told to show for a sentence.

    The sentence, its pronoun resolved, the shot size and camera move that the script or an idiom asks for,
    and the preset's look. The script's ``[prompt]`` and the project's own prompt take the place of the
    sentence, and no idiom adds to them.

    Args:
        sentence: what to show.
        script: it stands in.
        preset: gives the look.
        taste: holds prompts written by hand.
        idiom: what an idiom asks of it.
        same: what a story is about, which each of its shots shows: ``the red fox``.
    """
    own = sentence.directives.prompt or taste.prompts.get(sentence.id, "")
    subject = subjects_of(script).get(sentence.id)
    if own:
        said = own
    elif subject is not None:
        said = resolved(sentence, subject)
    else:
        said = sentence.text
    said = " ".join(said.split()).rstrip(".。")
    parts = [f"{same[:1].upper()}{same[1:]}, the same in every shot" if same else "", said]
    parts += [*_size_and_move(sentence, None if own else idiom), preset.look]
    return Prompt(
        text=". ".join(part for part in parts[:2] if part)
        + "".join(f", {part}" for part in parts[2:] if part),
        negative=", ".join(part for part in (preset.negative, NEGATIVE) if part),
    )
