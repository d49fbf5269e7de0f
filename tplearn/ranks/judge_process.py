"""The judge of torchrun's ranks: a process beside rank 0, to which every rank reports. It needs no torch.

main() reads the interface, the number of ranks and a key from stdin, says its port on stdout, and ends when the last
rank has gone.
"""

import json
import pickle
import socket
import sys
import time
from multiprocessing import connection
from multiprocessing.connection import Connection

from tplearn.ranks import report
from tplearn.ranks.decide import Decider
from tplearn.ranks.diagnose import Judge
from tplearn.ranks.errors import RankError
from tplearn.ranks.link import accept
from tplearn.ranks.rulings import Begin, Fault, Fine, Here, Ruling, Where

MEETING_SECONDS = 30.0  # so long the ranks have to connect
ANSWER_SECONDS = 0.3  # so long a rank has to say where it is
LAST_SECONDS = 10.0  # after a fault, until the last rank must have gone


def main() -> None:
    """The life of the judge."""
    host, world_size, key = json.loads(sys.stdin.readline())
    with socket.create_server((host, 0), backlog=world_size) as server:
        print(server.getsockname()[1], flush=True)
        server.settimeout(MEETING_SECONDS)
        ranks = _meet(server, world_size, bytes.fromhex(key))
    Bench(ranks).sit()


def _meet(server: socket.socket, world_size: int, key: bytes) -> dict[int, Connection]:
    """The connection of each rank. Who does not come is heard of by the others, through the store of their group."""
    ranks: dict[int, Connection] = {}
    while len(ranks) < world_size:
        try:
            there = accept(server, key)
            ranks[pickle.loads(there.recv_bytes()).rank] = there
        except TimeoutError:
            sys.exit(1)
        except (OSError, EOFError):
            continue  # a stranger's call
    return ranks


class Bench:
    """Judges one run of the ranks after the other."""

    def __init__(self, ranks: dict[int, Connection]) -> None:
        self.ranks = ranks
        self.gone: set[int] = set()
        self.decider: Decider | None = None  # of the run that is on
        self.where: dict[int, tuple[str, str]] = {}

    def sit(self) -> None:
        """Until all ranks have gone, or a run has failed."""
        while len(self.gone) < len(self.ranks):
            progress = self._listen(0.05)
            if self.decider is None:
                continue
            match self.decider.decide(progress):
                case "over":
                    error = self.decider.end()
                    self._rule(self._fault(error) if error else Fine(report.warnings(self.decider.judge)))
                case "fault":
                    self._rule(self._fault(self.decider.fault()))
                case "time limit":
                    self._rule(self._fault(self.decider.time_limit(self._ask())))

    def _listen(self, seconds: float) -> bool:
        """Take what is there; True where it was an event."""
        there = {self.ranks[rank]: rank for rank in self.ranks if rank not in self.gone}
        progress = False
        for ready in connection.wait(list(there), timeout=seconds):
            rank = there[ready]
            try:
                message = pickle.loads(ready.recv_bytes())
            except (EOFError, OSError):
                self.gone.add(rank)
                if self.decider and self.decider.judge.ranks[rank].end is None:
                    self.decider.judge.died(rank, "ended: its process is gone")
                    progress = True
                continue
            if isinstance(message, Begin):
                self._begin(rank, message)
            elif isinstance(message, Here):
                self.where[rank] = message.source, message.code
            elif self.decider:
                self.decider.judge.handle(rank, message)
                progress = True
        return progress

    def _begin(self, rank: int, begin: Begin) -> None:
        if self.decider is None:
            self.decider = Decider(Judge(len(self.ranks), begin.recorded), begin.timeout)
            self.decider.start()
            for other in self.gone:
                self.decider.judge.died(other, "has left")
        self.decider.judge.ranks[rank].started = True

    def _ask(self) -> dict[int, tuple[str, str]]:
        """Where each live rank is, as far as it answers."""
        self.where = {}
        live = [rank for rank in self.decider.judge.live() if rank not in self.gone]
        for rank in live:
            self._tell(rank, Where())
        deadline = time.monotonic() + ANSWER_SECONDS
        while len(self.where) < len(live) and time.monotonic() < deadline:
            self._listen(0.02)
        return self.where

    def _fault(self, error: RankError) -> Fault:
        """A ruling that one rank shows: the first whose function has ended, for the others are inside gloo or NCCL."""
        judge = self.decider.judge
        able = [rank for rank, state in enumerate(judge.ranks) if state.end and state.end.kind != "died"]
        speaker = next((rank for rank in able if rank not in self.gone), None)
        if speaker is None:
            print(f"\n{error}", file=sys.stderr, flush=True)  # a rank may just be printing, too, why it aborts
        rows = report.ledger_of(judge).rows
        return Fault(type(error).__name__, str(error), speaker, judge.tracebacks(), rows)

    def _rule(self, ruling: Ruling) -> None:
        for rank in self.ranks:
            self._tell(rank, ruling)
        self.decider = None
        if isinstance(ruling, Fault):
            deadline = time.monotonic() + LAST_SECONDS
            while len(self.gone) < len(self.ranks) and time.monotonic() < deadline:
                self._listen(0.05)

    def _tell(self, rank: int, message: object) -> None:
        try:
            self.ranks[rank].send_bytes(pickle.dumps(message))
        except OSError:
            self.gone.add(rank)
