"""Voices that speak a script: espeak-ng, and piper and kokoro where their voices are on this machine.

Each sentence is spoken once and kept by what was said and by whom, so that a changed sentence is the only one
that is spoken anew. Nothing here uses the network.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import unicodedata
import wave
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from index.base import Span, content_id, file_sha256, model_folder
from montage.cache import Cache, key_of
from montage.process import Cancel
from montage.values import FilmError, MontageError, Sentence
from montage.voiceover import Voiced, Voiceover

__all__ = ["Espeak", "Kokoro", "Piper", "Voice", "find_voice", "speak", "voices_here"]

VERSION = 1
"""Part of every key: raise it when the same text would be kept as other sound."""
WORDS_A_MINUTE = 165
"""Speed of espeak-ng."""
PAUSE = Fraction(35, 100)
"""Seconds between two sentences."""
AIR = 0.06
"""Seconds kept before the first sound of a sentence and after its last."""
QUIET = 10 ** (-50 / 20)
"""Amplitude up to which the ends of a sentence are silence (-50 dBFS)."""
CODES = {"zh": "cmn"}
"""ISO 639-1 to espeak-ng's name of a language, where they differ."""


@runtime_checkable
class Voice(Protocol):
    """Something that speaks."""

    @property
    def name(self) -> str:
        """How it is asked for."""
        ...

    @property
    def key(self) -> str:
        """A hash of all that shapes its sound."""
        ...

    def speak(self, text: str, language: str, path: Path, cancel: Cancel | None = None) -> None:
        """Say ``text`` (in a language by its ISO 639-1 code) into a WAV file of one channel.

        Raises:
            MontageError: if it does not speak the language.
            FilmError: if it fails or was cancelled.
        """
        ...


@dataclass(frozen=True, slots=True)
class Espeak:
    """The voice of espeak-ng.

    Raises:
        MontageError: if espeak-ng is not installed or has no such voice.
    """

    voice: str = ""
    """One of its voices (``en-gb``); empty for the one of each sentence's language."""
    words_a_minute: int = WORDS_A_MINUTE

    def __post_init__(self) -> None:
        _espeak()
        known = _espeak_voices()
        if self.voice and self.voice.partition("+")[0] not in known:
            raise MontageError(
                f"espeak-ng has no voice {self.voice!r}: list them with espeak-ng --voices, or name none"
            )

    @property
    def name(self) -> str:
        """How it is asked for."""
        return f"espeak-ng:{self.voice}" if self.voice else "espeak-ng"

    @property
    def key(self) -> str:
        """A hash of version, voice and speed."""
        return key_of({"engine": _espeak_version(), "voice": self.voice, "speed": self.words_a_minute})

    def speak(self, text: str, language: str, path: Path, cancel: Cancel | None = None) -> None:
        """Say ``text`` into a WAV file."""
        voice = self.voice or CODES.get(language, language)
        if voice.partition("+")[0] not in _espeak_voices():
            raise MontageError(f"espeak-ng does not speak {language!r}: name another voice with --voice")
        # Text goes in by standard input: a sentence may begin with a dash.
        done = subprocess.run(
            [_espeak(), "-b", "1", "-v", voice, "-s", str(self.words_a_minute), "-w", str(path), "--stdin"],
            input=text.encode(),
            capture_output=True,
            check=False,
        )
        if done.returncode or not path.is_file():
            said = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
            raise FilmError(f"espeak-ng could not say {text[:40]!r}: {said}")


def _espeak() -> str:
    found = shutil.which("espeak-ng")
    if found is None:
        raise MontageError(
            "espeak-ng is not installed: install it (Debian: apt install espeak-ng), name a voice of piper "
            "or kokoro with --voice, or record the script and give it with --narration"
        )
    return found


@cache
def _espeak_version() -> str:
    return subprocess.run(
        [_espeak(), "--version"], capture_output=True, text=True, check=False
    ).stdout.strip()


@cache
def _espeak_voices() -> frozenset[str]:
    listed = subprocess.run([_espeak(), "--voices"], capture_output=True, text=True, check=False).stdout
    names = set()
    for line in listed.splitlines()[1:]:
        names.add(line.split()[1])
        names.update(re.findall(r"\((\S+) \d+\)", line))
    return frozenset(names)


