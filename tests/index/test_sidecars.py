"""Captions, keywords, subtitles and lists beside footage, in the encodings that people have."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest
from making import ENCODER, colour_clip

from index.base import Span
from index.builder import build_index
from index.encodings import decoded
from index.library import Library
from index.manifests import read_manifest
from index.records import Passage, clean
from index.sidecars import Sidecars, read_beside
from index.subtitles import read_subtitles
from index.xmp import read_xmp, short_licence

ENGLISH = "A dog runs along the beach in the evening. Waves come in."
CHINESE = "一只狗在傍晚的海滩上奔跑，海浪拍打着岸边，孩子们在旁边玩耍。"
TAIWAN = "一隻狗在傍晚的海灘上奔跑，海浪拍打著岸邊，孩子們在旁邊玩耍。"
JAPANESE = "夕方の海辺を犬が走っている。波が打ち寄せて、子供たちが遊んでいる。"
KOREAN = "저녁 해변에서 개가 달리고 있다. 파도가 밀려오고 아이들이 놀고 있다."
RUSSIAN = "Собака бежит по пляжу вечером. Волны набегают на берег."
FRENCH = "Le chien court sur la plage à l'été, près de l'eau : c'est déjà l'arrière-saison."


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *((text, "utf-8") for text in (ENGLISH, CHINESE, JAPANESE, KOREAN, RUSSIAN, FRENCH)),
        *((text, "utf-8-sig") for text in (CHINESE, FRENCH)),
        *((text, "utf-16") for text in (ENGLISH, CHINESE, RUSSIAN)),
        (ENGLISH, "utf-16-le"),
        (FRENCH, "utf-16-be"),
        (CHINESE, "gb18030"),
        (CHINESE, "gbk"),
        (TAIWAN, "big5"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc_jp"),
        (KOREAN, "euc_kr"),
        (RUSSIAN, "cp1251"),
        (FRENCH, "cp1252"),
        ("", "utf-8"),
    ],
)
def test_text_is_read_in_the_encoding_it_has(text: str, encoding: str) -> None:
    assert decoded(text.encode(encoding)) == text


def test_a_character_cut_off_at_the_end_is_no_other_encoding() -> None:
    assert decoded(CHINESE.encode()[:-1]).startswith(CHINESE[:-1])


SRT = """\ufeff1
00:00:01,000 --> 00:00:02,500
<i>The dog</i> sees

2
00:00:02,600 --> 00:00:04,000 X1:10 X2:20
the sea.

3
00:00:04,100 --> 00:00:05,000
It barks.
4
00:01:00.5 --> 00:01:02.25
Later that day
"""

VTT = """WEBVTT - a talk
Kind: captions

STYLE
::cue { color: white }

NOTE nobody reads this

00:01.000 --> 00:03.000 align:start position:0%
<00:00:01.200><c>good morning</c>

