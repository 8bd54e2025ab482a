"""The script: sentences in three languages, directives, lengths, and ids that outlive edits."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from index.base import Span
from index.languages import language_of
from montage.directives import SHOT_SIZE_WORDS, DirectiveError, apply_directive
from montage.script import Script, keep_ids, parse_script, read_script, reading_seconds
from montage.values import Directives, Idiom, MontageError, Pin

SAMPLE = """# Morning by the sea

The sun rises over
the quiet sea. Dr. Smith counts 3.5 waves. // not spoken
// neither is this
[hold 3s] [size close-up][move pan left] He smiles [sic] at me!

[pin my file.mp4@0:12.5-15]
今天天气很好。我们去海
边吧！

今日は晴れです。「そうですか。」と彼は言った。

# The end
[generate] A dragon lands
"""


def test_a_script_becomes_sentences_titles_and_places() -> None:
    script = parse_script(SAMPLE)
    assert [s.text for s in script.sentences] == [
        "The sun rises over the quiet sea.",
        "Dr. Smith counts 3.5 waves.",
        "He smiles [sic] at me!",
        "今天天气很好。",
        "我们去海边吧！",
        "今日は晴れです。",
        "「そうですか。」と彼は言った。",
        "A dragon lands",
    ]
    assert [s.number for s in script.sentences] == list(range(1, 9))
    assert [s.id for s in script.sentences] == [f"s{n}" for n in range(1, 9)]
    assert [s.language for s in script.sentences] == ["en"] * 3 + ["zh"] * 2 + ["ja"] * 2 + ["en"]
    assert [s.paragraph for s in script.sentences] == [1, 1, 1, 2, 2, 3, 3, 4]
    assert [(t.text, t.before, t.line) for t in script.titles] == [
        ("Morning by the sea", 1, 1),
        ("The end", 8, 14),
    ]
    lines = SAMPLE.splitlines()
    for sentence in script.sentences:
        there = lines[sentence.line - 1][sentence.column - 1 :]
        assert there.startswith(sentence.text[:4])
    third = script.sentences[2].directives
    assert (third.hold, third.size, third.move) == (3, "CU", "pan-left")
    assert script.sentences[2].seconds == 3
    assert script.sentences[3].directives.pin == Pin("my file.mp4", Span(Fraction(25, 2), 15))
    assert script.sentences[4].directives == Directives()
    assert script.sentences[7].directives.generate
    assert len(script) == 8


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Mr. Fox met Mrs. Hen at 5 p.m. on Jan. 3. They left.", None),
        ("It costs 3.14 dollars, e.g. today. Go.", ["It costs 3.14 dollars, e.g. today.", "Go."]),
        ("你好。世界！好吗？", ["你好。", "世界！", "好吗？"]),
        ("雨が降る。\n風が吹く。", ["雨が降る。", "風が吹く。"]),
        ("no full stop", ["no full stop"]),
        ("He said: \\[quiet] now.", ["He said: [quiet] now."]),
        ("See http://example.org for more.", ["See http://example.org for more."]),
        ("One. — \u201d", ["One. — \u201d"]),
        ("\u2026 One. \u2014 Two.", ["\u2026 One.", "\u2014 Two."]),
        ("「行こう。」と彼は言った。", ["「行こう。」と彼は言った。"]),
        ("『行こう！』 と彼。「なに？」\nって聞いた。", ["『行こう！』 と彼。", "「なに？」って聞いた。"]),
        ("「行こう。」とても嬉しい。", ["「行こう。」", "とても嬉しい。"]),
        ("1. A dog runs.\n2. A cat sleeps.", ["1. A dog runs.", "2. A cat sleeps."]),
        ("1. 狗在跑。\n2. 猫在睡。", ["1. 狗在跑。", "2. 猫在睡。"]),
        ("3! 2! 1! Go. It was 1999. 7.", ["3! 2! 1! Go.", "It was 1999. 7."]),
        ("1999.", ["1999."]),
    ],
)
def test_sentences_are_split_as_they_are_read(text: str, expected: list[str] | None) -> None:
    found = [sentence.text for sentence in parse_script(text).sentences]
    if expected is None:
        assert found[0].startswith("Mr. Fox met Mrs. Hen")
        assert found[-1] == "They left."
    else:
        assert found == expected


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_ending_counts_alike(newline: str, tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_bytes(b"\xef\xbb\xbf" + SAMPLE.replace("\n", newline).encode())
    script = read_script(path)
    plain = parse_script(SAMPLE)
    assert script.sentences == plain.sentences
    assert script.titles == plain.titles
    assert script.path == path


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("Hello.\n\n  A. [foo] B.", "3:6", r"unknown directive \[foo\]; known ones are hold, pin, size"),
        ("[] B.", "1:1", "unknown directive"),
        ("A word [hold 3s] here.", "1:8", "stands inside a sentence"),
        ("[hold]", "1:1", r"\[hold\] needs a positive length"),
        ("[hold 0s] A.", "1:1", "needs a positive length"),
        ("[hold long] A.", "1:1", "needs a positive length"),
        ("[pin] A.", "1:1", "needs a file"),
        ("[pin a.mp4@5-3] A.", "1:1", "ends before it starts"),
        ("[pin a.mp4@5] A.", "1:1", "needs a start and an end"),
        ("[pin a.mp4@1:2:3:4-9] A.", "1:1", "needs a start and an end"),
        ("Oh.\n[pin a.mp4@1,5-2] A.", "2:1", r"\[pin a.mp4@1,5-2\] needs a start .* a point before the dec"),
        ("[pin a.mp4@1~2] A.", "1:1", "needs a start and an end"),
        ("[pin a.mp4@1;2] A.", "1:1", "needs a start and an end"),
        ("Oh.\n[hold 3s A goat.", "2:1", r"\[hold is not closed: write \] after it"),
        ("Oh. [Hold 3s A goat. [size wide] B.", "1:5", r"\[hold is not closed"),
        ("[pin x[1.mp4] A dog.", "1:1", r"\[pin is not closed: .* in quotes"),
        ("A. [skip", "1:4", r"\[skip is not closed"),
        ("We stop [pin x[1].mp4] here.", "1:9", r"\[pin x\[1\].mp4\] stands inside a sentence"),
        ("[size huge] A.", "1:1", "no shot size"),
        ("[move sideways] A.", "1:1", "no camera move"),
        ("[generate please] A.", "1:1", "takes nothing after it"),
        ("[skip 2] A.", "1:1", "takes nothing after it"),
        ("[hold 2s] [hold 3s] A.", "1:11", "given twice"),
        ("[pin a.mp4] [generate] A.", "1:13", "contradict"),
        ("[pin a.mp4] [lock] A.", "1:13", r"\[lock\] and \[pin\] contradict"),
        ("[lock] [generate] A.", "1:8", r"\[lock\] and \[generate\] contradict"),
        ("[skip] [lock] A.", "1:8", r"\[lock\] and \[skip\] contradict"),
        ("[lock] [lock] A.", "1:8", "given twice"),
        ("[lock it] A.", "1:1", "takes nothing after it"),
        ("[prefer] A.", "1:1", r"\[prefer\] needs a file"),
        ("[ban a.mp4@5-3] A.", "1:1", r"\[ban a.mp4@5-3\] ends before it starts"),
        ("[ban a.mp4] [ban a.mp4] A.", "1:13", r"\[ban a.mp4\] is given twice"),
        ("[pin a.mp4@1-2] [ban ./a.mp4] A.", "1:17", r"\[pin a.mp4@1-2\] and \[ban ./a.mp4\] contradict"),
        ("[ban a.mp4@1-3] [pin a.mp4@2-4] A.", "1:17", "contradict"),
        ("[ban a.mp4] [prefer a.mp4@2-4] A.", "1:13", r"\[prefer a.mp4@2-4\] and \[ban a.mp4\] contradict"),
        ('[ban "x[1.mp4] A dog.', "1:1", r"\[ban is not closed"),
        ("A. [idiom intensify] B.", "1:4", "before the paragraph's first sentence, or begin a new paragraph"),
        ("A. [idiom intensify]\n\nB.", "1:4", "is for a whole paragraph"),
        ("A [idiom intensify] b.", "1:3", "stands inside a sentence: put it before the first of a paragraph"),
        ("[idiom] A.", "1:1", "is no idiom: write start-wide"),
        ("[idiom zoom] A.", "1:1", "'zoom' is no idiom"),
        ("[idiom intensify more] A.", "1:1", "is no idiom"),
        ("[idiom intensify,] A.", "1:1", "'nothing' is no idiom"),
        ("[idiom emphasise] A.", "1:1", "needs what it shows"),
        ("[idiom none, intensify] A.", "1:1", "contradict"),
        ("[idiom none] [idiom intensify] A.", "1:14", "contradict"),
        ("[idiom intensify] [idiom none] A.", "1:19", "contradict"),
        ("[idiom none] [idiom none] A.", "1:14", "keep one"),
        ("[idiom start-wide] [idiom Start Wide] A.", "1:20", "given twice for one paragraph"),
        ("[idiom intensify]\n# T\nA.", "1:1", "stands before a title"),
        ("A. [hold 2s]", "1:4", "stands before the end of the script"),
        ("[hold 2s]\n# T\nA.", "1:1", "stands before a title"),
        ("A.\n#\n", "2:1", "title needs words"),
        ("", "1:1", "the script is empty"),
        ("# T\n// note\n\n", "1:1", "the script is empty"),
    ],
)
def test_errors_name_line_and_column(text: str, place: str, message: str) -> None:
    with pytest.raises(MontageError, match=message) as error:
        parse_script(text, "script.txt")
    assert str(error.value).startswith(f"script.txt:{place}: ")


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"abc\xff", "1:4"),
        (b"\xef\xbb\xbfab.\r\n\xe4\xbd\xa0\xff", "2:2"),
        ("é".encode("latin-1") + b" x", "1:1"),
        ("Hello".encode("utf-16"), "1:1"),
    ],
)
def test_other_encodings_are_refused_at_the_first_bad_byte(data: bytes, place: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(data)
    with pytest.raises(MontageError, match="no UTF-8") as error:
        read_script(path)
    assert str(error.value).startswith(f"{path}:{place}: ")


def test_a_missing_script_is_named(tmp_path: Path) -> None:
    with pytest.raises(MontageError, match=r"cannot read the script .*nothing\.txt"):
        read_script(tmp_path / "nothing.txt")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pin a.mp4", Pin("a.mp4")),
        ("pin my dog.mp4@1-2.5", Pin("my dog.mp4", Span(1, Fraction(5, 2)))),
        ("pin a@b.mp4", Pin("a@b.mp4")),
        ("pin a@b.mp4@0:01.5-0:02", Pin("a@b.mp4", Span(Fraction(3, 2), 2))),
        ("pin 'x y.mp4'@1:00:00-1:00:01", Pin("x y.mp4", Span(3600, 3601))),
        ("pin a.mp4@1\u20132", Pin("a.mp4", Span(1, 2))),
        ("pin a.mp4@1s \u2014 2S", Pin("a.mp4", Span(1, 2))),
        ("pin 12ab34cd56ef-1500", Pin("12ab34cd56ef-1500")),
    ],
)
def test_pins(text: str, expected: Pin) -> None:
    assert apply_directive(Directives(), text).pin == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[pin x[1].mp4] A dog.", Pin("x[1].mp4")),
        ("[pin [b]/x[1[2]].mp4@1-2] A dog.", Pin("[b]/x[1[2]].mp4", Span(1, 2))),
        ('[pin "x[1].mp4"@1-2] A dog.', Pin("x[1].mp4", Span(1, 2))),
        ("[PIN 'x]1.mp4' @1-2] A dog.", Pin("x]1.mp4", Span(1, 2))),
        ('[pin "x[1.mp4"] A dog.', Pin("x[1.mp4")),
        ("[pin 'tis.mp4] A dog.", Pin("'tis.mp4")),
    ],
)
def test_file_names_with_brackets_are_pinned(text: str, expected: Pin) -> None:
    (sentence,) = parse_script(text).sentences
    assert (sentence.text, sentence.directives) == ("A dog.", Directives(pin=expected))


def test_preferred_and_banned_shots_may_be_several() -> None:
    script = parse_script(
        "[prefer a.mp4] [ban b.mp4@1-2] [Prefer 'x]1.mp4'@0:03-0:04] [ban b.mp4@3-4][lock] A dog. A cat."
    )
    assert script.sentences[0].directives == Directives(
        lock=True,
        prefer=(Pin("a.mp4"), Pin("x]1.mp4", Span(3, 4))),
        ban=(Pin("b.mp4", Span(1, 2)), Pin("b.mp4", Span(3, 4))),
    )
    assert script.sentences[1].directives == Directives()


def test_a_ban_of_one_stretch_leaves_the_rest_of_the_file() -> None:
    (sentence,) = parse_script("[ban a.mp4@1-2] [pin a.mp4@2-4] [prefer a.mp4] A dog.").sentences
    assert sentence.directives.pin == Pin("a.mp4", Span(2, 4))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("start-wide", [Idiom("start-wide")]),
        ("Start Wide, INTENSIFY", [Idiom("start-wide"), Idiom("intensify")]),
        ("peaks_and_valleys", [Idiom("peaks-and-valleys")]),
        ("emphasise the dog", [Idiom("emphasise", "the dog")]),
        ("Emphasize: the dog， intensify", [Idiom("emphasise", "the dog"), Idiom("intensify")]),
        ('emphasise "the dog, asleep"', [Idiom("emphasise", "the dog, asleep")]),
        ("emphasise 那只狗、start-wide", [Idiom("emphasise", "那只狗"), Idiom("start-wide")]),
        ("emphasise an x-ray", [Idiom("emphasise", "an x-ray")]),
    ],
)
def test_idioms(text: str, expected: list[Idiom]) -> None:
    assert apply_directive(Directives(), f"idiom {text}").idioms == tuple(expected)


def test_idioms_belong_to_paragraphs() -> None:
    script = parse_script(
        "# T\n[idiom start-wide] [hold 2s]\n[idiom intensify] One. Two.\n\n[idiom none] Three.\n\nFour."
    )
    preset = (Idiom("peaks-and-valleys"),)
    assert script.idioms(preset) == {
        1: (Idiom("start-wide"), Idiom("intensify")),
        2: (),
        3: preset,
    }
    assert script.idioms() == {1: (Idiom("start-wide"), Idiom("intensify")), 2: (), 3: ()}
    assert [s.directives.hold for s in script.sentences] == [2, None, None, None]
    assert [s.language for s in script.sentences] == ["en"] * 4


FILES = st.text(alphabet="ab 12.@-[]'é字", min_size=1, max_size=12).filter(
    lambda name: (
        name == name.strip()
        and '"' not in name
        and not (len(name) > 1 and name[0] == name[-1] and name[0] == "'")
    )
)
SPANS = st.none() | st.tuples(st.integers(0, 9999), st.integers(1, 999)).map(
    lambda times: Span(Fraction(times[0], 100), Fraction(times[0] + times[1], 100))
)


@given(
    st.lists(
        st.tuples(st.sampled_from(("prefer", "ban")), FILES, SPANS), unique_by=lambda one: one[1], max_size=4
    )
)
def test_shots_named_in_quotes_are_read_as_they_were_written(
    asked: list[tuple[str, str, Span | None]],
) -> None:
    written = "".join(
        f'[{name} "{file}"' + ("" if span is None else f"@{float(span.start)}-{float(span.end)}") + "] "
        for name, file, span in asked
    )
    script = parse_script(f"Before.\n{written} A dog runs. After.")
    assert [sentence.text for sentence in script.sentences] == ["Before.", "A dog runs.", "After."]
    directives = script.sentences[1].directives
    assert list(directives.prefer) == [Pin(file, span) for name, file, span in asked if name == "prefer"]
    assert list(directives.ban) == [Pin(file, span) for name, file, span in asked if name == "ban"]


def test_an_open_bracket_that_names_no_directive_is_spoken() -> None:
    script = parse_script("[so he said. [hold 2s] We [hold on tight. \\[skip it.")
    assert [s.text for s in script.sentences] == ["[so he said.", "We [hold on tight.", "[skip it."]
    assert [s.directives.hold for s in script.sentences] == [None, 2, None]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3),
        ("3s", 3),
        ("2.5 seconds", Fraction(5, 2)),
        ("250ms", Fraction(1, 4)),
        ("0:03", 3),
        ("1:01.5", Fraction(123, 2)),
    ],
)
def test_lengths(text: str, seconds: Fraction) -> None:
    assert apply_directive(Directives(), f"hold {text}").hold == seconds


def test_every_word_for_a_size_is_understood_with_and_without_shot() -> None:
    for word, size in SHOT_SIZE_WORDS.items():
        assert apply_directive(Directives(), f"size {word.upper()}").size == size
        assert apply_directive(Directives(), f"SIZE {word.replace(' ', '-')} shot").size == size
    with pytest.raises(DirectiveError):
        apply_directive(Directives(), "size")


def test_moves_with_and_without_direction() -> None:
    for word in ("static", "pan", "tilt", "zoom", "handheld", "pan-left", "zoom in"):
        assert apply_directive(Directives(), f"move {word}").move == word.replace(" ", "-")


def test_directives_wait_for_the_next_sentence() -> None:
    script = parse_script("[skip]\n\nOne.\nTwo without a stop\n[hold 2s] Three.")
    assert [s.directives.skip for s in script.sentences] == [True, False, False]
    assert [s.text for s in script.sentences] == ["One.", "Two without a stop", "Three."]
    assert script.sentences[2].directives.hold == 2


def test_languages_are_told_by_their_characters() -> None:
    assert language_of("hello") == "en"
    assert language_of("我用iPhone拍照片") == "zh"
    assert language_of("カメラで写真を撮る") == "ja"
    assert language_of("東京大学建築学科の展示") == "ja"
    assert language_of("привет, мир") == "ru"
    assert language_of("안녕하세요") == "ko"
    assert language_of("123 !") == "en"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The flowers are in the garden and bloom for all the people. 山羊站在岩石上。", ["en", "zh"]),
        ("山羊站在岩石上，花园里的花为所有的人开放。The dog runs. 狗在跑。", ["zh", "en", "zh"]),
        ("朝になりました。東京駅到着。Hello there, dear friends from abroad!", ["ja", "ja", "en"]),
        ("朝になりました。我们去海边吧！", ["ja", "zh"]),
        ("We came to Tokyo in the morning. 「東京駅到着。」 電車が来ます。", ["en", "ja", "ja"]),
        ("Привет, мир. Hello.", ["ru", "en"]),
        ("[hold 2s] 2026。\n[hold 3s] 狗在跑。", ["zh", "zh"]),
    ],
)
def test_each_sentence_of_a_paragraph_has_its_own_language(text: str, expected: list[str]) -> None:
    sentences = parse_script(text).sentences
    assert [s.language for s in sentences] == expected
    assert {s.paragraph for s in sentences} == {1}


def test_a_chinese_sentence_among_english_ones_is_read_at_the_chinese_speed() -> None:
    _, chinese = parse_script("The dog runs in the garden all day. 山羊站在岩石上。").sentences
    assert chinese.seconds == Fraction(round(1000 * Fraction(7 * 60, 204)), 1000)


def test_reading_lengths_follow_published_speeds() -> None:
    assert reading_seconds("word " * 183, "en") == 60
    assert reading_seconds("字" * 204, "zh") == 60
    assert reading_seconds("あ" * 286, "ja") == 60
    assert reading_seconds("a", "en") == Fraction(328, 1000)
    assert reading_seconds("我用 iPhone 拍", "zh") == Fraction(round(1000 * (3 * 60 / 204 + 60 / 183)), 1000)
    assert reading_seconds("—", "en") == Fraction(1, 10)


def test_the_digest_is_of_the_text() -> None:
    assert parse_script("A.").digest == parse_script("A.", "x.txt").digest != parse_script("B.").digest


@given(st.text(alphabet="ab .!?\n。字のDr[]\\/#\"'(", max_size=60))
@example("a [")
@example('Dr. "a" b。\n字')
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        script = parse_script(text)
    except MontageError as error:
        told = str(error)
    else:
        told = "script:"
        check_places(text, script)
    assert told.startswith("script:")


def check_places(text: str, script: Script) -> None:
    lines = text.split("\n")
    previous = (0, 0)
    for sentence in script.sentences:
        assert (sentence.line, sentence.column) > previous
        previous = (sentence.line, sentence.column)
        first = sentence.text[0]
        assert lines[sentence.line - 1][sentence.column - 1] in (first, "\\")


def ids(script: Script) -> list[str]:
    return [sentence.id for sentence in script.sentences]


def pairs(script: Script) -> list[tuple[str, str]]:
    return [(sentence.id, sentence.text) for sentence in script.sentences]


BEFORE = "The cat sleeps. A dog runs on the beach. Rain falls. The city wakes up."


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (BEFORE, ["s1", "s2", "s3", "s4"]),
        (
            "The cat sleeps. A dog runs along the beach. Rain falls. The city wakes up.",
            ["s1", "s2", "s3", "s4"],
        ),
        ("The cat sleeps. Zebras, quickly! Rain falls. The city wakes up.", ["s1", "s2", "s3", "s4"]),
        ("The cat sleeps. Rain falls. The city wakes up.", ["s1", "s3", "s4"]),
        (
            "The cat sleeps. New! A dog runs on the beach. Rain falls. The city wakes up.",
            ["s1", "s5", "s2", "s3", "s4"],
        ),
        ("The city wakes up. The cat sleeps. A dog runs on the beach. Rain falls.", ["s4", "s1", "s2", "s3"]),
        ("Rain falls. Rain falls.", ["s3", "s5"]),
    ],
)
def test_sentences_keep_their_ids(after: str, expected: list[str]) -> None:
    before = parse_script(BEFORE)
    assert ids(keep_ids(parse_script(after), pairs(before))) == expected


def test_ids_are_never_given_again() -> None:
    before = [*pairs(parse_script("One cat. Two dogs.")), ("s7", "Something that left long ago.")]
    after = keep_ids(parse_script("One cat. Two dogs. Quite another thing here!"), before)
    assert ids(after) == ["s1", "s2", "s8"]
    back = keep_ids(parse_script("One cat. Something that left long ago."), before)
    assert ids(back) == ["s1", "s7"]


@given(
    st.lists(
        st.sampled_from(["One cat.", "Two dogs run.", "Two dogs swim.", "Rain!", "What a day it was."]),
        max_size=6,
    ),
    st.data(),
)
def test_ids_stay_unique_over_any_edit(old: list[str], data: st.DataObject) -> None:
    new = data.draw(
        st.lists(st.sampled_from([*old, "New words.", "Two dogs sleep."]), min_size=1, max_size=6)
    )
    previous = [(f"s{3 * n}", text) for n, text in enumerate(old)]
    script = keep_ids(parse_script(" ".join(new)), previous)
    assert len(set(ids(script))) == len(ids(script))
    known = dict(previous)
    texts = [text for _, text in previous]
    for text in set(new):
        kept = [s.id for s in script.sentences if s.text == text and known.get(s.id) == text]
        assert len(kept) == min(new.count(text), texts.count(text))


def test_duplicate_ids_and_holes_are_refused() -> None:
    one, two = parse_script("One cat. Two dogs.").sentences
    with pytest.raises(ValueError, match="unique"):
        Script(sentences=(one, one))
    with pytest.raises(ValueError, match="numbered from 1"):
        Script(sentences=(two,))
