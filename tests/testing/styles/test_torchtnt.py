"""The shapes of torchtnt's tests: a unittest method starts a function on 4 processes, and compares what they return.

There `spawn_multi_process(world_size, backend, function, ...)` gives the list of the ranks' values (pytorch/tnt,
tests/utils/test_distributed.py). Here the test itself is on the ranks, and asserts where the value is; where one
process shall compare, `run_ranks` gives the same list.
"""

import pytest
import torch
import torch.distributed as dist

from tplearn import run_ranks


def any_true(value: bool) -> bool:
    """Whether any rank says so: a flag that all ranks must agree about, such as to stop early."""
    flag = torch.tensor(int(value))
    dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return bool(flag)


def first_disagrees() -> bool:
    return any_true(dist.get_rank() == 0)


@pytest.mark.ranks(4)
class TestOnRanks:
    def test_one_is_enough(self) -> None:
        assert any_true(dist.get_rank() == 3)

    def test_none_is_none(self) -> None:
        assert not any_true(False)

    def test_gathered_in_order(self) -> None:
        gathered = [torch.empty(1, dtype=torch.int64) for _ in range(4)]
        dist.all_gather(gathered, torch.tensor([dist.get_rank()]))
        assert torch.cat(gathered).tolist() == [0, 1, 2, 3]

    def test_costs_one_small_all_reduce(self, ledger) -> None:  # noqa: ANN001 (a fixture of the plugin)
        any_true(True)
        assert ledger.count() == ledger.count("all_reduce") == 1 and ledger.bytes() == 8


def test_values_compared_by_one_process() -> None:
    assert run_ranks(first_disagrees, 4).values == [True] * 4
