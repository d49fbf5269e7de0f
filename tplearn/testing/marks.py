"""What `@pytest.mark.ranks(...)` says: on how many ranks a test runs, and how long it may take."""

import math
from dataclasses import dataclass

import pytest
from _pytest.unittest import TestCaseFunction

MARK = "ranks"
SIZE = "_world_size"  # the parameter of a test that runs with several sizes
WORKS = "ranks(4), ranks([1, 2, 4]) and ranks(4, timeout=5.0) work"


@dataclass(frozen=True)
class Wanted:
    """What one item wants. timeout: seconds; None: what the command line or the ini file says."""

    world_size: int
    timeout: float | None = None


def mark_of(item: pytest.Item) -> pytest.Mark | None:
    """The mark that counts: the function's own before that of its class, and that before the module's."""
    return item.get_closest_marker(MARK)


def wanted(item: pytest.Item) -> Wanted | None:
    """What an item wants of ranks; None: it runs in pytest's own process."""
    mark = mark_of(item)
    if mark is None or not isinstance(item, pytest.Function) or isinstance(item, TestCaseFunction):
        return None
    callspec = getattr(item, "callspec", None)
    world_size = sizes(mark)[0] if callspec is None or SIZE not in callspec.params else callspec.params[SIZE]
    return Wanted(world_size, mark.kwargs.get("timeout"))


def sizes(mark: pytest.Mark) -> list[int]:
    """The world sizes that a mark lists."""
    (first, *_) = mark.args
    return list(first) if isinstance(first, list | tuple | range) else list(mark.args)


def lists_sizes(mark: pytest.Mark) -> bool:
    """Whether the test is one of several, one a size."""
    return mark.args != tuple(sizes(mark)) or len(mark.args) > 1


def check(mark: pytest.Mark, name: str) -> None:
    """Raises ValueError, with the test's name and what works, for a mark that says nothing sensible."""
    said = ", ".join([*map(repr, mark.args), *(f"{key}={value!r}" for key, value in mark.kwargs.items())])
    where = f"{name}: @pytest.mark.ranks({said})"
    if unknown := set(mark.kwargs) - {"timeout"}:
        raise ValueError(f"{where} has no argument {sorted(unknown)[0]}; {WORKS}")
    if not mark.args or not sizes(mark):
        raise ValueError(f"{where} does not say on how many ranks; {WORKS}")
    for size in sizes(mark):
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{where}: {size!r} ranks cannot be started, whole numbers from 1 can; {WORKS}")
    if len(set(sizes(mark))) < len(sizes(mark)):
        raise ValueError(f"{where} lists a size twice; {WORKS}")
    check_seconds(mark.kwargs.get("timeout"), f"{where}: timeout")


def check_seconds(seconds: object, name: str) -> None:
    """Raises ValueError for a limit that is none; None is no limit of one's own."""
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (number and seconds > 0 and not math.isnan(seconds)):
        raise ValueError(f"{name} = {seconds!r} leaves no time; seconds above 0 work")
