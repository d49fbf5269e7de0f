"""A rank's line to the judge: what it says and hears, its collectives by number, and where the reader called them."""

import linecache
import os
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from tplearn.jailed.forms import WireError
from tplearn.jailed.wire import Inbox, encode, write_all

PIECE = 1 << 16  # bytes read at once
TEXT = 20_000  # characters of any text that a rank tells
_TORCH = os.path.dirname(torch.__file__) + os.sep
# The way from a collective's name to the group: who stands before it has called the collective.
_WAY_IN = tuple(_TORCH + "distributed" + os.sep + name for name in ("distributed_c10d.py", "c10d_logger.py"))
_HERE = os.path.dirname(__file__) + os.sep
_exit = os._exit  # an answer's own calls of it are announced


class Line:
    """Frames over two descriptors. cells: file names whose lines are the reader's.

    One thread speaks at a time. A thread that waits for a collective keeps the others waiting.
    """

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd, self.write_fd = read_fd, write_fd
        self.inbox, self.lock = Inbox(making=True), threading.RLock()
        self.cells: set[str] = set()
        self.begin()

    def begin(self) -> None:
        """A case begins: its collectives are numbered from 0."""
        self.number = 0
        self.unwaited: dict[int, str] = {}  # of the reader's own collectives, by number: for whose handle nobody waited

    def say(self, *message: Any) -> None:
        """One message. Where nobody hears it, there is nothing left to live for."""
        try:
            with self.lock:
                write_all(self.write_fd, encode(list(message)))
        except OSError:
            _exit(0)

    def hear(self) -> list[Any]:
        """The next message."""
        while (taken := self.inbox.take()) is None:
            data = os.read(self.read_fd, PIECE)
            if not data:
                _exit(0)
            self.inbox.feed(data)
        return taken[0]

    def post(self, op: str, group: str, members: Sequence[int], tensors: Sequence[Tensor], **more: Any) -> int:
        """Begin a collective; its number. more: what else belongs to it, such as reduce, root, peer, tag."""
        frame = sys._getframe(1)
        source, code = self.place(frame)
        with self.lock:
            number, self.number = self.number, self.number + 1
            if called_directly(frame):
                self.unwaited[number] = f"{op}, {source}: {code}"
            self.say("post", number, op, group, list(members), more, list(tensors), [source, code])
        return number

    def wait(self, number: int) -> tuple[list[Tensor], int]:
        """(what a collective brings, the rank that it comes from if it is a recv), once all have come."""
        self.unwaited.pop(number, None)
        with self.lock:
            self.say("wait", number)
            word, about, tensors, source = self.hear()
        if (word, about) != ("done", number):
            raise WireError(f"{word} {about} answers the wait for {number}")
        return tensors, source

    def test(self, number: int) -> bool:
        """Whether a collective is done."""
        with self.lock:
            self.say("test", number)
            return self.hear()[1]

    def place(self, frame: FrameType | None) -> tuple[str, str]:
        """(source, code) of the reader's innermost line, from a frame outwards; both empty where there is none."""
        while frame is not None and frame.f_code.co_filename not in self.cells:
            frame = frame.f_back
        return ("", "") if frame is None else name_line(frame.f_code.co_filename, frame.f_lineno)


def name_line(filename: str, line: int) -> tuple[str, str]:
    """("cell [5] line 3", its text)."""
    return f"{filename} line {line}", linecache.getline(filename, line).strip()[:TEXT]


def called_directly(frame: FrameType | None) -> bool:
    """Whether a collective was called by name, and not by torch for purposes of its own or as a functional one."""
    while frame is not None and frame.f_code.co_filename.startswith((_HERE, *_WAY_IN)):
        frame = frame.f_back
    return frame is not None and not frame.f_code.co_filename.startswith(_TORCH)
