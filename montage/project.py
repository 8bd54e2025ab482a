"""The project file ``NAME.montage.json`` beside the script: the cut of record.

Versioned JSON with sorted keys. What this version does not know is kept as it was. It is written to a
temporary name and moved, so that a crash leaves the old file or the new one, never half of either.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from index.base import Span
from montage.clock import film_length
from montage.taste import Choice, Taste
from montage.values import Alternate, MontageError, Slot, frame_rate

if TYPE_CHECKING:
    from montage.cut import Cut

__all__ = ["PROJECT_VERSION", "Project", "project_path"]

PROJECT_VERSION = 1
"""Version of the file's layout; a newer one is refused, never guessed at."""
SUFFIX = ".montage.json"

Json = dict[str, Any]


def project_path(script: Path | str) -> Path:
    """Where the project of a script lies: ``story.txt`` has ``story.montage.json``."""
    script = Path(script)
    return script.with_name(script.stem + SUFFIX)


def _span_out(span: Span | None) -> list[str] | None:
    return None if span is None else [str(span.start), str(span.end)]


def _span_in(value: list[str] | None) -> Span | None:
    return None if value is None else Span(Fraction(value[0]), Fraction(value[1]))


def _slot_out(slot: Slot) -> Json:
    return {
        "alternates": [
            {"match": round(other.match, 4), "shot": other.shot, "span": _span_out(other.span)}
            for other in slot.alternates
        ],
        "costs": {name: round(cost, 6) for name, cost in sorted(slot.costs.items())},
        "frames": slot.frames,
        "kind": slot.kind,
        "match": None if slot.match is None else round(slot.match, 4),
        "media": slot.media,
        "sentence": slot.sentence,
        "shot": slot.shot,
        "span": _span_out(slot.span),
        "speed": str(slot.speed),
        "take": None if slot.take is None else dict(slot.take),
        "text": slot.text,
        "why": slot.why,
    }


def _slot_in(value: Json) -> Slot:
    return Slot(
        sentence=value["sentence"],
        kind=value["kind"],
        frames=value["frames"],
        shot=value.get("shot"),
        media=value.get("media"),
        span=_span_in(value.get("span")),
        speed=Fraction(value.get("speed", "1")),
        match=value.get("match"),
        costs=value.get("costs", {}),
        alternates=tuple(
            Alternate(other["shot"], cast(Span, _span_in(other["span"])), other["match"])
            for other in value.get("alternates", [])
        ),
        text=value.get("text", ""),
        why=value.get("why", ""),
        take=value.get("take"),
    )


def _prompts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"prompts must be an object with a text for each sentence, got {value!r}")
    return value


def _listed(name: str, value: object) -> frozenset[str]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list of ids, got {value!r}")
    return frozenset(value)


def _kept(old: Json, new: Json) -> Json:
    """``new`` with the keys that only ``old`` has."""
    return {**{key: value for key, value in old.items() if key not in new}, **new}


