"""This process's server: it loads torch once, while the process that wants the ranks loads its own."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterable

from tplearn.forkserver.forking import Line, ServerLost
from tplearn.forkserver.heir import Heir, imported

# By name, since they are higher floors: what the ranks of a notebook run, so that none of them pays for its import.
LOADED = ("tplearn.ranks.preload", "tplearn.parallel", "tplearn.checks.preload", "tplearn.llama")
# A fork copies the tables of all pages with data: of few large ones, if Python's objects are left to the C library.
LARGE_PAGES = {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


class Server:
    """The process that forks, and its heir where the reader has imported more; one request at a time, of any thread."""

    _known: dict[int, "Server"] = {}  # of this process; a forked child must not talk to its parent's
    _lock = threading.Lock()

    @classmethod
    def of_this_process(cls, loaded: Iterable[str] = LOADED) -> "Server":
        """The one that runs, or a new one that loads these modules."""
        with cls._lock:
            server = cls._known.get(os.getpid())
            if server is None or server.process.poll() is not None:
                server = cls._known[os.getpid()] = cls(loaded)
            return server

    def __init__(self, loaded: Iterable[str]) -> None:
        self.line, self.heir = Line(), None
        with contextlib.closing(self.line.theirs) as theirs:
            code = f"from tplearn.forkserver.forking import serve; serve({list(loaded)!r}, {theirs.fileno()})"
            # A session of its own: the stop button and Ctrl-C do not reach it.
            environment, none = LARGE_PAGES | dict(os.environ), subprocess.DEVNULL
            self.process = subprocess.Popen(
                python(code), pass_fds=[theirs.fileno()], stdin=none, start_new_session=True, env=environment
            )

    def fork(self, target: str, arguments: list, files: list[int]) -> int:
        """Call `target` in a fork; its pid. Raises ServerLost."""
        with self._lock:
            try:
                return self._line().ask(target, arguments, files)
            except ServerLost:
                self.process.kill()
                self.process.wait()
                raise

    def _line(self) -> Line:
        """To the one that a rank is forked from now."""
        modules = imported()
        if modules and self.heir is None:
            self.heir = Heir(self.line)
        return self.heir.line if modules and self.heir.has(modules) else self.line


def python(code: str) -> list[str]:
    """A command that runs code with this process's flags and import path."""
    flags = subprocess._args_from_interpreter_flags()  # as multiprocessing does
    return [sys.executable, *flags, "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"]
