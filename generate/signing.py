"""Content credentials: a film signed with what of it was generated, after the C2PA specification 2.x.

The manifest says that the film was created as a composite. Each generated shot is an ingredient with a
manifest of its own, which says that its model created it and from what, and an action places it in the film:
a manifest holds one ``c2pa.created`` only. Whoever changes the file afterwards breaks the signature; whoever
copies the streams into another file loses it, so that the film is signed last.
"""

from __future__ import annotations

import datetime
import json
import os
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import Any

from generate.base import GenerationError, TakeKind

__all__ = [
    "FORMATS",
    "Credentials",
    "Signature",
    "SignedShot",
    "read_credentials",
    "read_signature",
    "self_made_credentials",
    "sign_film",
]

_IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
COMPOSITE_WITH_MODEL = _IPTC + "compositeWithTrainedAlgorithmicMedia"
"""IPTC: a composite of several elements, at least one of them made by a trained model."""
COMPOSITE = _IPTC + "composite"
"""IPTC: a composite whose elements were not made by a trained model."""
SELF_MADE = "montage: self-made certificate"
"""Common name of the self-made authority."""
YEARS = 5
CREATED, PLACED = "c2pa.created", "c2pa.placed"
FORMATS = {".mp4": "video/mp4", ".mov": "video/quicktime"}
"""Containers that carry a signature, and their media types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedShot:
    """One generated shot of a film."""

    path: Path
    """The take's MP4 file."""
    start: Fraction
    """Seconds into the film."""
    seconds: Fraction
    kind: TakeKind
    model: str
    prompt: str
    seed: int
    digital_source_type: str
    """IPTC digital source type (a full URI)."""
    sentence: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who signs."""

    certificates: bytes
    """PEM, the signer's own first, then those above it."""
    key: bytes
    """PEM, PKCS #8."""
    algorithm: str
    """``es256``, ``es384``, ``es512``, ``ps256`` or ``ed25519``."""
    self_made: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a film's signature says, and whether it holds."""

    valid: bool
    """Whether the file is as it was signed."""
    trusted: bool
    """Whether the signer's certificate is on C2PA's list of trust."""
    problems: tuple[str, ...]
    """Codes of C2PA for what does not hold; empty where all does, but for trust."""
    signer: str
    source_type: str
    """IPTC digital source type of the whole."""
    shots: tuple[dict[str, Any], ...]
    """The generated shots: source type, model, prompt and seed, place."""

    @property
    def line(self) -> str:
        """One line for a person."""
        if not self.valid:
            return f"the file was changed after it was signed ({', '.join(self.problems)})"
        trust = "" if self.trusted else "; the certificate is self-made or unknown, so nobody need trust it"
        count = len(self.shots)
        return f"signed by {self.signer}: {count} generated shot{'s' * (count != 1)}{trust}"


def _c2pa() -> Any:
    try:
        import c2pa
    except ImportError as error:
        raise GenerationError(
            "signing needs the package c2pa-python: pip install 'montage-editor[provenance]'"
        ) from error
    return c2pa


# Who signs -------------------------------------------------------------------------------------------------


