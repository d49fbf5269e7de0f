"""A script or a module of the user's, run as `__main__` as Python itself runs it."""

import builtins
import os
import runpy
import sys
import zipfile
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True)
class Program:
    """What stands behind `python`: a script's path, or with `module` what stands behind `python -m`, and arguments."""

    name: str
    arguments: tuple[str, ...] = ()
    module: bool = False

    def require(self) -> None:
        """Raises ValueError where there is no such script. A module is looked for by the ranks, which import it."""
        path = Path(self.name)
        if self.module or path.is_file() or (path / "__main__.py").is_file():
            return
        if path.is_dir():
            raise ValueError(f"{self.name} is a folder without a __main__.py; a script works")
        hint = f"; python modules run with -m {self.name}" if path.suffix != ".py" and "/" not in self.name else ""
        raise ValueError(f"{self.name} does not exist (in {Path.cwd()}){hint}")

    @property
    def title(self) -> str:
        """How reports name it."""
        return self.name if self.module else os.path.basename(os.path.abspath(self.name))

    def run(self) -> None:
        """Be this program: its `__main__`, sys.argv and sys.path[0] are those of an ordinary process.

        What it raises comes out, sys.exit's SystemExit too.
        """
        sys.argv[:] = [self.name, *self.arguments]
        main = sys.modules["__main__"] = ModuleType("__main__")  # children that are spawned look for it there
        main.__dict__["__builtins__"] = builtins
        path = os.path.abspath(self.name)
        if self.module:
            _first_on_path(os.getcwd())
            runpy._run_module_as_main(self.name)  # what `python -m` calls
        elif os.path.isdir(path) or zipfile.is_zipfile(path):
            _first_on_path(path)
            runpy._run_module_as_main("__main__", alter_argv=False)
        else:
            _first_on_path(os.path.dirname(os.path.realpath(path)))
            main.__dict__.update(__file__=path, __cached__=None, __loader__=SourceFileLoader("__main__", path))
            exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), main.__dict__)


def _first_on_path(folder: str) -> None:
    """In the place of the folder of `tplearn` itself."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


def trim(error: BaseException) -> BaseException:
    """The error with a traceback that begins in the program, as Python prints it."""
    ours = (__file__, runpy.__file__, "<frozen runpy>", str(Path(__file__).with_name("rank.py")))
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in ours:
        trace = trace.tb_next
    return error.with_traceback(trace)
