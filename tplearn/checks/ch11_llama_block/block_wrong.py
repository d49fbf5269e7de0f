"""Wrong answers to exercise 11.2: f, g, the norms and the residuals in the wrong place, or missing."""

import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch11_llama_block.parts import Weights, attention, mlp, norm
from tplearn.parallel import copy_to_group, gather_from_group, reduce_from_group, scatter_to_group
from tplearn.parallel.collectives import all_reduce
from tplearn.parallel.place import Place


def wrong_block(x: Tensor, w: Weights, wrong: str) -> Tensor:
    """Gemma 2's block, with one thing `wrong`."""
    before, after = [w["norm_1"], w["norm_2"]], [w["post_1"], w["post_2"]]
    if wrong == "norms exchanged":
        before, after = after, before
    if wrong == "norms of the halves exchanged":
        before, after = before[::-1], after[::-1]
    if wrong == "one reduce for both halves":
        partial = attention(_read(x, before[0]), w) + mlp(_read(x, before[1]), w)
        return x + norm(reduce_from_group(partial), after[1])
    if wrong == "attention alone":
        return _joined(x, attention(_read(x, before[0]), w), after[0])
    lacks_f = wrong in ("f missing", "f missing before attention"), wrong in ("f missing", "f missing before the MLP")
    h = _joined(x, attention(_read(x, before[0], "no f" if lacks_f[0] else wrong), w), after[0], wrong)
    if wrong == "residual through f":
        x = h = copy_to_group(x)
        h = _joined(x, attention(norm(x, before[0]), w), after[0])
    read = _read(x if wrong == "second norm reads x" else h, before[1], "no f" if lacks_f[1] else wrong)
    return _joined(x if wrong == "second residual is x" else h, mlp(read, w), after[1], wrong)


def _read(x: Tensor, weight: Tensor, wrong: str = "") -> Tensor:
    """What a half reads: normed, and through f."""
    if wrong == "no f":
        return norm(x, weight)
    if wrong == "f before the norm":
        return norm(copy_to_group(x), weight)
    if wrong == "f twice":
        return copy_to_group(norm(copy_to_group(x), weight))
    if wrong == "no norm before":
        return copy_to_group(x)
    if wrong == "norm of a share":
        return copy_to_group(_norm_of_a_share(x, weight))
    return copy_to_group(norm(x, weight))


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
    if wrong == "not reduced":
        return residual + norm(partial, weight)
    if wrong == "no gradient through g":
        return residual + norm(all_reduce(partial.detach(), Place.of()), weight)
    if wrong == "f for g":
        return residual + norm(copy_to_group(partial), weight)
    if wrong == "averaged":
        return residual + norm(reduce_from_group(partial) / dist.get_world_size(), weight)
    if wrong == "no norm after":
        return residual + reduce_from_group(partial)
    if wrong == "norm of a share after":
        return residual + _norm_of_a_share(reduce_from_group(partial), weight)
    if wrong == "no residuals":
        return norm(reduce_from_group(partial), weight)
    return residual + norm(reduce_from_group(partial), weight)


def _norm_of_a_share(x: Tensor, weight: Tensor) -> Tensor:
    return gather_from_group(norm(scatter_to_group(x, -1), scatter_to_group(weight)), -1)
