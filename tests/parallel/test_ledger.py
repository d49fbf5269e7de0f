"""What the layers send is the minimum: which collectives, how many, and how many bytes, forward and backward."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tplearn import run_ranks
from tplearn.parallel import (
    ParallelAttention,
    ParallelLMHead,
    ParallelMLP,
    ParallelRMSNorm,
    VocabParallelEmbedding,
    rotary_tables,
    sync_gradients,
    vocab_parallel_cross_entropy,
)
from tplearn.ranks.ledger import Ledger

BATCH, SEQ, HIDDEN, WORDS = 2, 12, 8, 132
TOKENS = BATCH * SEQ
WIDE = TOKENS * HIDDEN * 4  # bytes of one whole activation in float32


class Attention(nn.Module):
    def __init__(self, kv_heads: int = 4, **on: bool) -> None:
        super().__init__()
        self.inner = ParallelAttention(HIDDEN, 8, kv_heads, 2, **on)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, *rotary_tables(torch.arange(SEQ), 2))


def ledger(build: Callable[[], nn.Module], tp: int, cut: bool = False, ids: bool = False, sync: bool = False) -> Ledger:
    """One forward and one backward; `cut`: on parts of the sequence."""

    def step() -> None:
        torch.manual_seed(0)
        layer = build()
        x = torch.zeros(BATCH, SEQ, dtype=torch.int64) if ids else torch.randn(BATCH, SEQ // (tp if cut else 1), HIDDEN)
        y = layer(x if ids else x.requires_grad_())
        y.sum().backward()
        if sync:
            sync_gradients(layer)

    return run_ranks(step, tp).ledger


def book(ledger: Ledger) -> list[tuple[str, int]]:
    """(op, bytes) of rank 0, in order; all ranks have the same."""
    books = {}
    for row in ledger.rows:
        books.setdefault(row.rank, []).append((row.op, row.bytes))
    assert all(own == books[0] for own in books.values())
    return books.get(0, [])


@pytest.mark.parametrize("tp", [2, 4])
@pytest.mark.parametrize(
    "build", [lambda: ParallelMLP(HIDDEN, 16), Attention, lambda: Attention(2), lambda: Attention(1)]
)
def test_one_all_reduce_each_way(build: Callable[[], nn.Module], tp: int) -> None:
    assert book(ledger(build, tp)) == [("all_reduce", WIDE)] * 2


@pytest.mark.parametrize("tp", [2, 4])
@pytest.mark.parametrize(
    "build", [lambda: ParallelMLP(HIDDEN, 16, sequence_parallel=True), lambda: Attention(sequence_parallel=True)]
)
def test_sequence_parallel_sends_the_same_bytes_in_other_words(build: Callable[[], nn.Module], tp: int) -> None:
    found = ledger(build, tp, cut=True)
    assert book(found) == [("all_gather", WIDE // tp), ("reduce_scatter", WIDE)] * 2
    tensor_parallel = ledger(lambda: ParallelMLP(HIDDEN, 16), tp)
    assert found.wire_bytes(rank=0) == tensor_parallel.wire_bytes(rank=0)


@pytest.mark.parametrize("tp", [2, 4])
def test_embedding_sends_forward_only(tp: int) -> None:
    assert book(ledger(lambda: VocabParallelEmbedding(WORDS, HIDDEN), tp, ids=True)) == [("all_reduce", WIDE)]


@pytest.mark.parametrize("tp", [2, 4])
def test_head_sends_backward_only(tp: int) -> None:
    assert book(ledger(lambda: ParallelLMHead(WORDS, HIDDEN), tp)) == [("all_reduce", WIDE)]


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}])
@pytest.mark.parametrize("tp", [2, 4])
def test_the_loss_sends_three_numbers_a_token(tp: int, options: dict) -> None:
    def step() -> None:
        logits = torch.randn(BATCH, SEQ, WORDS // tp, requires_grad=True)
        targets = torch.zeros(BATCH, SEQ, dtype=torch.int64)
        vocab_parallel_cross_entropy(logits, targets, vocab_size=WORDS, **options).backward()

    assert book(run_ranks(step, tp).ledger) == [("all_reduce", TOKENS * 4)] * 3


@pytest.mark.parametrize("tp", [2, 4])
def test_sync_is_one_small_all_reduce(tp: int) -> None:
    def build() -> nn.Module:
        return nn.Sequential(*[ParallelRMSNorm(HIDDEN, sequence_parallel=True) for _ in range(3)])

    assert book(ledger(build, tp, cut=True, sync=True)) == [("all_reduce", 3 * HIDDEN * 4)]
    assert book(ledger(lambda: ParallelMLP(HIDDEN, 16), tp, sync=True)) == [("all_reduce", WIDE)] * 2


@pytest.mark.parametrize("cut", [False, True])
def test_one_rank_sends_nothing(cut: bool) -> None:
    on = {"sequence_parallel": cut}
    for build in (
        lambda: ParallelMLP(HIDDEN, 16, **on),
        lambda: Attention(**on),
        lambda: ParallelLMHead(WORDS, HIDDEN, gather_output=True, **on),
        lambda: ParallelRMSNorm(HIDDEN, **on),
    ):
        assert ledger(build, 1, sync=True).rows == []
