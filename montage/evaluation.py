"""How good generated shots are: measures of each, distances of the whole set, and two sets side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from montage.compared import Column, Row, SetScore, rows_of
from montage.features import FeatureInput
from montage.made import MadeShot, made_shots
from montage.scoring import Problem, encoder_words, score_shots
from montage.values import MontageError

if TYPE_CHECKING:
    from montage.features import Features, Network

__all__ = ["Evaluation", "evaluate"]

Progress = Callable[[float, float, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured, of one input or of several side by side."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    encoder: str
    notes: tuple[str, ...]
    """What must be known to read the figures."""
    problems: tuple[Problem, ...] = ()
    """Files that could not be measured."""

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "encoder": self.encoder,
            "columns": [column.as_data() for column in self.columns],
            "rows": [row.as_data() for row in self.rows],
            "notes": list(self.notes),
            "problems": [{"file": str(one.path), "reason": one.reason} for one in self.problems],
        }


def evaluate(
    target: Path | str,
    other: Path | str | None = None,
    *,
    encoder: str = "auto",
    by: Literal["model", "strategy"] | None = None,
    frames: int | None = None,
    against: Path | str | None = None,
    features: Path | str | None = None,
    real: Path | str | None = None,
    given: FeatureInput | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure the generated shots of a film or the takes of a folder; with two, compare them.

    Two films are compared sentence by sentence, two folders prompt by prompt, and folders of videos without
    marks file name by file name: the figures of a comparison are means over what both have, so that an input
    that was asked for easier shots gains nothing by it.

    Args:
        target: a film of montage, a folder of takes, a folder of any videos, or one video.
        other: what to compare it with.
        encoder: pictures and sentences in one space, as for ``build_index``.
        by: compare the models or the strategies of one input.
        frames: frames of a shot that the encoder sees at most; None for all.
        against: the footage that takes of the strategy ``restyle`` were made from, for PSNR and SSIM: one
            file, a folder with files of the same names, or another film.
        features: a TorchScript or ONNX network, or a folder of them, for FID, FVD, KVD and Inception Scores.
        real: a folder of real clips for these.
        given: how clips are given to these networks; None for what the published I3D expects.
        progress: called with (shots done, shots, what is measured).

    Raises:
        MontageError: if there is nothing to measure, or what was asked for does not go together.
        FootageError: if there is no such encoder.
        GenerationError: if a video cannot be opened.
    """
    from index.encoders.registry import load_encoder, resolve

    if other is not None and by is not None:
        raise MontageError("groups are compared within one film or folder: leave out --by or the second one")
    if real is not None and features is None:
        raise MontageError("real clips are compared by a network's features: name it with --features FILE")
    networks = _networks(features, real, given)
    name, _ = resolve(encoder)
    groups = _groups(target, other, by)
    shots = [shot for group in groups.values() for shot in group]
    scores, problems = score_shots(shots, load_encoder(name), most=frames, progress=progress)
    notes = [encoder_words(name)]
    unnamed = sum(not score.shot.prompt for score in scores)
    if unnamed:
        notes.append(
            f"no CLIPSIM for {unnamed} of {len(scores)} shots: nothing says from what they were made"
        )
    if against is not None:
        from montage.fidelity import against_footage

        scores, unread, said = against_footage(scores, against)
        problems += unread
        notes += said
    if not scores:
        raise MontageError(f"nothing could be measured: {'; '.join(one.reason for one in problems)}")
    places = {id(shot): group for group, members in groups.items() for shot in members}
    columns = [
        Column(group, tuple(score for score in scores if places[id(score.shot)] == group)) for group in groups
    ]
    if networks:
        columns, said, unread = _with_sets(columns, networks, real, progress)
        notes += said
        problems += unread
    rows, said = rows_of(columns)
    return Evaluation(
        columns=tuple(columns),
        rows=tuple(rows),
        encoder=name,
        notes=tuple(dict.fromkeys(notes + said)),
        problems=tuple(problems),
    )


