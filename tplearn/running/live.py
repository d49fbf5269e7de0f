"""What the ranks of a script print: each line as it comes, with its rank, stdout and stderr apart."""

import codecs
import os
import sys
import time
from pathlib import Path
from typing import TextIO

BAR_SECONDS = 1.0  # a line that rewrites itself, as a progress bar does, is shown so often
LONGEST = 1 << 16  # characters; what is longer without a newline is shown in pieces
COLOURS = (36, 33, 32, 35, 34, 31)  # of the labels on a terminal, by rank


class Stream:
    """One rank's stdout or stderr. to: where its lines go. copy: a file that gets all of it as it is."""

    def __init__(self, label: str, to: TextIO, copy: Path | None) -> None:
        self.label, self.to = label, to
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.copy = copy.open("wb", buffering=0) if copy else None
        self.begun = ""  # of a line
        self.bar_at = time.monotonic()

    def feed(self, data: bytes) -> None:
        """Show the lines that are whole now; empty at the end."""
        if self.copy:
            self.copy.write(data)
        *lines, self.begun = (self.begun + self.decoder.decode(data, final=not data)).split("\n")
        if lines or not data:
            self.bar_at = time.monotonic()
        elif "\r" in self.begun and time.monotonic() - self.bar_at > BAR_SECONDS:
            self.bar_at = time.monotonic()
            lines = [self.begun]
        if len(self.begun) > LONGEST or (not data and self.begun):
            lines, self.begun = [*lines, self.begun], ""
        if lines:
            self.to.write("".join(f"{self.label}{_last_state(line)}\n" for line in lines))
            self.to.flush()
        self.begun = self.begun[self.begun.rstrip("\r").rfind("\r") + 1 :]  # what stood before is overwritten

    def close(self) -> None:
        """Show what has no newline."""
        self.feed(b"")
        if self.copy:
            self.copy.close()


def _last_state(line: str) -> str:
    """What is left of a line that has rewritten itself."""
    return line.rstrip("\r").rpartition("\r")[2]


class Live:
    """The prints of all ranks of a script. errors_only: their stdout goes to stderr too, for stdout is for others."""

    def __init__(self, world_size: int, folder: Path | None = None, errors_only: bool = False) -> None:
        out = sys.stderr if errors_only else sys.stdout
        for stream in (out, sys.stderr):
            stream.reconfigure(errors="backslashreplace")  # a rank may print what this terminal cannot show
        self.outputs, self.errors = (
            [Stream(_label(rank, to), to, folder and folder / f"rank{rank}.{name}") for rank in range(world_size)]
            for name, to in (("out", out), ("err", sys.stderr))
        )

    def all_started(self) -> None:
        """A script's lines are live from the first."""

    def read(self, rank: int, descriptor: int) -> bool:
        """Take what a rank's stdout has; False when the rank has closed it."""
        return _read(self.outputs[rank], descriptor)

    def read_errors(self, rank: int, descriptor: int) -> bool:
        """The same for its stderr."""
        return _read(self.errors[rank], descriptor)

    def finish(self, hide_aborts: bool = False) -> list[str]:
        """Show what is left; nothing is kept."""
        for stream in (*self.outputs, *self.errors):
            stream.close()
        return []


def _read(stream: Stream, descriptor: int) -> bool:
    try:
        data = os.read(descriptor, 1 << 16)
    except OSError:
        data = b""
    if data:
        stream.feed(data)
    return bool(data)


def _label(rank: int, to: TextIO) -> str:
    label = f"[rank {rank}]"
    if to.isatty() and not os.environ.get("NO_COLOR"):
        label = f"\x1b[{COLOURS[rank % len(COLOURS)]}m{label}\x1b[0m"
    return label + " "
