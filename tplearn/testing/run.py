"""A test's call in pytest's own process: it starts the ranks, waits for all, and takes what they tell."""

import functools
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from tplearn.forkserver import start_child
from tplearn.ranks.drive import drive
from tplearn.ranks.errors import RankError
from tplearn.ranks.supervise import Supervisor
from tplearn.testing.collected import Collection, address
from tplearn.testing.measured import Measuring, add_of_ranks
from tplearn.testing.on_rank import RankTest
from tplearn.testing.told import Told, read
from tplearn.testing.travel import pack
from tplearn.testing.verdict import Verdict, judge

SETTLE_SECONDS = 2.0  # that ranks have to fail too when one has: pytest takes its time over the picture of a failure
spawn_child = functools.partial(start_child, method="spawn")


def run_on_ranks(item: pytest.Function, world_size: int, timeout: float, start: Callable) -> Verdict:
    """Run the item on fresh ranks. timeout: seconds. start: starts a process, as forkserver.start_child."""
    home = _home(item)
    with tempfile.TemporaryDirectory(prefix="tplearn-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        test = RankTest(address(item), pack(item), folder, home, Collection.of(item), Measuring.here())
        supervisor = Supervisor(world_size, folder, timeout, record=True, start=start)
        supervisor.decider.settle = SETTLE_SECONDS
        (outcome,) = drive([supervisor.run(test, (), {}, profile=False)])
        told = [read(folder, rank) for rank in range(world_size)]
        add_of_ranks(folder)
    verdict = judge(item, told, outcome if isinstance(outcome, RankError) else None)
    _take_properties(item, told)
    if verdict.outcome == "passed":
        if item.config.getini("tmp_path_retention_policy") != "all":
            shutil.rmtree(home, ignore_errors=True)
        _warn_again(told, supervisor.warnings)
    return verdict


def _home(item: pytest.Function) -> Path:
    """A folder for the temporary folders of the ranks, and the one that they share."""
    home = item.config._tmp_path_factory.mktemp(f"{item.originalname[:30]}-ranks")
    (home / "shared").mkdir()
    return home


def _take_properties(item: pytest.Function, told: list[Told]) -> None:
    """What ranks have put down with record_property, once where they agree."""
    found = [tuple(one) for of_rank in told for report in of_rank.reports.values() for one in report["user_properties"]]
    item.user_properties += [one for one in dict.fromkeys(found) if one not in item.user_properties]


def _warn_again(told: list[Told], of_judge: list[UserWarning]) -> None:
    """Warn here of what ranks have warned of, once where they agree, at the same line."""
    found = {(type(m), str(m), file, line): m for of_rank in told for m, file, line in of_rank.warnings}
    for (category, _, file, line), message in found.items():
        warnings.warn_explicit(message, category, file, line)
    for warning in of_judge:
        warnings.warn(warning, stacklevel=2)