def _groups(
    target: Path | str, other: Path | str | None, by: Literal["model", "strategy"] | None
) -> dict[str, tuple[MadeShot, ...]]:
    """The shots of each column by its name."""
    if other is not None:
        first, second = str(target), str(other)
        if Path(first).resolve() == Path(second).resolve():
            raise MontageError(f"{first} is compared with itself: name two films or folders")
        if Path(first).name != Path(second).name:
            first, second = Path(first).name, Path(second).name
        return {first: made_shots(target), second: made_shots(other)}
    shots = made_shots(target)
    if by is None:
        return {Path(target).name or str(target): shots}
    groups: dict[str, list[MadeShot]] = {}
    for shot in shots:
        name = str(getattr(shot, by)) or (shot.kind if by == "strategy" else "") or "unknown"
        groups.setdefault(name, []).append(shot)
    return {name: tuple(members) for name, members in groups.items()}


def _networks(
    features: Path | str | None, real: Path | str | None, given: FeatureInput | None
) -> list[Network]:
    from montage.features import load_networks

    if features is None:
        return []
    if real is not None and not Path(real).is_dir():
        raise MontageError(f"{real} is no folder: --real takes a folder of real clips")
    return load_networks(features, given)


def _with_sets(
    columns: Sequence[Column], networks: Sequence[Network], real: Path | str | None, progress: Progress | None
) -> tuple[list[Column], list[str], list[Problem]]:
    """The columns with what each network says of them."""
    problems: list[Problem] = []
    sets: list[list[SetScore]] = [[] for _ in columns]
    notes = []
    for network in networks:
        told = network.input
        notes.append(
            f"{network.name}: a network of {'clips' if network.kind == 'video' else 'frames'}, given "
            f"{told.frames} frames of {told.size}x{told.size} from the middle of each clip, "
            f"values {told.low:g} to {told.high:g}"
        )
        true = None
        if real is not None:
            true = _features(network, _real_shots(real), progress, "real clips", problems)
            notes += _short(network, "the real clips", true)
        for place, column in enumerate(columns):
            made = _features(network, [s.shot for s in column.scores], progress, column.name, problems)
            notes += _short(network, column.name, made)
            sets[place] += _set_scores(network, column.name, made, true)
    notes += [one.caution for scores in sets for one in scores if one.caution]
    out = [replace(column, sets=tuple(scores)) for column, scores in zip(columns, sets, strict=True)]
    if not any(sets):
        raise MontageError(
            "the networks give no class probabilities, and FID, FVD and KVD need real clips: name a folder "
            "of them with --real DIR"
        )
    return out, notes, problems


def _real_shots(real: Path | str) -> list[MadeShot]:
    """Every clip of a folder, as one shot each."""
    return [MadeShot(name=shot.name, path=shot.path) for shot in made_shots(real)]


def _features(
    network: Network,
    shots: Sequence[MadeShot],
    progress: Progress | None,
    what: str,
    problems: list[Problem],
) -> Features:
    made = network.features(
        shots, None if progress is None else lambda done: progress(done, len(shots), what)
    )
    problems += made.problems
    return made


def _short(network: Network, what: str, made: Features) -> list[str]:
    if not made.left_out:
        return []
    return [
        f"{network.name}: {made.left_out} of {made.left_out + made.clips} clips of {what} have fewer than "
        f"{network.input.frames} frames and are left out"
    ]


def _set_scores(network: Network, name: str, made: Features, true: Features | None) -> list[SetScore]:
    from montage.distances import frechet_distance, inception_score, kernel_distance, statistics_of

    video = network.kind == "video"
    count = len(made.values)
    out = []
    if true is not None:
        if count < 2 or len(true.values) < 2:
            raise MontageError(
                f"{network.name}: a distance needs two clips at least on either side, got {count} of {name} "
                f"and {len(true.values)} real ones"
            )
        values = {
            "FVD" if video else "FID": frechet_distance(
                statistics_of(made.values), statistics_of(true.values)
            ),
            "KVD" if video else "KID": kernel_distance(made.values, true.values),
        }
        out += [
            SetScore(
                measure=measure,
                network=network.name,
                value=value,
                samples=count,
                real=len(true.values),
                dimensions=made.values.shape[1],
            )
            for measure, value in values.items()
        ]
    if made.probabilities is not None:
        mean, deviation, _ = inception_score(made.probabilities)
        out.append(
            SetScore(
                measure="video IS" if video else "IS",
                network=network.name,
                value=mean,
                samples=count,
                real=None,
                dimensions=made.probabilities.shape[1],
                deviation=deviation,
            )
        )
    return out
