"""The layers in the modes that people run them in: inference, autocast, bfloat16 weights, copies, the meta device."""

import copy

import torch
from torch import Tensor, nn

from tests.parallel.twin import error, fresh_seed
from tplearn import run_ranks
from tplearn.parallel import (
    ParallelAttention,
    ParallelLMHead,
    ParallelMLP,
    ParallelRMSNorm,
    VocabParallelEmbedding,
    rotary_tables,
    vocab_parallel_cross_entropy,
)


class Model(nn.Module):
    """One small block with its ends."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = VocabParallelEmbedding(13, 8)
        self.attention, self.mlp = ParallelAttention(8, 4, 2), ParallelMLP(8, 16)
        self.norm, self.head = ParallelRMSNorm(8), ParallelLMHead(13, 8)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        x = x + self.attention(self.norm(x), *rotary_tables(torch.arange(ids.shape[1]), 2))
        return self.head(x + self.mlp(self.norm(x)))


def loss(mode: str) -> Tensor:
    """A loss of the model in a mode, gradients included where there are any."""
    torch.manual_seed(0)
    model, ids = Model(), torch.arange(10).view(2, 5)
    if mode == "bfloat16":
        model = model.bfloat16()
    if mode == "copy":
        model = copy.deepcopy(model)
    if mode == "inference":
        with torch.inference_mode():
            return vocab_parallel_cross_entropy(model(ids), ids, vocab_size=13).clone()
    with torch.autocast("cpu", torch.bfloat16, enabled=mode == "autocast"):
        value = vocab_parallel_cross_entropy(model(ids), ids, vocab_size=13)
    value.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert value.dtype == torch.float32
    return value.detach()


def test_every_mode_gives_the_loss() -> None:
    want = loss("plain")
    for mode, tolerance in {"plain": 1e-5, "inference": 1e-5, "copy": 1e-5, "autocast": 0.03, "bfloat16": 0.03}.items():
        values = run_ranks(loss, 2, mode, record=False).values
        assert all(error(value, want) < tolerance for value in values), (mode, values, want)
        assert torch.equal(values[0], values[1])


def test_no_grad_output_is_changed() -> None:
    def step(seed: int) -> bool:
        torch.manual_seed(seed)
        layer, dy = ParallelMLP(8, 16), torch.randn(3, 8)
        kept = dy.clone()
        y = layer(torch.randn(3, 8, requires_grad=True))
        y.backward(dy, retain_graph=True)
        y.backward(dy)
        return torch.equal(kept, dy)

    assert run_ranks(step, 2, fresh_seed()).values == [True, True]


def test_meta_device_draws_nothing() -> None:
    def shapes() -> list[tuple[int, ...]]:
        with torch.device("meta"):
            model = Model()
        assert all(p.is_meta for p in model.parameters())
        return [tuple(p.shape) for p in model.parameters()]

    whole, half = run_ranks(shapes, 1).values[0], run_ranks(shapes, 2).values[0]
    assert whole[0] == (13, 8) and half[0] == (7, 8)
