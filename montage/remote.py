"""What runs on a node of a cluster: one actor that holds a model and makes takes with it.

A diffusers pipeline is not sent: its folder is, and the node opens it there. Any other generator is pickled.
Either way the node must find what the sender has, by its identity, which names the content of the weights.
"""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from index.nodes import inspector

if TYPE_CHECKING:
    from generate.base import Generator, Request, Take
    from generate.takes import StepDown
    from generate.tuning import Tuning

__all__ = ["Maker", "Outcome", "Sent", "fits", "look", "send"]

PACKAGES = ("generate", "index", "montage")
DISTRIBUTIONS = ("diffusers", "imageio-ffmpeg", "numpy", "torch", "transformers")
"""Distributions whose versions shape a take."""
DEVICE_LOST = "CUDA error"
"""Part of every message of a GPU that its process can use no more."""

Fate = Literal["done", "failed", "stopped", "unfit", "lost"]
"""What became of a job: made; not made, for a reason; ended by hand; its node lacks the model; its process or
GPU is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a job."""

    take: Take | None = None
    steps: tuple[StepDown, ...] = ()
    """Why takes before it were refused."""
    reason: str = ""
    """Why there is no take; as many lines as there are reasons. Empty where there is one."""
    stopped: bool = False
    """Whether it was ended by hand, or not begun because of that."""
    made: tuple[tuple[Take, float], ...] = ()
    """Takes that were made and not found, refused ones among them, with the seconds that each took."""
    told: tuple[str, ...] = ()
    """What was done about a lack of memory."""
    device: str = ""
    """Where the model ran, as its generator says: ``cuda`` or ``cpu``; empty where nothing was made."""
    node: str = ""
    """Host name and address of the node; empty where nothing was made."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A generator on its way to a node."""

    pickled: bytes
    name: str
    identity: str


@dataclass(frozen=True, slots=True)
class _Saved:
    """A diffusers pipeline by where it lies."""

    folder: Path
    tuning: Tuning

    def open(self, takes: Path, *, own_gpu: bool) -> Generator:
        """The generator; a node's GPUs have other numbers than the sender's."""
        from generate.backends import Diffusers

        tuning = self.tuning
        if own_gpu and tuning.device is not None and tuning.device.startswith("cuda"):
            tuning = replace(tuning, device="cuda")
        if tuning.control_model is not None and not tuning.control_model.is_dir():
            raise FileNotFoundError(f"there is no model folder {tuning.control_model}")
        return Diffusers(self.folder, takes, tuning)


def send(generator: Generator, dumps: Any) -> Sent:
    """Pack a generator with ``dumps``, such as cloudpickle's.

    Raises:
        TypeError: if it cannot be pickled.
    """
    from generate.backends import Diffusers

    packed: Any = generator
    if type(generator) is Diffusers:
        tuning = generator.tuning
        if tuning.control_model is not None:
            tuning = replace(tuning, control_model=tuning.control_model.absolute())
        loras = tuple(replace(lora, path=lora.path.absolute()) for lora in tuning.loras)
        packed = _Saved(generator.folder.path.absolute(), replace(tuning, loras=loras))
    try:
        return Sent(dumps(packed), generator.name, generator.identity)
    except (pickle.PicklingError, AttributeError, RecursionError) as error:
        raise TypeError(str(error)) from error


def look() -> Any:
    """The function that looks what a machine has for making takes."""
    return inspector(PACKAGES, DISTRIBUTIONS)


def received(sent: Sent, takes: Path, *, own_gpu: bool) -> Generator:
    """The generator that was sent, on this node.

    Raises:
        LookupError: if it cannot be opened here, or is another than the sender's.
    """
    try:
        packed = pickle.loads(sent.pickled)
        made: Generator = packed.open(takes, own_gpu=own_gpu) if isinstance(packed, _Saved) else packed
        identity = made.identity
    except Exception as error:  # what is missing shows itself in many ways
        raise LookupError(f"{sent.name} cannot be opened: {error}") from error
    if identity != sent.identity:
        where = f" in {packed.folder}" if isinstance(packed, _Saved) else ""
        raise LookupError(f"the model of {sent.name}{where} is another than here")
    return made


def fits(place: dict[str, Any], takes: str, *sent: Sent) -> tuple[str, ...]:
    """Why this machine cannot make takes with the generators; nothing is loaded."""
    look()(place)  # finds the modules that the sender has
    reasons = []
    for one in sent:
        try:
            received(one, Path(takes), own_gpu=False)
        except LookupError as error:
            reasons.append(str(error))
    return tuple(reasons)


class Maker:
    """The actor: holds one generator at a time, for as long as jobs for it come."""

    def __init__(self, place: dict[str, Any], gates: bool, threads: int, own_gpu: bool) -> None:
        """``place`` is a plain ``index.nodes.Place`` whose ``root`` is the folder of the takes."""
        self._found = look()(place)
        self._folder = Path(place["root"])
        self._token = self._folder / place["token"]
        self._gates, self._threads, self._own_gpu = gates, threads, own_gpu
        self._held: tuple[Sent, Generator] | None = None

    def ready(self) -> tuple[str, dict[str, Any]]:
        """Ray's id of its node, and what the node has."""
        import ray

        return ray.get_runtime_context().get_node_id(), self._found

    def do(self, sent: Sent, request: Request, painting: bool) -> tuple[Fate, Outcome]:
        """Make a take, or paint the picture that one begins with; both stay in the folder."""
        from generate.base import Cancelled, GenerationError
        from generate.takes import make_picture, make_take

        try:
            generator = self._hold(sent)
        except LookupError as error:
            return "unfit", Outcome(reason=str(error))
        before = len(getattr(generator, "told", ()))
        made: list[tuple[Take, float]] = []
        fate: Fate = "done"
        outcome = Outcome()
        try:
            if painting:
                make_picture(request, generator, self._folder, self._stopped)
            else:
                take, steps = make_take(
                    request,
                    [generator],
                    self._folder,
                    None,
                    self._stopped,
                    gates=self._gates,
                    made=lambda take, seconds: made.append((take, seconds)),
                )
                outcome = Outcome(take=take, steps=steps)
        except Cancelled:
            fate, outcome = "stopped", Outcome(stopped=True, reason="stopped by hand")
        except GenerationError as error:
            fate, outcome = "failed", Outcome(reason=str(error))
        except Exception as error:  # of somebody else's generator: told there, where it can be read
            fate, outcome = "failed", Outcome(reason=f"{type(error).__name__}: {error}")
        if fate == "failed" and DEVICE_LOST in outcome.reason:
            fate = "lost"
        device = str(getattr(generator, "device", "cpu"))
        told = tuple(getattr(generator, "told", ())[before:])
        return fate, replace(outcome, made=tuple(made), told=told, device=device)

    def _stopped(self) -> bool:
        """The sender removes the token to end the work."""
        return not self._token.exists()

    def _hold(self, sent: Sent) -> Generator:
        from generate.backends import Diffusers
        from index.base import import_torch

        if self._held is None or self._held[0] != sent:
            self._held = None
            self._forget()
            generator = received(sent, self._folder, own_gpu=self._own_gpu)
            self._held = sent, generator
            if isinstance(generator, Diffusers):
                import_torch().set_num_threads(self._threads)
        return self._held[1]

    @staticmethod
    def _forget() -> None:
        """Give back the memory of the model before."""
        if "torch" in sys.modules:
            from generate.loading import forget
            from index.base import import_torch

            forget(import_torch())
