"""Under torchrun every process is a rank already: a test of the group's size runs in the group, others are skipped.

Fixtures of every scope are set up in each process, as for tests without a mark. The ranks agree about the outcome.
"""

import os
from pathlib import Path

import pytest
import torch.distributed as dist
from _pytest.runner import runtestprotocol

from tplearn.ranks.errors import RankError
from tplearn.ranks.torchrun import join_group, run_in_group
from tplearn.testing.fixtures import SHARED
from tplearn.testing.on_rank import Listening
from tplearn.testing.told import Told
from tplearn.testing.verdict import judge


class InGroup:
    """One test on this rank of the group. told: what came of it here."""

    def __init__(self, item: pytest.Function, nextitem: pytest.Item | None) -> None:
        self.item, self.nextitem, self.told = item, nextitem, Told()
        self.reports: list[pytest.TestReport] = []

    @property
    def reader(self) -> object:
        """The test function, for reports that name its line."""
        return self.item.function

    def __call__(self) -> Told:
        """Run it. Raises what it has raised, so that the judge of the ranks knows."""
        listening, plugins = Listening(self.told), self.item.config.pluginmanager
        plugins.register(listening)
        try:
            self.reports = runtestprotocol(self.item, log=False, nextitem=self.nextitem)
        finally:
            plugins.unregister(listening)
        listening.raise_first()
        return self.told


def fits(world_size: int) -> bool:
    """Whether the group of this process has that size."""
    return world_size == int(os.environ["WORLD_SIZE"])


def misfit(world_size: int) -> str:
    """Why a test of another size is skipped."""
    return (
        f"needs {world_size} ranks, and torchrun has started {os.environ['WORLD_SIZE']}; "
        f"torchrun --nproc-per-node={world_size} -m pytest runs it"
    )


def run_protocol(item: pytest.Function, nextitem: pytest.Item | None, world_size: int, timeout: float) -> None:
    """Run and report an item of the group's size."""
    if not dist.is_initialized():
        join_group()
    item.stash[SHARED] = _shared_folder(item)
    test, told, error = InGroup(item, nextitem), [Told() for _ in range(world_size)], None
    try:
        told = run_in_group(test, world_size, (), {}, timeout=timeout, record=True, profile=False).values
    except RankError as fault:
        told[dist.get_rank()], error = test.told, fault
        if set(fault.tracebacks) != set(range(world_size)):  # somebody may wait inside a collective for ever
            item.session.shouldfail = "after a test that failed on some ranks only, torchrun's group cannot go on"
    verdict = judge(item, told, error)
    verdict.outcome = verdict.outcome or "failed"
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in test.reports:
        if report is test.reports[-2:][0]:  # the call, or the setup that did not come to it
            verdict.settle(report, item)
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def _shared_folder(item: pytest.Function) -> Path:
    """One folder for all ranks: rank 0 makes it, and tells the others through the store of their group."""
    store, key = dist.distributed_c10d._get_default_store(), f"tplearn/folder/{item.nodeid}"
    if dist.get_rank() == 0:
        store.set(key, str(item.config._tmp_path_factory.mktemp(f"{item.originalname[:30]}-shared")))
    return Path(store.get(key).decode())
