"""The page of the rules is made from them, and is up to date."""

from __future__ import annotations

from xml.etree import ElementTree

from montage.rules import RULES
from montage.rules.document import rule_files
from montage.rules.drawing import PICTURES, drawn
from montage.rules.hard import HARD_RULES
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"


def test_the_page_and_its_pictures_are_up_to_date() -> None:
    made = rule_files()
    for name, text in made.items():
        path = DOCS / name
        again = "out of date: python -m montage.rules.document docs"
        assert path.is_file(), f"{name} is {again}"
        assert path.read_text(encoding="utf-8") == text, f"{name} is {again}"
    lying = {f"rules/{path.name}" for path in (DOCS / "rules").iterdir()}
    assert lying == made.keys() - {"rules.md"}


def test_every_rule_is_on_the_page_with_its_formula_and_picture() -> None:
    page = rule_files()["rules.md"]
    for name, rule in RULES.items():
        section = page.split(f"### {name}\n")[1].split("### ")[0]
        assert rule.says in section
        assert rule.source in section
        assert f"Weight: {rule.weight:g}" in section
        formula = section.split("- Cost: ")[1].splitlines()[0]
        assert len(formula) > 10, name
    for hard in HARD_RULES:
        assert f"| {hard.name} | {hard.says} |" in page


def test_pictures_show_likes_and_dislikes() -> None:
    assert PICTURES.keys() == RULES.keys()
    for name, (likes, dislikes, _) in PICTURES.items():
        assert likes, name
        assert dislikes, name
        assert tuple(likes) != tuple(dislikes), name
        assert ElementTree.fromstring(drawn(name)).tag.endswith("svg")
