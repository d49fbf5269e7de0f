"""The shapes of DeepSpeed's distributed tests: classes with a world size, fixtures that ran on another one.

There a class inherits from DistributedTest, which starts processes and passes the fixtures on, and a DistributedFixture
runs on a world size of its own (deepspeedai/DeepSpeed, tests/unit/common.py and tests/unit/comm/test_dist.py). To
reuse its processes can hang (DeepSpeed#7334). Here a mark does it, on fresh ranks.
"""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from tplearn import run_ranks


def save(folder: Path, factor: int) -> None:
    """One file a rank, as a sharded checkpoint."""
    torch.save(torch.full((2,), float(dist.get_rank() * factor)), folder / f"shard-{dist.get_rank()}.pt")


@pytest.fixture(scope="class", params=[1, 10])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Written by 2 ranks, once, whatever the tests run on."""
    folder = tmp_path_factory.mktemp("checkpoint")
    run_ranks(save, 2, folder, request.param)
    return folder, request.param


@pytest.fixture(params=["hello"])
def greeting(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.ranks(1)
class TestLoadsWhatTwoRanksSaved:
    def test_all_shards_are_there(self, checkpoint: tuple[Path, int]) -> None:
        folder, factor = checkpoint
        shards = [torch.load(folder / f"shard-{rank}.pt") for rank in range(2)]
        assert [shard.tolist() for shard in shards] == [[0, 0], [factor, factor]]


@pytest.mark.ranks(2)
@pytest.mark.parametrize("number", [1138])
class TestGrouped:
    @pytest.mark.parametrize("shape", ["icosahedron"])
    def test_arguments(self, number: int, shape: str, greeting: str) -> None:
        assert (dist.get_world_size(), number, shape, greeting) == (2, 1138, "icosahedron", "hello")

    @pytest.mark.ranks(1)
    def test_a_size_of_its_own(self, number: int) -> None:
        assert dist.get_world_size() == 1 and number == 1138


@pytest.mark.ranks([1, 2, 4])
@pytest.mark.parametrize("elements", [128, 3])
def test_all_reduce(elements: int) -> None:
    ranks = dist.get_world_size()
    x = torch.full((1, elements), float(dist.get_rank() + 1))
    dist.all_reduce(x)
    assert torch.equal(x, torch.full((1, elements), ranks * (ranks + 1) / 2))


@pytest.mark.ranks(2)
def test_send_and_receive() -> None:
    sent = torch.arange(4096.0)
    if dist.get_rank() == 0:
        dist.isend(sent, dst=1).wait()
    else:
        received = torch.zeros(4096)
        dist.irecv(received, src=0).wait()
        assert torch.equal(received, sent)
