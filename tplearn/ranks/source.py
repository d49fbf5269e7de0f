"""Where in the reader's own code something happened: "cell line 3" instead of a page of frames."""

import contextlib
import dis
import functools
import linecache
import multiprocessing
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import torch

_PACKAGE = Path(__file__).parents[1]
# Frames of these are never "the reader's line": machinery of torch, of Python, and the floors that move bytes.
_MACHINERY = tuple(
    str(path) + os.sep
    for path in (
        Path(torch.__file__).parent,
        _PACKAGE / "ranks",
        _PACKAGE / "parallel",
        _PACKAGE / "checks",
        Path(multiprocessing.__file__).parent,
    )
) + (contextlib.__file__, functools.__file__, threading.__file__, "<frozen ", "<string>")


def is_cell(filename: str) -> bool:
    """A notebook cell: its source lives in linecache, not on disk."""
    return "ipykernel_" in filename or filename.startswith("<ipython-input")


def name_line(filename: str, line: int) -> str:
    """`cell line 3` or `ring.py:3`."""
    return f"cell line {line}" if is_cell(filename) else f"{os.path.basename(filename)}:{line}"


def code_line(filename: str, line: int) -> str:
    """The text of that line, empty where it is not known."""
    return linecache.getline(filename, line).strip()


def reader_line(frame: FrameType | None) -> tuple[str, str]:
    """(source, code) of the innermost frame that is the reader's own, from `frame` outwards."""
    while frame is not None:
        filename = frame.f_code.co_filename
        if not filename.startswith(_MACHINERY):
            return name_line(filename, frame.f_lineno), code_line(filename, frame.f_lineno)
        frame = frame.f_back
    return "", ""


def reader_line_of_error(error: BaseException) -> tuple[str, str]:
    """(source, code) of the reader's innermost line in a traceback."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_MACHINERY)]
    return (
        (name_line(frames[-1].filename, frames[-1].lineno or 0), (frames[-1].line or "").strip())
        if frames
        else ("", "")
    )


def reader_line_of_stack(stack: str) -> tuple[str, str]:
    """(source, code) of the reader's innermost line in what `faulthandler` wrote."""
    for text in stack.splitlines():
        filename, found, rest = text.strip().removeprefix('File "').partition('", line ')
        if found and not filename.startswith(_MACHINERY):
            line = int(rest.split()[0])
            return name_line(filename, line), code_line(filename, line)
    return "", ""


def cell_sources() -> dict[str, tuple]:
    """The linecache entries that exist only in this process: notebook cells."""
    return {name: entry for name, entry in linecache.cache.items() if is_cell(name)}


class ReturnLine:
    """Remembers at which line a function returned.

    One `return` is read off the bytecode. Where there are several, the function's own frame is traced, and no other.
    """

    def __init__(self, fn: Callable) -> None:
        self.code = getattr(fn, "__code__", None)
        self.line: int | None = None
        self.tracing = False
        if self.code is not None:
            returns = set()
            line = self.code.co_firstlineno
            for instruction in dis.get_instructions(self.code):
                line = instruction.positions.lineno or line if instruction.positions else line
                if instruction.opname in ("RETURN_VALUE", "RETURN_CONST"):
                    returns.add(line)
            self.tracing = len(returns) > 1
            self.line = returns.pop() if len(returns) == 1 else None

    def __enter__(self) -> "ReturnLine":
        if self.tracing:
            sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        if self.tracing:
            sys.settrace(None)

    def _call(self, frame: FrameType, event: str, arg: object) -> Callable | None:
        return self._inside if frame.f_code is self.code else None

    def _inside(self, frame: FrameType, event: str, arg: object) -> Callable:
        self.line = frame.f_lineno
        return self._inside

    def where(self) -> tuple[str, str]:
        """(source, code) of the return."""
        if self.code is None or self.line is None:
            return "", ""
        return name_line(self.code.co_filename, self.line), code_line(self.code.co_filename, self.line)
