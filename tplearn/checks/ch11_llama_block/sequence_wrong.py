"""Wrong answers to exercise 11.4: what the norms see, how their gradients are summed, which collectives and where."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch11_llama_block.parts import Weights, attention, mlp, norm
from tplearn.parallel import (
    copy_to_group,
    gather_from_group,
    gather_sequence,
    reduce_from_group,
    reduce_scatter_sequence,
    scatter_to_group,
)
from tplearn.parallel.collectives import plain_all_gather, plain_reduce_scatter
from tplearn.parallel.place import Place


def wrong_sp_block(x_shard: Tensor, w: Weights, wrong: str, only: str = "") -> Tensor:
    """A block between own tokens with one thing `wrong`, in both halves, or `only` in "attention" or "the MLP"."""
    norm_1, norm_2 = _norm_weights(w, wrong)
    if wrong == "f on every weight":
        w = {name: copy_to_group(weight) for name, weight in w.items()}
    if wrong == "whole block of 11.2":
        x = gather_from_group(x_shard, 1)
        h = x + reduce_from_group(attention(copy_to_group(norm(x, norm_1)), w))
        return scatter_to_group(h + reduce_from_group(mlp(copy_to_group(norm(h, norm_2)), w)), 1)
    of_attention, of_mlp = (wrong if only in ("", half) else "" for half in ("attention", "the MLP"))
    h = _half(x_shard, attention, norm_1, w, of_attention)
    return _half(h, mlp, norm_2, w, of_mlp, x_shard)


def _norm_weights(w: Weights, wrong: str) -> tuple[Tensor, Tensor]:
    if wrong == "not summed":
        return w["norm_1"], w["norm_2"]
    if wrong == "a message for each norm":
        return copy_to_group(w["norm_1"]), copy_to_group(w["norm_2"])
    if wrong == "one norm summed":
        return copy_to_group(w["norm_1"]), w["norm_2"]
    both = torch.stack([w["norm_1"], w["norm_2"]])
    if wrong == "averaged":
        share = both / dist.get_world_size()
        both = share + (both - share).detach()  # the weights, with a p-th of their gradient
    if wrong == "summed forward":
        return tuple(reduce_from_group(both).unbind())
    if wrong == "norms exchanged":
        return tuple(copy_to_group(both).flip(0).unbind())
    return tuple(copy_to_group(both).unbind())


def _half(x: Tensor, part: Callable, weight: Tensor, w: Weights, wrong: str, start: Tensor | None = None) -> Tensor:
    """Half a block; `start` is the block's input where this is the second half."""
    second = start is not None
    read = start if second and wrong == "second norm reads x" else x
    residual = start if second and wrong == "second residual is x" else x
    if wrong == "norm of gathered tokens":
        return residual + reduce_scatter_sequence(part(norm(gather_sequence(read), weight), w))
    if wrong == "residual before the reduce":
        whole = gather_sequence(x)
        return reduce_scatter_sequence(whole + part(norm(whole, weight), w))
    y = _scattered(part(_gathered(norm(read, weight), wrong), w), wrong)
    return y if wrong == "no residuals" else residual + y


def _gathered(x: Tensor, wrong: str) -> Tensor:
    if wrong == "used alike":
        return gather_from_group(x, 1)
    if wrong == "f as well":
        return gather_sequence(copy_to_group(x))
    if wrong == "along the batch":
        return gather_sequence(x, 0)
    if wrong in ("tokens not gathered", "nothing sent"):
        return copy_to_group(x) if wrong == "tokens not gathered" else x
    if wrong == "no gradient through the gather" and dist.get_world_size() > 1:
        return plain_all_gather(x.detach(), 1, Place.of())
    return gather_sequence(x)


def _scattered(partial: Tensor, wrong: str) -> Tensor:
    p, rank = dist.get_world_size(), dist.get_rank()
    if wrong == "along the batch":
        return reduce_scatter_sequence(partial, 0)
    if wrong == "all-reduce, then cut":
        return scatter_to_group(reduce_from_group(partial), 1)
    if wrong == "all-reduce, then a slice":
        return reduce_from_group(partial).chunk(p, 1)[rank]
    if wrong == "own slice of the own partial":
        return partial.chunk(p, 1)[rank]
    if wrong == "scatter for reduce-scatter":
        return scatter_to_group(partial, 1)
    if wrong == "partials averaged":
        return reduce_scatter_sequence(partial) / p
    if wrong in ("tokens not gathered", "nothing sent"):
        return reduce_from_group(partial) if wrong == "tokens not gathered" else partial
    if wrong == "no gradient through the scatter" and p > 1:
        return plain_reduce_scatter(partial.detach(), 1, Place.of())
    return reduce_scatter_sequence(partial)
