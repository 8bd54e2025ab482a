"""How a written sentence is spoken, roughly: words, the kinds of sounds in each, and where a voice pauses.

No dictionary and no weights: letters are turned into sounds by a few rules. Sounds need not be right, only
alike wherever the same letters stand, for the alignment learns from the recording itself how each sounds
(``montage.aligning``).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

__all__ = ["PAUSES", "SOUND_KINDS", "SoundKind", "SpokenWord", "spoken_words"]


@dataclass(frozen=True, slots=True)
class SoundKind:
    """What sounds of one kind have in common."""

    seconds: float
    """How long one lasts on average in read speech."""
    level: float
    """How loud: 0 is the background of the recording, 1 its loud vowels."""
    sharp: float
    """How much of it lies above 3 kHz, in standard deviations of the recording."""


SOUND_KINDS = {
    "vowel": SoundKind(0.085, 0.85, -0.4),
    "long": SoundKind(0.125, 0.88, -0.4),
    "sonorant": SoundKind(0.065, 0.7, -0.7),
    "voiced": SoundKind(0.06, 0.5, -0.1),
    "hiss": SoundKind(0.105, 0.55, 1.8),
    "breath": SoundKind(0.08, 0.4, 0.9),
    "stop": SoundKind(0.08, 0.35, 0.6),
    "any": SoundKind(0.085, 0.5, 0.3),
    "syllable": SoundKind(0.14, 0.85, -0.4),
}
"""Lengths after Klatt, "Linguistic uses of segmental duration in English", JASA 1976, rounded; "any" and
"syllable" are the beginning and the rest of a syllable of which the writing says no more."""

_KINDS = {
    "vowel": "a e i o u @",
    "long": "A E I O U ei ai oi ou",
    "sonorant": "m n ng l r w y",
    "voiced": "b d g v dh z j zh",
    "hiss": "s sh ch ts",
    "breath": "f th h",
    "stop": "p t k",
    "any": "C",
    "syllable": "V",
}
KIND_OF = {sound: kind for kind, sounds in _KINDS.items() for sound in sounds.split()}
"""Sound to its kind."""

PAUSES = {"none": (0.04, 0.12), "weak": (0.25, 0.2), "comma": (0.6, 0.35), "end": (0.93, 0.6)}
"""What stands after a word to how likely a pause is there, and its mean length in seconds."""


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word as it is spoken.

    Raises:
        ValueError: if it makes no sound.
    """

    text: str
    """As written, with its punctuation."""
    sounds: tuple[str, ...]
    """Keys of ``KIND_OF``."""
    pause: str = "none"
    """What may follow it, a key of ``PAUSES``."""

    def __post_init__(self) -> None:
        if not self.sounds:
            raise ValueError(f"a spoken word needs sounds, got none for {self.text!r}")

    @property
    def seconds(self) -> float:
        """How long it takes on average."""
        return sum(SOUND_KINDS[KIND_OF[sound]].seconds for sound in self.sounds)


