"""The whole path on real clips: footage and a script in, a checked film out."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
import pytest

import montage
from generate import Diffusers, Tuning, read_marks
from index.library import Library
from montage.cli import main
from montage.gaps import fill_gaps
from montage.generation import Generation
from montage.marks import read_film_marks
from montage.project import Project
from montage.rendering import render_cut
from montage.splicing import take_file
from montage.values import FilmError

SIZE = (320, 180)


@pytest.fixture
def story(sample_index: Path, tmp_path: Path) -> Path:
    """A folder of its own for one test's scripts, with the sample scripts in it."""
    for path in sample_index.parent.glob("script*.txt"):
        shutil.copy(path, tmp_path)
    return tmp_path


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def segments(library: Path) -> dict[str, bytes]:
    folder = library / ".montage" / "segments"
    return {path.name: path.read_bytes() for path in folder.rglob("*.mp4")}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main([*arguments, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_the_python_api_of_the_readme(sample_index: Path, story: Path) -> None:
    library = montage.build_index(sample_index, encoder="embedded")
    shots = library.search("a cup of coffee", k=10)
    assert len(shots) == 10
    assert [hit.match for hit in shots] == sorted((hit.match for hit in shots), reverse=True)
    assert "coffee" in library.media[shots[0].shot.media].paths[0]
    script = montage.read_script(story / "script.txt")
    cut = montage.plan(script, library, preset="documentary")
    pinned = cut.pin(sentence=3, shot=shots[5].id)
    third = script.sentences[2].id
    assert [slot.shot for slot in pinned.slots if slot.sentence == third] == [shots[5].id]
    assert cut.taste.pins == {}
    film = montage.render(pinned, story / "film.mp4", size=SIZE, quality="draft")
    assert film.path == story / "film.mp4"
    assert film.frames == pinned.frames == frames_of(film.path)
    assert film.checks
    assert all(check.passed for check in film.checks)
    for value in (library, cut, film):
        assert "data:image/jpeg" in value._repr_html_()


def test_render_makes_the_film_its_captions_and_its_project(
    sample_index: Path, story: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = ["--library", str(sample_index)]
    first = run(capsys, "render", str(story / "script.txt"), *library, "--size", "320x180")
    assert frames_of(story / "script.mp4") == first["frames"]
    captions = (story / "script.srt").read_text(encoding="utf-8")
    script = montage.read_script(story / "script.txt")
    assert all(sentence.text.split()[0] in captions for sentence in script.sentences)
    project = Project.load(story / "script.montage.json")
    assert len(project.slots) == len(first["cut"]["slots"])
    used = [(slot.media, slot.span) for slot in project.slots if slot.kind == "footage"]
    for place, (media, span) in enumerate(used):
        assert not any(media == other and span.overlaps(s) for other, s in used[place + 1 :])

    again = run(capsys, "render", str(story / "script.txt"))
    assert (again["segments_rendered"], again["segments_reused"]) == (0, len(project.slots))
    assert Project.load(story / "script.montage.json").slots == project.slots


def test_a_changed_sentence_renders_one_or_two_segments(
    sample_index: Path, story: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = story / "changed.txt"
    shutil.copy(story / "script.txt", path)
    first = run(capsys, "render", str(path), "--library", str(sample_index), "--size", "320x180")
    before = segments(sample_index)
    old = montage.read_script(path).sentences[4]
    path.write_text(
        path.read_text(encoding="utf-8").replace(old.text, "A cat looks at us."), encoding="utf-8"
    )
    second = run(capsys, "render", str(path))
    assert 1 <= second["segments_rendered"] <= 2
    assert second["segments_reused"] >= len(first["cut"]["slots"]) - 2
    after = segments(sample_index)
    assert all(after[name] == data for name, data in before.items())
    kept = {entry["id"] for entry in Project.load(path.with_suffix(".montage.json")).data["sentences"]}
    assert len(kept) == len(montage.read_script(path).sentences)


def test_a_chinese_script(sample_index: Path, story: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = run(
        capsys, "render", str(story / "script-zh.txt"), "--library", str(sample_index), "--size", "180x320"
    )
    script = montage.read_script(story / "script-zh.txt")
    assert {sentence.language for sentence in script.sentences} == {"zh"}
    assert len({slot["sentence"] for slot in made["cut"]["slots"]} - {None}) == len(script.sentences)
    with av.open(made["film"]) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (180, 320, made["frames"])


@pytest.mark.parametrize("kind", ["still", "card"])
def test_a_gap_goes_the_whole_way(
    kind: str, sample_index: Path, story: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = story / f"{kind}.txt"
    script.write_text("A cup of coffee stands on the table.\n[generate] A cat sleeps on the cup of coffee.\n")
    options = ["--library", str(sample_index), "--size", "320x180", "--fallback", kind]
    made = run(capsys, "render", str(script), *options)
    slot = made["cut"]["slots"][1]
    assert (slot["sentence"], slot["kind"]) == (2, kind)
    assert made["fills"][0]["kind"] == kind
    assert slot["costs"]["match"] > 0
    record = Project.load(script.with_suffix(".montage.json")).slots[1]
    take = take_file(record, Library.open(sample_index))
    assert record.take["look"]["brightness"] > 0
    assert "trainedAlgorithmicMedia" not in read_marks(take)["digital_source_type"]
    marks = read_film_marks(made["film"])
    assert [(mark["sentence"], mark["kind"]) for mark in marks] == [(2, kind)]
    again = run(capsys, "render", str(script), *options)
    assert (again["segments_rendered"], again["segments_reused"]) == (0, len(made["cut"]["slots"]))


def test_a_model_makes_the_shot_of_a_gap(
    sample_index: Path, story: Path, tiny_wan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "[generate] A whale sings under the sea.\nA cup of coffee stands on the table.\n"
    library = Library.open(sample_index)
    takes = sample_index / ".montage" / "takes"
    takes.mkdir(exist_ok=True)
    model = Diffusers(tiny_wan, takes, Tuning(steps=2, native_area=64 * 64))
    cut = montage.plan(montage.parse_script(text), library)
    assert [slot.kind for slot in cut.slots] == ["gap", "footage"]
    made = render_cut(
        cut,
        story / "model.mp4",
        size=(160, 96),
        fit="crop",
        quality="draft",
        generation=Generation(models=(model,), gates=False),
        fallback="none",
    )
    slot = made.cut.slots[0]
    assert slot.kind == "diffusion"
    assert slot.take["digital_source_type"].endswith("/trainedAlgorithmicMedia")
    assert slot.take["prompt"].startswith("A whale sings under the sea, documentary footage")
    assert slot.frames == cut.slots[0].frames
    assert frames_of(made.film.path) == made.film.frames
    marks = read_film_marks(made.film.path)
    assert [(mark["sentence"], mark["kind"], mark["model"]) for mark in marks] == [
        (1, "diffusion", model.name)
    ]

    # The film, its storyboard and its account say how the shot was made.
    said = f"made by wan ({slot.take['strategy']}, seed {slot.take['seed']}, unchecked"
    assert said in made.cut.storyboard(story / "board.html").read_text(encoding="utf-8")
    assert made.cut.explain(1).slots[0].made.startswith(said)
    told = run(capsys, "info", str(made.film.path))
    assert told["generated shots"][0]["prompt"] == slot.take["prompt"]
    assert told["signature"].startswith("signed by montage: 1 generated shot; the certificate is self-made")
    assert "signature" in [check.name for check in made.film.checks]

    # With the gates on, an untrained model's noise is refused and the next step of the ladder stands in.
    options = {
        "size": (160, 96),
        "fit": "crop",
        "quality": "draft",
        "generation": Generation(models=(model,)),
    }
    refused = render_cut(cut, story / "refused.mp4", **options, fallback="card")
    assert refused.cut.slots[0].kind == "card"
    assert any("refused" in step for step in refused.fills[0].steps), refused.fills
    with pytest.raises(FilmError, match="nothing in the library shows"):
        render_cut(cut, story / "none.mp4", **options, fallback="none")


@pytest.mark.slow
def test_a_model_named_on_the_command_line(
    sample_index: Path, story: Path, tiny_wan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = story / "model.txt"
    script.write_text("[generate] A whale sings under the sea.\n")
    options = ["--library", str(sample_index), "--size", "160x96", "--model", str(tiny_wan), "--no-gates"]
    made = run(capsys, "render", str(script), *options)
    assert made["cut"]["slots"][0]["kind"] == "diffusion"


def test_the_ladder_begins_where_it_is_asked_to_in_both_directions(sample_index: Path, story: Path) -> None:
    library = Library.open(sample_index)
    cut = montage.plan(
        montage.parse_script("[generate] The evening sun sets behind the mountains.\n"), library
    )
    card, _ = fill_gaps(cut, size=(640, 360), first="card", generation=Generation(models=()))
    assert [slot.kind for slot in card.slots] == ["card"]
    still, _ = fill_gaps(card, size=(640, 360), first="auto", generation=Generation(models=()))
    assert [slot.kind for slot in still.slots] == ["still"]
    again, _ = fill_gaps(still, size=(640, 360), first="auto", generation=Generation(models=()))
    assert again.slots == still.slots


def test_no_fallback_fails_at_a_gap(
    sample_index: Path, story: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["render", str(story / "script-gaps.txt"), "--library", str(sample_index), "--no-fallback"]
    assert main(arguments) == 1
    assert "nothing in the library shows" in capsys.readouterr().err
    assert not (story / "script-gaps.mp4").exists()


def test_a_pin_outside_the_library_is_named_with_its_place(
    sample_index: Path, story: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = story / "pin.txt"
    script.write_text("A cat.\n\n[pin elsewhere.mp4@1-2] A dog.\n")
    assert main(["plan", str(script), "--library", str(sample_index)]) == 2
    assert "pin.txt:3:" in capsys.readouterr().err


def test_a_pin_shows_the_seconds_it_names(
    sample_index: Path, story: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = sorted(path.name for path in sample_index.glob("*.mp4"))[0]
    script = story / "pin.txt"
    script.write_text(f"[pin {name}@1-2.6] [hold 1.6s] A dog.\n")
    made = run(capsys, "plan", str(script), "--library", str(sample_index))
    slot = made["slots"][0]
    assert slot["file"] == name
    assert slot["start"] == pytest.approx(1, abs=0.3)
    assert Fraction(slot["frames"], 25) == pytest.approx(1.6, abs=0.05)


def test_the_sheet_of_a_search_is_one_safe_page(
    sample_index: Path, story: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = story / "found.html"
    arguments = ["search", "<script>alert(1)</script> cat", "--library", str(sample_index), "-k", "3"]
    found = run(capsys, *arguments, "--sheet", str(sheet))
    text = sheet.read_text(encoding="utf-8")
    assert len(found) == 3
    assert text.count("data:image/jpeg") == 3
    assert "<script>" not in text


def test_info_says_what_things_are(sample_index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = run(capsys, "info", str(sample_index))
    assert library["media"] == len(list(sample_index.glob("*.mp4")))
    file = sorted(sample_index.glob("*.mp4"))[0]
    assert run(capsys, "info", str(file))["codec"] == "h264"
