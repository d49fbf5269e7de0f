"""Attention by whole heads: GQA, MQA, replicated KV heads, RoPE, the cache, and refusals, against the dense twin."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.parallel.twin import Job, assert_like_dense, assert_shows, error, fresh_seed, numbers
from tplearn import run_ranks
from tplearn.parallel import (
    KVCache,
    ParallelAttention,
    QKVParallelLinear,
    apply_rotary,
    head_range,
    partitions,
    rotary_frequencies,
    rotary_tables,
)

SEQ, D = 6, 4
# (query heads, KV heads, tp)
HEADS = [(8, 8, 2), (8, 2, 2), (8, 2, 4), (8, 2, 8), (8, 1, 4), (9, 3, 3), (6, 2, 3), (4, 4, 1)]
FITS = [case for case in HEADS if case != (6, 2, 3)]


class WithPositions(nn.Module):
    """Attention on the positions 0, 1, 2, …"""

    def __init__(self, heads: int, kv: int, bias: bool) -> None:
        super().__init__()
        self.attention = ParallelAttention(10, heads, kv, D, qkv_bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, *(t.double() for t in rotary_tables(torch.arange(SEQ), D)))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("heads", "kv", "tp"), FITS)
def test_attention(heads: int, kv: int, tp: int, bias: bool) -> None:
    seed = fresh_seed()
    x, dy = numbers(2, SEQ, 10, seed=seed), numbers(2, SEQ, 10, seed=seed + 1)
    assert_like_dense(Job(lambda: WithPositions(heads, kv, bias).double(), (x,), dy, seed), tp)


def test_replicated_kv_gradients_must_be_summed() -> None:
    seed = fresh_seed()
    x, dy = numbers(2, SEQ, 10, seed=seed), numbers(2, SEQ, 10, seed=seed + 1)
    job = Job(lambda: WithPositions(8, 2, False).double(), (x,), dy, seed, sync=False)
    assert_shows(job, 4, "attention.qkv_proj.weight")


def test_one_rank_is_plain_attention() -> None:
    torch.manual_seed(fresh_seed())
    layer, x = WithPositions(8, 2, True).double(), numbers(2, SEQ, 10, seed=3)
    w, b = layer.attention.qkv_proj.weight, layer.attention.qkv_proj.bias
    q, k, v = (x @ w.T + b).split([32, 8, 8], dim=-1)
    q, k, v = (t.unflatten(-1, (-1, D)).transpose(1, 2) for t in (q, k, v))
    cos, sin = (t.double() for t in rotary_tables(torch.arange(SEQ), D))
    q, k = apply_rotary(q, cos, sin), apply_rotary(k, cos, sin)
    k, v = k.repeat_interleave(4, 1), v.repeat_interleave(4, 1)  # each KV head serves four query heads
    scores = (q @ k.transpose(2, 3) / D**0.5).masked_fill(torch.ones(SEQ, SEQ).triu(1).bool(), -torch.inf)
    y = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
    want = F.linear(y, layer.attention.o_proj.weight)
    assert torch.allclose(layer(x), want, rtol=1e-12, atol=1e-12)


def test_rotary_turns_by_the_angle() -> None:
    cos, sin = rotary_tables(torch.tensor([3]), 4, theta=100.0)
    x = torch.tensor([1.0, 0, 0, 0, 0, 1, 0, 0]).view(1, 1, 1, 8)[..., :4]
    turned = apply_rotary(x, cos, sin).flatten()
    angle = torch.tensor(3.0)
    assert torch.allclose(turned, torch.stack([angle.cos(), torch.tensor(0.0), angle.sin(), torch.tensor(0.0)]))


@pytest.mark.parametrize("theta", [10_000.0, 500_000.0])
@pytest.mark.parametrize("d", [64, 128])
def test_positions_in_float64(d: int, theta: float) -> None:
    """A float64 oracle of one's own agrees to the last digits; with the float32 tables it cannot, and by how much."""
    for last in (100, 10_000, 100_000):
        positions = torch.arange(last - 50, last)
        speeds = theta ** -(torch.arange(0, d, 2).double() / d)
        angles = positions[:, None] * speeds
        due = torch.cat([angles, angles], -1)
        cos, sin = rotary_tables(positions, d, theta, dtype=torch.float64)
        assert cos.dtype == torch.float64 and error(cos, due.cos()) < 1e-10 and error(sin, due.sin()) < 1e-10
        given = rotary_tables(
            positions, d, frequencies=rotary_frequencies(d, theta, torch.float64), dtype=torch.float64
        )
        assert torch.equal(given[0], cos) and torch.equal(given[1], sin)
        published = rotary_tables(positions, d, theta)
        assert all(table.dtype == torch.float32 for table in published)
        difference = max(float((a.double() - b).abs().max()) for a, b in zip(published, (cos, sin), strict=True))
        assert 1e-8 * last < difference < 1e-7 * last


