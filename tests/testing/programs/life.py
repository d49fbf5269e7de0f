"""Tests for what ends a run from outside, what a whole run reports, and what a run without ranks loads."""

import os
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.ranks(2)
def test_sleeps():
    Path(f"pid.{os.getpid()}").touch()
    time.sleep(100)


@pytest.mark.ranks(2)
def test_waits_for_nobody():
    import torch.distributed as dist

    if dist.get_rank() == 0:
        dist.barrier()


@pytest.mark.ranks(2)
def test_leaves():
    pytest.exit("enough", returncode=7)


@pytest.mark.ranks(2)
def test_passes(ledger):
    assert ledger.count() == 0


def only_on_ranks(number):
    if number > 1:
        return "both"
    return "one"


@pytest.mark.ranks(2)
def test_covered():
    import torch.distributed as dist

    assert only_on_ranks(dist.get_rank() + 1) in ("one", "both")


def test_nothing_is_loaded():
    assert not {"torch", "numpy", "tplearn.ranks", "tplearn.testing.run"} & set(sys.modules)


def test_the_fixture_without_the_mark(ledger):
    pass


def test_the_folder_without_the_mark(shared_tmp_path):
    pass