@dataclass(frozen=True)
class Piper:
    """A voice of piper: an ONNX model with its configuration beside it.

    Raises:
        MontageError: if the package or a file is missing.
    """

    model: Path
    _lock: Lock = field(default_factory=Lock, compare=False, repr=False)

    def __post_init__(self) -> None:
        if importlib.util.find_spec("piper") is None:
            raise MontageError("piper is not installed: pip install piper-tts")
        for path in (self.model, self.config):
            if not path.is_file():
                raise MontageError(f"the piper voice lacks {path}: fetch the model and its .onnx.json")

    @property
    def config(self) -> Path:
        """The file beside the model that says what it speaks."""
        return self.model.with_name(self.model.name + ".json")

    @property
    def name(self) -> str:
        """How it is asked for."""
        return f"piper:{self.model}"

    @cached_property
    def key(self) -> str:
        """A hash of model and configuration."""
        return key_of(
            {"engine": "piper", "model": file_sha256(self.model), "config": file_sha256(self.config)}
        )

    @cached_property
    def language(self) -> str:
        """What it speaks, ISO 639-1; empty where its configuration does not say."""
        try:
            told = json.loads(self.config.read_text(encoding="utf-8"))
            return str(told.get("language", {}).get("code") or told["espeak"]["voice"])[:2].lower()
        except (OSError, ValueError, KeyError, AttributeError):
            return ""

    @cached_property
    def _loaded(self) -> Any:
        package: Any = importlib.import_module("piper")
        return package.PiperVoice.load(self.model, config_path=self.config, download_dir=self.model.parent)

    def speak(self, text: str, language: str, path: Path, cancel: Cancel | None = None) -> None:
        """Say ``text`` into a WAV file."""
        if self.language and language != self.language:
            raise MontageError(
                f"{self.model.name} speaks {self.language}, not {language}: name another voice"
            )
        try:
            with self._lock, wave.open(str(path), "wb") as out:
                package: Any = importlib.import_module("piper")
                # Without its noise the same text is always the same sound.
                still = package.SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)
                self._loaded.synthesize_wav(text, out, syn_config=still)
        except (RuntimeError, ValueError, KeyError, wave.Error) as error:
            raise FilmError(f"piper could not say {text[:40]!r}: {error}") from error


@dataclass(frozen=True)
class Kokoro:
    """A voice of kokoro: an ONNX model, and its voices in ``voices*.bin`` beside it.

    Raises:
        MontageError: if the package or a file is missing.
    """

    model: Path
    voice: str = "af_heart"
    _lock: Lock = field(default_factory=Lock, compare=False, repr=False)

    def __post_init__(self) -> None:
        if importlib.util.find_spec("kokoro_onnx") is None:
            raise MontageError("kokoro is not installed: pip install kokoro-onnx")
        if not self.model.is_file() or self.voices is None:
            raise MontageError(
                f"the kokoro voice lacks {self.model} or the voices*.bin beside it: fetch both"
            )

    @property
    def voices(self) -> Path | None:
        """The file of its voices."""
        return next(iter(sorted(self.model.parent.glob("voices*.bin"))), None)

    @property
    def name(self) -> str:
        """How it is asked for."""
        return f"kokoro:{self.model}#{self.voice}"

    @cached_property
    def key(self) -> str:
        """A hash of model, voices and which of them."""
        voices = file_sha256(self.voices) if self.voices is not None else ""
        return key_of(
            {"engine": "kokoro", "model": file_sha256(self.model), "voices": voices, "voice": self.voice}
        )

    @cached_property
    def _loaded(self) -> Any:
        package: Any = importlib.import_module("kokoro_onnx")
        return package.Kokoro(str(self.model), str(self.voices))

    def speak(self, text: str, language: str, path: Path, cancel: Cancel | None = None) -> None:
        """Say ``text`` into a WAV file."""
        code = {"en": "en-us", "zh": "cmn"}.get(language, language)
        try:
            with self._lock:
                samples, rate = self._loaded.create(text, voice=self.voice, lang=code)
        except (RuntimeError, ValueError, KeyError, AssertionError) as error:
            raise FilmError(f"kokoro could not say {text[:40]!r}: {error}") from error
        _write_wav(path, np.asarray(samples, np.float32), int(rate))


def find_voice(spec: str, languages: Iterable[str] = ()) -> Voice:
    """The voice that is asked for.

    Args:
        spec: ``espeak-ng``, ``espeak-ng:VOICE``, ``piper:MODEL.onnx``, ``kokoro:MODEL.onnx#VOICE``; or
            ``auto`` for a voice of piper or kokoro in the folder ``voices`` of the models that speaks all of
            the languages, else espeak-ng.
        languages: What it is to speak, ISO 639-1.

    Raises:
        MontageError: if it is not there; says what to install.
    """
    engine, _, rest = spec.partition(":")
    if spec == "auto":
        return _best(frozenset(languages))
    if engine == "espeak-ng":
        return Espeak(rest)
    if engine == "piper" and rest:
        return Piper(Path(rest))
    if engine == "kokoro" and rest:
        model, _, voice = rest.partition("#")
        return Kokoro(Path(model), voice or "af_heart")
    raise MontageError(
        f"there is no voice {spec!r}: use auto, espeak-ng, espeak-ng:VOICE, piper:MODEL.onnx or "
        "kokoro:MODEL.onnx#VOICE"
    )


