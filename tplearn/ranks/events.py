"""What a rank tells its judge: one small message before and after everything that may block."""

from dataclasses import dataclass

from tplearn.ranks.ledger import Row


@dataclass(frozen=True, slots=True)
class Started:
    """The rank has joined its group."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The reader's function begins at this line."""

    source: str
    code: str


@dataclass(frozen=True, slots=True)
class Enter:
    """A collective is about to be issued, by one of the rank's threads; `blocking`: the thread waits for it at once.

    others: threads of the reader's that are alive beside it and might still bring what others wait for.
    """

    row: Row
    group_name: str
    blocking: bool
    thread: int
    others: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """A thread waits for the collective that the rank issued as number `index`."""

    index: int
    thread: int
    others: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """A thread has what it waited for."""

    index: int
    thread: int


@dataclass(frozen=True, slots=True)
class Exiting:
    """The reader's code calls os._exit, which leaves no trace of its line."""

    status: int
    source: str
    code: str


@dataclass(frozen=True, slots=True)
class Raised:
    """The function ended with an exception, or with a value that cannot be sent."""

    what: str
    source: str
    code: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Returned:
    """The function has returned. unwaited: numbers of collectives whose handle nobody waited for."""

    source: str
    code: str
    unwaited: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Renumbered:
    """A script gives its ranks other numbers than it was started with: its groups cannot be judged."""


Event = Started | Calls | Enter | Block | Done | Exiting | Raised | Returned | Renumbered
