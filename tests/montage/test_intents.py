"""What a plan says of shots that will be generated, before any is."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import pytest

import montage
from generate import Diffusers, Request, Tuning
from generate.timing import Timings
from index.library import Library
from montage.cli import main
from montage.generation import Generation, Studio
from montage.intents import TIMINGS, Intent, all_intents, intents
from montage.splicing import takes_folder
from montage.values import MontageError
from tests.tiny_pipelines import save_tiny

SIZE = (320, 192)
WHALE = "A whale sings under the sea."
STORM = "[generate] A storm is coming over the street."


@pytest.fixture(scope="module")
def library(sample_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("few") / "footage"
    folder.mkdir()
    for name in ("wine-and-drum.mp4", "coffee-cup.mp4", "storm-over-the-road.mp4"):
        shutil.copy(sample_library / name, folder)
    return montage.build_index(folder, encoder="embedded")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_wan: Path) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {"wan": tiny_wan} | {name: save_tiny(name, root / name) for name in ("wan-vace", "svd")}


def studio(library: Library, *folders: Path) -> Studio:
    return Studio([Diffusers(folder, takes_folder(library), Tuning(steps=2)) for folder in folders])


def wanted(text: str, library: Library, at_hand: Studio, **more: object) -> tuple[Intent, ...]:
    cut = montage.plan(montage.parse_script(text), library)
    return intents(cut, SIZE, at_hand, Generation(models=(), **more))  # type: ignore[arg-type]


def test_a_gap_without_near_footage_is_asked_for_by_its_text(
    library: Library, models: dict[str, Path]
) -> None:
    (intent,) = wanted(f"{WHALE} A cup of coffee.", library, studio(library, models["wan"]), takes=3)
    assert (intent.sentence.number, intent.strategy, intent.takes, intent.near) == (1, "direct", 3, None)
    assert intent.seconds is None
    assert intent.line.startswith("sentence 1: 3 takes by wan (direct), time not known yet: A whale sings")


def test_near_footage_is_started_from_as_far_as_models_can(library: Library, models: dict[str, Path]) -> None:
    (restyled,) = wanted(STORM, library, studio(library, models["wan"]))
    assert restyled.strategy == "restyle"
    media = library.media[library.shots[restyled.near.shot].media]
    assert media.paths == ("storm-over-the-road.mp4",)
    (begun,) = wanted(STORM, library, studio(library, models["svd"]))
    assert (begun.strategy, begun.near.shot) == ("from-near-miss", restyled.near.shot)
    # Of two models each is asked for what it can do, the first one first.
    both = studio(library, models["svd"], models["wan"])
    assert wanted(STORM, library, both)[0].generator.model == "wan"
    assert wanted(STORM, library, both, strategy="from-near-miss")[0].generator.model == "svd"


def test_two_gaps_do_not_start_from_the_same_footage(library: Library, models: dict[str, Path]) -> None:
    first, second = wanted(f"{STORM}\n\n{STORM}", library, studio(library, models["wan"]))
    assert first.near is not None
    assert second.near is None or second.near.shot != first.near.shot


def test_control_and_a_strategy_contradict_each_other() -> None:
    with pytest.raises(MontageError, match="leave out one"):
        Generation(control="edge", strategy="restyle")


def test_a_gap_within_one_scene_is_bridged(library: Library, models: dict[str, Path]) -> None:
    text = f"[pin coffee-cup.mp4@0.2-1.4] Coffee. {WHALE} [pin coffee-cup.mp4@2.6-4] More coffee."
    (intent,) = wanted(text, library, studio(library, models["wan-vace"]))
    assert intent.strategy == "bridge"
    text = f"[pin coffee-cup.mp4@0.2-1.4] Coffee. {WHALE} A glass of wine stands on a drum."
    (intent,) = wanted(text, library, studio(library, models["wan-vace"]))
    assert intent.strategy == "direct"


def test_what_cannot_be_done_as_asked_says_why(library: Library, models: dict[str, Path]) -> None:
    wan = studio(library, models["wan"])
    (intent,) = wanted(WHALE, library, wan, strategy="bridge")
    assert intent.strategy == "direct"
    assert intent.notes == ("bridge: the shots before and after are not of one scene",)
    svd = studio(library, models["svd"])
    (intent,) = wanted(STORM, library, svd, strategy="factorised")
    assert (intent.strategy, intent.notes) == (
        "from-near-miss", ("factorised: none of the models paints single pictures",),
    )  # fmt: skip
    (intent,) = wanted(STORM, library, wan, control="edge")
    assert intent.strategy == "restyle"
    assert intent.notes == ("control: none of the models can be asked so",)
    (intent,) = wanted(STORM, library, studio(library, models["wan-vace"]), control="edge")
    assert (intent.strategy, intent.notes) == ("control", ())
    assert wanted(f"[hold 60s] {WHALE}", library, wan) == ()  # longer than six takes


def test_time_is_told_once_it_was_measured(library: Library, models: dict[str, Path], tmp_path: Path) -> None:
    at_hand = studio(library, models["wan"])
    model = at_hand.generators[0]
    assert isinstance(model, Diffusers)
    tiny = Diffusers(models["wan"], tmp_path, Tuning(steps=2, native_area=64 * 48))
    take = tiny.generate(Request(prompt="x", frames=12, fps=Fraction(25), width=64, height=48, seed=1))
    timings = Timings(takes_folder(library) / TIMINGS)
    try:
        timings.note(take, model.device, 3.0)
        cut = montage.plan(montage.parse_script(f"{WHALE} A cup of coffee."), library)
        one, _ = all_intents(cut, SIZE, at_hand, Generation(models=()))
        three, _ = all_intents(cut, SIZE, at_hand, Generation(models=(), takes=3))
        frames, (width, height), steps = model.native("direct", cut.slots[0].frames / cut.fps, SIZE)
        known = take.details
        work = known["native_width"] * known["native_height"] * known["native_frames"] * known["steps"]
        assert one[0].seconds == pytest.approx(3.0 * width * height * frames * steps / work)
        assert three[0].seconds == pytest.approx(3 * one[0].seconds)
        assert "about" in one[0].line
    finally:
        timings.path.unlink()


def test_seeds_follow_the_sentence_and_stories_share_one(library: Library, models: dict[str, Path]) -> None:
    wan = studio(library, models["wan"])
    story = wanted(f"{WHALE} It dives deep. A cup of coffee.", library, wan)
    assert [intent.story for intent in story] == [story[0].sentence.id] * 2
    assert story[0].seed == story[1].seed
    assert story[1].prompt.text.startswith("A whale, the same in every shot. The whale dives deep")
    apart = wanted(f"{WHALE}\n\nIt dives deep.", library, wan)
    assert [intent.story for intent in apart] == ["", ""]
    assert apart[0].seed != apart[1].seed
    # A sentence before it changes nothing; another seed of the cut changes all.
    cut = montage.plan(montage.parse_script(WHALE), library)
    later = montage.plan(montage.parse_script(f"A cup of coffee.\n\n{WHALE}"), library, previous=cut)
    generation = Generation(models=())
    (first,), (moved,) = (intents(one, SIZE, wan, generation) for one in (cut, later))
    assert first.seed == moved.seed
    (other,) = intents(montage.plan(cut.script, library, seed=1), SIZE, wan, generation)
    assert abs(other.seed - first.seed) > 64


def test_plan_says_what_will_be_generated(
    library: Library, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "story.txt"
    script.write_text(f"{WHALE} A cup of coffee.\n")
    command = ["plan", str(script), "--library", str(library.root), "--model", str(models["wan"])]
    assert main([*command, "--takes", "2", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["generate"]
    assert (told["sentence"], told["model"], told["strategy"], told["takes"]) == (1, "wan", "direct", 2)
    assert told["prompt"].startswith("A whale sings")
    assert main(command) == 0
    assert "generate: sentence 1: one take by wan (direct)" in capsys.readouterr().out
    assert main([*command[:-2], "--model", "none"]) == 0
    assert "not generated: no model was named" in capsys.readouterr().out
    assert main([*command[:-1], str(models["svd"])]) == 1
    assert "--accept-licence svd" in capsys.readouterr().err
    assert list(takes_folder(library).iterdir()) == []
