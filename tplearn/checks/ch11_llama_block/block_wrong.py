"""Wrong answers to exercise 11.2: f, g, norms and residuals in the wrong place, or missing, in one half or in both."""

from collections.abc import Callable

import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch11_llama_block.parts import Weights, attention, mlp, norm
from tplearn.parallel import copy_to_group, gather_from_group, reduce_from_group, scatter_to_group
from tplearn.parallel.collectives import plain_all_reduce
from tplearn.parallel.place import Place


def wrong_block(x: Tensor, w: Weights, wrong: str, only: str = "") -> Tensor:
    """Gemma 2's block with one thing `wrong`, in both halves, or `only` in "attention" or "the MLP"."""
    before, after = [w["norm_1"], w["norm_2"]], [w["post_1"], w["post_2"]]
    if wrong == "norms exchanged":
        before, after = after, before
    if wrong == "norms of the halves exchanged":
        before, after = before[::-1], after[::-1]
    if wrong == "one reduce for both halves":
        partial = attention(copy_to_group(norm(x, before[0])), w) + mlp(copy_to_group(norm(x, before[1])), w)
        return x + norm(reduce_from_group(partial), after[1])
    of_attention, of_mlp = (wrong if only in ("", half) else "" for half in ("attention", "the MLP"))
    h = _half(x, x, lambda read: attention(read, w), before[0], after[0], of_attention)
    if wrong == "attention alone":
        return h
    residual, read = x if wrong == "second residual is x" else h, x if wrong == "second norm reads x" else h
    return _half(residual, read, lambda read: mlp(read, w), before[1], after[1], of_mlp)


def _half(residual: Tensor, x: Tensor, part: Callable, before: Tensor, after: Tensor, wrong: str) -> Tensor:
    if wrong == "residual through f":
        residual = copy_to_group(residual)
        return _joined(residual, part(norm(residual, before)), after)
    if wrong == "residual from the norm":
        residual = norm(residual, before)
    return _joined(residual, part(_read(x, before, wrong)), after, wrong)


def _read(x: Tensor, weight: Tensor, wrong: str) -> Tensor:
    """What a half reads: normed, and through f."""
    if wrong == "f missing":
        return norm(x, weight)
    if wrong == "f before the norm":
        return norm(copy_to_group(x), weight)
    if wrong == "f twice":
        return copy_to_group(norm(copy_to_group(x), weight))
    if wrong == "no norm before":
        return copy_to_group(x)
    return copy_to_group(_norm_of_a_share(x, weight) if wrong == "norm of a share" else norm(x, weight))


def _joined(residual: Tensor, partial: Tensor, weight: Tensor, wrong: str = "") -> Tensor:
    """What a half adds: reduced, normed, and joined to the residual."""
    if wrong == "norm of a partial":
        return residual + reduce_from_group(norm(partial, weight))
    if wrong == "norm and residual before the reduce":
        return reduce_from_group(residual + norm(partial, weight))
    if wrong == "residual before the reduce":
        return norm(reduce_from_group(residual + partial), weight)
    if wrong == "residual normed too":
        return norm(residual + reduce_from_group(partial), weight)
    if wrong == "norm of a share after":
        return residual + _norm_of_a_share(reduce_from_group(partial), weight)
    if wrong == "no norm after":
        return residual + reduce_from_group(partial)
    y = norm(_reduced(partial, wrong), weight)
    return y if wrong == "no residual" else residual + y


def _reduced(partial: Tensor, wrong: str) -> Tensor:
    if wrong == "not reduced":
        return partial
    if wrong == "f for g":
        return copy_to_group(partial)
    if wrong == "reduced twice":
        return reduce_from_group(reduce_from_group(partial))
    if wrong == "averaged":
        return reduce_from_group(partial) / dist.get_world_size()
    if wrong == "gathered":
        return gather_from_group(partial)
    if wrong == "no gradient through g":
        return plain_all_reduce(partial.detach(), Place.of())
    return reduce_from_group(partial)


def _norm_of_a_share(x: Tensor, weight: Tensor) -> Tensor:
    return gather_from_group(norm(scatter_to_group(x, -1), scatter_to_group(weight)), -1)
