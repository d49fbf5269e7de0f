"""What a rank tells pytest's own process of its test: a file in the run's folder, whole at any moment."""

import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path

PHASES = ("setup", "call", "teardown")


@dataclass
class Told:
    """Reports as pytest's own plain data.

    reports: of setup, call and teardown, as far as they have come. subtests: one each. warnings: the message, its file
    and line. leaves: the reason and the exit code where the test has called `pytest.exit`.
    """

    reports: dict[str, dict] = field(default_factory=dict)
    subtests: list[dict] = field(default_factory=list)
    warnings: list[tuple[Warning, str, int]] = field(default_factory=list)
    leaves: tuple[str, int | None] | None = None

    def write(self, folder: Path, rank: int) -> None:
        """Replace what was told before. A warning that cannot travel becomes its text."""
        new = folder / f"told.{rank}.new"
        try:
            data = pickle.dumps(self)
        except Exception:
            self.warnings = [(UserWarning(str(message)), *place) for message, *place in self.warnings]
            data = pickle.dumps(self)
        new.write_bytes(data)
        os.replace(new, folder / f"told.{rank}")


def read(folder: Path, rank: int) -> Told:
    """What a rank has told so far; nothing where it was ended before it could."""
    try:
        return pickle.loads((folder / f"told.{rank}").read_bytes())
    except FileNotFoundError:
        return Told()