00:03.000 --> 00:05.000
good morning
everybody &amp; welcome
"""


def test_subrip() -> None:
    assert read_subtitles(SRT) == [
        Passage("The dog sees the sea.", Span(Fraction(1), Fraction(4))),
        Passage("It barks.", Span(Fraction(41, 10), Fraction(5))),
        Passage("Later that day", Span(Fraction(121, 2), Fraction(249, 4))),
    ]
    assert read_subtitles(SRT.replace("\n", "\r\n")) == read_subtitles(SRT)


def test_webvtt_without_what_rolls() -> None:
    assert read_subtitles(VTT) == [
        Passage("good morning everybody & welcome", Span(Fraction(1), Fraction(5)))
    ]


def test_subtitles_that_are_none() -> None:
    with pytest.raises(ValueError, match="-->"):
        read_subtitles("just a text\nof two lines")
    assert read_subtitles("WEBVTT\n") == []
    backwards = read_subtitles("00:00:05,000 --> 00:00:01,000\nends before it begins")
    assert backwards[0].span == Span(Fraction(5), Fraction(6))


XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/"
 photoshop:Headline="Évening">
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">A heron stands in the reeds</rdf:li></rdf:Alt>
</dc:description>
<dc:subject><rdf:Bag><rdf:li>heron</rdf:li><rdf:li>lake</rdf:li></rdf:Bag></dc:subject>
<dc:creator><rdf:Seq><rdf:li>Ann Example</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">(c) Ann</rdf:li></rdf:Alt></dc:rights>
<xmpRights:WebStatement>https://creativecommons.org/licenses/by-sa/4.0/</xmpRights:WebStatement>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xmp(encoding: str) -> None:
    found = read_xmp(XMP.encode(encoding))
    assert found.captions == ("Évening", "A heron stands in the reeds")
    assert found.keywords == ("heron", "lake")
    assert found.credit == "Ann Example\n(c) Ann"
    assert found.licence == "CC BY-SA 4.0"


def test_xmp_that_would_grow_is_refused() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>'
    for data in (bomb.encode(), bomb.encode("utf-16"), bomb.encode("utf-16-be")):
        with pytest.raises(ValueError, match=r"document type|no XML"):
            read_xmp(data)
    with pytest.raises(ValueError, match="no XML"):
        read_xmp(b"\x00\xff not xml")


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0 1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "public domain"),
        ("https://creativecommons.org/licenses/by/3.0/deed.de", "CC BY 3.0"),
        ("All rights reserved", "All rights reserved"),
    ],
)
def test_licences_are_named_shortly(text: str, short: str) -> None:
    assert short_licence(text) == short


def test_a_list_as_webvids(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(
        "videoid,contentUrl,duration,page_dir,name\n"
        '101,https://x/101.mp4,PT00H00M10S,000_050,"A heron, standing in reeds"\n'
        "102,https://x/102.mp4,PT00H00M10S,000_050,Not here\n",
        encoding="utf-8",
    )
    found = read_manifest(str(tmp_path / "results.csv"), ["videos/000_050/101.mp4", "000_050/103.mp4"])
    assert found.problem == ""
    entry = found.entry("videos/000_050/101.mp4")
    assert entry is not None
    assert entry.captions == ("A heron, standing in reeds",)
    assert found.entry("000_050/103.mp4") is None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
def test_a_list_with_columns_of_its_own(tmp_path: Path, encoding: str) -> None:
    text = f"File;Caption;Tags;License\r\nsub\\One.MP4;{CHINESE};a|b;CC0\r\ntwo;{CHINESE};;\r\nshort\r\n"
    (tmp_path / "list.csv").write_bytes(text.encode(encoding))
    found = read_manifest(str(tmp_path / "list.csv"), ["sub/one.mp4", "two.mov"])
    one, two = found.entry("sub/one.mp4"), found.entry("two.mov")
    assert one is not None
    assert (one.captions, one.keywords, one.licence) == ((CHINESE,), ("a", "b"), "CC0")
    assert two is not None
    assert two.captions == (CHINESE,)


def test_other_tables_say_nothing_and_damaged_ones_are_told(tmp_path: Path) -> None:
    (tmp_path / "budget.csv").write_text("item,price\ncamera,100\n")
    assert read_manifest(str(tmp_path / "budget.csv"), ["camera.mp4"]) == read_manifest(
        str(tmp_path / "budget.csv"), []
    )
    (tmp_path / "huge.csv").write_text("file,caption\nx.mp4," + "y" * 3_000_000)
    assert "field larger" in read_manifest(str(tmp_path / "huge.csv"), ["x.mp4"]).problem
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 10)
    assert read_manifest(str(tmp_path / "binary.csv"), ["x.mp4"]).problem == "it is no text"


def test_what_stands_beside_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    files = {
        "a/Clip.txt": ENGLISH.encode("utf-16"),
        "a/clip.mp4.credit.txt": b"Bob\nLicence: CC BY 4.0",
        "a/clip.en.srt": SRT.encode(),
        "a/CLIP.XMP": XMP.encode(),
        "a/clipper.txt": b"of another",
        "a/.hidden.csv": b"file,caption\nclip.mp4,no",
        "list.csv": b'file,caption,keywords\na/clip.mp4,from the list,"sea, dog"\n',
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    sidecars = Sidecars(tmp_path, ["a/clip.mp4", "a/none.mp4"])
    found = sidecars.read("a/clip.mp4")
    assert found.words.splitlines() == [
        *("Évening", "A heron stands in the reeds", "heron", "lake"),
        *(ENGLISH, "from the list", "sea", "dog"),
    ]
    assert found.credit == "Ann Example\n(c) Ann\nBob\nLicence: CC BY 4.0"
    assert found.licence == "CC BY-SA 4.0"
    assert Passage("The dog sees the sea.", Span(Fraction(1), Fraction(4))) in found.passages
    assert Passage(ENGLISH) in found.passages
    assert found.note == ""
    assert sidecars.read("a/none.mp4").words == ""
    assert read_beside(tmp_path / "a" / "clip.mp4").words.splitlines()[:4] == found.words.splitlines()[:4]


def test_a_change_of_any_of_them_is_noticed(tmp_path: Path) -> None:
    def state() -> str:
        return Sidecars(tmp_path, ["a/clip.mp4"]).state("a/clip.mp4")

    (tmp_path / "a").mkdir()
    seen = [state()]
    assert seen == [""]
    for name in ("a/clip.txt", "a/clip.srt", "list.csv", "a/clip.txt"):
        with open(tmp_path / name, "a", encoding="utf-8") as file:
            file.write("more")
        assert state() not in seen
        seen.append(state())
    (tmp_path / "a/clip.txt").unlink()
    assert state() not in seen


def test_what_cannot_be_read_is_told_and_no_more(tmp_path: Path) -> None:
    for name, data in (
        ("clip.srt", b"\x00\x01\x02" * 1000),
        ("clip.vtt", b"nothing with times"),
        ("clip.xmp", b"<x" * 10),
        ("clip.txt", bytes(range(256)) * 100),
        ("list.csv", b"file,caption\nclip.mp4," + b"x" * 2_000_000),
    ):
        (tmp_path / name).write_bytes(data)
    os.symlink(tmp_path / "gone", tmp_path / "clip.en.srt")
    found = read_beside(tmp_path / "clip.mp4")
    for name in ("clip.srt", "clip.vtt", "clip.xmp", "list.csv"):
        assert name in found.note
    assert len(found.words) <= 100_000


def test_a_library_reads_them_without_measuring_again(tmp_path: Path) -> None:
    footage = tmp_path / "footage"
    footage.mkdir()
    for name, colour in (("one", "red"), ("two", "blue")):
        colour_clip(footage / f"{name}.mp4", colour, 6)
    (footage / "one.srt").write_text("1\n00:00:04,200 --> 00:00:05,000\nHere comes the heron.\n")
    (footage / "two.xmp").write_text("broken")
    (footage / "two.txt").write_text("The children build a castle of sand.")
    library = build_index(footage, encoder=ENCODER, workers=1)
    hit = library.search("a red heron", k=1)[0]
    assert library.media[hit.shot.media].paths == ("one.mp4",)
    assert hit.span.contains(Fraction(42, 10))
    assert hit.why == "said at 0:04: Here comes the heron."
    assert hit.parts["keywords"] > 0
    assert len(hit.shot.windows) > 1
    assert [(p.path, p.skipped) for p in library.problems] == [("two.mp4", False)]
    assert "two.xmp" in library.problems[0].reason
    meant = library.search("kids in blue make something on the shore", k=1)[0]
    assert library.media[meant.shot.media].paths == ("two.mp4",)
    assert meant.parts["text"] > 0

    (footage / "two.xmp").unlink()
    (footage / "two.txt").write_text("A rocket lifts off.")
    os.utime(footage / "two.txt", ns=(1, 1))
    kinds: list[str] = []
    library = build_index(footage, encoder=ENCODER, workers=1, progress=lambda e: kinds.append(e.kind))
    assert kinds == ["found", "reused", "reused"]
    assert library.problems == ()
    texts = {media.paths[0]: media.text for media in library.media.values()}
    assert texts == {"one.mp4": "", "two.mp4": "A rocket lifts off."}
    assert Library.open(footage).search("a blue rocket", k=1)[0].why.startswith("name: rocket")


def test_a_line_of_a_list_never_strays_to_another_folder(tmp_path: Path) -> None:
    rows = "file,caption,licence\nx/C0001.MP4,a wedding,CC0\nC0002.MP4,a boat,\nC0003.MP4,a pier,\n"
    (tmp_path / "list.csv").write_text(f"{rows}b/a.mov,a gull,\n")
    paths = ["y/C0001.MP4", "y/C0002.MP4", "y/C0003.MP4", "z/C0003.MP4", "b/a.mp4", "c/a.mp4"]
    found = read_manifest(str(tmp_path / "list.csv"), paths)
    captions = [entry.captions if (entry := found.entry(path)) else () for path in paths]
    assert captions == [(), ("a boat",), (), (), ("a gull",), ()]


def test_links_that_leave_the_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the key is under the mat")
    folder = tmp_path / "footage"
    folder.mkdir()
    (folder / "inside.note").write_text("a dog")
    (folder / "a.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "b.txt").symlink_to(folder / "inside.note")
    beside = Sidecars(folder, ["a.mp4", "b.mp4"])
    assert beside.read("a.mp4").words == ""
    assert beside.read("b.mp4").words == "a dog"


def test_half_a_letter_is_text_for_the_record() -> None:
    assert clean("a\ud800b\x00") == "a?b"
