"""montage: write a script, get a cut.

    import montage
    library = montage.build_index("footage")
    script = montage.read_script("script.txt")
    cut = montage.plan(script, library, preset="documentary")
    film = montage.render(cut, "film.mp4")

Names are imported when they are first used, so that ``import montage`` costs nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generate.base import GenerationError
    from index.base import FootageError, Span
    from index.builder import build_index
    from index.library import Library
    from index.values import Hit, Look, Media, Shot
    from montage.cut import Cut
    from montage.evaluation import evaluate
    from montage.film import Film
    from montage.planning import plan
    from montage.presets import Preset
    from montage.project import Project
    from montage.rendering import render
    from montage.script import Script, parse_script, read_script
    from montage.session import Session
    from montage.style import learn_style
    from montage.timeline import Timeline
    from montage.values import Candidate, MontageError, Sentence, Slot

_PLACES = {
    "Candidate": "montage.values",
    "Cut": "montage.cut",
    "Film": "montage.film",
    "FootageError": "index.base",
    "GenerationError": "generate.base",
    "Hit": "index.values",
    "Library": "index.library",
    "Look": "index.values",
    "Media": "index.values",
    "MontageError": "montage.values",
    "Preset": "montage.presets",
    "Project": "montage.project",
    "Script": "montage.script",
    "Sentence": "montage.values",
    "Session": "montage.session",
    "Shot": "index.values",
    "Slot": "montage.values",
    "Span": "index.base",
    "Timeline": "montage.timeline",
    "build_index": "index.builder",
    "evaluate": "montage.evaluation",
    "learn_style": "montage.style",
    "parse_script": "montage.script",
    "plan": "montage.planning",
    "read_script": "montage.script",
    "render": "montage.rendering",
}
"""Where each public name comes from."""

__all__ = [
    "Candidate",
    "Cut",
    "Film",
    "FootageError",
    "GenerationError",
    "Hit",
    "Library",
    "Look",
    "Media",
    "MontageError",
    "Preset",
    "Project",
    "Script",
    "Sentence",
    "Session",
    "Shot",
    "Slot",
    "Span",
    "Timeline",
    "build_index",
    "evaluate",
    "learn_style",
    "parse_script",
    "plan",
    "read_script",
    "render",
]

__version__ = "0.1.0"


def _refuse_shadows() -> None:
    """A stray index.py or generate.py in the user's folder would be taken for our package: say so."""
    ours = Path(__file__).resolve().parent.parent
    for name in ("index", "generate"):
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        if found is not None and not (found.parent / "base.py").is_file():
            raise ImportError(
                f"montage needs its package {name!r}, but Python finds {found} first: rename that file "
                f"or start Python from another folder (montage itself lies in {ours})"
            )


def __getattr__(name: str) -> object:
    try:
        place = _PLACES[name]
    except KeyError:
        raise AttributeError(f"module 'montage' has no attribute {name!r}") from None
    try:
        value = getattr(importlib.import_module(place), name)
    except (ModuleNotFoundError, ImportError):
        _refuse_shadows()
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
