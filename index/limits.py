"""How long a file may take and how much memory it may need, before its worker is stopped."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

__all__ = ["Limits", "resident_bytes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one file may cost; generous, since they are there for files that would never end.

    A file is stopped when its worker gives no sign of life for ``stall_seconds``, when it takes longer than
    ``allowance`` seconds in all, or when it needs ``memory_bytes`` more than the encoder alone.

    Raises:
        ValueError: if one of them is not positive.
    """

    stall_seconds: float = 180.0
    """Longest time between two packets of a file, or two batches of the encoder."""
    base_seconds: float = 120.0
    """Time that every file may take."""
    slowness: float = 60.0
    """Seconds of work for each second of footage: 8K on one core, embedded by a large encoder, needs 30."""
    bytes_a_second: float = 1000.0
    """No second of footage is smaller than this many bytes, whatever a header promises."""
    memory_bytes: int = 4 << 30
    """Memory for one file (resident, where the system says so); frames of 8K need 3 GB on 16 threads."""
    start_seconds: float = 900.0
    """Time for the encoder to be loaded; its weights may lie on a slow disk."""

    def __post_init__(self) -> None:
        for each in fields(self):
            if getattr(self, each.name) <= 0:
                raise ValueError(f"{each.name} must be positive, got {getattr(self, each.name)}")

    def allowance(self, size: int, promised: float, done: float) -> float:
        """Seconds of work for a file of ``size`` bytes.

        ``promised`` seconds of footage are what its header says, ``done`` what was measured so far. Neither
        is believed beyond what ``size`` can hold: damaged headers promise years.
        """
        return self.base_seconds + self.slowness * min(max(promised, done), size / self.bytes_a_second)


def resident_bytes(process: int) -> int | None:
    """Memory that a process holds, None where the system does not say."""
    try:
        with open(f"/proc/{process}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