_HAN = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff々〇"
_KANA = "\u3041-\u309f\u30a1-\u30ff"
_MARKS = "，。、！？；：」』）》…"
_PIECE = re.compile(rf"[{_HAN}]|[{_KANA}]+|[{_MARKS}]+|[^\s{_HAN}{_KANA}{_MARKS}]+")
_STRONG, _COMMA, _WEAK = ".!?。！？…", ",;:、，；：—–", '()"“”「」『』（）《》'
_NUMBER = re.compile(r"\d+(?:[,.]\d+)*")
_ABBREVIATIONS = {
    "mr": "mister", "mrs": "missis", "ms": "miz", "dr": "doctor", "st": "saint", "vs": "versus",
    "etc": "etsetera", "km": "kilometers", "kg": "kilograms", "cm": "centimeters", "mm": "millimeters",
    "mph": "miles an hour", "no": "no", "%": "percent", "&": "and", "+": "plus", "$": "dollars",
    "€": "euros", "£": "pounds", "°c": "degrees", "°f": "degrees", "°": "degrees", "=": "equals",
}  # fmt: skip
_SAID = {
    "the": "dh @", "a": "@", "of": "o v", "one": "w u n", "once": "w u n s", "to": "t u", "two": "t U",
    "who": "h U", "you": "y U", "are": "A r", "were": "w @ r", "was": "w o z", "is": "i z", "his": "h i z",
    "as": "a z", "has": "h a z", "their": "dh e r", "there": "dh e r", "they": "dh ei", "this": "dh i s",
    "that": "dh a t", "with": "w i dh", "than": "dh a n", "then": "dh e n", "these": "dh I z",
    "those": "dh O z", "eye": "ai", "people": "p I p @ l", "sure": "sh O r", "sugar": "sh u g @ r",
}  # fmt: skip
_ENGLISH = (
    ("tion", "sh @ n"), ("sion", "sh @ n"), ("cious", "sh @ s"), ("tious", "sh @ s"), ("eigh", "ei"),
    ("ough", "O"), ("augh", "O"), ("tch", "ch"), ("igh", "ai"), ("dge", "j"), ("eau", "O"), ("sch", "s k"),
    ("ture", "ch @ r"), ("sh", "sh"), ("ch", "ch"), ("ph", "f"), ("th", "th"), ("gh", ""), ("nk", "ng k"),
    ("ng", "ng"), ("ck", "k"), ("qu", "k w"), ("wh", "w"), ("sc", "s k"), ("ee", "I"), ("ea", "I"),
    ("ie", "I"), ("oo", "U"), ("ou", "ou"), ("ow", "ou"), ("oa", "O"), ("ai", "ei"), ("ay", "ei"),
    ("ei", "ei"), ("ey", "I"), ("au", "O"), ("aw", "O"), ("oi", "oi"), ("oy", "oi"), ("ue", "U"),
    ("ui", "U"), ("ew", "U"), ("io", "i o"), ("ia", "i a"), ("er", "@ r"), ("ir", "@ r"), ("ur", "@ r"),
    ("ar", "A r"), ("or", "O r"), ("x", "k s"), ("c", "k"), ("q", "k"), ("y", "i"), ("a", "a"), ("e", "e"),
    ("i", "i"), ("o", "o"), ("u", "u"), ("ß", "s"), ("æ", "a"), ("ø", "o"), ("œ", "o"), ("þ", "th"),
    ("ð", "dh"), *((letter, letter) for letter in "bdfghjklmnprstvwz"),
)  # fmt: skip
_VOWELS = set("aeiouy")
_CYRILLIC = {
    **dict(zip("абвгдезийклмнопрстуфхыэіґє", "abvgdeziyklmnoprstufhieige", strict=True)),
    "ё": "o", "ж": "zh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "sh", "ю": "yu", "я": "ya", "ї": "yi",
}  # fmt: skip
_ROMAN = re.compile("ng|sh|ch|ts|th|dh|zh|.")


def spoken_words(text: str, language: str) -> tuple[SpokenWord, ...]:
    """The words of a sentence in the order in which they are spoken; never empty.

    A Chinese character is a word, a run of kana is one; other words stand between spaces. The last is
    followed by the pause that ends a sentence.
    """
    words: list[SpokenWord] = []
    for match in _PIECE.finditer(unicodedata.normalize("NFC", text)):
        piece = match[0]
        sounds = _sounds(piece, language)
        pause = _pause(piece)
        if sounds:
            words.append(SpokenWord(piece, tuple(sounds), pause))
        elif words:
            last = words[-1]
            louder = max(last.pause, pause, key=list(PAUSES).index)
            words[-1] = SpokenWord(last.text + piece, last.sounds, louder)
    if not words:  # "..." alone, or a script that nothing is known of
        words.append(SpokenWord(text.strip(), ("C", "V")))
    words[-1] = SpokenWord(words[-1].text, words[-1].sounds, "end")
    return tuple(words)


def _pause(piece: str) -> str:
    tail = re.sub(r"^.*\w", "", piece)
    if not tail:
        return "none"
    if any(c in _STRONG for c in tail):
        return "end" if tail.strip(_WEAK + "'’»]") != "." or len(piece) > 5 else "comma"
    if any(c in _COMMA for c in tail) or tail in ("-", "--"):
        return "comma"
    return "weak"


def _sounds(piece: str, language: str) -> list[str]:
    out: list[str] = []
    if re.match(rf"[{_HAN}]", piece):
        return ["C", "V", "C", "V"] if language == "ja" else ["C", "V"]
    if re.match(rf"[{_KANA}]", piece):
        return _roman("".join(map(_kana, piece)))
    for part in re.findall(r"\d+(?:[,.]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*\.?|[%&+$€£°=]", piece):
        lower = part.casefold().rstrip(".")
        if _NUMBER.fullmatch(part):
            out += _number(part, language)
        elif lower in _ABBREVIATIONS and (part.endswith(".") or not lower.isalpha() or lower in ("km", "kg")):
            for word in _ABBREVIATIONS[lower].split():
                out += _latin(word)
        elif part.isupper() and 1 < len(lower) <= 5 and not set(lower) & _VOWELS:
            out += ["C", "I"] * len(lower)  # DVD, HTML
        else:
            out += _word(lower.replace("'", "").replace("’", ""))
    return out


def _word(word: str) -> list[str]:
    plain = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    name = unicodedata.name(word[0], "")
    if name.startswith("LATIN"):
        return list(_latin(plain))
    if name.startswith("CYRILLIC"):
        return _roman("".join(_CYRILLIC.get(c, "") for c in word))
    if name.startswith("HANGUL SYLLABLE"):
        return _roman("".join(unicodedata.name(c, "X").split()[-1].lower() for c in word))
    if name.startswith("GREEK"):  # GREEK SMALL LETTER KAPPA
        return _roman("".join(unicodedata.name(c, "X").split()[-1][0].lower() for c in plain))
    return ["C", "V"] * sum(1 for c in word if unicodedata.category(c)[0] == "L")


