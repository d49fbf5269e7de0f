"""A progress bar that rank 0 draws, on the terminal of the process that started the ranks."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch.distributed as dist
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINES = 20  # without a terminal, so many lines in all


def terminal() -> str | None:
    """The terminal that this process writes its messages to, or None where they go into a file or a pipe."""
    return os.ttyname(sys.stderr.fileno()) if sys.stderr.isatty() else None


@contextmanager
def progress(title: str, total: int, device: str | None, lines: bool = True) -> Iterator[Callable[[int, str], None]]:
    """Gives `show(done, note)`: a bar on `device`; without one, and with `lines`, now and then a printed line.

    Ranks other than 0 show nothing.
    """
    if dist.is_initialized() and dist.get_rank() != 0 or device is None and not lines:
        yield lambda done, note: None
    elif device is None:
        every = max(1, total // LINES)
        yield lambda done, note: print(f"{title} {done}/{total} {note}") if done % every == 0 or done == total else None
    else:
        columns = (
            TextColumn(title),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with open(device, "w") as screen, Progress(*columns, console=Console(file=screen, force_terminal=True)) as bar:
            task = bar.add_task("", total=total, note="")
            yield lambda done, note: bar.update(task, completed=done, note=note)