def read_credentials(certificate: Path | str, key: Path | str) -> Credentials:
    """A signer's certificate and private key.

    Raises:
        GenerationError: if they cannot be read, do not belong together, have expired, or the key is locked.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        chain, secret = Path(certificate).read_bytes(), Path(key).read_bytes()
    except OSError as error:
        raise GenerationError(f"cannot read {error.filename}: {error.strerror}") from error
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
        private = serialization.load_pem_private_key(secret, None)
    except TypeError as error:
        raise GenerationError(f"the key {key} is locked by a password: give one that is not") from error
    except (ValueError, IndexError) as error:
        raise GenerationError(
            f"{certificate} and {key} must be PEM files of a certificate and its key: {error}"
        ) from error
    public = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*public) != leaf.public_key().public_bytes(*public):
        raise GenerationError(f"the key {key} is not that of the certificate {certificate}")
    if leaf.not_valid_after_utc < datetime.datetime.now(datetime.UTC):
        raise GenerationError(f"the certificate {certificate} expired on {leaf.not_valid_after_utc:%Y-%m-%d}")
    plain = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Credentials(certificates=chain, key=plain, algorithm=_algorithm(private))


def _algorithm(key: Any) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        sizes = {256: "es256", 384: "es384", 521: "es512"}
        if key.curve.key_size in sizes:
            return sizes[key.curve.key_size]
    raise GenerationError("C2PA signs with keys of the kinds P-256, P-384, P-521, RSA and Ed25519 only")


def self_made_credentials(folder: Path | str) -> Credentials:
    """A certificate of our own making, kept in ``folder`` and made anew when it expires.

    It shows that a film is as it was signed, and nothing about who signed it.

    Raises:
        GenerationError: if it cannot be written.
    """
    folder = Path(folder)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    with suppress(GenerationError):
        kept = read_credentials(certificate, key)
        return Credentials(
            certificates=kept.certificates, key=kept.key, algorithm=kept.algorithm, self_made=True
        )
    chain, secret = _made_chain()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The key last: a certificate without its key is made anew, and so is a pair of two makers at once.
        for path, data in ((certificate, chain), (key, secret)):
            handle, name = tempfile.mkstemp(dir=folder)  # for its owner alone
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(name, path)
    except OSError as error:
        raise GenerationError(f"cannot keep a certificate in {folder}: {error.strerror}") from error
    return Credentials(certificates=chain, key=secret, algorithm="es256", self_made=True)


def _made_chain() -> tuple[bytes, bytes]:
    """(certificates, key): an authority and a signer, as C2PA's profile of X.509 asks for."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def named(name: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, name),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "self-made"),
            ]
        )

    def usage(*, signs: bool, certifies: bool) -> x509.KeyUsage:
        return x509.KeyUsage(signs, False, False, False, False, certifies, certifies, False, False)

    now = datetime.datetime.now(datetime.UTC)
    until = now + datetime.timedelta(days=365 * YEARS)

    def begun(subject: str, public: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named(SELF_MADE))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(until)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        )

    above, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = (
        begun(SELF_MADE, above.public_key())
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(usage(signs=False, certifies=True), True)
        .sign(above, hashes.SHA256())
    )
    signer = (
        begun("montage", own.public_key())
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(usage(signs=True, certifies=False), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), False)
        .sign(above, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return signer.public_bytes(pem) + authority.public_bytes(pem), secret


# What is signed --------------------------------------------------------------------------------------------


def sign_film(
    path: Path | str,
    shots: Sequence[SignedShot],
    credentials: Credentials,
    *,
    title: str,
    footage: Sequence[str] = (),
) -> None:
    """Sign a film in place; it stays as it was if that fails.

    Args:
        path: an MP4 or MOV file.
        shots: those that were generated, in order.
        credentials: who signs.
        title: of the film.
        footage: names of the files whose footage it shows.

    Raises:
        GenerationError: if the package is absent, the format carries no signature, or signing fails.
    """
    c2pa = _c2pa()
    path = Path(path)
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise GenerationError(f"{path.suffix} carries no signature: name the film .mp4 or .mov")
    if not path.is_file():
        raise GenerationError(f"there is no film {path} to sign")
    with tempfile.TemporaryDirectory(prefix=f".{path.stem[:40]}.", dir=path.parent) as folder:
        part = Path(folder) / f"film{path.suffix}"
        try:
            info = c2pa.C2paSignerInfo(
                alg=getattr(c2pa.C2paSigningAlg, credentials.algorithm.upper()),
                sign_cert=credentials.certificates,
                private_key=credentials.key,
                ta_url=None,
            )
            names = [f"xmp:iid:{uuid.uuid4()}" for _ in shots]
            with (
                c2pa.Signer.from_info(info) as signer,
                c2pa.Builder(_manifest(title, kind, _edited(shots, names, footage))) as made,
            ):
                for number, (shot, name) in enumerate(zip(shots, names, strict=True), start=1):
                    title_of_shot = f"generated shot {number}"
                    own = Path(folder) / f"shot{shot.path.suffix}"
                    with c2pa.Builder(_manifest(title_of_shot, FORMATS[".mp4"], [_created(shot)])) as one:
                        one.sign_file(str(shot.path), str(own), signer)
                    told = {
                        "title": title_of_shot,
                        "relationship": "componentOf",
                        "instance_id": name,
                        "label": name,
                    }
                    with own.open("rb") as file:
                        made.add_ingredient(told, FORMATS[".mp4"], file)
                    own.unlink()
                made.sign_file(str(path), str(part), signer)
            os.chmod(part, path.stat().st_mode & 0o777)
            os.replace(part, path)
        except (c2pa.C2paError, OSError) as error:
            raise GenerationError(f"cannot sign {path}: {error}; the film stays unsigned") from error


def _manifest(title: str, kind: str, actions: Sequence[Mapping[str, Any]]) -> str:
    """A manifest's definition as JSON."""
    definition = {
        "claim_generator_info": [{"name": "montage", "version": _version()}],
        "title": title,
        "format": kind,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions, "allActionsIncluded": True}}
        ],
    }
    return json.dumps(definition, ensure_ascii=False)


