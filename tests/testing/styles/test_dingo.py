"""The shapes of dingo's gloo tests: DDP beside one process that sees the whole batch, and the review that they got.

There each test finds a free port, starts processes, joins them and reads a queue; the review says: "When a distributed
test regresses, it hangs rather than fails" (dingo-gw/dingo#358). Here the one that regresses fails, by its name.
"""

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DistributedSampler

from tplearn import CollectiveMismatch, Deadlock


@pytest.fixture
def model() -> torch.nn.Linear:
    """The same on all ranks."""
    torch.manual_seed(0)
    return torch.nn.Linear(4, 2)


@pytest.fixture(scope="module")
def batch() -> torch.Tensor:
    """[4, 4]: 2 rows a rank. Made once: all ranks see the same."""
    return torch.randn(4, 4)


@pytest.mark.ranks(2)
def test_gradients_are_those_of_the_whole_batch(model: torch.nn.Linear, batch: torch.Tensor) -> None:
    model(batch).square().mean().backward()
    expected = model.weight.grad.clone()
    model.zero_grad()
    parallel = DistributedDataParallel(model)
    parallel(batch.chunk(2)[dist.get_rank()]).square().mean().backward()
    torch.testing.assert_close(model.weight.grad, expected)


@pytest.mark.ranks(2)
def test_the_sampler_shares_out_every_sample() -> None:
    own = torch.tensor(list(DistributedSampler(range(8), shuffle=True)))
    everybody = [torch.empty(4, dtype=torch.int64) for _ in range(2)]
    dist.all_gather(everybody, own)
    assert sorted(torch.cat(everybody).tolist()) == list(range(8))


@pytest.mark.ranks(2)
@pytest.mark.xfail(raises=Deadlock, strict=True, reason="only rank 0 validates, and waits for the others")
def test_a_validation_on_rank_0_alone_hangs(model: torch.nn.Linear, batch: torch.Tensor) -> None:
    loss = model(batch).square().mean().detach()
    if dist.get_rank() == 0:
        dist.all_reduce(loss)


@pytest.mark.ranks(2)
@pytest.mark.xfail(raises=CollectiveMismatch, strict=True, reason="the last batch of rank 1 is smaller")
def test_uneven_batches_do_not_meet(batch: torch.Tensor) -> None:
    dist.all_reduce(batch[: 2 - dist.get_rank()])


@pytest.mark.ranks(2)
@pytest.mark.xfail(raises=AssertionError, strict=True, reason="without DDP nobody averages")
def test_gradients_without_ddp_differ(model: torch.nn.Linear, batch: torch.Tensor) -> None:
    model(batch.chunk(2)[dist.get_rank()]).square().mean().backward()
    everybody = [torch.empty_like(model.weight) for _ in range(2)]
    dist.all_gather(everybody, model.weight.grad)
    assert torch.equal(*everybody)
