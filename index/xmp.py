"""Captions, keywords and rights of an XMP sidecar (ISO 16684-1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree

__all__ = ["Described", "read_xmp", "short_licence"]

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_RIGHTS = "{http://ns.adobe.com/xap/1.0/rights/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
_CC = "{http://creativecommons.org/ns#}"
_LICENCE = re.compile(r"\bcc0\b|\bcc[ -]by|creative commons|public domain|licen[cs]e", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Described:
    """What a sidecar or one line of a manifest says of a file."""

    captions: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    credit: str = ""
    licence: str = ""


def read_xmp(data: bytes) -> Described:
    """What an XMP packet says: title, headline, description; subjects; creators and rights; licence.

    Raises:
        ValueError: if it is no XML, or declares a document type, which XMP has no use for.
    """
    # Entities can stand for far more text than the file holds; without a DTD there are none.
    if b"<!" in data.replace(b"\0", b"").replace(b"<!--", b"").replace(b"<![CDATA[", b""):
        raise ValueError("it declares a document type or entities, which an XMP file must not")
    try:
        root = ElementTree.fromstring(data.strip())
    except (ElementTree.ParseError, LookupError) as error:
        raise ValueError(f"it is no XML: {error}") from error

    def all_of(*names: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for name in names:
            for part in root.iter():
                texts = [part.attrib.get(name, "")]
                if part.tag == name:
                    items = list(part.iter(f"{_RDF}li"))
                    texts += [item.text or "" for item in items] if items else [part.text or ""]
                    texts.append(part.attrib.get(f"{_RDF}resource", ""))
                found.update(dict.fromkeys(" ".join(text.split()) for text in texts if text.strip()))
        return tuple(found)

    rights = all_of(f"{_DC}rights")
    terms = all_of(f"{_CC}license", f"{_RIGHTS}UsageTerms", f"{_RIGHTS}WebStatement")
    licence = next((line for line in (*terms, *rights) if _LICENCE.search(line) or "://" in line), "")
    return Described(
        captions=all_of(f"{_DC}title", f"{_PHOTOSHOP}Headline", f"{_DC}description"),
        keywords=all_of(f"{_DC}subject"),
        credit="\n".join((*all_of(f"{_DC}creator", f"{_PHOTOSHOP}Credit"), *rights)),
        licence=short_licence(licence),
    )


def short_licence(text: str) -> str:
    """``CC BY 4.0`` for the address of a Creative Commons licence, other texts as they are."""
    found = re.search(
        r"creativecommons\.org/(?:licenses|publicdomain)/([a-z-]+)(?:/(\d\.\d))?", text, re.IGNORECASE
    )
    if not found:
        return text
    kind, version = found[1].lower(), f" {found[2]}" if found[2] else ""
    return {"zero": "CC0", "mark": "public domain"}.get(kind, f"CC {kind.upper()}") + (
        "" if kind == "mark" else version
    )