@cache
def _latin(word: str) -> tuple[str, ...]:
    """The sounds of a word in Latin letters, by rules for English; other languages are read likewise."""
    if word in _SAID:
        return tuple(_SAID[word].split())
    word = re.sub(r"(.)\1", lambda m: m[0] if m[0] in ("ee", "oo") else m[1], word)
    word = re.sub(r"^(?:kn|gn|pn)", "n", word)
    word = re.sub(r"^wr", "r", word)
    word = re.sub(r"^gh", "g", word)
    word = re.sub(r"mb$", "m", word)
    end: tuple[str, ...] = ()
    stem = word
    if re.search(r"[aeiouy].*[^aeiouy]e$", word):
        stem = word[:-1]
    elif re.search(r"[aeiouy].*[^aeiouytd]ed$", word):
        stem, end = word[:-2], ("d",)
    elif re.search(r"[aeiouy].*[^aeiouysxzhcg]es$", word):
        stem, end = word[:-2], ("z",)
    if re.search(r"[^aeiouylr]le$", word):
        stem, end = word[:-2], ("@", "l")
    out: list[str] = []
    place = 0
    while place < len(stem):
        rest = stem[place:]
        following = word[place + 1 : place + 2]
        if rest[0] == "c" and following and following in "eiy" and not rest.startswith("cious"):
            out.append("s")
            place += 1
        elif rest[0] == "g" and following and following in "eiy" and place:
            out.append("j")
            place += 1
        elif rest[0] == "y" and (place == 0 or stem[place - 1] in _VOWELS) and following in _VOWELS:
            out.append("y")
            place += 1
        else:
            letters, said = next(
                ((a, b) for a, b in _ENGLISH if rest.startswith(a)),
                (rest[0], "C" if rest[0].isalpha() else ""),
            )
            out += said.split()
            place += len(letters)
    return (*out, *end) or ("C", "V")


def _kana(character: str) -> str:
    name = unicodedata.name(character, "")
    if character in "ーゝ・゛゜":
        return "" if character != "ー" else "="
    if "LETTER" not in name:
        return ""
    small = "SMALL" in name
    said = name.split()[-1].lower()
    if small and said == "tu":
        return "t"
    if small and said.startswith("y"):
        return "^" + said[1:]
    return {"si": "shi", "ti": "chi", "tu": "tsu", "hu": "fu", "zi": "ji", "di": "ji", "wo": "o"}.get(
        said, said
    )


def _roman(text: str) -> list[str]:
    """Sounds of romanised text; ``=`` lengthens (a mora of its own), ``^`` takes the vowel before away."""
    text = (
        re.sub(r"(?<=[a-z])[aeiou]\^", "y", text).replace("shy", "sh").replace("chy", "ch").replace("jy", "j")
    )
    out: list[str] = []
    for sound in _ROMAN.findall(text):
        if sound == "=":
            out.append(out[-1] if out and KIND_OF[out[-1]] == "vowel" else "t")
        elif sound in KIND_OF:
            out.append(sound)
        else:
            out += {"x": ["k", "s"], "c": ["k"], "q": ["k"]}.get(sound, ["C"] if sound.isalpha() else [])
    return out


_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def _number(text: str, language: str) -> list[str]:
    whole, _, decimals = re.sub(r",(?=\d{3}(?!\d))", "", text).replace(",", ".").partition(".")
    if language in ("zh", "ja"):
        count = len(whole.lstrip("0") or "0")
        zeros = len(whole) - len(whole.rstrip("0"))
        syllables = (
            count if count == 4 and whole[0] in "12" else max(1, 2 * count - 1 - 2 * min(zeros, count - 1))
        )
        return ["C", "V"] * (syllables + (len(decimals) + 1 if decimals else 0))
    words = _english(int(whole)) if len(whole) < 13 else [_ONES[int(d)] for d in whole if d.isdecimal()]
    if (
        len(whole) == 4
        and "1100" <= whole <= "2099"
        and whole[1:3] != "00"
        and not decimals
        and "," not in text
    ):
        tail = int(whole[2:])
        words = _english(int(whole[:2])) + (
            ["hundred"] if tail == 0 else ["oh", _ONES[tail]] if tail < 10 else _english(tail)
        )
    if decimals:
        words += ["point", *(_ONES[int(d)] for d in decimals if d.isdecimal())]
    return [sound for word in words for sound in _latin(word)]


def _english(number: int) -> list[str]:
    if number < 20:
        return [_ONES[number]]
    if number < 100:
        return [_TENS[number // 10 - 2], *(_english(number % 10) if number % 10 else [])]
    for size, name in ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = number % size
            return [*_english(number // size), name, *(_english(rest) if rest else [])]
    return []
