"""What is known of one rank: the collectives that it has issued, where it waits, how it ended."""

from dataclasses import dataclass, field
from typing import NamedTuple

from tplearn.ranks.ledger import Row
from tplearn.ranks.tail import Tail

GLOO_LOST_PEER = "gloo/transport"  # in what gloo raises on a rank whose peer has gone


@dataclass
class End:
    """How a rank ended: "return", "raise" or "died"."""

    kind: str
    what: str = ""
    source: str = ""
    code: str = ""
    traceback: str = ""


class Group(NamedTuple):
    """A process group: its name in torch, and its members as global ranks."""

    name: str
    ranks: tuple[int, ...]


@dataclass(frozen=True)
class Issued:
    """A collective that a rank has issued. place: its position among those of its group, or of its mail."""

    row: Row
    group: Group
    place: int


@dataclass
class RankState:
    """What is known of one rank."""

    issued: Tail[Issued] = field(default_factory=Tail)
    blocked: dict[int, int] = field(default_factory=dict)  # thread -> number of the collective it waits in
    others: int = 0  # threads that may still do something beside those
    started: bool = False
    end: End | None = None
    called: tuple[str, str] = ("", "")  # where the function begins
    unwaited: tuple[int, ...] = ()

    @property
    def last(self) -> Row | None:
        """What it issued last."""
        return self.issued[-1].row if self.issued else None

    @property
    def lost_a_peer(self) -> bool:
        """Whether it has raised only because another one closed its connections: that gloo noticed is chance."""
        return self.end is not None and self.last is not None and GLOO_LOST_PEER in self.end.what

    @property
    def waits_in(self) -> Row | None:
        """A collective that one of its threads is in, the first that was issued."""
        return self.issued[min(self.blocked.values())].row if self.blocked else None
