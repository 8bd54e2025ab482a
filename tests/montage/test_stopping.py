"""Ctrl-C while the optimiser searches: the first ends the search, the second the program."""

from __future__ import annotations

import signal
import threading

import pytest

from montage.cli.output import Output
from montage.cli.stopping import ending_early


def test_the_first_ends_the_search_and_the_second_stops(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with ending_early(Output()) as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked()
        assert "ending the search with the best cut so far" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_nothing_is_changed_where_ctrl_c_is_not_ours() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ending_early(Output()) as asked:
            signal.raise_signal(signal.SIGINT)
            assert not asked()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_may_search_too() -> None:
    answers: list[bool] = []

    def search() -> None:
        with ending_early(Output()) as asked:
            answers.append(asked())

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert answers == [False]
