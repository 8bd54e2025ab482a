"""The options by which shots are generated, and what they make of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from montage.cli.options import FILE, FOLDER

if TYPE_CHECKING:
    from montage.cli.output import Output
    from montage.generation import Generation
    from montage.signing import Signing

__all__ = ["OPTIONS", "generation_of", "generation_options", "signing_of", "signing_options"]

OPTIONS = (
    "model",
    "takes",
    "strategy",
    "control",
    "accept_licence",
    "model_settings",
    "control_model",
    "extend",
    "expand",
    "camera",
    "gates",
    "ray",
)
"""Names of the options that ``generation_of`` takes."""


def generation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What ``plan``, ``render`` and ``watch`` take to have shots generated."""
    for option in reversed(
        (
            click.option(
                "--model",
                multiple=True,
                metavar="NAME|FOLDER|auto|none",
                help="Makes the shots the library lacks: a model of `montage models list`, the folder of a "
                "diffusers pipeline, or what fits this machine's GPU; several may be named. [default: auto]",
            ),
            click.option(
                "--takes",
                type=click.IntRange(1, 64),
                default=1,
                show_default=True,
                help="Generated takes of each gap, of which the one that cuts best is shown.",
            ),
            click.option(
                "--strategy",
                type=click.Choice(["auto", "direct", "from-near-miss", "restyle", "factorised", "bridge"]),
                default="auto",
                show_default=True,
                help="From the text, from the nearest frame, by changing the nearest footage, by way of a "
                "picture, or from the shot before to the one after.",
            ),
            click.option(
                "--control",
                type=click.Choice(["edge", "depth", "pose"]),
                help="Follow the edges, depth or pose of the nearest footage, with a model that can.",
            ),
            click.option(
                "--control-model", type=FOLDER, help="Folder of the model that finds depth or pose."
            ),
            click.option(
                "--accept-licence",
                multiple=True,
                metavar="NAME",
                help="Use a model whose licence sets conditions; each is explained when it is named.",
            ),
            click.option(
                "--model-settings",
                type=FILE,
                help="TOML file with steps, guidance, offload, tiling, dtype, loras and more.",
            ),
            click.option(
                "--extend/--no-extend",
                default=False,
                help="Go on from a shot that matches well and is too short. [default: no]",
            ),
            click.option(
                "--expand/--no-expand",
                default=False,
                help="Paint what lies beside a shot of another aspect, in place of a crop. [default: no]",
            ),
            click.option(
                "--camera/--no-camera",
                default=False,
                help="Hand [move] to a model's camera control, not to its prompt alone. [default: no]",
            ),
            click.option(
                "--gates/--no-gates",
                default=True,
                show_default=True,
                help="Refuse generated shots that are black, frozen, noise, or cut within.",
            ),
            click.option(
                "--ray",
                metavar="ADDRESS",
                help="Make takes on the GPU nodes of a Ray cluster: local, auto, HOST:PORT or "
                "ray://HOST:PORT. [needs the extra ray]",
            ),
        )
    ):
        command = option(command)
    return command


def generation_of(options: dict[str, Any], output: Output) -> Generation:
    """The ``Generation`` that the options ask for; they are taken out of ``options``.

    Raises:
        GenerationError: if the model settings cannot be read.
    """
    import dataclasses

    from generate.tuning import Tuning, read_tuning
    from montage.cli.stopping import ending_early
    from montage.generation import AUTO, Generation

    told = {name: options.pop(name) for name in OPTIONS if name in options}
    models = tuple(told.get("model") or (AUTO,))
    settings = told.get("model_settings")
    tuning = Tuning() if settings is None else read_tuning(settings)
    if told.get("control_model") is not None:
        tuning = dataclasses.replace(tuning, control_model=Path(told["control_model"]))
    return Generation(
        models=() if models == ("none",) else models,
        takes=told.get("takes", 1),
        strategy=told.get("strategy", "auto"),
        control=told.get("control"),
        accepted=frozenset(told.get("accept_licence", ())),
        tuning=tuning,
        gates=told.get("gates", True),
        extend=told.get("extend", False),
        expand=told.get("expand", False),
        camera=told.get("camera", False),
        ray=told.get("ray"),
        stop=lambda: ending_early(output, "ending the making of shots; what is made stays"),
    )


def signing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a film says what of it was generated."""
    for option in reversed(
        (
            click.option(
                "--label/--no-label",
                default=None,
                help="Say in a corner of each generated shot that it is one, and how it was made. "
                "[default: no]",
            ),
            click.option(
                "--sign/--no-sign",
                default=None,
                help="Sign the film with C2PA content credentials. [default: where it has generated shots; "
                "needs the extra provenance]",
            ),
            click.option(
                "--certificate",
                type=FILE,
                help="PEM file of the signer's certificates. [default: a self-made one, which nobody trusts]",
            ),
            click.option("--certificate-key", type=FILE, help="PEM file of its private key."),
        )
    ):
        command = option(command)
    return command


def signing_of(options: dict[str, Any]) -> Signing:
    """The ``Signing`` that the options ask for; they are taken out of ``options``."""
    from montage.signing import Signing

    asked = options.pop("sign", None)
    return Signing(
        when="auto" if asked is None else "always" if asked else "never",
        certificate=options.pop("certificate", None),
        key=options.pop("certificate_key", None),
    )
