"""One rank: it takes an answer's cells and a driver, runs the driver on each case that comes, and says what was seen.

All that it says is a claim. The judge compares the values with its own, and writes the ledger itself.
"""

import contextlib
import dataclasses
import importlib
import io
import linecache
import os
import sys
import traceback
import types
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

import torch

from tplearn.jailed.forms import Made, Named, WireError
from tplearn.jailed.group import register
from tplearn.jailed.held import HeldTensors
from tplearn.jailed.line import TEXT, Line, name_line
from tplearn.jailed.world import join, joins_meet, new_groups_meet

_exit = os._exit


def main(read_fd: int, write_fd: int, answer: Callable[..., Any] | None = None) -> None:
    """The rank's whole life, until the judge says "end" or is gone.

    answer: of the course's own, which needs no cells; else the function `name` that the cells define.
    """
    line = Line(read_fd, write_fd)
    _, start = line.hear()
    warnings.simplefilter("ignore")  # a verdict is the same text everywhere; torch's warnings name files
    torch.set_num_threads(1)
    register(line)
    os._exit = _announced(line)
    try:
        with joins_meet(line):
            _live(line, start, answer)
    finally:
        os._exit = _exit


def _live(line: Line, start: dict[str, Any], answer: Callable[..., Any] | None) -> None:
    try:
        if start["prepare"] is not None:
            built(start["prepare"])()
        fn = answer or _function(line, start["cells"], start["name"])
    except BaseException as error:  # sys.exit included: the judge hears of whatever happens
        line.say("unready", *_raised(line, error))
        return
    line.say("ready")
    while (message := line.hear())[0] == "case":
        _try(line, fn, start["rank"], **message[1])


def _try(line: Line, fn: Callable[..., Any], rank: int, **case: Any) -> None:
    """One case. size: ranks, or 0 for an answer alone in its process; args, kwargs: this rank's.

    seed: of torch's generator. drive: the observer. quiet: what the answer prints is dropped.
    """
    line.begin()
    try:
        args, kwargs, drive = built(list(case["args"])), built(case["kwargs"]), built(case["drive"])
        for each in args:
            if isinstance(each, HeldTensors):
                each.line = line
        torch.set_default_dtype(torch.float32)  # a case before this one may have set another
        torch.default_generator.manual_seed(case["seed"])
        with contextlib.ExitStack() as held:
            if case["quiet"]:
                held.enter_context(contextlib.redirect_stdout(io.StringIO()))
            if case["size"]:
                join(rank, case["size"])
                held.enter_context(new_groups_meet(line, rank))
            seen = drive(fn, *args, **kwargs)
        if not case["size"] and "ledger" in seen:  # as the answer's own process has kept it
            seen["ledger"] = [dataclasses.asdict(row) for row in seen["ledger"]]
        line.say("value", seen, list(line.unwaited.values())[:100])
    except BaseException as error:
        line.say("raised", *_raised(line, error))


def _function(line: Line, cells: list[list[str]], name: str) -> Callable[..., Any]:
    """Run the cells, [label, source] each, in a module of their own, and take what they call `name`.

    Where one before the last fails, the next goes on, as in a notebook: it may have been a trial of something else.
    """
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    for number, (label, source) in enumerate(cells, start=1):
        linecache.cache[label] = len(source), None, source.splitlines(keepends=True), label
        line.cells.add(label)
        try:
            exec(compile(source, label, "exec"), module.__dict__)
        except (Exception, SystemExit):
            if number == len(cells):
                raise
            traceback.print_exc(file=sys.stdout)
    if not callable(found := module.__dict__.get(name)):
        raise NameError(f"name {name!r} is not defined")
    return found


def built(said: Any) -> Any:
    """What the judge has said, with what is `Named` looked up and what is `Made` made, in lists, tuples and dicts."""
    if isinstance(said, Named):
        return _look_up(said.path)
    if isinstance(said, Made):
        kind, state = _look_up(said.path), built(said.state)
        made = kind.__new__(kind)
        if hasattr(made, "__setstate__"):
            made.__setstate__(state)
        else:
            made.__dict__.update(state)
        return made
    if isinstance(said, list | tuple):
        return type(said)(map(built, said))
    if isinstance(said, dict):
        return {key: built(value) for key, value in said.items()}
    return said


def _look_up(path: str) -> Any:
    module, _, name = path.partition(":")
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _raised(line: Line, error: BaseException) -> tuple[str, str, str, str]:
    """(the error in a line, where the reader's code raised it, the text of that line, the traceback)."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in line.cells]
    source, code = name_line(own[-1].filename, own[-1].lineno or 0) if own else ("", "")
    if isinstance(error, SystemExit):
        what = told = f"SystemExit: sys.exit({error.code!r})"
    elif isinstance(error, WireError):
        what = told = f"ValueError: {error}"
    else:
        what, told = "".join(traceback.format_exception_only(error)).strip(), traceback.format_exc()
    return what[:TEXT], source, code, told[-TEXT:]


def _announced(line: Line) -> Callable[[int], NoReturn]:
    """os._exit, which leaves no trace of its line, so that it says it first."""
    own = os.getpid()

    def leave(status: int) -> NoReturn:
        if os.getpid() == own:
            line.say("exiting", status, *line.place(sys._getframe(1)))
        _exit(status)

    return leave
