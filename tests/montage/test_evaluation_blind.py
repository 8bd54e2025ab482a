"""The blind comparison: a page that says nothing of who made what, its key, and the count of answers."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import scipy.stats

from montage.blindanswers import sign_test, tally_answers, wilson_interval
from montage.blindtest import write_blind_test
from montage.values import MontageError
from tests.montage.evaluationlab import BLUE, GREEN, RED, film, plain, take, write

HOSTILE = '</script><script>alert("1")</script> & "quotes" <img src=x onerror=alert(1)>'
PROMPTS = ["A red boat.", "A fox at dawn.", HOSTILE, "Rain falls."]


class Page(HTMLParser):
    """What a page holds, pair by pair."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.attributes: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.pairs: dict[str, list[bytes]] = {}
        self.legends: list[str] = []
        self.heads: list[str] = []
        self.labels: dict[str, str] = {}
        self._now = ("", "")
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.attributes += given.items()
        self.tags.append(tag)
        if "data-pair" in given:
            self.pairs[given["data-pair"]] = []
        if tag != "kbd":  # it lies within a label
            self._now = (tag, given.get("data-of", given.get("for", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag != "kbd":
            self._now = ("", "")

    def handle_data(self, data: str) -> None:
        tag, of = self._now
        if tag == "script" and of:
            self.pairs[list(self.pairs)[-1]].append(base64.b64decode(data, validate=True))
        elif tag == "legend":
            self.legends.append(data)
        elif tag == "h2":
            self.heads.append(data)
        elif tag == "label":
            self.labels[of] = self.labels.get(of, "") + data.strip()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders of takes for the same prompts: red ones and blue ones."""
    folder = tmp_path_factory.mktemp("blind")
    for name, colour in (("secret-red", RED), ("secret-blue", BLUE)):
        (folder / name).mkdir()
        for number, prompt in enumerate(PROMPTS):
            path = folder / name / f"{name}-{number}.mp4"
            take(path, [plain(colour)] * (4 + number), prompt, model=f"model-of-{name}", seed=number)
    take(folder / "secret-red" / "more.mp4", [plain(RED)] * 3, "Nobody else shows this.")
    return folder / "secret-red", folder / "secret-blue"


def colour_of(clip: bytes, tmp_path: Path) -> tuple[str, dict[str, str], int]:
    """Which of the two makers a proxy is of, its metadata and its frames."""
    path = tmp_path / "proxy.mp4"
    path.write_bytes(clip)
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert not container.streams.audio
        metadata = {**container.metadata, **container.streams.video[0].metadata}
    mean = np.mean(frames[0], axis=(0, 1))
    return ("red" if mean[0] > mean[2] else "blue"), metadata, len(frames)


def test_a_page_shows_pairs_and_hides_who_made_them(two: tuple[Path, Path], tmp_path: Path) -> None:
    made = write_blind_test(*two, tmp_path / "page.html", seed=3)
    assert (made.pairs, made.left_out, made.same) == (4, 1, 0)
    text = made.page.read_text(encoding="utf-8")
    page = Page(text)
    key = json.loads(made.key.read_text(encoding="utf-8"))
    assert made.key == tmp_path / "page.key.json"
    assert key["inputs"] == [str(two[0]), str(two[1])]
    assert page.pairs.keys() == key["pairs"].keys()
    for word in ("secret", "model-of", "montage_prompt", str(tmp_path), "seed"):
        assert word not in text, word
    for name, clips in page.pairs.items():
        side = key["pairs"][name]
        assert len(clips) == 2
        for place, clip in enumerate(clips):
            shown, metadata, frames = colour_of(clip, tmp_path)
            of = side["left"] if place == 0 else 1 - side["left"]
            assert shown == ("red", "blue")[of]
            assert side["shots"][of]["model"] == f"model-of-secret-{shown}"
            assert frames == 4 + PROMPTS.index(side["prompt"])
            assert b"secret" not in clip
            assert "comment" not in metadata
    assert {side["left"] for side in key["pairs"].values()} == {0, 1}


def test_a_page_is_one_file_that_asks_nothing_and_runs_nothing_of_others(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    text = write_blind_test(*two, tmp_path / "page.html").page.read_text(encoding="utf-8")
    page = Page(text)
    assert not re.search(r"(src|href)\s*=\s*['\"]", text)
    assert "http:" not in text
    assert "https:" not in text
    assert not {"link", "iframe", "object", "embed", "base", "img"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    policy = next(value for name, value in page.attributes if name == "content" and "default-src" in value)
    assert "default-src 'none'" in policy
    assert HOSTILE in page.heads
    assert page.tags.count("script") == 2 * len(PROMPTS) + 1  # the clips as text, and our own
    assert page.legends == ["Which shows the sentence better?", "Which looks better?"] * len(PROMPTS)
    assert set(page.labels.values()) == {"1Left", "2Right", "3No difference"}
    assert len(page.labels) == 6 * len(PROMPTS)
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert labels == ["Left video", "Right video"] * len(PROMPTS)


def test_the_seed_draws_order_and_sides(
    two: tuple[Path, Path], asked: tuple[Path, Callable[..., Path]], tmp_path: Path
) -> None:
    before = asked[0]  # drawn by 3
    made = [write_blind_test(*two, tmp_path / f"{seed}.html", seed=seed) for seed in (3, 4)]
    page = before.with_name("page.html")
    assert made[0].page.read_bytes() == page.read_bytes()
    assert made[0].key.read_bytes() == before.read_bytes()
    keys = [json.loads(one.key.read_text(encoding="utf-8")) for one in made]
    assert keys[0]["page"] != keys[1]["page"]
    drawn = [[(side["prompt"], side["left"]) for side in key["pairs"].values()] for key in keys]
    assert drawn[0] != drawn[1]


def test_films_are_paired_by_sentence_and_the_same_picture_is_not_asked(tmp_path: Path) -> None:
    a = film(tmp_path / "a.mp4", [(GREEN, 5, ""), (RED, 6, "One."), (GREEN, 7, "Two."), (RED, 4, "Three.")])
    b = film(tmp_path / "b.mp4", [(BLUE, 9, ""), (BLUE, 6, "One."), (GREEN, 7, "Two."), (GREEN, 4, "")])
    made = write_blind_test(a, b, tmp_path / "page.html")
    assert (made.pairs, made.left_out, made.same) == (1, 1, 1)
    page = Page(made.page.read_text(encoding="utf-8"))
    assert page.heads[0] == "One."
    (clips,) = page.pairs.values()
    assert [colour_of(clip, tmp_path)[2] for clip in clips] == [6, 6]
    with pytest.raises(MontageError, match="have no pair"):
        write_blind_test(a, film(tmp_path / "c.mp4", [(RED, 5, "One.")]), tmp_path / "none.html")
    twin = write(tmp_path / "twin.mp4", [plain(RED)] * 3)
    other = tmp_path / "other" / "twin.mp4"
    other.parent.mkdir()
    other.write_bytes(twin.read_bytes())
    with pytest.raises(MontageError, match="show the same in all 1 pairs"):
        write_blind_test(twin, other, tmp_path / "none.html")


def test_videos_without_prompts_are_not_asked_about_a_sentence(tmp_path: Path) -> None:
    for name, colour in (("a", RED), ("b", BLUE)):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "clip.mp4", [plain(colour)] * 3)
    page = write_blind_test(tmp_path / "a", tmp_path / "b", tmp_path / "page.html").page
    assert Page(page.read_text(encoding="utf-8")).legends == ["Which looks better?"]


def test_files_of_somebody_else_are_kept(tmp_path: Path) -> None:
    two = film(tmp_path / "a.mp4", [(RED, 3, "One.")]), film(tmp_path / "b.mp4", [(BLUE, 3, "One.")])
    page = tmp_path / "page.html"
    page.write_text("<p>mine</p>")
    with pytest.raises(MontageError, match="no blind comparison"):
        write_blind_test(*two, page)
    page.unlink()
    key = tmp_path / "page.key.json"
    key.write_text("{}")
    with pytest.raises(MontageError, match="no key"):
        write_blind_test(*two, page)
    assert key.read_text() == "{}"
    key.unlink()
    write_blind_test(*two, page)
    write_blind_test(*two, page)  # ours are replaced
    with pytest.raises(MontageError, match=r"\.html"):
        write_blind_test(*two, tmp_path / "page.txt")
    with pytest.raises(MontageError, match="cannot write"):
        write_blind_test(*two, tmp_path / "missing" / "page.html")


# -- answers -------------------------------------------------------------------------------------------------


def test_the_sign_test_and_the_interval_are_the_exact_ones() -> None:
    for first, second in ((0, 0), (0, 5), (3, 9), (9, 3), (7, 7), (40, 61)):
        p = 1.0 if first + second == 0 else scipy.stats.binomtest(first, first + second).pvalue
        assert sign_test(first, second) == pytest.approx(p, rel=1e-12)
    assert sign_test(0, 5) == pytest.approx(2 / 32)
    for hits, trials in ((0, 5), (3, 12), (5, 5), (61, 101)):
        known = scipy.stats.binomtest(hits, trials).proportion_ci(method="wilson")
        assert wilson_interval(hits, trials) == pytest.approx((known.low, known.high), abs=1e-12)
    with pytest.raises(ValueError, match="not negative"):
        sign_test(-1, 2)
    with pytest.raises(ValueError, match="hits"):
        wilson_interval(0, 0)


@pytest.fixture(scope="module")
def asked(
    two: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Callable[..., Path]]:
    """A key, and a person's answers as a file: what each prefers of (question, prompt)."""
    tmp_path = tmp_path_factory.mktemp("asked")
    made = write_blind_test(*two, tmp_path / "page.html", seed=3)
    key = json.loads(made.key.read_text(encoding="utf-8"))

    def person(name: str, prefers: Callable[[str, str], str], **other: Any) -> Path:
        answers = []
        for pair, side in key["pairs"].items():
            for question in ("sentence", "look"):
                likes = prefers(question, side["prompt"])
                if likes == "skip":
                    continue
                left = ("first", "second")[side["left"]]
                choice = "none" if likes == "none" else "left" if likes == left else "right"
                answers.append({"pair": pair, "question": question, "choice": choice, "shown": 1})
        record = {
            "montage_blind_answers": 1,
            "page": key["page"],
            "person": name,
            "answers": answers,
            **other,
        }
        path = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}.json"
        path.write_text(json.dumps(record), encoding="utf-8")
        return path

    return made.key, person


def test_answers_are_counted_by_maker_and_not_by_side(asked: tuple[Path, Callable[..., Path]]) -> None:
    key, person = asked
    ann = person("ann", lambda question, prompt: "second")
    bob = person("bob", lambda question, prompt: "none" if question == "look" else "second")
    eve = person("eve", lambda question, prompt: "first" if prompt == PROMPTS[0] else "skip")
    told = tally_answers([ann, bob, eve], key)
    assert (told.people, told.pairs) == (3, 4)
    sentence, look = told.preferences
    assert (sentence.question, sentence.first, sentence.second, sentence.none) == ("sentence", 1, 8, 0)
    assert (look.question, look.first, look.second, look.none) == ("look", 1, 4, 4)
    assert sentence.left + sentence.right == 9
    assert min(sentence.left, sentence.right) > 0
    data = told.as_data()["questions"][0]
    assert data["p"] == pytest.approx(scipy.stats.binomtest(1, 9).pvalue)
    assert data["second_share"] == pytest.approx(8 / 9)
    assert data["interval"] == pytest.approx(wilson_interval(8, 9))


def test_a_person_counts_once(asked: tuple[Path, Callable[..., Path]]) -> None:
    key, person = asked
    first = person("ann", lambda question, prompt: "first")
    again = person("ann", lambda question, prompt: "second")
    told = tally_answers([first, again], key)
    assert told.people == 1
    assert (told.preferences[0].first, told.preferences[0].second) == (0, 4)
    assert any("8 answers were given again" in note for note in told.notes)


def test_files_that_are_no_answers_are_named(asked: tuple[Path, Callable[..., Path]], tmp_path: Path) -> None:
    key, person = asked
    good = person("ann", lambda question, prompt: "first")
    with pytest.raises(MontageError, match="no key"):
        tally_answers([good], good)
    with pytest.raises(MontageError, match="no answers"):
        tally_answers([key], key)
    with pytest.raises(MontageError, match="another page"):
        tally_answers([person("bob", lambda question, prompt: "first", page="0" * 16)], key)
    for answers in ([{"pair": "x", "question": "look", "choice": "left"}], [{}], 3):
        with pytest.raises(MontageError, match="damaged"):
            tally_answers([person("eve", lambda question, prompt: "first", answers=answers)], key)
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(MontageError, match="cannot read"):
        tally_answers([broken], key)
    broken.write_text("[]")
    with pytest.raises(MontageError, match="no JSON object"):
        tally_answers([broken], key)
