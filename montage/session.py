"""An editing session: a script, its library and its project, held open between one cut and the next.

What is asked for here is remembered in the project; what is not asked for comes from there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montage.clock import film_length
from montage.project import Project
from montage.rendering import Rendered, RenderOptions, render_cut
from montage.script import Script, keep_ids, read_script
from montage.values import MontageError, frame_rate

if TYPE_CHECKING:
    from index.library import Library
    from montage.cut import Cut
    from montage.film import Film
    from montage.intents import Intent
    from montage.mixing import Levels
    from montage.timeline import Music
    from montage.voiceover import Voiceover

__all__ = ["SETTINGS", "Changes", "Session", "Update", "open_library", "recording_state"]

SETTINGS: Mapping[str, Any] = {
    "fps": "25",
    "length": None,
    "preset": "documentary",
    "narration": None,
    "voice": None,
    "music": None,
    "size": [1920, 1080],
    "fit": "crop",
    "codec": None,
    "reframe": True,
    "slow": "blend",
    "transitions": False,
    "match_colour": False,
    "captions": ["srt"],
    "burn_captions": False,
    "label": False,
    "loudness": -14.0,
    "narration_level": 0.0,
    "source_level": 0.0,
    "music_level": 0.0,
    "split_edits": False,
}
"""What a project remembers of how its film is made, besides the library, and what holds until it is said."""
_PATHS = frozenset({"narration", "music"})
"""Those that name a file."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What an update found changed since the one before."""

    changed: tuple[int, ...] = ()
    """Numbers of the sentences whose text or directives changed."""
    new: tuple[int, ...] = ()
    gone: int = 0
    """How many sentences left the script."""
    pictures: int = 0
    """How many slots show something else than before at their sentence's place."""

    @property
    def line(self) -> str:
        """The changes in words."""

        def numbers(label: str, found: tuple[int, ...], word: str) -> str:
            more = "s" if len(found) > 1 else ""
            return f"{label}{more} {', '.join(map(str, found))} {word}" if found else ""

        parts = (
            numbers("sentence", self.changed, "changed"),
            numbers("sentence", self.new, "new"),
            f"{self.gone} gone" if self.gone else "",
            f"{self.pictures} picture{'s' * (self.pictures != 1)} other than before",
        )
        return "; ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One film made of a script as it was then."""

    rendered: Rendered
    changes: Changes
    seconds: Mapping[str, float]
    """Wall seconds: ``plan``, ``render``, ``total``."""

    @property
    def film(self) -> Film:
        """The film."""
        return self.rendered.film

    @property
    def cut(self) -> Cut:
        """The cut that it shows."""
        return self.rendered.cut


