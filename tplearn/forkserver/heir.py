"""A fork of the server that has loaded heavy packages too, once the reader has imported them: so ranks find them there.

It is a process of its own because an import may fail, hang, start threads, which a fork would lose, or want another
environment later. Then ranks come from the server again: each imports for itself, and raises where somebody reads it.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from multiprocessing.connection import Pipe

from tplearn.forkserver.forking import Line, ServerLost, share_pages

PACKAGES = ("transformers",)  # a second and more for each rank that uses them; most readers never do
SECONDS = 60.0  # that their import may take
PLACE = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"}  # what each rank has a value of its own for


def imported() -> dict[str, str | None]:
    """Modules of these packages that this process has imported -> their files."""
    if sys.modules.keys().isdisjoint(PACKAGES):
        return {}
    inside = tuple(f"{package}." for package in PACKAGES)
    modules = [module for name, module in list(sys.modules.items()) if name in PACKAGES or name.startswith(inside)]
    specs = [getattr(module, "__spec__", None) for module in modules]
    return {spec.name: spec.origin for spec in specs if isinstance(spec, ModuleSpec)}


class Heir:
    """This process's end of it. `read`: the variables of the environment that its imports have asked for."""

    def __init__(self, server: Line) -> None:
        self.line, self.given_up = Line(), False
        self.modules: set[str] = set()
        self.read: dict[str, str | None] = {}
        self.status, writer = Pipe(duplex=False)
        with contextlib.closing(self.line.theirs) as theirs, contextlib.closing(writer):
            files = [writer.fileno(), theirs.fileno()]
            self.pid = server.ask("tplearn.forkserver.forking:serve", [[]], files)

    def has(self, modules: dict[str, str | None]) -> bool:
        """Whether a rank that it forks finds these modules, as the rank itself would import them. Loads what is new."""
        if self.given_up or any(os.environ.get(name) != value for name, value in self.read.items()):
            return False
        if new := {name: file for name, file in modules.items() if name not in self.modules}:
            self._load(new)
        return not self.given_up

    def _load(self, modules: dict[str, str | None]) -> None:
        asked = {"modules": modules, "path": sys.path, "environment": dict(os.environ)}
        with tempfile.TemporaryFile("w+") as file:  # they are too long for a line
            json.dump(asked, file, default=str)
            file.seek(0)
            try:
                self.given_up = not self.line.ask(f"{__name__}:load", [], [file.fileno()], fork=False, seconds=SECONDS)
            except ServerLost:
                self.given_up = True
                self._kill()  # it hangs
            if not self.given_up:
                file.seek(0)
                self.modules.update(modules)
                self.read.update((name, os.environ.get(name)) for name in json.load(file))
        if not self.modules:
            self._kill()  # with modules it stays: ranks that it has forked may be running

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if not self.status.poll():
                os.kill(self.pid, signal.SIGKILL)


def load(file: int) -> bool:
    """Import in this process what is asked for in a file, and write there which variables have been read.

    True where each rank would have imported the same, and where a fork is still safe: no thread is left.
    """
    _be_silent()
    with open(file, "r+", closefd=False) as stream:
        asked = json.load(stream)
        sys.path[:] = asked["path"]
        os.environ.clear()
        os.environ.update(asked["environment"])
        try:
            with _noted() as read:
                files = {name: importlib.import_module(name).__spec__.origin for name in asked["modules"]}
        except BaseException:  # whatever it is, the rank that imports it raises it where somebody reads it
            return False
        stream.seek(0)
        stream.truncate()
        json.dump(sorted(read), stream)
    for printed in (sys.stdout, sys.stderr):
        printed.flush()  # or every fork would print it
    share_pages()
    return files == asked["modules"] and read.isdisjoint(PLACE) and len(os.listdir("/proc/self/task")) == 1


def _be_silent() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


@contextlib.contextmanager
def _noted() -> Iterator[set[str]]:
    """The names of the variables that are read inside."""
    read: set[str] = set()
    kind, plain = type(os.environ), type(os.environ).__getitem__

    def note(environment: os._Environ, name: str) -> str:
        read.add(name)
        return plain(environment, name)

    kind.__getitem__ = note
    try:
        yield read
    finally:
        kind.__getitem__ = plain
