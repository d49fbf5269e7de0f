"""Sends and receives, matched as gloo and NCCL match them: by the two ranks and the tag, each kind in its order."""

from collections import defaultdict
from typing import NamedTuple

from tplearn.ranks.ledger import Row
from tplearn.ranks.tail import Tail

ANY = -1  # a recv that takes what comes from any rank


class Route(NamedTuple):
    """From one rank to another, under a tag."""

    group: str
    source: int
    target: int
    tag: int


class Mail:
    """All sends and recvs of a run."""

    def __init__(self) -> None:
        self.sends: dict[Route, Tail[Row]] = defaultdict(Tail)
        self.recvs: dict[Route, Tail[Row]] = defaultdict(Tail)

    def post(self, row: Row, group: str) -> tuple[int, Row | None]:
        """(the place of a send or recv on its route, the row that it meets there, if that has come)."""
        route, sending = _route(row, group), row.op == "send"
        mine, theirs = (self.sends, self.recvs) if sending else (self.recvs, self.sends)
        mine[route].append(row)
        place = len(mine[route]) - 1
        # A recv from any rank may take what stands before it: then nobody knows which two meet.
        by_place = not self.recvs[route._replace(source=ANY)] and row.peer != ANY
        return place, theirs[route][place] if by_place and len(theirs[route]) > place else None

    def matched(self, row: Row, group: str, place: int) -> bool:
        """Is there one for it on the other side?"""
        route = _route(row, group)
        anybody = self.recvs[route._replace(source=ANY)]
        if row.op == "send":
            return len(self.recvs[route]) + len(anybody) > place
        if row.peer == ANY:
            return sum(len(rows) for to, rows in self.sends.items() if to._replace(source=ANY) == route) > place
        return len(self.sends[route]) > place

    def forget(self, kept: int) -> None:
        """Drop what has met, but for the last `kept` messages of each route."""
        for route, rows in self.sends.items():
            together = min(len(rows), len(self.recvs[route]))
            rows.forget(together - kept)
            self.recvs[route].forget(together - kept)

    def other_tags(self, row: Row, group: str) -> list[int]:
        """Tags under which the other side has sent or received between the same two ranks."""
        route = _route(row, group)
        theirs = self.recvs if row.op == "send" else self.sends
        return sorted({to.tag for to, rows in theirs.items() if rows and to._replace(tag=row.tag) == route} - {row.tag})


def _route(row: Row, group: str) -> Route:
    ends = (row.rank, row.peer) if row.op == "send" else (row.peer, row.rank)
    return Route(group, *ends, row.tag)
