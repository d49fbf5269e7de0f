"""How weights lie in memory for decoding, where the product with one token takes as long as reading them."""

import torch
from torch import nn

from tplearn.parallel import RowParallelLinear

SHORT_ROW = 1024  # numbers


@torch.no_grad()
def lay_out_for_decoding(model: nn.Module) -> None:
    """Keep row-parallel weights with short rows column by column: the same numbers and shapes, other strides.

    One rank of four has 256 of the 1024 columns of an o_proj. For one token MKL takes a dot product of every row, and
    short ones cost it as much as the reading; columns it adds up, and those are long. `python benchmarks/generate.py`
    prints the speed of both. Only for float32 and float64 on a CPU: torch multiplies bfloat16 slower so.

    A step of its own after loading, as vLLM's `process_weights_after_loading`, because FSDP refuses such parameters.
    And not in the middle of training: a fused optimizer goes through a weight and its own state in the order of memory,
    so it would mix up numbers without a word. Raises ValueError where a weight has a gradient.
    """
    for layer in model.modules():
        if isinstance(layer, RowParallelLinear):
            weight = layer.weight
            if weight.grad is not None:
                raise ValueError("a weight has a gradient: a model in training cannot be laid out; a loaded one works")
            if weight.is_cpu and weight.dtype.itemsize >= 4 and weight.shape[1] < SHORT_ROW:
                weight.data = weight.data.t().contiguous().t()
