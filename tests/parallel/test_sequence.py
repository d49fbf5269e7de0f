"""Sequence parallelism: the same results as the dense twin from parts of the sequence, and dropout with one mask."""

import pytest
import torch
from torch import Tensor, nn

from tests.parallel.twin import Job, assert_like_dense, assert_shows, dense, error, fresh_seed, numbers, on_ranks
from tplearn import run_ranks
from tplearn.parallel import (
    ParallelAttention,
    ParallelDropout,
    ParallelLMHead,
    ParallelMLP,
    ParallelRMSNorm,
    RowParallelLinear,
    VocabParallelEmbedding,
    rotary_tables,
)

SEQ, HIDDEN = 12, 8


class Block(nn.Module):
    """Norm, attention, norm, MLP with residuals."""

    def __init__(self, kv_heads: int, sequence_parallel: bool) -> None:
        super().__init__()
        on = {"sequence_parallel": sequence_parallel}
        self.norm_1, self.norm_2 = ParallelRMSNorm(HIDDEN, **on), ParallelRMSNorm(HIDDEN, **on)
        self.attention = ParallelAttention(HIDDEN, 12, kv_heads, 2, qkv_bias=True, **on)
        self.mlp = ParallelMLP(HIDDEN, 24, **on)

    def forward(self, x: Tensor) -> Tensor:
        cos, sin = (t.to(x.dtype) for t in rotary_tables(torch.arange(SEQ), 2))  # of the whole sequence
        x = x + self.attention(self.norm_1(x), cos, sin)
        return x + self.mlp(self.norm_2(x))


def block_job(kv_heads: int, parallel: bool, sync: bool = True) -> Job:
    seed = fresh_seed()
    x, dy = numbers(2, SEQ, HIDDEN, seed=seed), numbers(2, SEQ, HIDDEN, seed=seed + 1)
    cut = 1 if parallel else None
    build = lambda: Block(kv_heads, parallel).double()  # noqa: E731
    return Job(build, (x,), dy, seed, cut_in=cut, cut_out=cut, sync=sync)


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize(("kv_heads", "tp"), [(3, 1), (4, 2), (3, 3), (4, 4), (1, 4), (2, 12)])
def test_block(kv_heads: int, tp: int, parallel: bool) -> None:
    assert_like_dense(block_job(kv_heads, parallel), tp)


@pytest.mark.parametrize("tp", [2, 4])
def test_gradients_of_copies_must_be_summed(tp: int) -> None:
    job = block_job(4, parallel=True, sync=False)
    assert_shows(job, tp, "norm_1.weight")


@pytest.mark.parametrize("tp", [1, 2, 4])
def test_a_row_bias_on_parts_of_the_sequence(tp: int) -> None:
    seed = fresh_seed()
    x, dy = numbers(2, SEQ, 24, seed=seed), numbers(2, SEQ, 5, seed=seed + 1)
    build = lambda: RowParallelLinear(24, 5, sequence_parallel=True).double()  # noqa: E731
    assert_like_dense(Job(build, (x,), dy, seed, cut_in=-1, cut_out=1), tp)


class Ends(nn.Module):
    """Embedding, norm and head, with the sequence cut between them."""

    def __init__(self, parallel: bool) -> None:
        super().__init__()
        self.embedding = VocabParallelEmbedding(13, HIDDEN, sequence_parallel=parallel)
        self.norm = ParallelRMSNorm(HIDDEN, sequence_parallel=parallel)
        self.head = ParallelLMHead(13, HIDDEN, gather_output=True, sequence_parallel=parallel)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.norm(self.embedding(ids)))


@pytest.mark.parametrize("tp", [1, 2, 3, 4])
def test_embedding_and_head_at_the_ends(tp: int) -> None:
    seed = fresh_seed()
    ids = torch.randint(13, (2, SEQ), generator=torch.Generator().manual_seed(seed))
    assert_like_dense(Job(lambda: Ends(True).double(), (ids,), numbers(2, SEQ, 13, seed=seed), seed), tp)


class WithDropout(nn.Module):
    """Dropout on whole activations, then on a cut dimension."""

    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dropout = ParallelDropout(0.3, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(x)


@pytest.mark.parametrize("dim", [None, 1, -1])
@pytest.mark.parametrize("tp", [2, 4])
def test_dropout_is_the_dense_models(tp: int, dim: int | None) -> None:
    seed = fresh_seed()
    ones = torch.ones(2, SEQ, HIDDEN, dtype=torch.float64)
    job = Job(lambda: WithDropout(dim), (ones,), ones, seed, cut_in=dim, cut_out=dim)
    assert_like_dense(job, tp)
    masks = [s.output for s in on_ranks(job, tp)]
    alike = [torch.equal(mask, masks[0]) for mask in masks[1:]]
    assert all(alike) if dim is None else not any(alike)
    kept = dense(job).output
    assert set(kept.unique().tolist()) == {0.0, 1 / 0.7}


def test_dropout_outside_training_and_bad_shares() -> None:
    x = torch.ones(3)
    assert ParallelDropout(0.5).eval()(x) is x
    with pytest.raises(ValueError, match="p = 1 is no share"):
        ParallelDropout(1)


def test_a_norm_is_a_norm() -> None:
    x = numbers(3, HIDDEN, seed=fresh_seed())
    layer = ParallelRMSNorm(HIDDEN, eps=1e-5).double()
    layer.weight.data = numbers(HIDDEN, seed=1)
    want = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * layer.weight
    assert error(layer(x).detach(), want.detach()) < 1e-12


def test_a_sequence_that_does_not_divide() -> None:
    def refused() -> str:
        layer = ParallelMLP(HIDDEN, 24, sequence_parallel=True)
        try:
            layer.down_proj(torch.ones(2, 7, 12))
        except ValueError as error:
            return str(error)
        return "fine"

    says = "size of dim 1 (sequence) = 7 cannot be split over tp = 2 ranks; sizes that work: 1, 7"
    assert run_ranks(refused, 2).values == [says, says]
