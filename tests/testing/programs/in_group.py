"""Tests that run in the group of 2 that torchrun has made."""

import pytest
import torch
import torch.distributed as dist


@pytest.mark.ranks(2)
def test_passes(ledger, shared_tmp_path):
    dist.all_reduce(torch.ones(2))
    assert ledger.count() == 1
    (shared_tmp_path / str(dist.get_rank())).touch()
    dist.barrier()
    assert len(list(shared_tmp_path.iterdir())) == 2


@pytest.mark.ranks(4)
def test_of_another_size():
    pass


def test_without_a_mark():
    pass


@pytest.mark.ranks(2)
@pytest.mark.xfail
def test_xfails():
    raise KeyError


@pytest.mark.ranks(2)
def test_fails_on_one():
    assert dist.get_rank() == 0
