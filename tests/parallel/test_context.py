"""Ring attention: dense attention's output and gradients from parts of the sequence, in p − 1 and p sends."""

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from tests.parallel.twin import error, fresh_seed, numbers
from tplearn import run_ranks
from tplearn.parallel.context import blocks_at, own_chunks, own_positions, ring_attention

SEQ, D, HEADS = 24, 4, 4
TIGHT = 1e-12


def inputs(kv_heads: int, seed: int) -> list[Tensor]:
    """q, k, v and the upstream gradient, of the whole sequence."""
    return [numbers(2, heads, SEQ, D, seed=seed + n) for n, heads in enumerate((HEADS, kv_heads, kv_heads, HEADS))]


def dense(q: Tensor, k: Tensor, v: Tensor, dy: Tensor) -> list[Tensor]:
    """y, dq, dk, dv of torch's own attention."""
    q, k, v = (x.clone().requires_grad_() for x in (q, k, v))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    return [y.detach(), *torch.autograd.grad(y, (q, k, v), dy)]


def on_rank(whole: list[Tensor], zigzag: bool) -> tuple[list[Tensor], int, int]:
    """y, dq, dk, dv of this rank's tokens, and the flops of its forward and of its backward."""
    mine = own_positions(SEQ, dist.get_rank(), dist.get_world_size(), zigzag=zigzag)
    q, k, v = (x[:, :, mine].requires_grad_() for x in whole[:3])
    before = [x.detach().clone() for x in (q, k, v)]
    with FlopCounterMode(display=False) as forward:
        y = ring_attention(q, k, v, zigzag=zigzag)
    with FlopCounterMode(display=False) as backward:
        gradients = torch.autograd.grad(y, (q, k, v), whole[3][:, :, mine])
    assert all(map(torch.equal, before, (q, k, v))), "an input was changed"
    return [y.detach(), *gradients], forward.get_total_flops(), backward.get_total_flops()


def joined(values: list, p: int, zigzag: bool) -> list[Tensor]:
    """The ranks' parts, each token at its place."""
    whole = [torch.full((2, x.shape[1], SEQ, D), torch.nan, dtype=x.dtype) for x in values[0][0]]
    for rank in range(p):
        for x, part in zip(whole, values[rank][0], strict=True):
            x[:, :, own_positions(SEQ, rank, p, zigzag=zigzag)] = part
    return whole


@pytest.mark.parametrize("zigzag", [True, False], ids=["zigzag", "contiguous"])
@pytest.mark.parametrize(("p", "kv_heads"), [(1, 2), (2, 4), (3, 2), (4, 1)])
def test_output_and_gradients_are_those_of_dense_attention(p: int, kv_heads: int, zigzag: bool) -> None:
    seed = fresh_seed()
    whole = inputs(kv_heads, seed)
    values = run_ranks(on_rank, p, whole, zigzag, record=False).values
    for name, got, want in zip(("y", "dq", "dk", "dv"), joined(values, p, zigzag), dense(*whole), strict=True):
        assert error(got, want) < TIGHT, (name, seed)


