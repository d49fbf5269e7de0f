"""The waterfall and exercise 10.5 count what a real layer keeps, at every setting, and the picture says so."""

import itertools

import pytest
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tplearn import run_ranks
from tplearn.checks.ch10_sequence_parallel.activations import activation_bytes
from tplearn.parallel import (
    ColumnParallelLinear,
    ParallelDropout,
    QKVParallelLinear,
    RowParallelLinear,
    attend,
)
from tplearn.parallel.place import Place
from tplearn.show.widgets.activation_memory import AGAIN, KEPT, LAYER, draw, show, units_kept

BATCH, SEQUENCE, HIDDEN, HEADS = 2, 8, 64, 4


class Layer(nn.Module):
    """A GPT layer, with the inputs of its column cuts gathered again, or kept."""

    def __init__(self, sequence_parallel: bool, again: bool) -> None:
        super().__init__()
        self.again = again
        cut = {"sequence_parallel": sequence_parallel}
        self.norms = nn.ModuleList(nn.LayerNorm(HIDDEN) for _ in range(2))
        self.qkv = QKVParallelLinear(HIDDEN, HIDDEN // HEADS, HEADS, HEADS, **cut)
        self.proj = RowParallelLinear(HIDDEN, HIDDEN, **cut)
        self.up = ColumnParallelLinear(HIDDEN, 4 * HIDDEN, **cut)
        self.down = RowParallelLinear(4 * HIDDEN, HIDDEN, **cut)
        self.dropout = ParallelDropout(0.1, dim=1 if sequence_parallel else None)

    def column(self, layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return checkpoint(layer, x, use_reentrant=False) if self.again else layer(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        qkv = self.column(self.qkv, self.norms[0](x))
        q, k, v = (t.unflatten(-1, (-1, HIDDEN // HEADS)).transpose(1, 2) for t in qkv)
        x = x + self.dropout(self.proj(attend(q, k, v).transpose(1, 2).flatten(2)))
        return x + self.dropout(self.down(F.gelu(self.column(self.up, self.norms[1](x)))))


def kept_bytes(sequence_parallel: bool, again: bool, dtype: torch.dtype) -> int:
    """What autograd keeps, beside the parameters and the few numbers per token that norms and attention note."""
    torch.set_default_dtype(dtype)
    layer, tp = Layer(sequence_parallel, again), Place.of().world_size
    parameters = {parameter.untyped_storage().data_ptr() for parameter in layer.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in parameters and tensor.shape[-1] > SEQUENCE:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    x = torch.randn(BATCH, SEQUENCE // tp if sequence_parallel else SEQUENCE, HIDDEN, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        layer(x)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("tp", [1, 2, 4])
def test_formula_and_picture_count_what_a_layer_keeps(tp: int) -> None:
    for sequence_parallel, again in ((False, False), (True, False), (True, True)):
        counted = run_ranks(kept_bytes, tp, sequence_parallel, again, torch.bfloat16).values
        inputs = AGAIN if again else KEPT
        units = sum(units_kept(kept, tp, sequence_parallel, inputs) for kept in LAYER)
        assert counted == [units * BATCH * SEQUENCE * HIDDEN] * tp


@pytest.mark.parametrize("way", [(False, False), (True, False), (True, True)])
def test_the_exercise_counts_the_same_in_any_number_format(way: tuple[bool, bool]) -> None:
    for dtype, size in ((torch.bfloat16, 2), (torch.float32, 4)):
        counted = run_ranks(kept_bytes, 2, *way, dtype).values[0]
        assert counted == activation_bytes(SEQUENCE, BATCH, HIDDEN, 2, *way, size)


def test_the_first_picture_in_words() -> None:
    words = show().words.value
    assert "TP: 10 + 24/8 = 13 sbh, 312 MiB" in words and "TP + SP: 34/8 = 4.25 sbh, 102 MiB, 33% of it" in words


def test_every_setting_draws_and_bad_ones_are_explained() -> None:
    figure = Figure()
    for tp, inputs in itertools.product((1, 2, 4, 8, 16), (AGAIN, KEPT)):
        assert draw(figure, 25600, 32768, tp, inputs)
    with pytest.raises(ValueError, match="sequence = 2049 cannot be split over tp = 8 ranks; sizes that work: 1, 3, "):
        draw(figure, sequence=2049)
    with pytest.raises(ValueError, match="inputs = 'lost' is not known; values that work: 'gathered again'"):
        draw(figure, inputs="lost")
