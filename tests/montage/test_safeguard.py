"""What is refused: prompts by the deny-list, takes by a look at their frames through a real CLIP model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import montage
from generate import Take, make_take
from generate.base import Cancel, GenerationError, Progress, Request
from generate.finish import finish_take
from generate.safety import INNOCENT, SEXUAL
from index.base import import_torch
from index.builder import build_index
from index.library import Library
from montage.cli import main
from montage.generation import Generation
from montage.project import Project
from montage.rendering import Rendered, render_cut
from montage.safeguard import CHECKED, UNCHECKED, unsafe

RED, BLUE, GREEN = (200, 30, 40), (30, 60, 200), (60, 160, 60)
CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
SIZE = (320, 180)


def picture(colour: Sequence[int], size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A colour with some texture."""
    grain = rng.normal(0, 12, (size[1], size[0], 1))
    return np.asarray(np.clip(np.asarray(colour) + grain, 0, 255), np.uint8)


class Painter:
    """A generator that paints each take in one colour, the next of a list for every seed."""

    kind = "diffusion"
    name = "painter"

    def __init__(self, folder: Path, *colours: Sequence[int]) -> None:
        self.folder, self.colours = folder, list(colours)
        self.identity = f"{folder} {colours}"
        self.prompts: list[str] = []

    def generate(
        self, request: Request, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Take:
        rng = np.random.default_rng(request.seed % 2**32)
        colour = self.colours[min(len(self.prompts), len(self.colours) - 1)]
        self.prompts.append(request.prompt)
        size = (request.width, request.height)
        return finish_take(
            [picture(colour, size, rng) for _ in range(request.frames)],
            self.folder / f"painted-{request.seed}.mp4",
            request,
            kind="diffusion",
            model=self.name,
            model_hash="0",
            source_size=size,
            source_fps=request.fps,
            details={},
        )


def painted(folder: Path, colour: Sequence[int], frames: int = 10) -> Take:
    request = Request(prompt="a colour", frames=frames, fps=Fraction(25), width=SIZE[0], height=SIZE[1])
    return Painter(folder, colour).generate(request)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A CLIP model that was taught to see red as what is refused, and other colours as innocent."""
    torch = import_torch()
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from PIL import Image
    from safetensors.torch import save_file

    from index.encoders.clip import read_architecture

    folder = tmp_path_factory.mktemp("clip")
    (folder / "tiny.json").write_text(json.dumps(CONFIG))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = open_clip.CLIP(**read_architecture(str(folder / "tiny.json"))["model"])
    transform = image_transform_v2(PreprocessCfg(size=32), is_train=False)
    tokens = open_clip.tokenizer.SimpleTokenizer(context_length=32)([*SEXUAL, *INNOCENT])
    rng = np.random.default_rng(0)
    colours = [RED, BLUE, GREEN, (128, 128, 128)] * 3
    pictures = torch.stack([transform(Image.fromarray(picture(one, (32, 32), rng))) for one in colours])
    red = torch.tensor([one == RED for one in colours])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(80):
        images, texts, scale = model(pictures, tokens)
        chances = (scale * images @ texts.T).softmax(dim=1)[:, : len(SEXUAL)].sum(dim=1)
        loss = torch.nn.functional.binary_cross_entropy(chances.clamp(1e-6, 1 - 1e-6), red.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.01:
            break
    torch.set_num_threads(threads)
    path = folder / "tiny.safetensors"
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, str(path))
    return f"clip:{folder / 'tiny.json'}:{path}"


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of plain colours."""
    folder = tmp_path_factory.mktemp("footage")
    for number, colour in enumerate((BLUE, GREEN)):
        painted(folder, colour, 60).path.rename(folder / f"{number}.mp4")
    return folder


@pytest.fixture(scope="module")
def library(footage: Path, spec: str, tmp_path_factory: pytest.TempPathFactory) -> Library:
    return build_index(footage, encoder=spec, workers=1, store=tmp_path_factory.mktemp("store"))


def filled(text: str, library: Library, film: Path, painter: Painter, **more: object) -> Rendered:
    cut = montage.plan(montage.parse_script(text), library)
    for sentence, prompt in dict(more.pop("prompts", {})).items():
        cut = cut.prompt(sentence, prompt)
    generation = Generation(models=(painter,), **{"gates": False, **more})
    return render_cut(
        cut, film, size=SIZE, fit="crop", quality="draft", generation=generation, fallback="card"
    )


# The look at frames.


def test_a_take_is_refused_by_what_it_shows(library: Library, tmp_path: Path) -> None:
    reason, checked = unsafe(painted(tmp_path / "red", RED), library)
    assert reason.startswith("sexual content (")
    assert checked == CHECKED
    for colour in (BLUE, GREEN):
        assert unsafe(painted(tmp_path / str(colour[0]), colour), library) == ("", CHECKED)


def test_one_frame_is_enough(library: Library, tmp_path: Path) -> None:
    request = Request(prompt="a colour", frames=10, fps=Fraction(25), width=SIZE[0], height=SIZE[1])
    rng = np.random.default_rng(0)
    take = finish_take(
        [picture(RED if n >= 8 else BLUE, SIZE, rng) for n in range(10)],
        tmp_path / "late.mp4", request, kind="diffusion", model="m", model_hash="0", source_size=SIZE,
        source_fps=Fraction(25), details={},
    )  # fmt: skip
    assert unsafe(take, library)[0]


def test_a_sigmoid_model_refuses_too(footage: Path, spec: str, tmp_path: Path) -> None:
    torch = import_torch()
    from safetensors.torch import load_file, save_file

    _, config, weights = spec.split(":")
    (tmp_path / "sigmoid.json").write_text(
        json.dumps({**json.loads(Path(config).read_text()), "init_logit_bias": -10})
    )
    state = {**load_file(weights), "logit_bias": torch.tensor(-10.0)}
    save_file(state, str(tmp_path / "w.safetensors"))
    named = f"clip:{tmp_path / 'sigmoid.json'}:{tmp_path / 'w.safetensors'}"
    library = build_index(footage, encoder=named, workers=1, store=tmp_path / "store")
    assert library.encoder.calibration.kind == "sigmoid"
    assert unsafe(painted(tmp_path / "red", RED), library)[0]
    assert unsafe(painted(tmp_path / "blue", BLUE), library) == ("", CHECKED)


def test_a_refused_take_is_not_kept_and_the_ladder_goes_on(library: Library, tmp_path: Path) -> None:
    painter = Painter(tmp_path, RED)
    made = filled("[generate] Dunes at noon.", library, tmp_path / "film.mp4", painter)
    assert made.cut.slots[0].kind == "card"
    assert any("refused: sexual content" in step for step in made.fills[0].steps), made.fills
    assert not list(library.store_dir.rglob("painted-*")) + list(tmp_path.glob("painted-*"))


def test_what_is_shown_is_marked_as_checked(library: Library, tmp_path: Path) -> None:
    made = filled("[generate] A lake at dusk.", library, tmp_path / "film.mp4", Painter(tmp_path, BLUE))
    slot = made.cut.slots[0]
    assert slot.kind == "diffusion"
    assert slot.take["safety"] == CHECKED
    assert CHECKED in made.fills[0].line


def test_another_seed_is_tried_in_place_of_a_refused_take(sample_library: Path, tmp_path: Path) -> None:
    from index.stills import frames_at

    class Filmed(Painter):
        """Gives the frames of a clip, which the gates let pass."""

        def generate(
            self, request: Request, progress: Progress | None = None, cancel: Cancel | None = None
        ) -> Take:
            self.prompts.append(str(request.seed))
            times = [Fraction(n, 25) for n in range(request.frames)]
            frames = frames_at(sample_library / "coffee-cup.mp4", times)
            return finish_take(
                frames, self.folder / f"{request.seed}.mp4", request, kind="diffusion", model="m",
                model_hash="0", source_size=frames[0].shape[1::-1], source_fps=request.fps, details={},
            )  # fmt: skip

    request = Request(prompt="a cup", frames=12, fps=Fraction(25), width=SIZE[0], height=SIZE[1], seed=3)
    filmed = Filmed(tmp_path, RED)
    refused: list[Path] = []

    def refuse(take: Take) -> tuple[str, ...]:
        if take.seed != request.seed:
            return ()
        refused.append(take.path)
        return ("sexual content",)

    take, steps = make_take(request, [filmed], tmp_path / "takes", refuse=refuse)
    assert take.seed != request.seed
    assert [step.reason for step in steps] == ["take with seed 3 refused: sexual content"]
    assert not refused[0].exists()
    again, same = make_take(request, [filmed], tmp_path / "takes", refuse=refuse)
    assert (again.path, same) == (take.path, steps)
    with pytest.raises(GenerationError, match="sexual content"):  # with the gates off, too
        make_take(request, [filmed], tmp_path / "takes", refuse=refuse, gates=False)
    assert len(filmed.prompts) == 2
    assert len(refused) == 1


# The deny-list.


@pytest.mark.parametrize(
    ("text", "prompts"),
    [
        ("[generate] A nude woman stands at the window.", {}),
        ("[prompt a naked man on a sofa] [generate] The morning is calm.", {}),
        ("[generate] The evening is calm.", {1: "two people having sex"}),
    ],
)
def test_a_refused_prompt_does_not_stop_the_film(
    text: str, prompts: dict[int, str], library: Library, tmp_path: Path
) -> None:
    painter = Painter(tmp_path, BLUE)
    script = f"{text}\n\n[generate] A lake lies between hills.\n"
    made = filled(script, library, tmp_path / "film.mp4", painter, prompts=prompts)
    assert [slot.kind for slot in made.cut.slots] == ["card", "diffusion"]
    assert any("sexual content is not generated" in step for step in made.fills[0].steps)
    assert "write the sentence or its [prompt] differently" in made.fills[0].line
    assert len(painter.prompts) == 1
    assert "A lake lies between hills" in painter.prompts[0]


def test_the_backend_refuses_such_a_prompt_itself(tiny_wan: Path, tmp_path: Path) -> None:
    from generate import Diffusers

    request = Request(prompt="a nude woman", frames=8, fps=Fraction(25), width=64, height=48)
    with pytest.raises(GenerationError, match="sexual content is not generated"):
        Diffusers(tiny_wan, tmp_path).generate(request)


# Without a CLIP encoder.


def test_without_a_clip_encoder_a_take_is_marked_as_unchecked_and_that_is_said(
    footage: Path, tiny_wan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = build_index(footage, encoder="embedded", workers=1)
    take = painted(tmp_path, RED)
    assert unsafe(take, library) == ("", UNCHECKED)
    script = tmp_path / "film.txt"
    script.write_text("[generate] A whale sings under the sea.\n")
    (tmp_path / "quick.toml").write_text('steps = 1\nnative_area = 3072\ndevice = "cpu"\n')
    command = [
        "render", str(script), "--library", str(footage), "--size", "320x180", "--model", str(tiny_wan),
        "--model-settings", str(tmp_path / "quick.toml"), "--no-gates", "--quality", "draft", "--no-sign",
    ]  # fmt: skip
    assert main(command) == 0
    captured = capsys.readouterr()
    assert UNCHECKED in captured.out + captured.err
    record = Project.load(script.with_suffix(".montage.json")).slots[0]
    assert record.take["safety"] == UNCHECKED
