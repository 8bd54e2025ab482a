"""Caption files: what a sentence says is what a player shows, in every format."""

from __future__ import annotations

from pathlib import Path

import pytest
from captionlab import read_captions
from hypothesis import given, settings
from hypothesis import strategies as st

from montage.captions import Cue
from montage.subtitles import CAPTION_FORMATS, write_captions
from montage.values import MontageError

CUES = (Cue(start=0, end=1500, lines=("one", "two")), Cue(start=3_723_000, end=3_724_000, lines=("x",)))
TRICKY = (
    "{\\\\b1}bold{\\\\b0} {comment}",
    "{\\\\an8}above",
    "<i>slanted</i> & <b>",
    "C:\\\\new\\\\home\\\\Name",
    "00:00 --> 00:01",
    "50 {%} of <3",
    "早上好 {日} שלום",
)


def test_srt_is_written_as_players_expect(tmp_path: Path) -> None:
    text = write_captions(CUES, tmp_path / "a.srt").read_text(encoding="utf-8")
    assert text == "1\n00:00:00,000 --> 00:00:01,500\none\ntwo\n\n2\n01:02:03,000 --> 01:02:04,000\nx\n\n"
    (tmp_path / "b.srt").write_bytes(("\ufeff" + text.replace("\n", "\r\n")).encode())
    assert read_captions(tmp_path / "b.srt") == CUES


def test_vtt_and_ass_have_their_headers(tmp_path: Path) -> None:
    vtt = write_captions(CUES, tmp_path / "a.vtt").read_text(encoding="utf-8")
    assert vtt.startswith("WEBVTT\n\n")
    assert "00:00:00.000 --> 00:00:01.500\none\ntwo\n" in vtt
    ass = write_captions(CUES, tmp_path / "a.ass", size=(1080, 1920)).read_text(encoding="utf-8")
    assert "PlayResX: 1080" in ass
    assert "Dialogue: 0,0:00:00.00,0:00:01.50,Default" in ass


@pytest.mark.parametrize("form", CAPTION_FORMATS)
def test_codes_in_a_sentence_are_text(form: str, tmp_path: Path) -> None:
    cues = tuple(
        Cue(start=n * 1000, end=n * 1000 + 900, lines=(text.replace("\\\\", "\\"),))
        for n, text in enumerate(TRICKY)
    )
    path = write_captions(cues, tmp_path / f"a.{form}")
    assert read_captions(path) == cues
    written = path.read_text(encoding="utf-8")
    if form == "srt":
        assert "<i>" not in written
        assert "{\\an8}" not in written
    if form == "vtt":
        assert "<" not in written.replace("-->", "")
    if form == "ass":
        assert "{\\b1}" not in written


LINE = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=30).filter(
    lambda line: not line.isdigit()  # a line of digits alone is taken for a cue's number by SRT readers
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(LINE, min_size=1, max_size=2), min_size=1, max_size=4),
    st.sampled_from([*CAPTION_FORMATS]),
)
def test_any_text_survives_a_round_trip(texts: list[list[str]], form: str) -> None:
    import tempfile

    cues = tuple(Cue(start=n * 1000, end=n * 1000 + 950, lines=tuple(lines)) for n, lines in enumerate(texts))
    with tempfile.TemporaryDirectory() as folder:
        path = write_captions(cues, Path(folder) / f"a.{form}")
        assert read_captions(path) == cues


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(MontageError, match="srt, vtt, ass"):
        write_captions(CUES, tmp_path / "a.txt")
    with pytest.raises(MontageError, match="cannot write"):
        write_captions(CUES, tmp_path / "nowhere" / "a.srt")
