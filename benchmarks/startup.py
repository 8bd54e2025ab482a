"""How long ``montage --help`` takes, against ``python -c pass`` in the same run.

python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

LIMIT = 0.3
"""Seconds that the help may take."""


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ours, peer = [sys.executable, "-m", "montage", "--help"], [sys.executable, "-c", "pass"]
    seconds(ours), seconds(peer)
    pairs = [(seconds(ours), seconds(peer)) for _ in range(options.runs)]
    result = {
        "montage --help": statistics.median(pair[0] for pair in pairs),
        "python -c pass": statistics.median(pair[1] for pair in pairs),
        "ratio": statistics.median(pair[0] / pair[1] for pair in pairs),
        "limit": LIMIT,
    }
    if options.json:
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
        return
    for name in ("montage --help", "python -c pass"):
        sys.stdout.write(f"{name:16} {result[name]:.3f} s\n")
    sys.stdout.write(f"ratio            {result['ratio']:.1f}   (limit {LIMIT} s for the help)\n")


if __name__ == "__main__":
    main()