@dataclass(slots=True)
class Session:
    """A script that is planned and rendered again and again, with everything that takes time to open kept.

    >>> session = Session(Path("script.txt"))          # doctest: +SKIP
    >>> session.update().film.path                      # doctest: +SKIP
    """

    script: Path
    """A path, or its text form."""
    library: Path | None = None
    """The footage folder; None for the project's, else the only one near the script."""
    store: Path | None = None
    """Where the index lies, if elsewhere."""
    film: Path | None = None
    """Where the film goes; None for beside the script."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Some of ``SETTINGS``; text that is ``none`` takes a remembered one back. Paths count from where the
    program runs."""
    options: RenderOptions = field(default_factory=RenderOptions)
    """What else ``render`` is told."""
    seed: int = 0
    time_limit: float = 5.0
    project: Project = field(init=False)
    _library: Library | None = field(init=False, default=None)
    _store: Path | None = field(init=False, default=None)
    _encoder: str = field(init=False, default="")
    _recorded: tuple[object, Voiceover] | None = field(init=False, default=None)
    """What the recording was last aligned to, and how."""

    def __post_init__(self) -> None:
        self.script = Path(self.script)
        unknown = self.settings.keys() - SETTINGS.keys()
        if unknown:
            raise MontageError(
                f"unknown setting {', '.join(sorted(unknown))}: there are {', '.join(sorted(SETTINGS))}"
            )
        self.project = Project.for_script(self.script)

    @property
    def folder(self) -> Path:
        """The script's folder, from which the project's paths count."""
        return self.script.resolve().parent

    def setting(self, name: str) -> Any:
        """What holds for one of ``SETTINGS``: asked for, remembered, or by default."""
        asked = self.settings.get(name)
        if asked is not None:
            if asked == "none":
                return None
            return Path(asked) if name in _PATHS else asked
        saved = self.project.setting(name)
        if saved is None:
            return SETTINGS[name]
        return self.folder / saved if name in _PATHS or (name == "preset" and _is_file(saved)) else saved

    def open(self) -> Library:
        """The library, opened once; it notices by itself when its footage was indexed again, but for the
        encoder."""
        from index.library import Library

        if self._library is None:
            library, self._store = self._places()
            self._library = open_library(library, self._store, self.folder)
        elif self._library.encoder_hash != self._encoder:
            self._library = Library.open(self._library.root, self._library.store_dir)
        self._encoder = self._library.encoder_hash
        return self._library

    def _places(self) -> tuple[Path | None, Path | None]:
        """(library, store): as asked for, else as the project remembers them; a store goes with its library.

        Raises:
            MontageError: if the library that the project remembers is gone.
        """
        remembered = self.project.setting("library")
        if self.store is not None or not remembered:
            return self.library, self.store
        saved, library = self.folder / remembered, self.library
        if library is None:
            if not saved.is_dir():
                raise MontageError(
                    f"{self.project.path.name} was made with the footage in {saved}, which is not there: "
                    "bring it back, or name its new place with --library"
                )
            library = saved
        same = library.resolve() == saved.resolve()
        store = self.project.setting("store")
        return library, self.folder / store if same and store else None

    def plan(self, cancel: Callable[[], bool] | None = None) -> Cut:
        """The best cut of the script as it is now; nothing is saved.

        Raises:
            MontageError: if the script is bad, or what was decided by hand contradicts itself.
            FootageError: if the library cannot be used.
        """
        from montage.planning import plan

        library = self.open()
        script = read_script(self.script)
        if self.project.sentences:
            script = keep_ids(script, self.project.sentences)
        length = self.setting("length")
        return plan(
            script,
            library,
            self.setting("preset"),
            fps=frame_rate(str(self.setting("fps"))),
            length=None if length is None else film_length(str(length)),
            previous=self.project,
            voice=self._voice(script, library, cancel),
            music=self._music(library, cancel),
            seed=self.seed,
            time_limit=self.time_limit,
            cancel=cancel,
        )

    def _voice(self, script: Script, library: Library, cancel: Callable[[], bool] | None) -> Voiceover | None:
        """The narration: a recording, or the script spoken.

        Raises:
            MontageError: if both were asked for, or the recording is not of this script.
        """
        from montage.cache import Cache
        from montage.voiceover import recorded

        recording, spec = self.setting("narration"), self.setting("voice")
        if recording is not None and spec is not None:
            raise MontageError(
                "the script has a recording and a voice: take one back with --narration none or --voice none"
            )
        if recording is not None:
            asked = (
                recording_state(recording),
                tuple((s.id, s.text, s.directives.skip) for s in script.sentences),
            )
            if self._recorded is None or self._recorded[0] != asked:
                self._recorded = asked, recorded(recording, script, cancel=cancel)
            return self._recorded[1]
        if spec is None:
            return None
        from montage.voices import find_voice, speak

        voice = find_voice(spec, {sentence.language for sentence in script.sentences})
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return speak(
                script.sentences, voice, Cache(library.store_dir / "segments"), pool=pool, cancel=cancel
            )

    def _music(self, library: Library, cancel: Callable[[], bool] | None) -> Music | None:
        from montage.music import read_music

        path = self.setting("music")
        return None if path is None else read_music(path, library.store_dir / "segments", cancel=cancel)

    def update(
        self,
        *,
        progress: Callable[[float, float, str], None] | None = None,
        cancel: Callable[[], bool] | None = None,
        cut: Cut | None = None,
    ) -> Update:
        """Plan, render, and save the project.

        Args:
            progress: called with (done, total, what).
            cancel: true stops the work; then nothing is saved.
            cut: what to render, in place of a new plan.

        Raises:
            MontageError: if the script is bad or footage is missing.
            FilmError: if the film cannot be made, fails a check, or was cancelled.
        """
        began = time.perf_counter()
        if cut is None:
            cut = self.plan(cancel)
        planned = time.perf_counter() - began
        width, height = self.setting("size")
        options: RenderOptions = {
            "size": (width, height),
            "progress": progress,
            "cancel": cancel,
            "fit": self.setting("fit"),
            "reframe": self.setting("reframe"),
            "slow": self.setting("slow"),
            "transitions": self.setting("transitions"),
            "match_colour": self.setting("match_colour"),
            "captions": self.setting("captions") or (),
            "burn_captions": self.setting("burn_captions"),
            "label": self.setting("label"),
            "levels": self._levels(),
            **self.options,
        }
        film = self.film_path()
        options["codec"] = self._codec()
        rendered = render_cut(cut, film, **options)
        changes = _changes(self.project, rendered.cut)
        self.save(rendered.cut)
        total = time.perf_counter() - began
        return Update(
            rendered=rendered,
            changes=changes,
            seconds={"plan": planned, "render": total - planned, "total": total},
        )

    def intended(self, cut: Cut) -> tuple[tuple[Intent, ...], tuple[str, ...]]:
        """(what would be generated for a cut, why something would not be); nothing is made.

        Raises:
            GenerationError: if a model that was named cannot be used.
        """
        from montage.gaps import before_filling
        from montage.generation import Generation
        from montage.intents import all_intents

        generation = self.options.get("generation") or Generation()
        width, height = self.setting("size")
        first = self.options.get("fallback", "auto")
        cut, _, studio = before_filling(cut, (width, height), first, generation)
        found, refused = all_intents(cut, (width, height), studio, generation)
        reasons = list(refused.values())
        if cut.gaps and not studio.generators:
            reasons.insert(0, studio.reason or "no model was named")
        return found, tuple(dict.fromkeys(reasons))

    def _levels(self) -> Levels:
        from montage.mixing import Levels

        try:
            return Levels(
                target=self.setting("loudness"),
                narration=self.setting("narration_level"),
                source=self.setting("source_level"),
                music=self.setting("music_level"),
                split_edits=self.setting("split_edits"),
            )
        except ValueError as error:
            raise MontageError(f"the film's sound cannot be so: {error}") from error

    def film_path(self) -> Path:
        """Where the film goes."""
        from montage.formats import suffix_for

        return self.film or self.script.with_suffix(suffix_for(self._codec()))

    def _codec(self) -> Any:
        """The codec asked for, else the remembered one, which goes with films of its own suffix only."""
        from montage.formats import suffix_for

        codec = self.setting("codec")
        if self.settings.get("codec") is not None:
            return codec
        if self.options.get("quality") == "draft":
            return None
        return codec if self.film is None or self.film.suffix.lower() == suffix_for(codec) else None

    def save(self, cut: Cut) -> None:
        """Write the project: the cut, and what was asked for."""
        base = self.folder
        remembered: dict[str, Any] = {
            "library": relative(cut.library.root, base),
            "store": None if self._store is None else relative(self._store, base),
        }
        for name in SETTINGS:
            value = self.setting(name)
            if isinstance(value, Path) or (name == "preset" and _is_file(str(value))):
                value = relative(Path(value), base)
            remembered[name] = str(value) if isinstance(value, Fraction) else value
        self.project = self.project.updated(cut, remembered)
        self.project.save()


