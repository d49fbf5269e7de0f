"""What is said where an answer asks for something of the package that is not there while its exercise is graded."""

import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any, NoReturn

PACKAGE = __name__.partition(".")[0]
ABSENT = "is not there when this exercise is graded"
ITS_OWN = "what the page's own cells import is"
YOURS = "what it does is yours to write here"


class Finder(MetaPathFinder):
    """The last of the finders: a module of the package that no other has found."""

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> None:
        """Raises ModuleNotFoundError for a module of the package; None for others."""
        if fullname.startswith(f"{PACKAGE}."):
            raise ModuleNotFoundError(f"{fullname} {ABSENT}: {ITS_OWN}.", name=fullname)


def tell() -> None:
    """From here on an import of a module of the package that is not there says so."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())


def absent_from(module: str) -> Callable[[str], NoReturn]:
    """The `__getattr__` of a module of which only some names are there."""

    def missing(name: str) -> NoReturn:
        fullname = f"{module}.{name}"
        places = vars(sys.modules[module]).get("__path__")
        if name.startswith("_") or (places is not None and PathFinder.find_spec(fullname, places)):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")  # a submodule is imported then
        raise ModuleNotFoundError(f"{fullname} {ABSENT}: {ITS_OWN}.", name=fullname)

    return missing


class Withheld(type):
    """The type of a name that a page's cells import and that this exercise may not use: it says so at every use."""

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises ModuleNotFoundError."""
        raise ModuleNotFoundError(f"{cls.__module__}.{cls.__qualname__} {ABSENT}: {YOURS}.", name=cls.__module__)

    def __getattr__(cls, name: str) -> NoReturn:
        """Raises ModuleNotFoundError, but for the names that Python itself looks for."""
        if name.startswith("__"):
            raise AttributeError(name)
        cls()


def withheld(module: str, name: str) -> Withheld:
    """What stands for a name: it can be imported and written in annotations."""
    return Withheld(name, (), {"__module__": module})