def test_tables_are_float32_as_the_models_were_trained() -> None:
    """Not by way of float64: the published weights know the rounding of these very operations."""
    frequencies = 1.0 / 10_000.0 ** (torch.arange(0, 8, 2, dtype=torch.float32) / 8)
    angles = torch.arange(5).float()[:, None] * frequencies
    with_default = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)  # the default dtype has no say in it
        cos, _ = rotary_tables(torch.arange(5), 8)
    finally:
        torch.set_default_dtype(with_default)
    assert torch.equal(cos, torch.cat([angles, angles], -1).cos())


@pytest.mark.parametrize(("heads", "kv", "tp"), [(8, 2, 1), (8, 2, 4), (9, 3, 3)])
def test_cached_steps_give_what_the_whole_gives(heads: int, kv: int, tp: int) -> None:
    def both(x: Tensor) -> tuple[float, list[int]]:
        torch.manual_seed(0)
        attention = ParallelAttention(10, heads, kv, D).double()
        cos, sin = (t.double() for t in rotary_tables(torch.arange(SEQ), D))
        whole, cache, start, parts = attention(x, cos, sin), KVCache(SEQ), 0, []
        for size in (3, 1, 2):  # a prompt, a token, and two at once
            stop = start + size
            parts.append(attention(x[:, start:stop], cos[start:stop], sin[start:stop], cache))
            start = stop
        return float((torch.cat(parts, 1) - whole).abs().max()), list(cache.keys.shape)

    for difference, shape in run_ranks(both, tp, numbers(2, SEQ, 10, seed=fresh_seed())).values:
        assert difference < 1e-12
        assert shape == [2, max(1, kv // tp), SEQ, D]


def test_a_full_cache_says_so() -> None:
    cache = KVCache(2)
    cache.append(torch.ones(1, 1, 2, D), torch.ones(1, 1, 2, D))
    with pytest.raises(ValueError, match="3 tokens do not fit into a KV cache of 2"):
        cache.append(torch.ones(1, 1, 1, D), torch.ones(1, 1, 1, D))


@pytest.mark.parametrize(("heads", "kv"), [(8, 2), (9, 3), (16, 16), (12, 4), (32, 1)])
def test_every_head_has_an_owner(heads: int, kv: int) -> None:
    for tp in (p for p in range(1, heads + 1) if heads % p == 0 and (kv % p == 0 or p % kv == 0)):
        ranges = [head_range(heads, kv, rank, tp) for rank in range(tp)]
        assert [h for r in ranges for h in range(*r.queries)] == list(range(heads))
        for r in ranges:  # the KV heads of a rank are exactly those that its queries attend to
            assert {q // (heads // kv) for q in range(*r.queries)} == set(range(*r.keys))
        holders = [sum(h in range(*r.keys) for r in ranges) for h in range(kv)]
        assert holders == [ranges[0].kv_copies] * kv


def test_heads_that_do_not_fit_are_refused() -> None:
    for sizes, says in {
        (8, 3, 0, 2): "num_kv_heads = 3 does not divide num_heads = 8; values that work: 1, 2, 4, 8",
        (9, 3, 0, 2): "num_heads = 9 cannot be split over tp = 2 ranks; sizes that work: 1, 3, 9",
        (6, 2, 0, 3): "num_kv_heads = 2 cannot be split or copied evenly over tp = 3 ranks; sizes that work: 1, 2, 6",
        (8, 2, 9, 4): "rank = 9 does not exist; with 4 ranks, ranks go from 0 to 3",
    }.items():
        with pytest.raises(ValueError, match="cannot|does not") as caught:
            head_range(*sizes)
        assert str(caught.value) == says


def test_fused_weights_are_cut_by_heads() -> None:
    dense = torch.arange((8 + 2 * 2) * D, dtype=torch.float64)[:, None].expand(-1, 3)

    def rows() -> list[float]:
        layer = QKVParallelLinear(3, D, 8, 2)
        (_, _, partition), *_ = partitions(layer)
        return partition.shard(dense)[:, 0].tolist()

    for rank, got in enumerate(run_ranks(rows, 4).values):
        kv = rank // 2
        want = [*range(rank * 2 * D, (rank + 1) * 2 * D)]
        want += [*range((8 + kv) * D, (9 + kv) * D), *range((10 + kv) * D, (11 + kv) * D)]
        assert got == want
