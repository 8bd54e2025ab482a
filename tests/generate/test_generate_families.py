"""Every family by a tiny pipeline of its real class: what it can be asked, in its own terms, and what comes
back."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tiny_pipelines import TINY, save_tiny

from generate import Diffusers, GenerationError, Request, Tuning
from generate.base import Cancelled, Strategy
from generate.families import FAMILIES
from generate.strategies import NEEDS, can

STEPS = 3
ASKED: dict[str, set[Strategy]] = {
    "wan": {"direct", "restyle"},
    "wan-a14b": {"direct"},
    "wan-ti2v": {"direct", "from-near-miss", "factorised", "extend"},
    "wan-i2v": {"from-near-miss", "factorised", "extend"},
    "wan-flf2v": {"bridge"},
    "wan-i2v-a14b": {"from-near-miss", "factorised", "extend", "bridge"},
    "wan-v2v": {"restyle"},
    "wan-vace": {"direct", "from-near-miss", "factorised", "bridge", "extend", "expand", "control"},
    "ltx": {"direct", "from-near-miss", "factorised", "bridge", "extend", "restyle"},
    "ltx-image": {"direct", "from-near-miss", "factorised", "bridge", "extend", "restyle"},
    "ltx-condition": {"direct", "from-near-miss", "factorised", "bridge", "extend", "restyle"},
    "cogvideox": {"direct", "restyle"},
    "cogvideox-image": {"from-near-miss", "factorised", "extend"},
    "cogvideox-v2v": {"restyle"},
    "cogvideox-control": {"control"},
    "hunyuan": {"direct"},
    "mochi": {"direct"},
    "animatediff": {"direct", "restyle"},
    "animatediff-v2v": {"restyle"},
    "animatediff-control": {"control"},
    "animatediff-v2v-control": {"control"},
    "t2v-zero": {"direct"},
    "stable-diffusion": {"direct"},
    "modelscope": {"direct", "restyle"},
    "modelscope-v2v": {"restyle"},
    "svd": {"from-near-miss", "factorised", "extend"},
    "i2vgen-xl": {"from-near-miss", "factorised", "extend"},
}
"""What each folder can be asked."""
PICTURES = {"wan", "wan-a14b", "wan-ti2v", "stable-diffusion"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("families")

    def folder(name: str) -> Path:
        path = root / name
        return path if path.is_dir() else save_tiny(name, path)

    return folder


def drawn(count: int = 24, shift: int = 0) -> tuple[np.ndarray, ...]:
    """A picture that moves."""
    y, x = np.mgrid[0:90, 0:160]
    return tuple(
        np.stack([(x * 1.5 + n * 4 + shift) % 256, (y * 2) % 256, np.full_like(x, 90)], -1).astype(np.uint8)
        for n in range(count)
    )


def request(strategy: Strategy = "direct", **more: object) -> Request:
    video = drawn()
    fields = {
        "prompt": "a fox at dawn", "frames": 12, "fps": Fraction(25), "width": 160, "height": 96, "seed": 3,
        "strategy": strategy, "reference": video[0], "last": video[-1], "video": video,
        "video_fps": Fraction(25), "control": "edge" if strategy == "control" else None,
    }  # fmt: skip
    return Request(**{**fields, **more})


def opened(folder: Path, takes: Path, **tuning: object) -> Diffusers:
    settings = {"steps": STEPS, "device": "cpu", "native_area": 64 * 48, **tuning}
    return Diffusers(folder, takes, Tuning(**settings))


def test_every_row_has_a_tiny_model_or_is_served_by_one() -> None:
    named = set(ASKED)
    assert named == set(TINY)
    covered = named | {"wan-ti2v-image"}
    assert {family.name for family in FAMILIES} == covered


@pytest.mark.parametrize("name", sorted(ASKED))
def test_family_makes_takes_in_every_way_it_can(
    folders: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    model = opened(folders(name), tmp_path)
    assert {strategy for strategy in NEEDS if can(strategy, model.honours)} == ASKED[name]
    for strategy in sorted(ASKED[name]):
        steps: list[tuple[int, int]] = []
        take = model.generate(request(strategy), lambda done, total, to=steps: to.append((done, total)))
        assert (take.frames, take.width, take.height, take.fps) == (12, 160, 96, 25)
        assert take.details["strategy"] == strategy
        row = model.row_for(strategy)
        assert take.details["native_width"] % row.size_multiple == 0 or row.made_size is not None
        assert steps[-1] == (STEPS, STEPS)
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)


@pytest.mark.parametrize("name", sorted(ASKED))
def test_family_heeds_seed_prompt_and_conditioning(
    folders: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    model = opened(folders(name), tmp_path)
    strategy = sorted(ASKED[name])[-1]
    row = model.row_for(strategy)

    def made(**more: object) -> np.ndarray:
        native = model.native(strategy, Fraction(12, 25), (160, 96))
        return model._made(row, request(strategy, **more), native[0], row.fps, None, None)[0].astype(int)

    first = made()
    assert np.abs(made() - first).max() <= 1, "one seed, two takes"
    assert np.abs(made(seed=4) - first).max() > 1, "the seed has no effect"
    if "prompt" in row.arguments:
        assert np.abs(made(prompt="An old steel bridge in rain") - first).max() > 0, "nor has the prompt"
    if strategy != "direct":
        other = drawn(shift=120)
        changed = made(video=other, reference=other[5], last=other[9])
        assert np.abs(changed - first).max() > 0, f"{strategy} does not look at what it is given"


@pytest.mark.parametrize("name", ["wan", "modelscope", "i2vgen-xl", "t2v-zero"])
def test_cancel_stops_between_steps_whatever_the_pipeline_offers(
    folders: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    model = opened(folders(name), tmp_path)
    strategy = min(ASKED[name])
    steps: list[int] = []
    with pytest.raises(Cancelled, match=f"step 2 of {STEPS}"):
        model.generate(request(strategy), lambda done, _: steps.append(done), lambda: len(steps) >= 2)
    assert list(tmp_path.iterdir()) == []
    assert model.generate(request(strategy)).path.is_file(), "the model is usable afterwards"


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_pictures_for_factorised_takes(folders: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    model = opened(folders(name), tmp_path)
    picture = model.picture(request())
    assert picture.dtype == np.uint8
    assert picture.std() > 0


def test_models_without_pictures_say_so(folders: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="text-to-image"):
        opened(folders("mochi"), tmp_path).picture(request())


def test_a_model_that_cannot_be_asked_so_names_what_it_can(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(GenerationError, match="cannot be asked by bridge; what it can: direct, restyle"):
        opened(folders("wan"), tmp_path).generate(request("bridge"))


def test_bridge_needs_both_ends_and_restyle_needs_footage(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(GenerationError, match="last frame"):
        opened(folders("wan-i2v-a14b"), tmp_path).generate(request("bridge", last=None))
    with pytest.raises(GenerationError, match="footage"):
        opened(folders("wan"), tmp_path).generate(request("restyle", video=()))


def test_restyle_keeps_more_of_its_footage_at_a_low_strength(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    """An untrained model gives noise; the fewer steps it has, the less noise it started from."""
    model = opened(folders("wan"), tmp_path, steps=10)
    row = model.row_for("restyle")
    steps = []
    for strength in (0.3, 0.9):
        counted: list[int] = []
        model._made(
            row,
            request("restyle", strength=strength),
            9,
            row.fps,
            lambda done, _, to=counted: to.append(done),
            None,
        )
        steps.append(len(counted))
    assert steps[0] < steps[1]


@pytest.mark.parametrize(
    "name", ["wan", "ltx-condition", "cogvideox-v2v", "animatediff-v2v", "modelscope-v2v"]
)
def test_few_steps_leave_one_for_a_slight_restyle(
    folders: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    model = opened(folders(name), tmp_path, steps=2)
    assert model.generate(request("restyle", strength=0.35)).path.is_file()


def test_a_bridge_arrives_when_it_is_over(
    folders: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last native frame is the first one after the gap, which comes when the take is over."""
    model = opened(folders("wan-vace"), tmp_path, interpolation="blend")
    real = Diffusers._made

    def brighter(self: Diffusers, *values: object) -> object:
        video, native = real(self, *values)
        for place, frame in enumerate(video):
            frame[:] = 20 + 20 * place
        return video, native

    monkeypatch.setattr(Diffusers, "_made", brighter)
    take = model.generate(request("bridge"))
    assert take.details["native_frames"] == 9
    with av.open(str(take.path)) as container:
        levels = [frame.to_ndarray(format="gray").mean() for frame in container.decode(video=0)]
    # In twelve frames from the first of nine to the last: eight steps of 20 levels, less the one to come.
    wanted = [20 + 20 * 8 / 12 * place for place in range(12)]
    scale = [16 + level * 219 / 255 for level in wanted]
    assert np.abs(np.array(levels) - scale).max() < 4 or np.abs(np.array(levels) - wanted).max() < 4