def _edited(
    shots: Sequence[SignedShot], names: Sequence[str], footage: Sequence[str]
) -> list[dict[str, Any]]:
    """How the film came to be: created as a composite, with each generated shot at its place."""
    whole = COMPOSITE_WITH_MODEL if any(shot.kind == "diffusion" for shot in shots) else COMPOSITE
    actions: list[dict[str, Any]] = [
        {
            "action": CREATED,
            "digitalSourceType": whole,
            "softwareAgent": {"name": "montage", "version": _version()},
            "description": f"edited from {len(footage)} files of footage" if footage else "edited",
        }
    ]
    for shot, name in zip(shots, names, strict=True):
        time = {"type": "npt", "start": _npt(shot.start), "end": _npt(shot.start + shot.seconds)}
        told = {} if shot.sentence is None else {"montage.sentence": shot.sentence}
        actions.append(
            {
                "action": PLACED,
                "changes": [
                    {"region": [{"type": "temporal", "time": time}], "description": "the generated shot"}
                ],
                "parameters": {"ingredientIds": [name], **told},
            }
        )
    return actions


def _created(shot: SignedShot) -> dict[str, Any]:
    """What made a shot, and from what."""
    told = {"prompt": shot.prompt, "seed": shot.seed, "kind": shot.kind}
    return {
        "action": CREATED,
        "digitalSourceType": shot.digital_source_type,
        "softwareAgent": {"name": shot.model},
        "parameters": {f"montage.{name}": value for name, value in told.items()},
    }


def _npt(seconds: Fraction) -> str:
    """Seconds as normal play time (RFC 2326)."""
    return f"{float(seconds):.3f}"


def _version() -> str:
    try:
        return metadata.version("montage-editor")
    except metadata.PackageNotFoundError:
        return "unknown"


def read_signature(path: Path | str) -> Signature | None:
    """What the signature of a film says; None where it has none.

    Raises:
        GenerationError: if the package is absent, or the file cannot be read.
    """
    c2pa = _c2pa()
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        return None
    try:
        with c2pa.Reader(str(path)) as reader:
            store = json.loads(reader.json())
    except c2pa.C2paError as error:
        if (
            "ManifestNotFound" in type(error).__name__
            or "ManifestNotFound" in str(error)
            or "no JUMBF" in str(error)
        ):
            return None
        raise GenerationError(f"cannot read the signature of {path}: {error}") from error
    manifest = store["manifests"][store["active_manifest"]]
    actions = _actions(manifest)
    codes = [str(one["code"]) for one in store.get("validation_status") or ()]
    problems = tuple(code for code in codes if code != "signingCredential.untrusted")
    info = manifest.get("signature_info", {})
    return Signature(
        valid=not problems and store.get("validation_state") in ("Valid", "Trusted"),
        trusted=store.get("validation_state") == "Trusted",
        problems=problems,
        signer=str(info.get("common_name") or info.get("issuer") or "unknown"),
        source_type=str(actions[0].get("digitalSourceType", "")) if actions else "",
        shots=tuple(
            _told(action, manifest, store["manifests"]) for action in actions if action["action"] == PLACED
        ),
    )


def _actions(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        action
        for assertion in manifest.get("assertions", ())
        if assertion["label"].startswith("c2pa.actions")
        for action in assertion["data"]["actions"]
    ]


def _told(
    placed: Mapping[str, Any], manifest: Mapping[str, Any], manifests: Mapping[str, Any]
) -> dict[str, Any]:
    """A generated shot in our words: where it was placed, and what its own manifest says."""
    parameters = dict(placed.get("parameters", {}))
    urls = [str(one.get("url", "")) for one in parameters.pop("ingredients", ())]
    regions = [region for change in placed.get("changes", ()) for region in change.get("region", ())]
    time = regions[0].get("time", {}) if regions else {}
    own = [
        manifests.get(ingredient.get("active_manifest", ""), {})
        for ingredient in manifest.get("ingredients", ())
        if any(url.endswith(f"/{ingredient.get('label')}") for url in urls)
    ]
    created = next((action for one in own for action in _actions(one) if action["action"] == CREATED), {})
    parameters |= created.get("parameters", {})
    return {
        "digital_source_type": created.get("digitalSourceType", ""),
        "model": (created.get("softwareAgent") or {}).get("name", ""),
        "from": float(time.get("start", 0)),
        "to": float(time.get("end", 0)),
        **{name.removeprefix("montage."): value for name, value in parameters.items()},
    }
