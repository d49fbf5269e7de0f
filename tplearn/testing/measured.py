"""Coverage of what runs on ranks: each measures for itself, and pytest's own process adds it to its own."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coverage import Coverage


def measuring_here() -> "Coverage | None":
    """The measurement that is on in this process, if any."""
    coverage = sys.modules.get("coverage")
    return coverage.Coverage.current() if coverage else None


@dataclass(frozen=True)
class Measuring:
    """How pytest's own process measures."""

    settings: str

    @staticmethod
    def here() -> "Measuring | None":
        """That of this process; None where nothing is measured."""
        current = measuring_here()
        return Measuring(":data:" + current.config.serialize()) if current else None

    def start(self, folder: Path, rank: int) -> "Measured":
        """Measure this rank from here on, apart from what a fork has inherited."""
        from coverage import Coverage

        if inherited := measuring_here():
            inherited._auto_save = False
            inherited.stop()
        own = Coverage(config_file=self.settings)
        own.set_option("run:data_file", str(folder / f"coverage.{rank}"))
        own.set_option("run:parallel", False)  # else a name of its own
        own._warn_no_data = own._warn_unimported_source = own._warn_preimported_source = False
        own.start()
        return Measured(own)


@dataclass(frozen=True)
class Measured:
    """A rank's own measurement."""

    own: "Coverage"

    def stop(self) -> None:
        """Write it where pytest's own process finds it."""
        self.own.stop()
        self.own.save()


def add_of_ranks(folder: Path) -> None:
    """Add what the ranks of a run have measured to the measurement of this process."""
    current = measuring_here()
    for file in sorted(folder.glob("coverage.*")) if current else []:
        from coverage import CoverageData

        data = CoverageData(basename=str(file))
        data.read()
        current.get_data().update(data)
