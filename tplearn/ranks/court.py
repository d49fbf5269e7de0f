"""The judge of ranks that somebody else has started, seen from one of them.

It is a process of its own beside rank 0, so that it outlives rank 0: tplearn.ranks.judge_process. Each rank has a
connection to it: over the loopback interface on one node, and to MASTER_ADDR, where the ranks have found each other, on
several.
"""

import json
import os
import pickle
import queue
import secrets
import socket
import subprocess
import sys
import threading
import time
import warnings
from multiprocessing.connection import Connection

import torch.distributed as dist

from tplearn.ranks.errors import RankError
from tplearn.ranks.events import Event
from tplearn.ranks.ledger import Ledger
from tplearn.ranks.link import connect
from tplearn.ranks.rulings import Begin, Fault, Fine, Hello, Here, Ruling, Where
from tplearn.ranks.source import reader_line
from tplearn.ranks.threads import OWN

SPEAKER_FIRST_SECONDS = 1.0  # torchrun ends all ranks when one has failed: the report must be out by then
_exit = os._exit


class Court:
    """This rank's connection to the judge."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.rank = connection, dist.get_rank()
        self.lock = threading.Lock()
        self.rulings: queue.Queue[Ruling] = queue.Queue()
        self.inside = False  # the reader's function is running, and cannot be told anything
        self.main = threading.main_thread().ident
        threading.Thread(target=self._listen, daemon=True, name=f"{OWN} court").start()

    def begin(self, timeout: float, recorded: bool) -> None:
        """The reader's function is about to run."""
        self.inside = True
        self.send(Begin(timeout, recorded))

    def send(self, message: Event | Begin | Here) -> None:
        """Tell the judge. Where it is gone, the run goes on without."""
        with self.lock:
            try:
                self.connection.send_bytes(pickle.dumps(message))
            except OSError:
                self.rulings.put(Fine([]))

    def end(self, event: Event) -> list[UserWarning]:
        """The function has ended: the judge's warnings when all have. Raises RankError as the judge rules."""
        self.inside = False
        self.send(event)
        ruling = self.rulings.get()
        if isinstance(ruling, Fine):
            return ruling.warnings
        if self.rank != ruling.speaker:
            time.sleep(SPEAKER_FIRST_SECONDS)
        raise self._error(ruling)

    def _error(self, fault: Fault) -> RankError:
        error = fault.error(self.rank)
        error.output, error.ledger = [""] * dist.get_world_size(), Ledger(fault.rows)
        return error

    def _listen(self) -> None:
        while True:
            try:
                message = pickle.loads(self.connection.recv_bytes())
            except (EOFError, OSError):
                self.rulings.put(Fine([]))
                return
            if isinstance(message, Where):
                self.send(Here(*reader_line(sys._current_frames().get(self.main))))
                continue
            self.rulings.put(message)
            if isinstance(message, Fault) and self.inside:
                time.sleep(2 * SPEAKER_FIRST_SECONDS)  # it may yet come out by itself
                if self.inside:
                    _exit(1)  # it waits inside gloo or NCCL, where no exception reaches it


def open_court() -> Court | None:
    """Every rank of the default group calls it. None, with a warning, where one of them cannot reach the judge."""
    store, rank, world_size = dist.distributed_c10d._get_default_store(), dist.get_rank(), dist.get_world_size()
    if rank == 0:
        store.set("tplearn/court", json.dumps(_start_judge(world_size)))
    host, port, key = json.loads(store.get("tplearn/court"))
    try:
        connection, trouble = connect(host, port, bytes.fromhex(key)), ""
        connection.send_bytes(pickle.dumps(Hello(rank)))
    except OSError as error:
        connection, trouble = None, f"rank {rank} cannot reach {host}:{port} ({error})"
    store.set(f"tplearn/court/{rank}", trouble)
    if rank == 0:
        found = [said for other in range(world_size) if (said := store.get(f"tplearn/court/{other}").decode())]
        store.set("tplearn/court/open", found[0] if found else "")
        if found:
            warnings.warn(
                f"No diagnosis of hangs in this job, and no time limit but the backend's: {found[0]}. The ledger is "
                "kept all the same.",
                stacklevel=2,
            )
    if store.get("tplearn/court/open"):
        if connection:
            connection.close()
        return None
    return Court(connection)


def _start_judge(world_size: int) -> tuple[str, int, str]:
    """(host, port, key) of a new judge."""
    here = os.environ.get("LOCAL_WORLD_SIZE") == str(world_size)
    host = "127.0.0.1" if here else os.environ.get("MASTER_ADDR") or socket.gethostname()
    code = f"import sys; sys.path[:] = {sys.path!r}; from tplearn.ranks.judge_process import main; main()"
    judge = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    key = secrets.token_hex(32)
    with judge.stdin as stdin, judge.stdout as stdout:
        stdin.write(json.dumps([host if here else "", world_size, key]) + "\n")
        stdin.flush()
        return host, int(stdout.readline() or 0), key