def test_a_slowed_continuation_is_as_long_as_was_asked(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    from generate.backends import _planned

    model = opened(folders("wan-vace"), tmp_path)
    row = model.row_for("extend")
    longest = model.longest("extend")
    assert longest == Fraction(81 - 9, 16) / Fraction(4, 5)
    for seconds in (Fraction(1), Fraction(9, 2), Fraction(5), longest):
        frames, speed = _planned(row, "extend", seconds)
        assert (frames - 9) / (row.fps * speed) >= seconds
        assert Fraction(4, 5) <= speed <= 1
    assert _planned(row, "extend", longest + Fraction(1, 100)) is None


def test_continuation_leaves_out_the_frames_it_was_given(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    vace = opened(folders("wan-vace"), tmp_path)
    take = vace.generate(request("extend", frames=25))
    # One second at 16 a second in multiples of four, and the nine frames of context left out.
    assert take.details["native_frames"] == 16
    assert take.frames == 25


def test_cogvideox_with_learnt_positions_makes_the_frames_it_knows(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    model = opened(folders("cogvideox-image"), tmp_path)
    take = model.generate(request("from-near-miss", frames=5))
    assert (take.details["native_frames"], take.frames) == (9, 5)


def test_folders_with_programs_and_of_other_rules_are_refused(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    program = shutil.copytree(folders("wan"), tmp_path / "program")
    (program / "transformer" / "model.py").write_text("raise SystemExit")
    with pytest.raises(GenerationError, match=r"model\.py is a program"):
        opened(program, tmp_path)
    later = shutil.copytree(folders("cogvideox"), tmp_path / "later")
    config = later / "transformer" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "patch_size_t": 2}))
    with pytest.raises(GenerationError, match=r"CogVideoX 1\.5"):
        opened(later, tmp_path)


def test_cogvideox_makes_the_size_of_its_configuration(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    model = opened(folders("cogvideox"), tmp_path)
    take = model.generate(request(width=96, height=160))
    assert (take.details["native_width"], take.details["native_height"]) == (64, 32)
    assert (take.width, take.height) == (96, 160)
    assert not model.rows[0].free, "the larger models are under a licence of their own"


def test_text2video_zero_moves_as_the_camera_is_told(folders: Callable[[str], Path], tmp_path: Path) -> None:
    model = opened(folders("stable-diffusion"), tmp_path)
    row = model.row_for("direct")
    moves = {
        camera: model._made(row, request(camera=camera), 4, row.fps, None, None)[0].astype(int)
        for camera in ("", "pan-left", "pan-right", "static")
    }
    assert np.abs(moves["pan-left"] - moves["pan-right"]).max() > 1
    assert (
        np.abs(moves["static"][0] - moves["static"][-1]).mean()
        <= np.abs(moves["pan-left"][0] - moves["pan-left"][-1]).mean()
    )


class TestMemory:
    """Running out of memory is a step down, reported."""

    def failing(self, model: Diffusers, times: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Has the transformer's real forward run out of memory so many times."""
        from index.base import import_torch

        torch = import_torch()
        left, asked = [times], []
        real = Diffusers._run

        def run(
            self: Diffusers, pipeline: object, row: object, req: object, native: object, *rest: object
        ) -> object:
            asked.append(f"{native.size[0]}x{native.size[1]} {self._placement}")
            if left[0]:
                left[0] -= 1
                raise torch.OutOfMemoryError("CUDA out of memory")
            return real(self, pipeline, row, req, native, *rest)

        monkeypatch.setattr(Diffusers, "_run", run)
        return asked

    def test_one_step_down_and_again(
        self, folders: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = opened(folders("wan"), tmp_path)
        asked = self.failing(model, 2, monkeypatch)
        take = model.generate(request())
        assert asked == [
            "64x48 all of it at once", "64x48 a tiled decoder", "48x32 a tiled decoder, 60% of the pixels",
        ]  # fmt: skip
        assert len(model.told) == 2
        assert "ran out of memory at 64x48" in model.told[0]
        assert take.details["placement"] == "a tiled decoder, 60% of the pixels"

    def test_the_end_of_the_ladder_is_an_error(
        self, folders: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = opened(folders("wan"), tmp_path)
        self.failing(model, 100, monkeypatch)
        with pytest.raises(GenerationError, match=r"ran out of memory.*smaller"):
            model.generate(request())


def test_steps_down_on_a_gpu_offload_before_they_shrink() -> None:
    from generate.loading import Placement, next_down

    seen = []
    placement: Placement | None = Placement("cuda", "none", False)
    while placement is not None:
        seen.append((placement.offload, placement.tiling, round(placement.share, 2)))
        placement = next_down(placement)
    assert seen == [
        ("none", False, 1), ("none", True, 1), ("model", True, 1), ("group", True, 1),
        ("sequential", True, 1),
        ("sequential", True, 0.6), ("sequential", True, 0.36), ("sequential", True, 0.22),
        ("sequential", True, 0.13),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("gibibytes", "tier"),
    [
        (None, ("none", False)),
        (8, ("group", True)),
        (12, ("model", True)),
        (24, ("model", False)),
        (80, ("none", False)),
    ],
)
def test_tiers(gibibytes: int | None, tier: tuple[str, bool]) -> None:
    from generate.tuning import tier_of

    assert tier_of(None if gibibytes is None else gibibytes * 1024**3) == tier


REUSING = {
    "wan": "first-block", "wan-a14b": "first-block", "wan-ti2v": "first-block", "wan-i2v": "first-block",
    "ltx": "pyramid", "ltx-image": "first-block", "ltx-condition": "pyramid", "cogvideox": "pyramid",
    "cogvideox-image": "first-block", "cogvideox-control": "first-block", "hunyuan": "first-block",
    "mochi": "first-block",
}  # fmt: skip
"""Rows, and a way in which each uses work of one step again."""


@pytest.mark.parametrize("name", sorted(REUSING))
def test_work_of_a_step_is_used_again(folders: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    plain = opened(folders(name), tmp_path)
    model = opened(folders(name), tmp_path, cache=REUSING[name])
    strategy = next(one for one in sorted(ASKED[name]) if model.row_for(one).caches)
    assert model.generate(request(strategy)).path.is_file()
    assert model.generate(request(strategy, seed=4)).path.is_file(), "nothing is left of the take before"
    assert model.identity != plain.identity


@pytest.mark.parametrize(
    ("name", "strategy", "cache"),
    [
        ("wan", "restyle", "first-block"),  # its pipeline names no context
        ("wan-vace", "bridge", "first-block"),  # control is added between blocks
        ("wan", "direct", "pyramid"),  # two passes would share their attention
        ("animatediff", "direct", "first-block"),  # no transformer
    ],
)
def test_models_that_cannot_reuse_work_say_so_or_do_without(
    folders: Callable[[str], Path], tmp_path: Path, name: str, strategy: Strategy, cache: str
) -> None:
    with pytest.raises(GenerationError, match="cannot reuse work between steps"):
        opened(folders(name), tmp_path, cache=cache).generate(request(strategy))
    # What the tier chooses is left out.
    assert opened(folders(name), tmp_path, cache=cache, cache_if_can=True).generate(request(strategy))


def test_settings_of_a_file(tmp_path: Path) -> None:
    from generate.tuning import Lora, read_tuning

    (tmp_path / "fast.safetensors").write_bytes(b"x")
    path = tmp_path / "model.toml"
    path.write_text(
        'steps = 4\nguidance = 1.0\noffload = "group"\ntiling = true\ndtype = "float16"\n'
        'loras = [{ path = "fast.safetensors", scale = 0.8 }]\n'
    )
    tuning = read_tuning(path)
    assert tuning == Tuning(
        steps=4, guidance=1.0, offload="group", tiling=True, dtype="float16",
        loras=(Lora(tmp_path / "fast.safetensors", 0.8),),
    )  # fmt: skip
    for text, said in {
        "step = 4": "unknown key 'step'",
        "steps = 0": "positive",
        'steps = "4"': "must be int",
        "tiling = 1": "must be bool",
        'offload = "disk"': "write one of auto, none",
        'loras = [{ path = "x.bin" }]': "pickles",
        'loras = [{ path = "fast.safetensors", scal = 2 }]': "no scal",
        "steps =": "cannot read",
    }.items():
        path.write_text(text)
        with pytest.raises(GenerationError, match=said):
            read_tuning(path)


def test_request_refuses_a_strength_that_means_nothing() -> None:
    with pytest.raises(ValueError, match="strength"):
        request(strength=0)


def test_key_names_conditioning() -> None:
    from generate.keys import request_key

    plain = request(reference=None, last=None, video=(), video_fps=None)
    keys = {request_key(plain, "wan", "x")}
    other = drawn(shift=50)
    for more in (
        {"strategy": "bridge"}, {"last": other[0]}, {"video": other}, {"subjects": other[:1]},
        {"control": "edge"}, {"camera": "pan-left"}, {"reference": other[0]}, {"video_fps": Fraction(8)},
    ):  # fmt: skip
        keys.add(request_key(dataclasses.replace(plain, **more), "wan", "x"))
    assert len(keys) == 9
