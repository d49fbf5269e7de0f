"""The layout for decoding: the same numbers in another order of memory, and only where it is faster."""

import random
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.llama.peer import make, save
from tplearn import run_ranks
from tplearn.llama import Llama, generate, lay_out_for_decoding
from tplearn.parallel import ColumnParallelLinear, RowParallelLinear

Result = tuple[list[Tensor], list[Tensor]]


def before_and_after(folder: Path, ids: Tensor, target: Path) -> tuple[Result, Result, set[tuple[int, int]]]:
    """Text, logits, loss, and gradients of the model as it was loaded and laid out anew; row-parallel strides."""
    model = Llama.from_pretrained(folder, dtype=torch.float64)
    results = []
    for lay_out in (lambda _: None, lay_out_for_decoding):
        model.zero_grad()
        lay_out(model)
        text = generate(model, ids, 20, eos=())
        loss = model.loss(ids[:, :-1], ids[:, 1:])
        loss.backward()
        results.append(([text, loss.detach()], [parameter.grad.clone() for parameter in model.parameters()]))
    model.save_pretrained(target)
    rows = [layer.weight for layer in model.modules() if isinstance(layer, RowParallelLinear)]
    return *results, {weight.stride() for weight in rows}


@pytest.mark.parametrize("tp", [1, 2, 4])
def test_everything_stays_the_same(tp: int, tmp_path: Path) -> None:
    peer = make("llama3 scaling, 8 heads, 2 KV heads", random.randrange(1 << 30), torch.float64)
    folder = save(peer, tmp_path / "peer")
    ids = torch.randint(131, (2, 9))
    for (given, gradients), (result, other), strides in run_ranks(
        before_and_after, tp, folder, ids, tmp_path / "again", record=False
    ).values:
        assert torch.equal(given[0], result[0])
        torch.testing.assert_close(result[1], given[1], rtol=1e-12, atol=0)
        torch.testing.assert_close(other, gradients, rtol=1e-9, atol=1e-12)
        assert strides == {(1, 64)}
    again = Llama.from_pretrained(tmp_path / "again", dtype=torch.float64)
    for own, theirs in zip(
        again.parameters(), Llama.from_pretrained(folder, dtype=torch.float64).parameters(), strict=True
    ):
        assert torch.equal(own, theirs)


@pytest.mark.parametrize(
    ("layer", "dtype"),
    [
        (RowParallelLinear(2048, 8), torch.float32),  # long rows
        (RowParallelLinear(64, 8), torch.bfloat16),
        (ColumnParallelLinear(64, 8), torch.float32),
    ],
)
def test_what_would_not_be_faster_stays_as_it_is(layer: torch.nn.Module, dtype: torch.dtype) -> None:
    layer.to(dtype)
    at = layer.weight.data_ptr()
    lay_out_for_decoding(layer)
    assert layer.weight.is_contiguous() and layer.weight.data_ptr() == at


def test_a_second_time_nothing_moves() -> None:
    layer = RowParallelLinear(64, 8)
    lay_out_for_decoding(layer)
    at = layer.weight.data_ptr()
    lay_out_for_decoding(layer)
    assert layer.weight.data_ptr() == at and not layer.weight.is_contiguous()


def test_a_model_in_training_is_refused() -> None:
    layer = RowParallelLinear(64, 8)
    layer(torch.ones(1, 64)).sum().backward()
    with pytest.raises(ValueError, match="a model in training cannot be laid out"):
        lay_out_for_decoding(layer)


@pytest.mark.parametrize("fused", [True, False])
def test_training_after_it_takes_the_same_steps(fused: bool) -> None:
    weights = []
    for lay_out in (lambda _: None, lay_out_for_decoding):
        torch.manual_seed(0)
        layer = RowParallelLinear(64, 8)
        lay_out(layer)
        optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=fused)
        for _ in range(3):
            optimizer.zero_grad()
            layer(torch.randn(5, 64)).square().sum().backward()
            optimizer.step()
        weights.append(layer.weight.detach())
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-4, atol=1e-5)
