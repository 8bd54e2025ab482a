"""A mapping that is read from the record as far as it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

__all__ = ["Lazy"]

T = TypeVar("T")


class Lazy(Mapping[str, T]):
    """Values by id. One is read alone, several at once; whoever walks through all reads all."""

    def __init__(
        self,
        some: Callable[[list[str]], dict[str, T]],
        every: Callable[[], dict[str, T]],
        count: Callable[[], int],
    ) -> None:
        """``some`` reads those of the ids that are there, ``every`` all in order, ``count`` their number."""
        self._some, self._every, self._count = some, every, count
        self._known: dict[str, T] = {}
        self._all: dict[str, T] | None = None

    def some(self, ids: Iterable[str]) -> dict[str, T]:
        """Those of these ids that are there."""
        wanted = list(dict.fromkeys(ids))
        if self._all is None:
            missing = [one for one in wanted if one not in self._known]
            if missing:
                self._known |= self._some(missing)
        known = self._known if self._all is None else self._all
        return {one: known[one] for one in wanted if one in known}

    def __getitem__(self, key: str) -> T:
        found = self.some([key])
        if key not in found:
            raise KeyError(key)
        return found[key]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self.some([key])

    def __iter__(self) -> Iterator[str]:
        if self._all is None:
            self._all = self._every()
        return iter(self._all)

    def __len__(self) -> int:
        return self._count() if self._all is None else len(self._all)
