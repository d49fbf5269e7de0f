"""Where in the reader's own code something happened: "cell [5] line 3" instead of a page of frames."""

import contextlib
import functools
import importlib.util
import linecache
import os
import sys
import sysconfig
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

_PACKAGE = str(Path(__file__).parents[1]) + os.sep
_TORCH = str(Path(importlib.util.find_spec("torch").origin).parent) + os.sep
_PYTHON = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))
_INSTALLED = tuple(sysconfig.get_path(name) + os.sep for name in ("purelib", "platlib"))
# Never the reader's: this package, torch, and Python's own library. What pip has installed is, where nothing else is.
_MACHINERY = (_PACKAGE, _TORCH, "<frozen ", "<string>", "<__array_function__")
# The way from a collective's name to its operator: whoever stands before it has called the collective.
_WAY_IN = ("distributed/distributed_c10d.py", "distributed/c10d_logger.py", "distributed/_functional_collectives.py")
_WAY_IN += ("_dynamo/", "_compile.py", "_ops.py")  # decorators around each
_ENTRANCES = (
    *(_TORCH + name for name in _WAY_IN),
    _PACKAGE + "ranks" + os.sep,
    contextlib.__file__,
    functools.__file__,
    threading.__file__,
)


@dataclass(frozen=True)
class Cell:
    """A notebook cell: its source lives in linecache, not on disk. number: as in its prompt, In [number]."""

    number: int | None
    source: tuple  # linecache's entry


_cells: dict[str, Cell] = {}  # by file name, in a process that has no notebook of its own


def cells() -> dict[str, Cell]:
    """The cells of this process's notebook, so that ranks can be told of them."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    numbers = getattr(getattr(shell, "compile", None), "_filename_map", {})
    found = {name: entry for name, entry in linecache.cache.items() if _is_cell(name)}
    # IPython 7 gives its entries a time, and linecache drops one that has a time and no file. None keeps it.
    return {name: Cell(numbers.get(name), (size, None, *rest)) for name, (size, _, *rest) in found.items()}


def learn_cells(known: dict[str, Cell]) -> None:
    """Take the cells of the process that has the notebook."""
    _cells.update(known)
    linecache.cache.update({name: cell.source for name, cell in known.items()})


def _is_cell(filename: str) -> bool:
    return "ipykernel_" in filename or filename.startswith("<ipython-input")


def name_line(filename: str, line: int) -> str:
    """`cell [5] line 3` or `ring.py:3`."""
    if not _is_cell(filename):
        return f"{os.path.basename(filename)}:{line}"
    cell = _cells.get(filename) or cells().get(filename)
    return f"cell [{cell.number}] line {line}" if cell and cell.number else f"cell line {line}"


def code_line(filename: str, line: int) -> str:
    """The text of that line, empty where it is not known."""
    return linecache.getline(filename, line).strip()


def _innermost(filenames: list[str]) -> int | None:
    """Of frames from the outermost to the innermost, the number of the innermost that is the reader's own."""
    installed = None
    for number in reversed(range(len(filenames))):
        name = filenames[number]
        if name.startswith(_MACHINERY):
            continue
        if name.startswith(_INSTALLED):
            installed = number if installed is None else installed
        elif not name.startswith(_PYTHON):
            return number
    return installed


def reader_line(frame: FrameType | None) -> tuple[str, str]:
    """(source, code) of the innermost frame that is the reader's own, from `frame` outwards."""
    found: tuple[str, int] | None = None
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_MACHINERY):
            if not name.startswith((*_INSTALLED, *_PYTHON)):
                return name_line(name, frame.f_lineno), code_line(name, frame.f_lineno)
            if found is None and name.startswith(_INSTALLED):
                found = name, frame.f_lineno
        frame = frame.f_back
    return (name_line(*found), code_line(*found)) if found else ("", "")


def called_by_reader(frame: FrameType | None) -> bool:
    """Whether a collective was called by code of the reader's, and not by torch for purposes of its own (DDP, FSDP)."""
    while frame is not None and frame.f_code.co_filename.startswith(_ENTRANCES):
        frame = frame.f_back
    return frame is not None and not frame.f_code.co_filename.startswith((_TORCH, _PACKAGE))


def reader_line_of_error(error: BaseException) -> tuple[str, str]:
    """(source, code) of the reader's innermost line in a traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    number = _innermost([frame.filename for frame in frames])
    if number is None:
        return "", ""
    frame = frames[number]
    return name_line(frame.filename, frame.lineno or 0), (frame.line or "").strip()


def reader_line_of_stack(stack: str) -> tuple[str, str]:
    """(source, code) of the reader's innermost line in what `faulthandler` wrote, the innermost frame first."""
    found: list[tuple[str, int]] = []
    for text in stack.splitlines():
        filename, is_frame, rest = text.strip().removeprefix('File "').partition('", line ')
        if is_frame:
            found.insert(0, (filename, int(rest.split()[0])))
    number = _innermost([filename for filename, _ in found])
    return ("", "") if number is None else (name_line(*found[number]), code_line(*found[number]))
