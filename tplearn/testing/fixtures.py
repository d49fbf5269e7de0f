"""The plugin's own fixtures, and which fixtures of a test are set up where."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tplearn.testing.marks import mark_of

if TYPE_CHECKING:
    from tplearn.ranks import Ledger

SHARED = pytest.StashKey[Path]()  # on a rank's item: the folder of all ranks


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> "Ledger":
    """What this rank has sent so far in this test, its fixtures included; it grows as the test goes on.

    `ledger.count("all_reduce")`, `ledger.bytes("all_gather")`, `ledger.rows`, `ledger.table()`. To look at one part of
    a test, compare before and after: `before = ledger.bytes()`. Rows of other ranks are not in it.
    """
    _refuse_without_ranks(request)
    from tplearn.ranks.recorder import ledger_so_far  # torch, which a run without ranks does not load

    return ledger_so_far()


@pytest.fixture
def shared_tmp_path(request: pytest.FixtureRequest) -> Path:
    """One empty folder that all ranks of this test see; `tmp_path` is each rank's own."""
    _refuse_without_ranks(request)
    return request.node.stash[SHARED]


def _refuse_without_ranks(request: pytest.FixtureRequest) -> None:
    if mark_of(request.node) is None:
        pytest.fail(
            f"the fixture {request.fixturename} is for tests that run on ranks; mark this one @pytest.mark.ranks(2)",
            pytrace=False,
        )
