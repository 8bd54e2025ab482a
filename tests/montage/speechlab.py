"""Speech with known times: sentences made one by one by espeak-ng and joined with known pauses."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]
RATE = 16000

LIGHTHOUSE = (
    "In the spring of 1998, three friends bought an old lighthouse, although none of them could sail.",
    "They painted it white.",
    "It took eleven weeks, two ladders, and more patience than anyone expected.",
    "Why did they do it?",
    "Nobody knows, not even the fishermen, who saw everything.",
    "At night the lamp turned slowly, throwing a long bright beam over the harbour and the houses behind it.",
    "Ships came home.",
    "Some brought salt, some brought letters, and one, the smallest of all, brought a goat.",
    "The goat stayed.",
    "When the winter storms arrived, the keeper's daughter climbed the stairs, and counted the boats.",
    "She never missed a day.",
    "Outside, the sea goes on.",
)
GLACIER = (
    "Glaciers move.",
    "You cannot see it, you cannot hear it, but the ice flows downhill like very slow honey.",
    "Scientists drill deep holes, lower their instruments, and wait.",
    "Every layer is a year.",
    "A dark line, thin as a pencil stroke, marks the eruption of a volcano on the other side of the world.",
    "Bubbles of ancient air are trapped between the crystals.",
    "They tell us how warm it was, how dry, and how windy.",
    "Last summer the team walked for nine days, crossing rivers that had not been there before.",
    "The camp was small: four tents, one stove, no internet.",
    "On the last evening the sky cleared, and the mountains turned pink.",
    "Nobody spoke.",
    "Then somebody laughed, and somebody else began to sing.",
)
BREAD = (
    "Bread begins with patience, flour, water and a pinch of salt.",
    "The baker wakes at three o'clock.",
    "While the city sleeps, she folds the dough again and again, listening to the radio.",
    "Steam rises.",
    "A good crust sings when it leaves the oven, a crackling sound, like tiny feet on gravel.",
    "By seven, there is a queue outside the door.",
    "Students want croissants.",
    "Mr. Albert, who has come every morning since 1974, wants the darkest loaf on the shelf.",
    "He pays in coins.",
    "How many loaves does one street need?",
    "Roughly two hundred, she says, unless it rains, because rain keeps people at home with soup.",
    "Then everything starts over.",
)
VIOLIN = (
    "Every violin begins as a tree, and the best trees grow slowly, on cold northern slopes.",
    "The maker knocks on the wood.",
    "She listens for a clear note, rejects ten boards, keeps one, and lets it dry for a decade.",
    "Carving takes three months.",
    "Millimetre by millimetre, the plates become thinner, lighter, more flexible.",
    "Too thick, and the sound is dull.",
    "Too thin, and it collapses.",
    "Varnish follows: oil, resin, and a pigment whose recipe died with its inventor.",
    "Finally, the strings.",
    "When the musician draws the bow for the first time, the whole workshop holds its breath.",
    "It squeaks.",
    "A new instrument must learn to vibrate, they say, and that may take fifty years.",
)
"""The first two texts were heard while the alignment was built; these two were held out."""
JAPANESE = (
    "きょうは、こうえんで ねこを みました。",
    "ねこは しろくて、とても ちいさいです。",
    "あめが ふりました。",
    "それから、コーヒーを のんで、ほんを よみました。",
    "ゆうがた、ともだちが きて、いっしょに ごはんを つくりました。",
    "たのしかったです。",
    "あしたは、うみへ いきます。",
)
CHINESE = (
    "一杯咖啡放在木桌上，一天就这样开始了。",
    "猫早就醒了，眼睛望着别处。",
    "小狗守在窗口，等人回家。",
    "花园里，一朵橙色的花开了。",
    "雨滴还留在绿叶上。",
    "山峰上的雪还没有融化。",
    "溪水穿过森林里的岩石。",
    "最后，夕阳落到了群山后面。",
)
PINYIN = (
    "yi1 bei1 ka1 fei1 fang4 zai4 mu4 zhuo1 shang4, yi1 tian1 jiu4 zhe4 yang4 kai1 shi3 le5.",
    "mao1 zao3 jiu4 xing3 le5, yan3 jing1 wang4 zhe5 bie2 chu4.",
    "xiao3 gou3 shou3 zai4 chuang1 kou3, deng3 ren2 hui2 jia1.",
    "hua1 yuan2 li3, yi1 duo3 cheng2 se4 de5 hua1 kai1 le5.",
    "yu3 di1 hai2 liu2 zai4 lv4 ye4 shang4.",
    "shan1 feng1 shang4 de5 xue3 hai2 mei2 you3 rong2 hua4.",
    "xi1 shui3 chuan1 guo4 sen1 lin2 li3 de5 yan2 shi2.",
    "zui4 hou4, xi1 yang2 luo4 dao4 le5 qun2 shan1 hou4 mian4.",
)
"""``CHINESE`` as espeak-ng is told to say it: it knows few characters."""


def can_speak() -> bool:
    return shutil.which("espeak-ng") is not None


def trimmed(sound: Sound) -> Sound:
    """Without the silence before and after."""
    loud = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
    return sound[loud[0] : loud[-1] + 1]


def from_wav(data: bytes) -> Sound:
    """Samples at 16 kHz of a mono 16-bit WAV file, whose header may lie about its length."""
    with wave.open(io.BytesIO(data)) as file:
        rate = file.getframerate()
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    places = np.arange(len(sound) * RATE // rate) * (rate / RATE)
    return np.interp(places, np.arange(len(sound)), sound).astype(np.float32)


@cache
def espeak(text: str, voice: str = "en-us", speed: int = 165) -> Sound:
    """A text spoken by espeak-ng, without silence around it."""
    done = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", str(speed), "--stdout", text], capture_output=True, check=True
    )
    return trimmed(from_wav(done.stdout))


def music_bed(samples: int, rng: np.random.Generator) -> Sound:
    """Four chords in turn, two seconds each, with drums twice a second."""
    out = np.zeros(samples)
    chords = ((220, 261.6, 329.6), (174.6, 220, 261.6), (196, 246.9, 293.7), (146.8, 220, 349.2))
    for number, begin in enumerate(range(0, samples, 2 * RATE)):
        time = np.arange(min(2 * RATE, samples - begin)) / RATE
        for note in chords[number % 4]:
            for overtone in range(1, 6):
                wave_ = np.sin(2 * np.pi * note * overtone * time) / overtone**1.3
                out[begin : begin + len(time)] += wave_ * np.exp(-0.6 * time)
    for number, begin in enumerate(range(0, samples, RATE // 4)):
        time = np.arange(min(RATE // 5, samples - begin)) / RATE
        drum = (
            2.5 * np.sin(2 * np.pi * 60 * time) * np.exp(-25 * time),
            0.5 * rng.standard_normal(len(time)) * np.exp(-100 * time),
            1.2 * rng.standard_normal(len(time)) * np.exp(-30 * time),
            0.5 * rng.standard_normal(len(time)) * np.exp(-100 * time),
        )[number % 4]
        out[begin : begin + len(time)] += drum
    return out.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    sound: Sound
    spans: NDArray[np.float64]
    """(sentences, 2) seconds at which each begins and ends."""

    def write(self, path: Path) -> Path:
        return write_wav(path, self.sound)


def write_wav(path: Path, sound: Sound) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def joined(
    texts: Sequence[str],
    say: Callable[[str], Sound],
    *,
    seed: int = 1,
    pauses: tuple[float, float] = (0.15, 1.2),
    inner: tuple[float, float] | None = None,
    bed: float | None = None,
) -> Made:
    """Sentences with uneven pauses between them.

    Args:
        texts: The sentences.
        say: Speaks one of them.
        seed: Of the pauses.
        pauses: Bounds of the seconds between sentences.
        inner: Bounds of the seconds of the pauses at commas, which are as the voice makes them when None.
        bed: By how many dB music lies below the voice; None for none.
    """
    rng = np.random.default_rng(seed)
    parts = [np.zeros(round(RATE * rng.uniform(0.1, 1.5)), np.float32)]
    spans = []
    for text in texts:
        begin = sum(map(len, parts))
        pieces = re.split(r"(?<=[,:，、])\s*", text) if inner is not None else [text]
        for number, piece in enumerate(pieces):
            if number and inner is not None:
                parts.append(np.zeros(round(RATE * rng.uniform(*inner)), np.float32))
            parts.append(say(piece) * np.float32(rng.uniform(0.7, 1)))
        spans.append((begin, sum(map(len, parts))))
        parts.append(np.zeros(round(RATE * rng.uniform(*pauses)), np.float32))
    sound = np.concatenate(parts)
    sound += 1e-4 * rng.standard_normal(len(sound)).astype(np.float32)
    if bed is not None:
        voice = np.concatenate([sound[begin:end] for begin, end in spans])
        music = music_bed(len(sound), rng)
        sound += music * np.float32(np.sqrt((voice**2).mean() / (music**2).mean()) * 10 ** (-bed / 20))
    return Made(sound, np.array(spans) / RATE)


def bursts(syllables: int, rng: np.random.Generator) -> Sound:
    """Something like a sentence: a buzz of changing colour for each syllable, some with a hiss before it."""
    parts = []
    for _ in range(syllables):
        if rng.random() < 0.4:
            noise = np.diff(rng.standard_normal(round(RATE * 0.08)), prepend=0)
            parts.append(0.08 * noise)
        time = np.arange(round(RATE * rng.uniform(0.1, 0.16))) / RATE
        pitch, colour = rng.uniform(110, 130), rng.uniform(400, 2200)
        buzz = sum(
            np.sin(2 * np.pi * pitch * k * time) / (1 + ((pitch * k - colour) / 300) ** 2)
            + 0.3 * np.sin(2 * np.pi * pitch * k * time) / (1 + ((pitch * k - 500) / 150) ** 2)
            for k in range(1, 28)
        )
        parts.append(0.3 * np.asarray(buzz) * np.sin(np.pi * np.arange(len(time)) / len(time)) ** 0.5)
    return np.concatenate(parts).astype(np.float32)
