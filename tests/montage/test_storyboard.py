"""The storyboard: one page that holds everything, asks for nothing, and takes no name for code."""

from __future__ import annotations

import base64
import itertools
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import montage
from montage.cut import Cut
from montage.storyboard import storyboard_page, write_storyboard
from montage.values import MontageError

VOID = {"img", "input", "br", "meta", "hr", "link"}
HOSTILE = '<script>alert("1")</script> & "quotes" \' and <img src=x onerror=alert(1)>'


class Page(HTMLParser):
    """Checks that tags close in order, and collects what a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.attributes += given
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        if tag == "img":
            self.images.append((given["src"], given["alt"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def cut(sample_index: Path) -> Cut:
    library = montage.Library.open(sample_index)
    return montage.plan(sample_index.parent / "script-gaps.txt", library)


def decoded(jpeg: bytes) -> NDArray[np.int64]:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.int64)


def assert_alone(text: str, page: Page) -> None:
    """Nothing but data is loaded."""
    assert "http:" not in text
    assert "https:" not in text
    assert "//" not in "".join(page.links)
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    assert not {"link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert not {name for name in page.attributes if name.startswith("on")}
    for source, words in page.images:
        assert words
        head, data = source.split(",", 1)
        assert head == "data:image/jpeg;base64"
        assert min(decoded(base64.b64decode(data)).shape[:2]) > 20


def test_every_sentence_and_slot_is_on_one_page_that_needs_nothing_else(cut: Cut, tmp_path: Path) -> None:
    path = cut.storyboard(tmp_path / "board.html")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert_alone(text, page)
    for sentence in cut.script.sentences:
        assert sentence.text in page.text
        assert f"sentence-{sentence.number}" in page.ids
    for number, slot in enumerate(cut.slots, start=1):
        assert f"slot-{number}" in page.ids
        assert f"#slot-{number}" in page.links
        if slot.kind == "gap":
            assert slot.why in page.text
    shown = [slot for slot in cut.slots if slot.kind == "footage"]
    assert cut.gaps
    assert sum(words.endswith("of 4") for _, words in page.images) == 4 * len(shown)
    assert f"cost {cut.objective:.2f}" in page.text
    assert path.stat().st_size < 80_000 * len(cut.slots)


def test_frames_of_a_strip_run_through_the_slot(sample_index: Path) -> None:
    from montage.filmstrips import filmstrips

    script = montage.parse_script("A stream finds its way down through the rocks of the forest.")
    cut = montage.plan(script, montage.Library.open(sample_index))
    (strip,) = filmstrips(cut, 3)
    images = [decoded(one) for one in strip]
    assert len(images) == 3
    for first, second in itertools.pairwise(images):
        assert np.abs(first - second).mean() > 0.5


def test_what_people_wrote_is_never_code(sample_index: Path, tmp_path: Path) -> None:
    folder = tmp_path / "footage"
    folder.mkdir()
    shutil.copy2(sample_index / "tabby-cat.mp4", folder / 'a cat <script>alert("2")<script> & co.mp4')
    shutil.copy2(sample_index / "coffee-cup.mp4", folder)
    library = montage.build_index(folder, encoder="embedded", workers=1)
    script = montage.parse_script(f"# {HOSTILE}\n\nThe cat {HOSTILE} looks.\n\n[generate] No {HOSTILE}.")
    made = montage.plan(script, library)
    text = storyboard_page(made)
    page = Page(text)
    assert_alone(text, page)
    assert page.tags.count("script") == 1
    assert HOSTILE in page.text
    assert 'a cat <script>alert("2")<script> & co.mp4' in page.text
    Page(made._repr_html_())


def test_footage_that_is_gone_is_drawn_from_the_index(sample_index: Path, tmp_path: Path) -> None:
    folder = tmp_path / "footage"
    folder.mkdir()
    shutil.copy2(sample_index / "tabby-cat.mp4", folder)
    library = montage.build_index(folder, encoder="embedded", workers=1)
    made = montage.plan(montage.parse_script("The cat looks."), library)
    (folder / "tabby-cat.mp4").unlink()
    page = Page(storyboard_page(made))
    assert any("tabby-cat.mp4" in words for _, words in page.images)


def test_other_pages_are_not_overwritten(cut: Cut, tmp_path: Path) -> None:
    path = tmp_path / "mine.html"
    path.write_text("<p>mine</p>")
    with pytest.raises(MontageError, match="no storyboard"):
        write_storyboard(cut, path)
    assert path.read_text() == "<p>mine</p>"
    path.unlink()
    write_storyboard(cut, path)
    before = path.read_text(encoding="utf-8")
    write_storyboard(cut, path)  # one of ours is
    assert path.read_text(encoding="utf-8") == before
    with pytest.raises(MontageError, match="cannot write"):
        write_storyboard(cut, tmp_path / "no folder" / "board.html")


def test_a_notebook_shows_the_same_board(cut: Cut) -> None:
    page = Page(cut._repr_html_())
    other = Page(replace(cut, slots=cut.slots[:-1])._repr_html_())
    assert not set(page.ids) & set(other.ids)
    assert all(sentence.text in page.text for sentence in cut.script.sentences)
    assert {link[1:] for link in page.links} <= set(page.ids)