@dataclass(frozen=True, slots=True)
class Project:
    """What a project file says. Changes give a new value; only ``save`` writes.

    Raises:
        MontageError: if a file was written by a newer version or is damaged.
    """

    path: Path
    data: Mapping[str, Any]
    """The file's content, with the keys that this version does not know."""

    @classmethod
    def load(cls, path: Path | str) -> Project:
        """Read a project file.

        Raises:
            MontageError: if it cannot be read, is damaged, or comes from a newer version.
        """
        path = Path(path)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise MontageError(f"cannot read the project file {path}: {error.strerror}") from error
        except ValueError as error:
            raise MontageError(
                f"the project file {path} is damaged ({error}): mend it or move it away; it is left as it is"
            ) from error
        if not isinstance(data, dict) or not isinstance(data.get("version"), int):
            raise MontageError(f"{path} is no project file of montage: it has no version number")
        if data["version"] > PROJECT_VERSION:
            raise MontageError(
                f"{path} was written by a newer montage (layout {data['version']}, this one knows "
                f"{PROJECT_VERSION}): update montage; the file is left as it is"
            )
        project = cls(path, data)
        try:
            _ = project.slots, project.retired_slots, project.taste, project.sentences
            project.check_settings()
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            reason = str(error) if type(error) is ValueError else repr(error)
            raise MontageError(
                f"the project file {path} is damaged ({reason}): mend it or move it away"
            ) from error
        return project

    @classmethod
    def for_script(cls, script: Path | str) -> Project:
        """The project of a script: the file beside it, or an empty one that is not yet saved.

        Raises:
            MontageError: if there is a file and it cannot be used.
        """
        path = project_path(script)
        if path.exists():
            return cls.load(path)
        return cls(path, {"version": PROJECT_VERSION})

    @property
    def sentences(self) -> tuple[tuple[str, str], ...]:
        """(id, text) of every sentence of the last cut, then of those no longer in the script."""
        listed = [*self.data.get("sentences", []), *self.data.get("retired", [])]
        if not all(isinstance(entry[key], str) for entry in listed for key in ("id", "text")):
            raise ValueError("ids and texts of sentences must be text")
        return tuple((entry["id"], entry["text"]) for entry in listed)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots of the last cut."""
        return tuple(_slot_in(entry) for entry in self.data.get("slots", []))

    @property
    def taste(self) -> Taste:
        """Pins, locks, bans and preferences, of sentences that have left the script too."""
        pins = {
            name: Choice(entry["shot"], _span_in(entry.get("span")))
            for name, entry in self.data.get("pins", {}).items()
        }
        return Taste(
            pins=pins,
            bans=_listed("bans", self.data.get("bans", [])),
            sentence_bans={
                name: _listed("sentence_bans", shots)
                for name, shots in self.data.get("sentence_bans", {}).items()
            },
            locks=_listed("locks", self.data.get("locks", [])),
            prefers=_listed("prefers", self.data.get("prefers", [])),
            sentence_prefers={
                name: _listed("sentence_prefers", shots)
                for name, shots in self.data.get("sentence_prefers", {}).items()
            },
            prompts=_prompts(self.data.get("prompts", {})),
        )

    @property
    def retired_slots(self) -> tuple[Slot, ...]:
        """What sentences showed that have left the script, for when they return."""
        return tuple(
            _slot_in(slot) for entry in self.data.get("retired", []) for slot in entry.get("slots", [])
        )

    def check_settings(self) -> None:
        """Make sure that the settings can be used.

        Raises:
            ValueError: if one cannot be.
        """
        settings = self.data.get("settings", {})
        if not isinstance(settings, dict):
            raise ValueError(f"settings must be an object, got {settings!r}")
        for name in (
            "library",
            "store",
            "preset",
            "fit",
            "length",
            "codec",
            "narration",
            "voice",
            "music",
            "slow",
        ):
            if not isinstance(settings.get(name), str | None):
                raise ValueError(f"{name} must be text, got {settings[name]!r}")
        size = settings.get("size", [2, 2])
        if not (isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) for side in size)):
            raise ValueError(f"size must be two whole numbers, got {size!r}")
        for name in ("reframe", "transitions", "match_colour", "burn_captions", "label", "split_edits"):
            if not isinstance(settings.get(name), bool | None):
                raise ValueError(f"{name} must be true or false, got {settings[name]!r}")
        for name in ("loudness", "narration_level", "source_level", "music_level"):
            if not isinstance(settings.get(name), int | float | None):
                raise ValueError(f"{name} must be a number, got {settings[name]!r}")
        captions = settings.get("captions", [])
        if not (isinstance(captions, list) and all(isinstance(form, str) for form in captions)):
            raise ValueError(f"captions must be a list of formats, got {captions!r}")
        frame_rate(settings.get("fps", 25))
        if settings.get("length") is not None:
            film_length(settings["length"])

    def setting(self, name: str) -> Any:
        """What the last run was asked for (``library``, ``size``, ``fps``, ``preset`` ...), or None."""
        return self.data.get("settings", {}).get(name)

    def updated(self, cut: Cut, settings: Mapping[str, Any] | None = None) -> Project:
        """The project after ``cut``; sentences that left the script are retired, never dropped."""
        old = copy.deepcopy(dict(self.data))
        retired = {entry["id"]: entry for entry in old.get("retired", [])}
        known = {entry["id"]: entry for entry in old.get("sentences", [])}
        current, slots = [], list(old.get("slots", []))
        for sentence in cut.script.sentences:
            before = known.pop(sentence.id, None)
            back = retired.pop(sentence.id, {})
            slots += back.pop("slots", [])
            current.append(
                _kept(
                    back if before is None else before,
                    {"id": sentence.id, "number": sentence.number, "text": sentence.text},
                )
            )
        for name, entry in known.items():  # those that have left now take with them what they showed
            own = [slot for slot in slots if slot["sentence"] == name]
            retired[name] = {**entry, "slots": own}
        pins = {
            name: _kept(
                old.get("pins", {}).get(name, {}), {"shot": choice.shot, "span": _span_out(choice.span)}
            )
            for name, choice in cut.taste.pins.items()
        }
        taste = cut.taste
        account: Json = {
            "bound": round(cut.bound, 6),
            "kept": None if cut.kept is None else {"of": cut.kept[1], "pictures": cut.kept[0]},
            "objective": round(cut.objective, 6),
            "optimality_gap": round(cut.optimality_gap, 6),
            "rules": {name: round(cost, 6) for name, cost in sorted(cut.rule_totals.items())},
        }
        new: Json = {
            "bans": sorted(taste.bans),
            "cut": _kept(old.get("cut", {}), account),
            "encoder": {"hash": cut.library.encoder_hash, "name": cut.library.encoder_name},
            "locks": sorted(taste.locks),
            "pins": pins,
            "prefers": sorted(taste.prefers),
            "prompts": dict(taste.prompts),
            "retired": [entry for _, entry in sorted(retired.items())],
            "seed": cut.seed,
            "sentence_bans": {name: sorted(shots) for name, shots in taste.sentence_bans.items()},
            "sentence_prefers": {name: sorted(shots) for name, shots in taste.sentence_prefers.items()},
            "sentences": current,
            "settings": _kept(old.get("settings", {}), dict(settings or {})),
            "slots": self._slots_out(cut, slots),
            "version": PROJECT_VERSION,
        }
        return Project(self.path, _kept(old, new))

    @staticmethod
    def _slots_out(cut: Cut, old: list[Json]) -> list[Json]:
        """Slots as JSON; unknown keys of the nth slot of a sentence stay with the nth slot."""
        seen: dict[str, int] = {}

        def place(sentence: str) -> tuple[str, int]:
            seen[sentence] = seen.get(sentence, -1) + 1
            return sentence, seen[sentence]

        before = {place(entry["sentence"]): entry for entry in old}
        seen.clear()
        return [_kept(before.get(place(slot.sentence), {}), _slot_out(slot)) for slot in cut.slots]

    def save(self) -> None:
        """Write the file, all of it or nothing.

        Raises:
            MontageError: if it cannot be written.
        """
        text = json.dumps(self.data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise MontageError(f"cannot write the project file {self.path}: {error.strerror}") from error
