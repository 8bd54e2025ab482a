"""What makes the shots that the library lacks: the models at hand, and what was asked of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from montage.values import MontageError

if TYPE_CHECKING:
    from generate.backends import Diffusers
    from generate.base import Control, Generator, Strategy
    from generate.families import Conditioning
    from generate.tuning import Tuning
    from montage.presets import Preset

__all__ = ["AUTO", "Generation", "Studio", "asked_as", "digest", "open_studio"]

AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """How shots are generated.

    Raises:
        MontageError: if the number of takes is not from 1 to 64, or the strategy or control is unknown.
    """

    models: tuple[Generator | Path | str, ...] = (AUTO,)
    """Folders, names or generators, the preferred one first; ``auto`` is what fits this machine."""
    takes: int = 1
    """Takes of each gap, of which the optimiser chooses."""
    strategy: Strategy | Literal["auto"] = "auto"
    control: Control | None = None
    """What of near-miss footage a take follows: edge, depth or pose."""
    accepted: frozenset[str] = frozenset()
    """Models whose licences, other than free ones, were accepted."""
    tuning: Tuning | None = None
    gates: bool = True
    """Refuse takes that are black, frozen, noise, flicker, or cut within."""
    extend: bool = False
    """Go on from a well-matched shot that is too short for its sentence."""
    expand: bool = False
    """Paint what lies beside a shot of another aspect, in place of a crop."""
    camera: bool = False
    """Hand camera moves of the script to a model's camera control."""
    ray: str | None = None
    """Address of a Ray cluster on whose GPU nodes takes are made."""
    stop: Callable[[], AbstractContextManager[Callable[[], bool]]] | None = None
    """Entered while takes are made; what it gives is asked between steps, and true ends the making. What is
    made stays, and the ladder goes on."""

    def __post_init__(self) -> None:
        from typing import get_args

        from generate.base import STRATEGIES, Control

        if not 1 <= self.takes <= 64:
            raise MontageError(f"a gap has from 1 to 64 takes, got {self.takes}")
        if self.strategy != AUTO and self.strategy not in STRATEGIES:
            raise MontageError(
                f"unknown strategy {self.strategy!r}: choose auto or one of {', '.join(STRATEGIES)}"
            )
        if self.control is not None and self.strategy not in (AUTO, "control"):
            raise MontageError(
                f"takes follow {self.control} or are made by {self.strategy}: leave out one of --control "
                "and --strategy"
            )
        if self.control is not None and self.control not in get_args(Control):
            raise MontageError(
                f"unknown control {self.control!r}: choose one of {', '.join(get_args(Control))}"
            )