def _best(languages: frozenset[str]) -> Voice:
    folder = model_folder() / "voices"
    if importlib.util.find_spec("piper") is not None:
        for model in sorted(folder.glob("*.onnx")):
            with suppress(MontageError):
                voice = Piper(model)
                if languages <= {voice.language}:
                    return voice
    if importlib.util.find_spec("kokoro_onnx") is not None and languages <= {"en"}:
        for model in sorted(folder.glob("kokoro*.onnx")):
            with suppress(MontageError):
                return Kokoro(model)
    return Espeak()


def speak(
    sentences: Sequence[Sentence],
    voice: Voice,
    cache: Cache,
    *,
    pool: Executor | None = None,
    done: Callable[[Sentence], None] | None = None,
    cancel: Cancel | None = None,
) -> Voiceover:
    """The voiceover of sentences; what was said before is taken from the cache.

    Args:
        sentences: What is said; those without a letter or a digit, and those that are skipped, are not.
        voice: Who says it.
        cache: Keeps the sound.
        pool: Speaks several sentences at a time.
        done: Told of each sentence that is there.
        cancel: Asked between sentences.

    Raises:
        MontageError: if the voice does not speak a language.
        FilmError: if it fails or was cancelled.
    """

    def say(sentence: Sentence) -> Voiced:
        if cancel is not None and cancel():
            raise FilmError("cancelled while the script was spoken")
        path = _said(sentence, voice, cache, cancel)
        with wave.open(str(path), "rb") as sound:
            seconds = Fraction(sound.getnframes(), sound.getframerate())
        if done is not None:
            done(sentence)
        return Voiced(
            source=path, content=content_id(path), span=Span(Fraction(0), seconds), pause=PAUSE,
            words=_words(sentence.text, seconds),
        )  # fmt: skip

    spoken = [s for s in sentences if not s.directives.skip and _plain(s.text)]
    voiced = list(pool.map(say, spoken) if pool is not None else map(say, spoken))
    return Voiceover({sentence.id: one for sentence, one in zip(spoken, voiced, strict=True)})


def _plain(text: str) -> str:
    """What of a text is said: no control characters, and nothing that espeak-ng reads as phonemes."""
    kept = "".join(c if c.isprintable() else " " for c in text).replace("[[", "[ [")
    return " ".join(kept.split()) if any(unicodedata.category(c)[0] in "LN" for c in kept) else ""


def _said(sentence: Sentence, voice: Voice, cache: Cache, cancel: Cancel | None) -> Path:
    text = _plain(sentence.text)
    key = key_of({"version": VERSION, "voice": voice.key, "language": sentence.language, "text": text})
    found = cache.find(key, ".wav")
    if found is not None:
        return found
    raw, trimmed = cache.temporary(".wav"), cache.temporary(".wav")
    try:
        voice.speak(text, sentence.language, raw, cancel)
        samples, rate = _read_wav(raw, text)
        _write_wav(trimmed, _trimmed(samples, rate), rate)
        return cache.keep(trimmed, key, ".wav")
    finally:
        for path in (raw, trimmed):
            with suppress(OSError):
                path.unlink()


def _read_wav(path: Path, text: str) -> tuple[NDArray[np.float32], int]:
    try:
        with wave.open(str(path), "rb") as sound:
            rate, width = sound.getframerate(), sound.getsampwidth()
            data = np.frombuffer(sound.readframes(sound.getnframes()), dtype=np.int16)
    except (OSError, EOFError, wave.Error) as error:
        raise FilmError(f"the voice wrote no sound for {text[:40]!r}: {error}") from error
    if width != 2 or not len(data):
        raise FilmError(f"the voice wrote no sound for {text[:40]!r}: name another with --voice")
    return (data / 32768).astype(np.float32), rate


def _trimmed(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Without the silence at its ends, but for a little air."""
    heard = np.flatnonzero(np.abs(samples) > QUIET)
    if not len(heard):
        return samples
    air = round(AIR * rate)
    return samples[max(0, heard[0] - air) : heard[-1] + 1 + air]


def _write_wav(path: Path, samples: NDArray[np.float32], rate: int) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes())


def _words(text: str, seconds: Fraction) -> tuple[Span, ...]:
    """When words are spoken, about: each takes a share of the sentence by its letters."""
    words = re.findall(r"[\w'’]+", text)
    total = sum(map(len, words))
    at, out = 0, []
    for word in words:
        out.append(Span(seconds * at / total, seconds * (at + len(word)) / total))
        at += len(word)
    return tuple(out)


def voices_here() -> Mapping[str, str]:
    """What speaks on this machine, and whether it is there, for ``montage doctor``."""
    out = {}
    for name, there in (
        ("espeak-ng", shutil.which("espeak-ng") is not None),
        ("piper", importlib.util.find_spec("piper") is not None),
        ("kokoro", importlib.util.find_spec("kokoro_onnx") is not None),
    ):
        out[name] = "installed" if there else "not installed"
    return out
