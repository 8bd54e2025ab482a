"""What takes long in the indexer is said on standard error, and nothing with ``-q``."""

from __future__ import annotations

import logging

import pytest

from montage.cli.output import Output, _spoken


@pytest.mark.parametrize("quiet", [False, True])
def test_notes_of_the_library_are_shown(quiet: bool, capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("index.encoders.clip")
    before = logging.getLogger("index").level
    with _spoken(Output(quiet=quiet)):
        logger.info("comparing %s, this once", "clip:fast\x1b[2J")
        logger.debug("nothing to say")
    logger.info("after the command")
    said = capsys.readouterr()
    assert said.err == ("" if quiet else "comparing clip:fast\\x1b[2J, this once\n")
    assert not said.out
    assert logging.getLogger("index").level == before
