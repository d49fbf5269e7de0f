"""What an answer takes from the course ready-made, where the exercise is to write it."""

import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import tplearn


def taken_ready(fn: Callable[..., Any], names: tuple[str, ...]) -> str | None:
    """The first of the dotted `names`, or of what is in them, that `fn` or a function of its module refers to.

    It reads the code and runs none. What is looked up by a string at run time it does not see: this is a word to a
    learner, and no wall.
    """
    waiting, known = [fn], set()
    while names and waiting:
        function = waiting.pop()
        if not isinstance(function, FunctionType) or function in known:
            continue
        known.add(function)
        for code in _codes(function.__code__):
            for path in _imported(code):
                if _is_within(path, names):
                    return path
            for value in _values(function, code):
                path = _path(value)
                if _is_within(path, names):
                    return path
                if isinstance(value, FunctionType) and value.__module__ == fn.__module__:
                    waiting.append(value)
    return None


def _is_within(path: str, names: tuple[str, ...]) -> bool:
    return any(f"{path}.".startswith(f"{name}.") for name in names)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """It, and what is defined inside."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _imported(code: CodeType) -> Iterator[str]:
    """What it imports from the course's modules itself: any name may be one of theirs. None is loaded for that."""
    for module in code.co_names:
        if module.startswith(f"{tplearn.__name__}."):
            yield module
            for name in code.co_names:
                yield f"{module}.{name}"
                yield _path(getattr(sys.modules.get(module), name, None))


def _values(function: FunctionType, code: CodeType) -> Iterator[Any]:
    """What its names stand for: globals, what it closes over, and attributes of the course's modules among them."""
    cells = [cell.cell_contents for cell in function.__closure__ or () if cell != type(cell)()]
    found = [function.__globals__[name] for name in code.co_names if name in function.__globals__] + cells
    for value in found:
        yield value
        if isinstance(value, ModuleType) and f"{value.__name__}.".startswith(f"{tplearn.__name__}."):
            found += [vars(value)[name] for name in code.co_names if name in vars(value)]


def _path(value: Any) -> str:
    """Where a module, a function or a class lives."""
    if isinstance(value, ModuleType):
        return value.__name__
    return f"{value.__module__}.{value.__qualname__}" if isinstance(value, type | FunctionType) else ""
