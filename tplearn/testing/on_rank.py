"""One test on one rank: pytest runs its item as it runs any, and tells its reports to pytest's own process."""

import os
import pdb
import warnings
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from _pytest.capture import CaptureManager
from _pytest.runner import runtestprotocol

from tplearn.testing import collected, travel
from tplearn.testing.collected import Collection
from tplearn.testing.fixtures import SHARED
from tplearn.testing.measured import Measuring
from tplearn.testing.told import Told

# They act for the whole session: what they do, pytest's own process does already.
NOT_HERE = ("tplearn-nursery", "timeout", "pdbinvoke", "pdbtrace", "capturemanager", "_cov_contexts")
OWN_PLUGIN = "tplearn.testing.plugin"
NO_TERMINAL = "a rank has no terminal, so nobody can answer a debugger there; print, or look at the failed assertion"


@dataclass(frozen=True)
class RankTest:
    """Called on each rank. where: the item's address. folder: the run's. home: has the ranks' own folders."""

    where: str
    fixtures: dict[travel.Place, travel.Packed]
    folder: Path
    home: Path
    collection: Collection
    measuring: Measuring | None

    @property
    def reader(self) -> object:
        """The test function, for reports that name its line; AttributeError until its file is imported."""
        item = collected.inherited(self.where)
        if item is None:
            raise AttributeError("not collected yet")
        return item.function

    def __call__(self) -> None:
        """Run the item. Raises what it has raised, so that whoever judges the ranks knows; a skip is none of that."""
        rank = int(os.environ["RANK"])
        torch.set_num_threads(1)  # as torchrun does; and threads that pytest's own process had are none in its fork
        measured = self.measuring.start(self.folder, rank) if self.measuring else None
        item = collected.inherited(self.where) or self.collection.again(self.where)
        told = Told()
        plugin = OnRank(self.fixtures, told, lambda: told.write(self.folder, rank))
        _move_in(item, plugin, self.home, rank)
        try:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        except pytest.exit.Exception as wish:
            told.leaves = wish.msg, wish.returncode
            raise
        finally:
            told.write(self.folder, rank)
            if measured:
                measured.stop()
        plugin.raise_first()


def _move_in(item: pytest.Item, plugin: "OnRank", home: Path, rank: int) -> None:
    """Make the collected session this rank's own."""
    config = item.config
    for name in NOT_HERE:
        config.pluginmanager.unregister(name=name)
    for other in config.pluginmanager.get_plugins():
        ours = getattr(other, "__name__", "") == OWN_PLUGIN  # whatever name it goes by: it would start ranks of a rank
        xdists = type(other).__name__ == "WorkerInteractor"  # it would speak to xdist in the worker's name
        if ours or xdists:
            config.pluginmanager.unregister(other)
    capture = CaptureManager("no")  # all that the rank prints is labelled, and kept also when it hangs
    capture.start_global_capturing()
    config.pluginmanager.register(capture, "capturemanager")
    config.pluginmanager.register(plugin, "tplearn-on-rank")
    config.option.setupshow = config.option.setuponly = config.option.usepdb = False
    collected.be_silent(config)
    config._tmp_path_factory._basetemp = own = home / f"rank{rank}"
    own.mkdir()
    item.stash[SHARED] = home / "shared"
    pdb.set_trace = _refuse_debugger


def _refuse_debugger(*_: object, **__: object) -> NoReturn:
    __tracebackhide__ = True
    raise RuntimeError(NO_TERMINAL)


class Listening:
    """Hears the reports of an item. errors: what its setup, call or teardown has raised, if it was no skip."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.errors: dict[str, BaseException] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        hook = item.config.hook
        self.told.reports[report.when] = hook.pytest_report_to_serializable(config=item.config, report=report)
        self.errors.pop(report.when, None)  # of a subtest, which is reported by itself
        if call.excinfo is not None and (report.failed or hasattr(report, "wasxfail")):
            self.errors[report.when] = call.excinfo.value
        return report

    def raise_first(self) -> None:
        """Raise what came first, if anything did."""
        if self.errors:
            raise next(iter(self.errors.values()))


class OnRank(Listening):
    """The hooks of a rank that was started for one item."""

    def __init__(self, fixtures: dict[travel.Place, travel.Packed], told: Told, write: Callable[[], None]) -> None:
        super().__init__(told)
        self.fixtures, self.write = fixtures, write

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """As pytest does, but nothing is reported here."""
        runtestprotocol(item, log=False, nextitem=nextitem)
        return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, None, None]:
        """A teardown may wait for ranks that will not come: what is known is told before."""
        self.write()
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Only subtests report by themselves."""
        self.told.subtests.append(report._to_json())

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef, request: pytest.FixtureRequest) -> object:
        if request.scope == "function" or travel.is_pytests_own(fixturedef):
            return None
        value = travel.unpack(request._pyfuncitem, fixturedef, self.fixtures)
        if value is not None:
            fixturedef.cached_result = (value, fixturedef.cache_key(request), None)
        return value

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage, when: str) -> None:
        if when == "runtest":  # those of the session's start are told again to whoever comes late
            self.told.warnings.append((warning_message.message, warning_message.filename, warning_message.lineno))
