"""Ctrl-C and SIGTERM, noted: the run ends its ranks in good order, whatever it is doing when they come."""

import signal
from types import FrameType, TracebackType

NOTED = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Inside `with`, those that came. What is ignored (nohup, a shell's background) stays so."""

    def __init__(self) -> None:
        self.came: list[int] = []

    def __enter__(self) -> "Signals":
        self.before = {number: signal.getsignal(number) for number in NOTED}
        for number, handler in self.before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came.append(number)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
