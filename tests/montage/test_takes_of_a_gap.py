"""Takes of a gap: those of a model that paints pictures are measured and judged like footage, and the cut
chooses; those of one that paints noise are refused, and the next step of the ladder stands in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import montage
from generate import Diffusers, Tuning
from generate.base import Cancel, Progress, Request, Take
from generate.gates import check_take
from index.base import import_torch
from index.library import Library
from index.stills import frames_at
from montage.cut import Cut
from montage.gaps import Fill, before_filling, fill_gaps
from montage.generation import Generation, Studio
from montage.intents import intents
from montage.marks import read_film_marks
from montage.planning import plan
from montage.rendering import Rendered, render_cut
from montage.splicing import measured, take_file, takes_folder
from montage.values import FilmError
from tests.overfitted import SIZE, save_overfitted_wan
from tests.tiny_pipelines import save_tiny

SUN = "The evening sun sets behind the mountains."
ROCKET = "A rocket stands on its launch pad."
FILM = (128, 64)
OTHERS = (
    "coffee-cup",
    "dune-grass-and-sea",
    "pagoda-by-the-lake",
    "rocket-on-the-pad",
    "storm-over-the-road",
)
"""Clips of the library: the one that the model knows is not among them."""
STEPS = 10


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, sample_library: Path) -> Library:
    """Footage that shows no evening sun."""
    folder = tmp_path_factory.mktemp("others") / "footage"
    folder.mkdir()
    for name in OTHERS:
        shutil.copy(sample_library / f"{name}.mp4", folder)
    return montage.build_index(folder, encoder="embedded")


@pytest.fixture(scope="module")
def sunset_model(tmp_path_factory: pytest.TempPathFactory, sample_library: Path) -> Path:
    """A model that paints an evening sun, whatever it is asked for."""
    folder = tmp_path_factory.mktemp("model") / "sunset"
    return save_overfitted_wan(folder, sample_library / "evening-sun.mp4", [SUN, "A whale sings."])


@dataclass
class Counted:
    """A model that tells which takes it made."""

    inner: Diffusers
    made: list[Take] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def generate(
        self, request: Request, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Take:
        take = self.inner.generate(request, progress, cancel)
        self.made.append(take)
        self.asked.append(request)
        return take


def model_in(folder: Path, library: Library, steps: int = STEPS) -> Counted:
    import_torch().set_num_threads(1)  # threads that wait for each other cost more than these tensors
    tuning = Tuning(steps=steps, guidance=1.0, native_area=SIZE[0] * SIZE[1])
    return Counted(Diffusers(folder, takes_folder(library), tuning))


def planned(text: str, library: Library, seed: int) -> Cut:
    """A cut whose takes are its own: no test finds those of another, whose seeds count up."""
    return plan(montage.parse_script(text), library, seed=100 * seed)


def film_of(cut: Cut, path: Path, generation: Generation, fallback: str = "auto") -> Rendered:
    options = {"size": FILM, "quality": "draft", "generation": generation, "fallback": fallback}
    return render_cut(cut, path, **options)  # type: ignore[arg-type]


def nearest(cut: Cut, place: int = 0) -> float:
    """Match of the footage that comes nearest."""
    return max(other.match for other in cut.slots[place].alternates)


def test_the_take_that_cuts_best_is_shown(library: Library, sunset_model: Path, tmp_path: Path) -> None:
    model = model_in(sunset_model, library)
    cut = planned(f"[hold 1s] {SUN}\n{ROCKET}\n", library, seed=1)
    assert [slot.kind for slot in cut.slots] == ["gap", "footage"]
    rendered = film_of(cut, tmp_path / "sun.mp4", Generation(models=(model,), takes=3), "none")

    # All were made, each of its own seed, passed the gates as they are, and show more than the near-miss.
    assert len({take.seed for take in model.made}) == len(model.made) == 3
    assert len({take.path.read_bytes() for take in model.made}) == 3
    assert [check_take(take.path) for take in model.made] == [()] * 3
    assert rendered.fills[0].steps == ()
    sentence = cut.script.sentences[0]
    seen = [measured(take, sentence, library)[0] for take in model.made]
    assert all(spliced.match > nearest(cut) for spliced in seen)
    assert max(spliced.match for spliced in seen) > library.encoder.calibration.threshold

    # The one that is shown makes the cheapest cut: with any other alone the cut costs as much, or more.
    slot = rendered.cut.slots[0]
    assert (slot.kind, slot.frames) == ("diffusion", 25)
    costs = {
        spliced.take["file"]: plan(
            cut.script, library, cut.preset, previous=cut, spliced=[spliced], seed=cut.seed
        ).objective
        for spliced in seen
    }
    assert len({round(cost, 4) for cost in costs.values()}) > 1  # there was something to choose
    assert rendered.cut.objective == pytest.approx(costs[slot.take["file"]], abs=1e-4)
    assert costs[slot.take["file"]] == min(costs.values())

    assert rendered.film.checks
    assert all(check.passed for check in rendered.film.checks)
    (mark,) = read_film_marks(rendered.film.path)
    assert (mark["sentence"], mark["kind"], mark["model"]) == (1, "diffusion", model.inner.model)
    assert (mark["prompt"], mark["seed"]) == (slot.take["prompt"], slot.take["seed"])
    assert mark["prompt"].startswith(SUN.rstrip("."))


def test_takes_of_an_untrained_model_are_all_refused(
    library: Library, tiny_wan: Path, tmp_path: Path
) -> None:
    model = model_in(tiny_wan, library, steps=2)
    cut = planned(f"[hold 1s] {SUN}\n{ROCKET}\n", library, seed=2)
    rendered = film_of(cut, tmp_path / "noise.mp4", Generation(models=(model,), takes=2))
    seeds = [take.seed for take in model.made]
    assert len(set(seeds)) == len(seeds) == 6  # each with two seeds more
    refused = [step for step in rendered.fills[0].steps if "refused: " in step]
    assert len(refused) == 6
    for seed, step in zip(seeds, refused, strict=True):
        assert f"seed {seed} refused: " in step
        assert any(what in step for what in ("noise: ", "incoherent: ", "flat: ", "frozen: ")), step
    assert not any(take.path.exists() for take in model.made)
    slot = rendered.cut.slots[0]
    assert slot.kind == rendered.fills[0].kind == "still"
    assert all(check.passed for check in rendered.film.checks)

    # They stay refused: nothing is made a second time.
    film_of(cut, tmp_path / "again.mp4", Generation(models=(model,), takes=2))
    assert len(model.made) == 6


def test_a_take_that_shows_less_than_the_near_miss_is_refused(library: Library, sunset_model: Path) -> None:
    model = model_in(sunset_model, library)
    cut = planned("[hold 1s] Lightning strikes a tree.\n", library, seed=3)
    assert [slot.kind for slot in cut.slots] == ["gap"]
    generation = Generation(models=(model,), takes=2, strategy="direct")
    filled, fills = fill_gaps(cut, size=FILM, generation=generation)
    assert [check_take(take.path) for take in model.made] == [()] * 2
    told = f"no better than the nearest footage ({nearest(cut):.2f})"
    for take, step in zip(model.made, fills[0].steps, strict=True):
        assert step.startswith(f"take with seed {take.seed} refused: it matches 0.")
        assert step.endswith(told)
    assert [slot.kind for slot in filled.slots] == ["footage"]  # the near-miss itself


def test_takes_that_were_made_are_kept(library: Library, sunset_model: Path, tmp_path: Path) -> None:
    model = model_in(sunset_model, library)
    cut = planned(f"[hold 1s] {SUN}\n{ROCKET}\n", library, seed=4)

    @contextmanager
    def after_the_first() -> Iterator[Callable[[], bool]]:
        yield lambda: len(model.made) >= 1

    # Ended by hand after one of three: what is finished is shown.
    ended = Generation(models=(model,), takes=3, stop=after_the_first)
    first = film_of(cut, tmp_path / "ended.mp4", ended)
    assert len(model.made) == 1
    assert first.cut.slots[0].kind == "diffusion"
    assert take_file(first.cut.slots[0], library) == model.made[0].path

    # The next run goes on from there, from the project's cut or from the script alone.
    whole = Generation(models=(model,), takes=3)
    for before in (first.cut, cut):
        film_of(before, tmp_path / "whole.mp4", whole)
        assert len({take.seed for take in model.made}) == len(model.made) == 3
    again = Counted(model.inner)
    same = film_of(cut, tmp_path / "whole.mp4", Generation(models=(again,), takes=3))
    assert again.made == []
    assert same.film.segments_rendered == 0


def test_changed_settings_make_takes_anew(library: Library, sunset_model: Path) -> None:
    model = model_in(sunset_model, library)
    cut = planned(f"[generate] [hold 1s] {SUN}\n", library, seed=10)

    def filled(model: Counted, cut: Cut, **more: object) -> Cut:
        generation = Generation(models=(model,), **more)  # type: ignore[arg-type]
        return fill_gaps(cut, size=FILM, generation=generation, first="none")[0]

    first = filled(model, cut)
    assert filled(model, first).slots == first.slots
    assert len(model.made) == 1
    fewer = model_in(sunset_model, library, steps=STEPS - 1)
    second = filled(fewer, first)
    assert len(fewer.made) == 1
    assert second.slots[0].take["file"] != first.slots[0].take["file"]
    # Another strategy, another look of the preset: asked anew, and found again where nothing else changed.
    named = filled(model, first, strategy="direct")
    assert (len(model.made), named.slots[0].take["file"]) == (1, first.slots[0].take["file"])
    looks = replace(first, preset=replace(first.preset, look="an old film"))
    assert filled(model, looks).slots[0].take["prompt"].endswith("an old film")
    assert len(model.made) == 2


def test_a_take_is_compared_with_the_prompt_that_was_written_for_it(
    library: Library, sunset_model: Path
) -> None:
    model = model_in(sunset_model, library)
    cut = planned(f"[hold 1s] [prompt {SUN}] Nobody sees him.\n\n{ROCKET}\n", library, seed=13)
    filled, fills = fill_gaps(cut, size=FILM, generation=Generation(models=(model,)), first="none")
    slot = filled.slots[0]
    assert (slot.kind, fills[0].steps) == ("diffusion", ())
    assert slot.match > 2 * nearest(cut)


def test_takes_that_are_damaged_are_made_anew(library: Library, sunset_model: Path) -> None:
    model = model_in(sunset_model, library)
    generation = Generation(models=(model,))
    cut = planned(f"[generate] [hold 1s] {SUN}\n", library, seed=14)
    first, _ = fill_gaps(cut, size=FILM, generation=generation, first="none")
    path = take_file(first.slots[0], library)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    again, _ = fill_gaps(first, size=FILM, generation=generation, first="none")
    assert take_file(again.slots[0], library).read_bytes() == whole
    assert len(model.made) == 2


def test_a_film_of_another_size_keeps_takes_that_no_model_could_make_anew(
    library: Library, sunset_model: Path, tmp_path: Path
) -> None:
    model = model_in(sunset_model, library)
    cut = planned(f"[generate] [hold 1s] {SUN}\n", library, seed=15)
    first, _ = fill_gaps(cut, size=FILM, generation=Generation(models=(model,)), first="none")
    without = render_cut(first, tmp_path / "other.mp4", size=(96, 96), generation=Generation(models=()))
    assert without.cut.slots[0].take["file"] == first.slots[0].take["file"]
    assert all(check.passed for check in without.film.checks)
    _, kept, _ = before_filling(first, (96, 96), "none", Generation(models=(model,)))
    assert kept == [], "a model makes it anew"


def test_refused_takes_are_told_together() -> None:
    steps = tuple(
        f"diffusion: wan: take with seed {n} refused: noise: 0.9 of it; frozen: 0.1" for n in range(6)
    )
    fill = Fill(2, "card", "card", (*steps, "near-miss: the nearest footage matches 0.10"))
    assert fill.line == (
        "gap at sentence 2: a card (6 takes refused (noise, frozen); near-miss: the nearest footage matches "
        "0.10)"
    )


def test_plan_says_what_render_makes_where_a_card_stands(library: Library, sunset_model: Path) -> None:
    cut = planned(f"[generate] [hold 1s] {SUN}\n", library, seed=11)
    size = (640, 320)
    card, _ = fill_gaps(cut, size=size, generation=Generation(models=()), first="card")
    assert card.slots[0].kind == "card"
    generation = Generation(models=(model_in(sunset_model, library),), takes=2)
    again, kept, studio = before_filling(card, size, "auto", generation)
    assert (kept, [slot.kind for slot in again.slots]) == ([], ["gap"])
    (intent,) = intents(again, size, studio, generation)
    assert intent.takes == 2


def test_making_that_is_ended_leaves_the_rest_to_the_next_step(library: Library, sunset_model: Path) -> None:
    model = model_in(sunset_model, library)
    text = f"[hold 1s] {SUN}\n\n{ROCKET}\n\n[hold 1s] The sun goes down over the hills.\n"
    cut = planned(text, library, seed=5)
    assert [slot.kind for slot in cut.slots] == ["gap", "footage", "gap"]

    @contextmanager
    def after_the_first() -> Iterator[Callable[[], bool]]:
        yield lambda: len(model.made) >= 1

    generation = Generation(models=(model,), stop=after_the_first)
    filled, fills = fill_gaps(cut, size=FILM, generation=generation)
    assert [slot.kind for slot in filled.slots] == ["diffusion", "footage", "footage"]
    assert "stopped by hand" in fills[1].line
    assert len(model.made) == 1


def test_the_shots_of_a_story_have_one_seed_and_one_subject(library: Library, sunset_model: Path) -> None:
    model = model_in(sunset_model, library)
    text = (
        "[generate] [hold 1s] The evening sun sets behind the mountains. "
        "[generate] [hold 1s] It goes down over the hills.\n"
    )
    cut = planned(text, library, seed=6)
    filled, fills = fill_gaps(cut, size=FILM, generation=Generation(models=(model,)), first="none")
    assert [slot.kind for slot in filled.slots] == ["diffusion", "diffusion"]
    one, two = (slot.take for slot in filled.slots)
    assert one["seed"] == two["seed"]
    prefix = "The evening sun, the same in every shot. "
    assert one["prompt"].startswith(prefix)
    assert two["prompt"].startswith(prefix)
    assert one["prompt"] != two["prompt"]
    assert "same_subject" not in one
    assert 0.8 < two["same_subject"] <= 1
    assert f"{two['same_subject']} like the first shot of its story" in fills[1].told


def test_a_model_with_reference_pictures_is_given_the_subject_of_the_first_shot(
    library: Library, tmp_path: Path
) -> None:
    model = model_in(save_tiny("wan-vace", tmp_path / "vace"), library, steps=1)
    text = "[generate] [hold 1s] A red fox waits. [generate] [hold 1s] It jumps over the wall.\n"
    cut = planned(text, library, seed=12)
    generation = Generation(models=(model,), takes=2, gates=False, strategy="direct")
    filled, _ = fill_gaps(cut, size=SIZE, generation=generation, first="none")
    assert [slot.kind for slot in filled.slots] == ["diffusion", "diffusion"]
    # Takes of the first shot do not depend on each other; those of the second see the first one's subject.
    assert [len(request.subjects) for request in model.asked] == [0, 0, 1, 1]
    subject = model.asked[2].subjects[0]
    shown = frames_at(model.made[0].path, [model.made[0].frames / model.made[0].fps / 2])[0]
    assert (subject == shown).all()


@pytest.mark.slow
def test_a_kill_in_the_middle_loses_one_take_at_most(
    library: Library, sunset_model: Path, tmp_path: Path
) -> None:
    script = tmp_path / "story.txt"
    script.write_text("".join(f"[generate] [hold 1s] {SUN}\n\n" for _ in range(3)))
    settings = tmp_path / "settings.toml"
    settings.write_text(f"steps = 300\nguidance = 1.0\nnative_area = {SIZE[0] * SIZE[1]}\n")
    command = [
        sys.executable, "-m", "montage", "render", str(script), "--library", str(library.root),
        "--size", "128x64", "--model", str(sunset_model), "--model-settings", str(settings), "--no-gates",
        "--json",
    ]  # fmt: skip
    before = set(takes_folder(library).glob("*.mp4"))

    def whole() -> list[Path]:
        records = {path.stem for path in takes_folder(library).glob("*.json")}
        return [
            one for one in takes_folder(library).glob("*.mp4") if one not in before and one.stem in records
        ]

    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(whole()) < 1 and first.poll() is None:
        pass
    first.kill()
    first.wait()
    kept = {path: path.read_bytes() for path in whole()}
    assert 1 <= len(kept) < 3, "it was killed in the middle"
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    slots = json.loads(ended.stdout)["cut"]["slots"]
    assert [slot["kind"] for slot in slots] == ["diffusion"] * 3
    assert len(whole()) == 3
    assert all(path.read_bytes() == data for path, data in kept.items()), "what was finished is used as it is"
    assert not list(takes_folder(library).glob("*.part*")), "nothing half made is left"


def test_a_changed_prompt_makes_another_take(library: Library, sunset_model: Path) -> None:
    model = model_in(sunset_model, library)
    generation = Generation(models=(model,))
    text = f"[generate] [hold 1s] {SUN}\n[skip] [prompt a whale] It waits.\n"

    def take_of(cut: Cut) -> tuple[Cut, str, int]:
        filled, _ = fill_gaps(cut, size=FILM, generation=generation, first="none")
        assert [slot.kind for slot in filled.slots] == ["diffusion"]
        return filled, str(filled.slots[0].take["prompt"]), len(model.made)

    cut, prompt, made = take_of(planned(text, library, seed=7))
    assert (prompt.startswith(SUN.rstrip(".")), made) == (True, 1)
    cut, prompt, made = take_of(cut.prompt(1, "a red sun over a chain of hills"))
    assert (prompt.startswith("a red sun over a chain of hills"), made) == (True, 2)
    cut, prompt, made = take_of(cut)
    assert (prompt.startswith("a red sun over a chain of hills"), made) == (True, 2)
    _, prompt, made = take_of(cut.prompt(1, None))
    assert (prompt.startswith(SUN.rstrip(".")), made) == (True, 2)  # the first one is still there
    written = planned(text.replace("[hold 1s]", "[hold 1s] [prompt a pale sun]", 1), library, seed=7)
    _, prompt, made = take_of(written)
    assert (prompt.startswith("a pale sun"), made) == (True, 3)


def test_a_strategy_that_fails_gives_way_to_the_text(library: Library, sunset_model: Path) -> None:
    """The restyling class cannot run this model's decoder, which is smaller than Wan's own."""
    model = model_in(sunset_model, library)
    cut = planned("[generate] [hold 1s] Lightning strikes a tree.\n", library, seed=9)
    generation = Generation(models=(model,), takes=2)
    (intent,) = intents(cut, FILM, Studio((model,)), generation)
    assert intent.strategy == "restyle"
    filled, fills = fill_gaps(cut, size=FILM, generation=generation, first="none")
    assert filled.slots[0].take["strategy"] == "direct"
    assert len(model.made) == 2
    assert "WanVideoToVideoPipeline" in fills[0].steps[0]
    assert fills[0].steps[1] == "restyle failed, so the text alone was tried"
    # Asked for by name, it is not replaced.
    named = Generation(models=(model,), strategy="restyle")
    with pytest.raises(FilmError, match="WanVideoToVideoPipeline"):
        fill_gaps(cut, size=FILM, generation=named, first="none")
    assert len(model.made) == 2


def test_a_gap_beyond_the_models_limit_is_cut_into_shots(library: Library, tiny_wan: Path) -> None:
    model = model_in(tiny_wan, library, steps=1)
    cut = planned(f"[generate] [hold 14s] {SUN}\n", library, seed=8)
    assert sum(slot.frames for slot in cut.slots) == 350
    generation = Generation(models=(model,), gates=False)
    (intent,) = intents(cut, SIZE, Studio((model,)), generation)
    assert intent.pieces == (116, 117, 117)
    longest = model.inner.longest("direct")
    assert all(frames / cut.fps <= longest for frames in intent.pieces)
    assert "one take in 3 shots" in intent.line
    filled, _ = fill_gaps(cut, size=SIZE, generation=generation, first="none")
    assert [slot.kind for slot in filled.slots] == ["diffusion"] * 3
    assert [slot.frames for slot in filled.slots] == [take.frames for take in model.made] == [116, 117, 117]
    # Each is a shot of its own, from its own noise: none goes on from the last frame of another.
    assert [slot.take["seed"] for slot in filled.slots] == [take.seed for take in model.made]
    assert len({slot.take["seed"] for slot in filled.slots}) == 3
    assert {slot.take["strategy"] for slot in filled.slots} == {"direct"}
    assert len({slot.take["prompt"] for slot in filled.slots}) == 1