def open_library(library: Path | None, store: Path | None, near: Path) -> Library:
    """The library asked for, else the only one in or one level below ``near``.

    Raises:
        FootageError: if there is none, or more than one.
    """
    from index.base import FootageError
    from index.library import Library, find_library, root_of_store

    if library is None and store is not None:
        library = root_of_store(store)
    if library is not None:
        return Library.open(library, store)
    found = find_library(near)
    if len(found) == 1:
        return Library.open(found[0])
    if not found:
        raise FootageError(
            f"no library in or one level below {near}: run `montage build-index FOLDER` first, or name the "
            "footage folder with --library"
        )
    names = ", ".join(str(folder) for folder in found)
    raise FootageError(f"several libraries in or below {near} ({names}): name one with --library")


def recording_state(recording: Path) -> tuple[object, ...]:
    """What tells whether a recording, or one of a folder's, is another than before."""
    files = sorted(recording.iterdir()) if recording.is_dir() else [recording]
    state: list[object] = []
    for path in files:
        with suppress(OSError):
            found = path.stat()
            state.append((str(path), found.st_size, found.st_mtime_ns))
    return tuple(state)


def relative(path: Path, base: Path) -> str:
    """``path`` from ``base`` where that is possible, so that a project can be moved with its footage."""
    try:
        return Path(os.path.relpath(path.resolve(), base)).as_posix()
    except ValueError:  # another drive of Windows
        return str(path.resolve())


def _is_file(preset: str) -> bool:
    from montage.presets import PRESETS

    return preset not in PRESETS and (preset.endswith(".toml") or Path(preset).name != preset)


def _changes(before: Project, cut: Cut) -> Changes:
    """What differs between the project's last cut and this one."""
    told = {entry["id"]: entry["text"] for entry in before.data.get("sentences", [])}
    now = {sentence.id: sentence for sentence in cut.script.sentences}
    shown: dict[str, list[object]] = {}
    for slot in before.slots:
        shown.setdefault(slot.sentence, []).append((slot.kind, slot.shot, slot.span, slot.text))
    pictures = 0
    for slot in cut.slots:
        old = shown.get(slot.sentence, [])
        here = (slot.kind, slot.shot, slot.span, slot.text)
        if here in old:
            old.remove(here)
        else:
            pictures += 1
    return Changes(
        changed=tuple(s.number for s in now.values() if s.id in told and told[s.id] != s.text),
        new=tuple(s.number for s in now.values() if s.id not in told),
        gone=len(told.keys() - now.keys()),
        pictures=pictures,
    )
