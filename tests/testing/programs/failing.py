"""Tests that fail on ranks, each in its own way; test_failures.py says how."""

import os
import signal
import socket
import time
import unittest

import pytest
import torch
import torch.distributed as dist

from tplearn import Deadlock, RankDied

pytestmark = pytest.mark.ranks(2)


@pytest.fixture(scope="module")
def unportable():
    with socket.socket() as one:
        yield one


@pytest.fixture(scope="module")
def wide():
    return 1


@pytest.fixture(scope="module")
def broken():
    raise OSError("no such machine")


@pytest.fixture
def breaks_on_rank_1():
    if dist.get_rank() == 1:
        raise OSError("only here")


@pytest.fixture
def breaks_after():
    yield
    raise OSError("too late")


@pytest.fixture
def meets_after():
    yield
    dist.barrier()


def test_on_all():
    print("from", dist.get_rank())
    x = torch.ones(3)
    dist.all_reduce(x)
    assert x.tolist() == [3, 3, 3], "must be three"


@pytest.mark.ranks(3)
def test_on_one():
    assert dist.get_rank() != 1
    dist.barrier()


def test_differently():
    assert dist.get_rank() == 7


def test_before_a_teardown_that_meets(meets_after):
    assert dist.get_rank() == 0
    dist.all_reduce(torch.ones(1))


def test_in_setup(breaks_on_rank_1):
    dist.barrier()


def test_in_teardown(breaks_after):
    pass


def test_cannot_travel(unportable):
    pass


def test_asked_too_late(request):
    request.getfixturevalue("wide")


def test_broken_wide_fixture(broken):
    pass


def test_hangs():
    print("about to hang")
    if dist.get_rank() == 0:
        dist.all_reduce(torch.ones(2))


def test_differs():
    dist.all_reduce(torch.ones(2 + dist.get_rank()))


def test_dies():
    if dist.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    dist.barrier()


@pytest.mark.ranks(2, timeout=0.7)
def test_takes_too_long():
    if dist.get_rank() == 1:
        time.sleep(100)


def test_skips_alone():
    if dist.get_rank() == 1:
        pytest.skip("no machine")
    dist.barrier()


def test_stops_at_a_debugger():
    breakpoint()


@pytest.mark.xfail(strict=True, reason="thought so")
def test_passes_unexpectedly():
    pass


@pytest.mark.xfail(raises=OSError)
def test_fails_otherwise():
    raise RuntimeError("another")


async def test_nobody_awaits():
    pass


def test_in_subtests(subtests):
    with subtests.test("the first"):
        assert dist.get_rank() == 0


class TestOld(unittest.TestCase):
    def test_of_unittest(self):
        pass


def test_fixture_of_ranks(ledger, shared_tmp_path):
    assert ledger.count() == 1


# --- not a failure --------------------------------------------------------------------------------------------


def test_skips():
    pytest.skip("no machine")


def test_one_skips_and_waits_for_nobody():
    if dist.get_rank() == 1:
        pytest.skip("no machine")


@pytest.mark.skipif(True, reason="said before")
def test_skipped_before():
    pass


@pytest.mark.xfail
def test_xfails():
    assert False  # noqa: B011


@pytest.mark.xfail(raises=OSError)
def test_xfails_on_one():
    if dist.get_rank() == 1:
        raise OSError("expected")
    dist.barrier()


@pytest.mark.xfail(raises=Deadlock)
def test_xfails_by_hanging():
    if dist.get_rank() == 0:
        dist.barrier()


@pytest.mark.xfail(raises=RankDied)
def test_xfails_by_dying():
    os._exit(3)


@pytest.mark.xfail
def test_xpasses():
    pass


@pytest.mark.xfail(run=False)
def test_not_run():
    os._exit(3)
