"""Ctrl-C while the optimiser searches: the first ends the search, the second the program."""

from __future__ import annotations

import subprocess
import sys
import threading

from montage.cli.output import Output
from montage.cli.stopping import ending_early
from tests.conftest import REPOSITORY

SCRIPT = """
import signal
from montage.cli.output import Output
from montage.cli.stopping import ending_early
from montage.closing import close_with_cp_sat
from montage.solver import Problem, compact
import numpy as np

def refused():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        return True
    return False

# Once CP-SAT has run, Ctrl-C is still Python's.
chain, _, _ = compact(Problem(
    unary=[np.array([1.0, 2.0])] * 2, pair=[np.zeros((2, 2))], uses=[np.array([[0], [1]])] * 2
))
assert close_with_cp_sat(chain, np.zeros(chain.size), None, None, 5.0, 0, 100).path is not None
before = signal.getsignal(signal.SIGINT)
with ending_early(Output()) as asked:
    assert not asked()
    signal.raise_signal(signal.SIGINT)
    assert asked()
    assert refused()
assert signal.getsignal(signal.SIGINT) is before
assert refused()
signal.signal(signal.SIGINT, signal.SIG_IGN)
with ending_early(Output()) as asked:
    signal.raise_signal(signal.SIGINT)
    assert not asked()
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
print("done")
"""


def test_the_first_ends_the_search_and_the_second_stops() -> None:
    """In a process of its own: here, other libraries have put their own handlers below Python's."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert "ending the search with the best cut so far" in done.stderr


def test_another_thread_may_search_too() -> None:
    answers: list[bool] = []

    def search() -> None:
        with ending_early(Output()) as asked:
            answers.append(asked())

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert answers == [False]
