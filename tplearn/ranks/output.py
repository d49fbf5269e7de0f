"""What ranks print: labelled, in the order of ranks when a run is short, live when it is long, and never too much."""

import codecs
import os
import sys
import time
from collections import deque

KEPT_HEAD = 1_000_000  # characters kept of each rank's output
KEPT_TAIL = 20_000  # and of its end, where a crash explains itself
SHOWN = 200_000  # characters of one rank that are shown in the notebook
HOLD_SECONDS = 1.0  # a run that ends sooner shows its prints sorted by rank: the same text every time
ABORT = "terminate called after throwing an instance of"


class RankOutput:
    """The prints of one rank: kept within limits, shown line by line with the rank's label."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.head: list[str] = []
        self.tail: deque[str] = deque()
        self.size = self.tail_size = self.shown = 0
        self.unshown = ""
        self.muted = False

    def feed(self, data: bytes) -> None:
        text = self.decoder.decode(data)
        room = max(0, KEPT_HEAD - self.size)
        self.size += len(text)
        if text[:room]:
            self.head.append(text[:room])
        if text[room:]:
            self.tail.append(text[room:])
            self.tail_size += len(text) - room
            while self.tail_size - len(self.tail[0]) >= KEPT_TAIL:
                self.tail_size -= len(self.tail.popleft())
        if self.shown + len(self.unshown) < SHOWN:
            self.unshown += text
        else:
            self.muted = True

    def text(self) -> str:
        """All that was kept, with a note in place of what was not."""
        head, tail = "".join(self.head), "".join(self.tail)[-KEPT_TAIL:]
        dropped = self.size - len(head) - len(tail)
        note = f"\n… {dropped:,} characters are not kept …\n" if dropped else ""
        return head + note + tail

    def show(self, *, to_the_end: bool = False) -> None:
        """Print the whole lines that are new; at the end also a last line that has no newline."""
        end = len(self.unshown) if to_the_end else self.unshown.rfind("\n") + 1
        lines, self.unshown = self.unshown[:end], self.unshown[end:]
        self.shown += len(lines)
        if lines:
            label = f"[rank {self.rank}] "
            sys.stdout.write("".join(f"{label}{line}\n" for line in lines.splitlines()))
        if to_the_end and self.muted:
            sys.stdout.write(f"[rank {self.rank}] … {self.size - self.shown:,} more characters are not shown\n")


class Outputs:
    """The prints of all ranks of a run."""

    def __init__(self, world_size: int) -> None:
        self.ranks = [RankOutput(rank) for rank in range(world_size)]
        self.live_from = float("inf")

    def all_started(self) -> None:
        """From here the clock of a short run counts."""
        self.live_from = time.monotonic() + HOLD_SECONDS

    def read(self, rank: int, descriptor: int) -> bool:
        """Take what is there; False when the rank has closed its output."""
        try:
            data = os.read(descriptor, 1 << 16)
        except OSError:
            return False
        self.ranks[rank].feed(data)
        if time.monotonic() > self.live_from:
            self.ranks[rank].show()
        return bool(data)

    def finish(self, hide_aborts: bool = False) -> list[str]:
        """Show the rest and return every rank's text, both without C++'s last words where asked."""
        for output in self.ranks:
            if hide_aborts:
                output.unshown = output.unshown.split(ABORT)[0]
            output.show(to_the_end=True)
        sys.stdout.flush()
        texts = [output.text() for output in self.ranks]
        return [text.split(ABORT)[0] for text in texts] if hide_aborts else texts