@pytest.mark.parametrize("p", [2, 4])
def test_zigzag_gives_every_rank_the_same_work(p: int) -> None:
    whole = inputs(HEADS, fresh_seed())
    zig, straight = (run_ranks(on_rank, p, whole, zigzag, record=False).values for zigzag in (True, False))
    block = 2 * 2 * HEADS * (SEQ // p) ** 2 * D * 2  # q kᵀ and a v, two flops a product, batch 2
    assert [forward for _, forward, _ in zig] == [(2 * p + 1) * block // 4] * p
    assert [forward for _, forward, _ in straight] == [(rank + 1) * block for rank in range(p)]
    assert all(2 * backward == 5 * forward for _, forward, backward in zig + straight), "five products, not two"


@pytest.mark.parametrize("p", [1, 2, 3, 4, 7])
def test_the_blocks_are_all_that_is_seen_each_once(p: int) -> None:
    for zigzag, chunks in ((True, 2 * p), (False, p)):
        by_rank = [[b for step in range(p) for b in blocks_at(r, step, p, zigzag=zigzag)] for r in range(p)]
        assert sorted(sum(by_rank, [])) == [(i, j) for i in range(chunks) for j in range(i + 1)]
        assert [len(blocks) for blocks in by_rank] == ([2 * p + 1] * p if zigzag else list(range(1, p + 1)))
        assert sorted(chunk for r in range(p) for chunk in own_chunks(r, p, zigzag=zigzag)) == list(range(chunks))
    assert all(len(blocks_at(r, step, p)) == (2 if step else 3) for r in range(p) for step in range(p))


@pytest.mark.parametrize("zigzag", [True, False], ids=["zigzag", "contiguous"])
@pytest.mark.parametrize("p", [2, 4])
def test_the_ledger(p: int, zigzag: bool) -> None:
    kv_heads = 2
    ledger = run_ranks(on_rank, p, inputs(kv_heads, fresh_seed()), zigzag).ledger
    assert {row.op for row in ledger.rows} == {"send", "recv"}
    part = 2 * kv_heads * SEQ // p * D * 8  # one of k, v, dk, dv, in bytes
    for rank in range(p):
        sends = [row for row in ledger.rows if (row.rank, row.op) == (rank, "send")]
        recvs = [row for row in ledger.rows if (row.rank, row.op) == (rank, "recv")]
        due = [2 * part] * (p - 1) + [4 * part] * (p - 1) + [2 * part]  # k, v; all four; dk, dv home
        assert [row.bytes for row in sends] == [row.bytes for row in recvs] == due
        assert {row.peer for row in sends} == {(rank + 1) % p} and {row.peer for row in recvs} == {(rank - 1) % p}


def in_the_wrong_place(whole: list[Tensor]) -> Tensor:
    mine = own_positions(SEQ, dist.get_rank(), dist.get_world_size(), zigzag=False)
    return ring_attention(*(x[:, :, mine] for x in whole[:3]), zigzag=True)


def test_tokens_of_the_other_layout_show() -> None:
    """Else the tests above would hold for a mask that is anywhere."""
    whole = inputs(2, fresh_seed())
    y = torch.cat(run_ranks(in_the_wrong_place, 2, whole, record=False).values, dim=2)
    assert error(y, dense(*whole)[0]) > 1e9 * TIGHT


def in_pairs(whole: list[Tensor]) -> list[Tensor]:
    groups = [dist.new_group([0, 1]), dist.new_group([2, 3])]
    rank = dist.get_rank()
    mine = own_positions(SEQ, rank % 2, 2)
    q, k, v = (x[:, :, mine] for x in whole[:3])
    return [ring_attention(q, k, v, groups[rank // 2])]


def test_a_ring_in_a_smaller_group() -> None:
    whole = inputs(2, fresh_seed())
    values = run_ranks(in_pairs, 4, whole, record=False).values
    for first in (0, 2):
        pair = [(values[first + rank],) for rank in range(2)]
        assert error(joined(pair, 2, True)[0], dense(*whole)[0]) < TIGHT


def test_float32_is_as_close_as_float32_can_be() -> None:
    whole = inputs(2, fresh_seed())
    values = run_ranks(on_rank, 2, [x.float() for x in whole], True, record=False).values
    for got, want in zip(joined(values, 2, True), dense(*whole), strict=True):
        assert got.dtype == torch.float32 and error(got.double(), want) < 1e-5


def test_large_scores_do_not_overflow() -> None:
    q, k, v, dy = inputs(2, fresh_seed())
    want = dense(1e4 * q, k, v, dy)[0]
    values = run_ranks(on_rank, 2, [1e4 * q, k, v, dy], True, record=False).values
    assert error(joined(values, 2, True)[0], want) < TIGHT


def test_what_cannot_be_is_refused() -> None:
    q, k, v, _ = inputs(2, 0)
    with pytest.raises(ValueError, match="do not fit each other"):
        ring_attention(q[:, :3], k, v)
    with pytest.raises(ValueError, match="do not fit each other"):
        ring_attention(q, k[:, :, 1:], v[:, :, 1:])
    with pytest.raises(ValueError, match="5 tokens on a rank are no two equal chunks; with zigzag, even numbers work"):
        ring_attention(*(x[:, :, :5] for x in (q, k, v)))
    with pytest.raises(ValueError, match="seq = 24 does not divide into 10 chunks; multiples of 10 work"):
        own_positions(24, 0, 5)
    with pytest.raises(ValueError, match="rank = 2 does not exist"):
        own_chunks(2, 2)
    with pytest.raises(ValueError, match="step = 2 does not exist; in a ring of 2 ranks, steps go from 0 to 1"):
        blocks_at(0, 2, 2)
    with pytest.raises(ValueError, match="q of dtype torch.int64 has no fractions"):
        ring_attention(q.long(), k, v)
