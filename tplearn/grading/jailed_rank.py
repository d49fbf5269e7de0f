"""A rank in a jail as the judge holds it: two pipes to talk, what it printed, how it ended, and a way to end it."""

import contextlib
import os
import re
import select
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

from tplearn.grading.bubblewrap import NoJail
from tplearn.grading.open_air import remove
from tplearn.jailed.limits import Limits

OUTPUT_BYTES = 64 << 10
CHUNK = 1 << 20
SIGNALS = {each.value: each.name for each in signal.Signals}
COUNTED = re.compile(r"^(?:RssAnon|RssShmem|VmPTE|VmSwap):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Ending:
    """How a rank ended.

    code: its exit status, or minus the number of the signal that killed it.
    cpu_seconds: of processor time that it had used.
    reason: "time limit" or "memory limit" where it was one of these, else "".
    """

    code: int
    cpu_seconds: float
    reason: str


class RankProcess:
    """read_fd and write_fd are the judge's ends of the pipes to the rank's files 4 and 3, left in blocking mode.

    memory: what all ranks of the jail may hold together. The jail's attendant thread reads `printed`, and closes it at
    its end. `refused`: why there is no such process, where the nursery said that.
    work: outside a jail, the folder that is the rank's own; `close` removes it.
    """

    def __init__(
        self, read_fd: int, write_fd: int, printed: int, limits: Limits, memory: int, work: Path | None = None
    ) -> None:
        self.read_fd, self.write_fd, self.printed = read_fd, write_fd, printed
        self.ending: Ending | None = None
        self.begun = self.over_memory = False
        self.refused = ""
        self._limits, self._memory, self._work, self._lost = limits, memory, work, False
        self._kept, self._dropped = bytearray(), 0
        self._itself: int | None = None  # a file that stands for the process
        self._pid = 0
        self._ended = threading.Event()
        self._printed_all = threading.Event()
        self._closing = threading.Lock()  # a closed file's number may be another's a moment later

    def output(self) -> str:
        """The start of what it printed, at most OUTPUT_BYTES, and a line that counts the rest."""
        kept = bytes(self._kept).decode(errors="replace")
        return kept + (f"\n[{self._dropped:,} more bytes]" if self._dropped else "")

    def kill(self) -> None:
        """End it now; nothing that it does can delay that."""
        with self._closing, contextlib.suppress(ProcessLookupError):
            if self._itself is not None:
                signal.pidfd_send_signal(self._itself, signal.SIGKILL)

    def wait(self, seconds: float) -> Ending | None:
        """How it ended, once it has; None where that takes longer."""
        self._ended.wait(seconds)
        return self.ending

    def how_it_ended(self, seconds: float) -> str:
        """The rest of "Rank 1 …", once it has ended or so much time is over. Nothing measured is in it.

        Raises NoJail where the jail ended, and the rank only with it.
        """
        ending = self.wait(seconds)
        if ending is None:
            return "closed its pipe to the judge and went on"
        if self._lost:
            raise NoJail("the jail ended while a rank ran in it")
        if ending.reason == "memory limit":
            return f"was killed at the memory limit: {self._memory / 1e9:.1f} GB for all ranks together"
        if ending.reason == "time limit":
            return f"used up its time limit of {self._limits.cpu_seconds} s of processor time"
        if ending.code < 0:
            return f"was killed by {SIGNALS.get(-ending.code, f'signal {-ending.code}')}"
        return f"ended with exit code {ending.code}"

    @property
    def done(self) -> bool:
        """Whether nothing more can come of it: it has ended, its output too, and it is closed."""
        return self._ended.is_set() and self.printed == -1 and self.read_fd == -1

    def close(self) -> None:
        """End it, and close the judge's files of it. Its output and its ending stay."""
        self.kill()
        if self._itself is not None:
            self._ended.wait()
            self._printed_all.wait()  # nobody is left who could print more
            gone = select.poll()
            gone.register(self._itself, select.POLLIN)
            gone.poll()  # also where the nursery ended first, and told of no end
        with self._closing:
            files = [file for file in (self.read_fd, self.write_fd, self._itself) if file not in (None, -1)]
            self.read_fd = self.write_fd = -1
            self._itself = None
            for file in files:
                os.close(file)
            if self._work and self._work.exists():
                remove(self._work)

    def start(self, itself: int) -> None:
        """It runs; the file stands for its process, also when another has its number."""
        self._itself = itself
        self._pid = pid_of(itself)
        self.begun = True

    def refuse(self, why: str) -> None:
        """It never ran, and why."""
        self.refused = why
        self.fail()

    def end(self, code: int, cpu_seconds: float) -> None:
        """It has ended: give the reason, where it is a limit."""
        killed = code == -signal.SIGKILL
        timed = killed and cpu_seconds > 0.8 * self._limits.cpu_seconds  # the kernel counts by ticks
        reason = "memory limit" if killed and self.over_memory else "time limit" if timed else ""
        self.ending = Ending(code, cpu_seconds, reason)
        self._ended.set()

    def fail(self) -> None:
        """The jail ended, and this rank with it, or before it ran."""
        with self._closing:
            if self.ending is not None:
                return
            self._lost = True
            if not self.begun:
                self._end_output()  # nobody else will
            self.end(-signal.SIGKILL, 0.0)

    def forget(self) -> None:
        """Nobody listens to it any more."""
        self.fail()
        if self.printed != -1:
            self._end_output()

    def take_output(self) -> bool:
        """Read what is there of its output; False at the end of it, where the file is closed."""
        chunk = os.read(self.printed, CHUNK)
        if not chunk:
            self._end_output()
        room = OUTPUT_BYTES - len(self._kept)
        self._kept += chunk[:room]
        self._dropped += max(0, len(chunk) - room)
        return bool(chunk)

    def _end_output(self) -> None:
        os.close(self.printed)
        self.printed = -1
        self._printed_all.set()

    def memory(self) -> int:
        """Bytes of memory that it holds, with what it shares with the nursery; 0 once it has ended."""
        return 0 if self.ending or self._itself is None else memory_of(self._pid)


def pid_of(file: int) -> int:
    """The number here of the process that a file stands for; -1 once it has ended (see pidfd_open(2))."""
    told = Path(f"/proc/self/fdinfo/{file}").read_text()
    return int(re.search(r"^Pid:\s+(-?\d+)$", told, re.MULTILINE)[1])


def memory_of(pid: int) -> int:
    """Private, shared, page table and swapped bytes of a process (proc(5), status); 0 where it is none.

    Where its first thread has ended before the others, that one holds nothing, and any other tells.
    """
    if held := _counted(pid, pid):
        return held
    try:
        return max((_counted(pid, thread) for thread in os.listdir(f"/proc/{pid}/task")), default=0)
    except OSError:
        return 0


def _counted(pid: int, thread: int | str) -> int:
    try:
        return 1024 * sum(map(int, COUNTED.findall(Path(f"/proc/{pid}/task/{thread}/status").read_text())))
    except OSError:
        return 0
