"""At which line the reader's function returned."""

import dis
import sys
from collections.abc import Callable
from types import CodeType, FrameType

from tplearn.ranks.source import code_line, name_line


class ReturnLine:
    """Remembers at which line a function returned.

    One `return` is read off the bytecode. Where there are several, the function's own frame is traced, and no other.
    fn: where it is called through something else, that has the reader's function as its attribute `reader`.
    """

    def __init__(self, fn: Callable) -> None:
        self.code = code_of(fn)
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
        self.tracing = self.tracing and sys.gettrace() is None  # a debugger or coverage traces already
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


def code_of(fn: Callable) -> CodeType | None:
    """The code of the reader's function; of a class, of its forward pass."""
    fn = getattr(fn, "reader", fn)
    fn = getattr(fn, "forward", fn) if isinstance(fn, type) else fn
    return getattr(fn, "__code__", None)
