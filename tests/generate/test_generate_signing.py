"""Content credentials: a film signed, read again, tampered with."""

from __future__ import annotations

import datetime
import stat
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from generate import GenerationError
from generate.finish import write_video
from generate.provenance import DIGITAL_SOURCE_TYPES
from generate.signing import (
    COMPOSITE,
    COMPOSITE_WITH_MODEL,
    SignedShot,
    read_credentials,
    read_signature,
    self_made_credentials,
    sign_film,
)

pytest.importorskip("c2pa", reason="c2pa-python is not installed: pip install 'montage-editor[provenance]'")


def filmed(path: Path, seed: int, frames: int) -> Path:
    rng = np.random.default_rng(seed)
    write_video(
        [rng.integers(0, 256, (96, 160, 3), dtype=np.uint8) for _ in range(frames)], path,
        source_size=(160, 96), source_fps=Fraction(25), size=(160, 96), fps=Fraction(25), count=frames,
        marks={},
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> SignedShot:
    return SignedShot(
        path=filmed(tmp_path_factory.mktemp("takes") / "fox.mp4", 1, 25),
        start=Fraction(1, 2),
        seconds=Fraction(1),
        kind="diffusion",
        model="Wan2.1-T2V-1.3B",
        prompt="a fox at dawn — 狐",
        seed=7,
        digital_source_type=DIGITAL_SOURCE_TYPES["diffusion"],
        sentence=2,
    )


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> SignedShot:
    return SignedShot(
        path=filmed(tmp_path_factory.mktemp("takes") / "card.mp4", 2, 12),
        start=Fraction(3, 2), seconds=Fraction(1, 2), kind="card", model="card", prompt="The end", seed=1,
        digital_source_type=DIGITAL_SOURCE_TYPES["card"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return filmed(tmp_path / "film.mp4", 0, 50)


def test_a_signed_film_tells_each_generated_shot(
    film: Path, keys: Path, shot: SignedShot, card: SignedShot
) -> None:
    assert read_signature(film) is None
    sign_film(film, [shot, card], self_made_credentials(keys), title="film", footage=["dog.mp4"])
    read = read_signature(film)
    assert read is not None
    assert (read.valid, read.trusted, read.problems) == (True, False, ())
    assert read.source_type == COMPOSITE_WITH_MODEL
    assert "self-made" in read.line
    assert "2 generated shots" in read.line
    first, second = read.shots
    assert first["digital_source_type"].endswith("/trainedAlgorithmicMedia")
    assert (first["model"], first["prompt"], first["seed"]) == (shot.model, shot.prompt, 7)
    assert (first["from"], first["to"], first["sentence"]) == (0.5, 1.5, 2)
    assert second["digital_source_type"].endswith("/algorithmicMedia")
    assert list(film.parent.iterdir()) == [film]


def test_a_film_of_cards_is_no_work_of_a_model(film: Path, keys: Path, card: SignedShot) -> None:
    sign_film(film, [card], self_made_credentials(keys), title="film")
    read = read_signature(film)
    assert read is not None
    assert read.source_type == COMPOSITE


def test_a_film_that_was_changed_afterwards_is_told(film: Path, keys: Path, shot: SignedShot) -> None:
    sign_film(film, [shot], self_made_credentials(keys), title="film")
    data = bytearray(film.read_bytes())
    place = data.rindex(b"mdat") + 4000
    data[place] ^= 0xFF
    film.write_bytes(data)
    read = read_signature(film)
    assert read is not None
    assert not read.valid
    assert any("mismatch" in code for code in read.problems)
    assert "changed after it was signed" in read.line


def test_signing_again_replaces_the_signature(
    film: Path, keys: Path, shot: SignedShot, card: SignedShot
) -> None:
    sign_film(film, [shot], self_made_credentials(keys), title="one")
    sign_film(film, [shot, card], self_made_credentials(keys), title="two")
    read = read_signature(film)
    assert read is not None
    assert read.valid
    assert len(read.shots) == 2


def test_a_film_survives_what_cannot_be_signed(
    film: Path, keys: Path, tmp_path: Path, shot: SignedShot
) -> None:
    credentials = self_made_credentials(keys)
    junk = tmp_path / "junk.mp4"
    junk.write_bytes(b"no film at all")
    with pytest.raises(GenerationError, match="cannot sign"):
        sign_film(junk, [shot], credentials, title="x")
    assert junk.read_bytes() == b"no film at all"
    with pytest.raises(GenerationError, match="no film"):
        sign_film(tmp_path / "absent.mp4", [shot], credentials, title="x")
    webm = film.rename(film.with_suffix(".webm"))
    with pytest.raises(GenerationError, match="carries no signature"):
        sign_film(webm, [shot], credentials, title="x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.webm", "junk.mp4"]


def test_self_made_keys_are_kept_private_and_used_again(tmp_path: Path) -> None:
    first = self_made_credentials(tmp_path / "c")
    assert first.self_made
    assert self_made_credentials(tmp_path / "c") == first
    assert stat.S_IMODE((tmp_path / "c" / "key.pem").stat().st_mode) == 0o600
    (tmp_path / "c" / "key.pem").write_text("damaged")
    assert self_made_credentials(tmp_path / "c").key != first.key


def certificate(folder: Path, key: object, *, days: int = 90) -> tuple[Path, Path]:
    """A signer's certificate for a key, below an authority of its own."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.UTC)
    above = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Press Agency CA")])
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "Press Agency"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Press Agency"),
        ]
    )
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(9).not_valid_before(now - datetime.timedelta(days=200))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(above, hashes.SHA256())
    )  # fmt: skip
    assert not isinstance(above, ed25519.Ed25519PrivateKey)
    folder.mkdir(exist_ok=True)
    pem, secret = folder / "own.pem", folder / "own.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pem, secret


def test_a_signers_own_certificate(film: Path, tmp_path: Path, shot: SignedShot) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    for number, (key, algorithm) in enumerate(
        ((ec.generate_private_key(ec.SECP384R1()), "es384"), (rsa.generate_private_key(65537, 2048), "ps256"))
    ):
        own = read_credentials(*certificate(tmp_path / f"k{number}", key))
        assert own.algorithm == algorithm
        sign_film(film, [shot], own, title="film")
        read = read_signature(film)
        assert read is not None
        assert read.valid
        assert read.signer == "Press Agency"


def test_credentials_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem, secret = certificate(tmp_path / "a", key)
    _, wrong = certificate(tmp_path / "b", other)
    with pytest.raises(GenerationError, match="is not that of"):
        read_credentials(pem, wrong)
    with pytest.raises(GenerationError, match="expired"):
        read_credentials(*certificate(tmp_path / "c", key, days=-10))
    with pytest.raises(GenerationError, match="cannot read"):
        read_credentials(tmp_path / "absent", secret)
    with pytest.raises(GenerationError, match="PEM files"):
        read_credentials(secret, secret)
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )  # fmt: skip
    with pytest.raises(GenerationError, match="password"):
        read_credentials(pem, secret)
