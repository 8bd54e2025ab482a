"""Texts to token numbers as open_clip does it, without importing open_clip, torch or transformers."""

from __future__ import annotations

import gzip
import hashlib
import html
import importlib.util
import json
import logging
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.base import FootageError, import_torch
from index.encoders.graphs import Unsupported
from index.encoders.sessions import keep_file, kept_file

__all__ = ["ClipTokens", "clean_text", "valid_text"]

logger = logging.getLogger(__name__)
MERGES = 49152 - 256 - 2
"""Of the byte-pair encoding that open_clip ships, those that CLIP uses."""
_WORDS = r"(?i)<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def valid_text(text: str) -> str:
    """``text`` as Unicode has it: what came as bytes that are no text becomes question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def clean_text(text: str, how: str = "lower") -> str:
    """``text`` as open_clip cleans it: ``lower``, ``whitespace`` or ``canonicalize``."""
    if not (text.isascii() and text.isprintable() and "&" not in text):
        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    text = text.strip()
    if how == "canonicalize":
        text = text.replace("_", " ").translate(str.maketrans("", "", string.punctuation)).lower()
    text = " ".join(text.split())
    return text.lower() if how == "lower" else text


class ClipTokens:
    """The tokenizer of one open_clip model.

    Raises:
        Unsupported: if its settings are unusual.
        FootageError: if its files are missing or damaged.
    """

    def __init__(self, name: str, text: Mapping[str, Any], folder: Path) -> None:
        """``text`` is the ``text_cfg`` of the model, ``folder`` where its weights are."""
        options = dict(text.get("tokenizer_kwargs") or {})
        self.length = int(text.get("context_length", 77))
        self._shared = "hf_tokenizer_name" not in text
        self._how = str(options.pop("clean", "lower" if self._shared else "whitespace"))
        self._strip = bool(options.pop("strip_sep_token", False))
        if options or text.get("tokenizer_mode") or self._how not in ("lower", "whitespace", "canonicalize"):
            raise Unsupported("unusual settings of its tokenizer")
        if self._shared:
            self._tokenizer, self._end = _byte_pairs()
        else:
            self._tokenizer, self._separator = _of_folder(
                name, str(text["hf_tokenizer_name"]), folder, self.length
            )

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """(M, length) int64 token numbers."""
        cleaned = [clean_text(valid_text(text), self._how) for text in texts]
        if not self._shared:
            rows = [self._tokenizer.encode(text).ids for text in cleaned]
            out = np.array(rows, np.int64).reshape(len(rows), self.length)
            if self._strip:
                out[out == self._separator] = 0
            return out
        out = np.zeros((len(cleaned), self.length), np.int64)
        for row, text in enumerate(cleaned):
            numbers = [self._end - 1, *self._tokenizer.encode(text, add_special_tokens=False).ids, self._end]
            numbers = numbers[: self.length]
            numbers[-1] = self._end
            out[row, : len(numbers)] = numbers
        return out


def _byte_pairs() -> tuple[Any, int]:
    """CLIP's byte-pair encoding, from the table in open_clip's package, and the number that ends a text."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

    found = importlib.util.find_spec("open_clip")
    if found is None or found.origin is None:
        raise FootageError("the package open_clip is missing: pip install open-clip-torch")
    path = Path(found.origin).parent / "bpe_simple_vocab_16e6.txt.gz"
    try:
        table = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")[1 : MERGES + 1]
    except (OSError, EOFError, ValueError) as error:
        raise FootageError(
            f"the word table of CLIP in {str(path)!r} cannot be read ({error}): reinstall open-clip-torch"
        ) from error
    merges = [(first, second) for first, _, second in (row.partition(" ") for row in table)]
    letters = _letters()
    names = [*letters, *(letter + "</w>" for letter in letters), *(a + b for a, b in merges)]
    vocabulary = {name: number for number, name in enumerate(names)}
    special = ("<start_of_text>", "<end_of_text>")
    vocabulary |= {name: len(names) + number for number, name in enumerate(special)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, end_of_word_suffix="</w>"))
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in special])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer, len(names) + 1


def _letters() -> list[str]:
    """The 256 characters that stand for bytes, in the order of CLIP's vocabulary."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) for byte in shown] + [chr(256 + place) for place in range(len(hidden))]


def _of_folder(name: str, wanted: str, folder: Path, length: int) -> tuple[Any, int | None]:
    """The tokenizer in a model's folder: made by transformers once, then read as that made it."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        raise FootageError(
            f"the tokenizer of {name} is missing: put tokenizer.json and tokenizer_config.json of "
            f"{wanted} beside the weights in {str(folder)!r}"
        )
    digest = hashlib.sha256()
    for part in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (folder / part).is_file():
            digest.update((folder / part).read_bytes())
    key = f"tokens-{digest.hexdigest()[:24]}.json"
    kept = kept_file(key)
    if kept is None:
        logger.info("preparing the tokenizer of %s, this once", name)
        import_torch()
        from transformers import AutoTokenizer

        try:
            made = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FootageError(
                f"the tokenizer of {name} in {str(folder)!r} cannot be read ({error}): fetch it again"
            ) from error
        backend = getattr(made, "backend_tokenizer", None)
        if backend is None or made.pad_token_id is None:
            raise Unsupported("a tokenizer that is written in Python")
        facts = {
            "pad_id": made.pad_token_id,
            "pad_token": made.pad_token,
            "side": made.padding_side,
            "cut": made.truncation_side,
            "separator": made.sep_token_id,
            "tokenizer": backend.to_str(),
        }
        kept = json.dumps(facts).encode()
        keep_file(key, kept)
    facts = json.loads(kept)
    tokenizer = Tokenizer.from_str(facts["tokenizer"])
    tokenizer.enable_truncation(length, direction=facts["cut"])
    tokenizer.enable_padding(
        length=length, pad_id=facts["pad_id"], pad_token=facts["pad_token"], direction=facts["side"]
    )
    return tokenizer, facts["separator"]
