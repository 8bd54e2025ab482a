"""Who signs a film with generated shots, and what the signature says of them (C2PA content credentials)."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from montage.checks import Check
from montage.splicing import take_file

if TYPE_CHECKING:
    from generate.signing import SignedShot
    from montage.cut import Cut

__all__ = ["Signing", "check_signing", "sign"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Whether and by whom a film is signed."""

    when: Literal["auto", "always", "never"] = "auto"
    """``auto`` signs films with generated shots where c2pa-python is installed."""
    certificate: Path | None = None
    """PEM file of the signer's certificate and those above it; None for a self-made one, which nobody
    trusts."""
    key: Path | None = None
    """PEM file of its private key."""


def check_signing(path: Path, signing: Signing) -> None:
    """Make sure, before anything is made, that a film can be signed as it was asked for.

    Raises:
        GenerationError: if it cannot.
    """
    from generate.base import GenerationError
    from generate.signing import FORMATS, read_credentials

    if signing.when == "always" and path.suffix.lower() not in FORMATS:
        raise GenerationError(
            f"{path.suffix} carries no signature: name the film .mp4 or .mov, or do not sign"
        )
    if signing.when == "always" and importlib.util.find_spec("c2pa") is None:
        raise GenerationError(
            "signing needs the package c2pa-python: pip install 'montage-editor[provenance]'"
        )
    if (signing.certificate is None) != (signing.key is None):
        raise GenerationError("a signature needs a certificate and its key: give both, or neither")
    if signing.certificate is not None and signing.key is not None and signing.when != "never":
        read_credentials(signing.certificate, signing.key)


def sign(path: Path, cut: Cut, signing: Signing) -> Check | None:
    """Sign a film, as far as it was asked for, and read the signature again; None where there is none to
    make. Where nobody asked for it, a film that cannot be signed is a good film all the same.

    Raises:
        GenerationError: if it was asked for and cannot be done.
    """
    from generate.base import GenerationError
    from generate.signing import FORMATS

    made = any(slot.take is not None for slot in cut.slots)
    if signing.when == "never" or (signing.when == "auto" and not made):
        return None
    if signing.when == "always" or signing.certificate is not None:
        return _signed(path, cut, signing)
    if path.suffix.lower() not in FORMATS or importlib.util.find_spec("c2pa") is None:
        return None
    try:
        return _signed(path, cut, signing)
    except GenerationError as error:
        return Check("signature", True, f"not signed: {error}")


def _signed(path: Path, cut: Cut, signing: Signing) -> Check:
    from generate.base import GenerationError
    from generate.signing import read_credentials, read_signature, self_made_credentials, sign_film
    from index.base import model_folder

    if signing.certificate is not None and signing.key is not None:
        credentials = read_credentials(signing.certificate, signing.key)
    else:
        credentials = self_made_credentials(model_folder().parent / "credentials")
    names = {slot.media for slot in cut.slots if slot.kind == "footage" and slot.media is not None}
    sign_film(
        path,
        _shots(cut),
        credentials,
        title=path.name,
        footage=sorted(cut.library.media[name].paths[0] for name in names if name in cut.library.media),
    )
    read = read_signature(path)
    if read is None:
        raise GenerationError(f"{path} was signed, and its signature cannot be read: report this")
    return Check("signature", read.valid, read.line)


def _shots(cut: Cut) -> list[SignedShot]:
    from generate.base import TakeKind
    from generate.signing import SignedShot

    numbers = {sentence.id: sentence.number for sentence in cut.script.sentences}
    found, start = [], 0
    for slot in cut.slots:
        if slot.take is not None:
            found.append(
                SignedShot(
                    path=take_file(slot, cut.library),
                    start=Fraction(start) / cut.fps,
                    seconds=slot.frames / cut.fps,
                    kind=cast(TakeKind, slot.kind),  # what has a take is of one of these kinds
                    model=str(slot.take["model"]),
                    prompt=str(slot.take["prompt"]),
                    seed=int(str(slot.take["seed"])),
                    digital_source_type=str(slot.take["digital_source_type"]),
                    sentence=numbers.get(slot.sentence),
                )
            )
        start += slot.frames
    return found