def digest(text: str) -> str:
    """A short name of a long text: 16 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def asked_as(generation: Generation, preset: Preset) -> str:
    """A name of what, besides models and prompts, takes were asked for by: another makes them anew."""
    told = (generation.strategy, generation.control, generation.camera, preset.look, preset.negative)
    return digest(repr(told))


class Studio:
    """Generators at hand, asked in the way that suits."""

    def __init__(self, generators: Sequence[Generator], reason: str = "") -> None:
        """``reason`` says why there are none."""
        self.generators = tuple(generators)
        self.reason = reason

    @property
    def honours(self) -> frozenset[Conditioning]:
        """What any of the models can be given."""
        return frozenset().union(*(_honours(generator) for generator in self.generators))

    def generator_for(self, strategy: Strategy) -> Generator | None:
        """The first generator that can be asked so, None where none can."""
        from generate.strategies import can

        return next((one for one in self.generators if can(strategy, _honours(one))), None)

    @property
    def painter(self) -> Any | None:
        """The first generator that makes single pictures, for factorised takes."""
        return next((one for one in self.generators if "picture" in _honours(one)), None)

    def longest(self, strategy: Strategy) -> Fraction | None:
        """The longest take in seconds that is made so; None where there is no limit."""
        generator = self.generator_for(strategy)
        longest = getattr(generator, "longest", None)
        return None if longest is None else Fraction(longest(strategy))


def _honours(generator: Generator) -> frozenset[Conditioning]:
    """What a generator can be given; one that does not say takes a text."""
    told = getattr(generator, "honours", None)
    return frozenset({"text"}) if told is None else told


def open_studio(generation: Generation, folder: Path) -> Studio:
    """The generators that were asked for; their takes go to ``folder``. Nothing is loaded yet.

    Raises:
        GenerationError: if one is not there, is not supported, or its licence was not accepted.
    """
    found: list[Generator] = []
    reasons = []
    for model in generation.models:
        if model == AUTO:
            made, reason = _automatic(generation, folder)
            found += made
            reasons += [reason] if reason else []
        elif isinstance(model, str | Path):
            found.append(_opened(model, generation, folder))
        else:
            found.append(model)
    return Studio(found, "; ".join(reasons))


def _opened(model: str | Path, generation: Generation, folder: Path) -> Generator:
    """The generator of a folder, or of a model in the catalogue."""
    from generate.base import GenerationError
    from generate.catalogue import LORAS, MODELS, accept, folder_of, is_here

    known = MODELS.get(str(model))
    if known is None or Path(model).is_dir():
        if str(model) in LORAS:
            raise GenerationError(
                f"{model} is a LoRA for {LORAS[str(model)].model}: name that model, and it is taken by itself"
            )
        if not Path(model).exists():
            raise GenerationError(
                f"there is no model folder {model}, and no model of that name: montage models list shows "
                "the names"
            )
        made = _diffusers(Path(model), "", generation, folder)
        row = made.rows[0]
        if not row.free and not {row.name, made.model} & generation.accepted:
            raise GenerationError(
                f"the weights of {made.model} are under {row.licence}: read it, and accept it with "
                f"--accept-licence {row.name}"
            )
        return made
    accept(known, generation.accepted)
    if not is_here(known.name):
        raise GenerationError(f"{known.name} is not here: fetch it with montage models pull {known.name}")
    return _diffusers(folder_of(known.name), known.name, generation, folder)


def _diffusers(model: Path, name: str, generation: Generation, folder: Path) -> Diffusers:
    """The generator of a model folder, run as this machine suits it and the settings say.

    ``name`` is that of the catalogue, empty for a folder of the user's.
    """
    from generate.backends import Diffusers
    from generate.loading import Folder
    from generate.tuning import AMPLE_MEMORY, Tuning, fitted_to

    blocks = bool(Folder(model).index.get("transformer"))
    # What a cluster's GPUs hold is not known here: it chooses for itself where its parts go.
    memory = gpu_memory() if generation.ray is None else AMPLE_MEMORY
    tuning = fitted_to(generation.tuning or Tuning(), memory, name, blocks=blocks)
    return Diffusers(model, folder, tuning)


def _automatic(generation: Generation, folder: Path) -> tuple[list[Generator], str]:
    """(the models here that fit this machine's GPU, the best first; why there are none)."""
    from generate.catalogue import MODELS, auto_model, fits, folder_of, is_here

    here = [model for model in MODELS.values() if not model.needs_acceptance and is_here(model.name)]
    if not here:
        return [], "no model is here (montage models list shows them)"
    memory = gpu_memory()
    best = None if memory is None else auto_model(memory)
    if memory is None or best is None:
        return [], "there is no GPU large enough for a model (name one with --model to run it all the same)"
    fitting = [model for model in here if fits(model, memory)]
    fitting.sort(key=lambda model: (model.name != best.name, -model.size))
    if not fitting:
        return [], f"{best.name} fits this GPU and is not here (montage models pull {best.name})"
    return [_diffusers(folder_of(model.name), model.name, generation, folder) for model in fitting], ""


def gpu_memory() -> int | None:
    """Bytes of the largest GPU that torch can use; None where there is none."""
    from index.base import import_torch

    torch = import_torch()
    if not torch.cuda.is_available():
        return None
    sizes = (torch.cuda.get_device_properties(n).total_memory for n in range(torch.cuda.device_count()))
    return int(max(sizes))
