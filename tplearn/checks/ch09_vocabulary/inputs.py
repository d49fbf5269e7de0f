"""Tables, ids and gradients for chapter 09's exercises: vocabularies that no number of ranks divides."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.inputs import randn
from tplearn.checks.observe import changed_inputs, plain
from tplearn.parallel import vocab_range


def words(generator: torch.Generator, vocab_size: int, tp: int, *shape: int) -> Tensor:
    """Random words; among them the first and the last word of every rank that has some, as far as there is room."""
    ids = torch.randint(vocab_size, shape, generator=generator)
    ranges = [vocab_range(vocab_size, rank, tp)[:2] for rank in range(tp)]
    edges = [word for start, stop in ranges if stop > start for word in (start, stop - 1)][: ids.numel()]
    ids.view(-1)[: len(edges)] = torch.tensor(edges)
    return ids


def padded_shards(generator: torch.Generator, dense: Tensor, tp: int, dim: int, padding: float | None) -> list[Tensor]:
    """`dense` cut along `dim` by words, one shard for each rank; `padding` fills the rest, None with random numbers."""
    rows = vocab_range(dense.shape[dim], 0, tp)[2]
    shape = list(dense.shape)
    shape[dim] = rows * tp - dense.shape[dim]
    rest = 5 + randn(generator, *shape).abs() if padding is None else dense.new_full(shape, padding)
    return [shard.contiguous() for shard in torch.cat([dense, rest], dim).chunk(tp, dim)]


def own_range(vocab_size: int) -> tuple[int, int, int]:
    """(start, stop, rows) of this rank."""
    return vocab_range(vocab_size, dist.get_rank(), dist.get_world_size())


def is_padding(vocab_size: int) -> Tensor:
    """[rows]: True where this rank's row is no word."""
    start, stop, rows = own_range(vocab_size)
    return torch.arange(rows) >= stop - start


def cut_forward_and_gradient(fn: Callable[..., Any], inputs: Sequence[Any], upstream: Tensor) -> dict[str, Any]:
    """{"forward", "gradient"} of fn(*inputs), whose result is cut: each rank back-propagates an upstream of its own."""
    leaves = [x.clone().requires_grad_() if _is_float(x) else x for x in inputs]
    output = fn(*[x.clone() if _is_float(x) else x for x in leaves])
    seen = {"forward": plain(output)} | changed_inputs((plain(list(inputs)), {}), (plain(leaves), {}))
    if not isinstance(output, Tensor) or output.shape != upstream.shape or not output.requires_grad:
        return seen | {"gradient": "nothing to back-propagate"}
    output.backward(upstream.clone())
    gradients = [x.grad if x.grad is not None else torch.zeros_like(x) for x in leaves if _is_float(x)]
    return seen | {"gradient": plain(gradients)}


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
