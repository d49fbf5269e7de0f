"""The stdin of a rank: whoever reads from it hears why nothing comes."""

import io
import os

NO_TERMINAL = (
    "{}: a rank has no terminal and no stdin, so nobody can answer a debugger or input() there. Print instead, or give "
    "the script the name of a file."
)


class NoTerminal(io.TextIOWrapper):
    """Empty, as /dev/null, but reading says so: a script that was fed with data would silently see none."""

    def __init__(self) -> None:
        super().__init__(open(os.devnull, "rb"))  # noqa: SIM115 (lives as long as the process)

    def read(self, size: int | None = -1) -> str:
        raise EOFError(NO_TERMINAL.format("read from stdin"))

    def readline(self, size: int = -1) -> str:
        raise EOFError(NO_TERMINAL.format("read from stdin"))

    def __next__(self) -> str:
        return self.readline()
