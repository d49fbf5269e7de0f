"""A list that can forget its beginning, for jobs of days: what is left keeps its places."""

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Tail(Generic[Item]):
    """Appended to at its end, forgotten at its beginning; its length counts what is forgotten too."""

    def __init__(self) -> None:
        self.kept: deque[Item] = deque()
        self.forgotten = 0

    def append(self, item: Item) -> None:
        self.kept.append(item)

    def forget(self, end: int) -> None:
        """What stands before place `end` is dropped."""
        while self.forgotten < min(end, len(self)):
            self.kept.popleft()
            self.forgotten += 1

    def __len__(self) -> int:
        return self.forgotten + len(self.kept)

    def __getitem__(self, place: int) -> Item:
        """The item at a place, or, from -1 on, from the end. Raises IndexError for one that is forgotten."""
        number = place - self.forgotten if place >= 0 else len(self.kept) + place
        if number < 0:
            raise IndexError(f"place {place} is forgotten; {self.forgotten} to {len(self) - 1} are kept")
        return self.kept[number]

    def __iter__(self) -> Iterator[Item]:
        """What is kept."""
        return iter(self.kept)
