"""A session keeps what takes time to open, and says what changed from one film to the next."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from filmlab import make

import montage
from montage.session import Session, recording_state

TEXT = """A dog runs along the beach.
Coffee is poured into a cup.

A boat comes home.
"""
SIZE = [160, 90]


@pytest.fixture
def story(tmp_path: Path, sample_index: Path) -> Path:
    script = tmp_path / "story.txt"
    script.write_text(TEXT, encoding="utf-8")
    return script


def session(script: Path, library: Path, **more: object) -> Session:
    given: dict[str, object] = {"settings": {"size": SIZE}, **more}
    return Session(script, library=library, **given)


def test_updates_say_what_changed_and_render_only_that(story: Path, sample_index: Path) -> None:
    work = session(story, sample_index)
    first = work.update()
    assert first.film.ok
    assert first.changes.new == (1, 2, 3)
    assert first.changes.pictures == len(first.cut.slots)
    library = work.open()
    story.write_text(TEXT.replace("A boat comes home.", "Goats climb among grey rocks.\nIt is over."))
    second = work.update()
    assert work.open() is library
    assert (second.changes.changed, second.changes.new, second.changes.gone) == ((), (3, 4), 1), (
        second.changes
    )
    assert 0 < second.changes.pictures <= len(second.cut.slots) - 2
    assert second.film.segments_reused >= 2
    assert "sentences 3, 4 new; 1 gone;" in second.changes.line
    third = work.update()
    assert third.changes.line == "0 pictures other than before"
    assert third.film.segments_rendered == 0


def test_what_was_asked_for_is_remembered_and_none_takes_it_back(story: Path, sample_index: Path) -> None:
    work = session(story, sample_index, settings={"size": SIZE, "length": "6s", "fit": "pad"})
    cut = work.plan()
    assert float(cut.duration) == pytest.approx(6, abs=0.05)
    work.save(cut)
    again = Session(story)
    assert (again.setting("length"), again.setting("fit"), again.setting("size")) == ("6s", "pad", SIZE)
    assert again.setting("preset") == "documentary"
    assert Session(story, settings={"length": "none"}).setting("length") is None


def test_a_film_is_named_by_its_codec(story: Path) -> None:
    assert Session(story).film_path().name == "story.mp4"
    assert Session(story, settings={"codec": "prores"}).film_path().name == "story.mov"
    assert Session(story, settings={"codec": "vp9"}).film_path().name == "story.webm"
    drafting = Session(story, options={"quality": "draft"})
    assert drafting.film_path().name == "story.mp4"


def test_a_remembered_codec_goes_with_films_of_its_suffix_until_none(story: Path, sample_index: Path) -> None:
    first = session(story, sample_index, settings={"size": SIZE, "codec": "h265"})
    first.save(first.plan())

    def codec(name: str | None, **settings: str) -> str:
        work = Session(story, film=None if name is None else story.with_name(name), settings=settings)
        with av.open(str(work.update().film.path)) as film:
            return str(film.streams.video[0].codec_context.name)

    assert codec(None) == "hevc"
    assert codec("other.mp4") == "hevc"
    assert codec("other.mov") == "prores"
    assert codec(None, codec="none") == "h264"
    assert codec(None) == "h264"


def test_a_recording_made_again_is_heard_again(story: Path, tmp_path: Path) -> None:
    takes = tmp_path / "takes"
    takes.mkdir()
    (takes / "1.wav").write_bytes(b"one")
    before = recording_state(takes)
    assert recording_state(takes) == before
    os.utime(takes / "1.wav", ns=(1, 1))
    assert recording_state(takes) != before
    (takes / "1.wav").unlink()
    assert recording_state(takes) == ()


def test_unknown_settings_are_named(story: Path) -> None:
    with pytest.raises(montage.MontageError, match=r"unknown setting speed: there are .*preset"):
        Session(story, settings={"speed": 2})


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_pictures_follow_the_voice_and_then_its_recording(story: Path, sample_index: Path) -> None:
    """The script is spoken; what was heard is then given as a recording, and its times are found again."""
    work = session(story, sample_index, settings={"size": SIZE, "voice": "espeak-ng"})
    film = work.update().film
    assert film.ok
    spoken = work.plan()
    assert spoken.voice is not None
    starts, at = {}, 0
    for slot in spoken.slots:
        starts.setdefault(slot.sentence, at / spoken.fps)
        at += slot.frames
    for name, voiced in spoken.voice.sentences.items():
        seconds = sum(slot.frames for slot in spoken.slots if slot.sentence == name) / spoken.fps
        assert abs(seconds - voiced.seconds) <= 1 / spoken.fps
    with pytest.raises(montage.MontageError, match="a recording and a voice"):
        session(story, sample_index, settings={"size": SIZE, "narration": film.path}).plan()

    again = session(
        story, sample_index, settings={"size": SIZE, "voice": "none", "narration": str(film.path)}
    )
    with pytest.raises(
        montage.MontageError, match=r"story\.mp4 is itself part of what the film is made from"
    ):
        again.update()
    read = again.plan()
    assert read.voice is not None
    assert read.voice.doubtful == ()
    for name, start in starts.items():
        assert abs(read.voice.sentences[name].span.start - start) < 0.2


def test_music_is_remembered_by_its_way_from_the_script(story: Path, sample_index: Path) -> None:
    clicks = make(
        story.with_name("music.wav"), "-f", "lavfi", "-i",
        "aevalsrc='0.8*sin(2*PI*880*t)*lt(mod(t,0.5),0.03)':s=48000:d=12",
    )  # fmt: skip
    work = session(story, sample_index, settings={"size": SIZE, "music": clicks})
    update = work.update()
    assert update.film.ok
    assert update.cut.music is not None
    assert update.cut.film is not None
    gaps = np.diff(update.cut.film.beats)
    assert np.abs(gaps - 0.5).max() < 0.03
    assert work.project.setting("music") == "music.wav"
    assert Session(story).setting("music").resolve() == clicks.resolve()
