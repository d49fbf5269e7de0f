"""Wrong answers to exercise 11.6: what is reduced, what is added, what is handed on, and in which order."""

import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch11_llama_block.parts import Weights, attention, mlp, norm
from tplearn.parallel import copy_to_group, reduce_from_group
from tplearn.parallel.collectives import plain_all_reduce
from tplearn.parallel.place import Place

Stream = tuple[Tensor, Tensor]


def wrong_fused_block(partial: Tensor, residual: Tensor, w: Weights, wrong: str) -> Stream:
    """A block that carries the residual apart, with one thing `wrong`."""
    if wrong == "one reduce for both":
        h = residual + reduce_from_group(partial + attention(copy_to_group(norm(residual, w["norm_1"])), w))
        return mlp(copy_to_group(norm(h, w["norm_2"])), w), h
    x = _stream(partial, residual, wrong)
    if wrong == "both streams through f":
        x = copy_to_group(x)
        h = copy_to_group(x + reduce_from_group(attention(norm(x, w["norm_1"]), w)))
        return mlp(norm(h, w["norm_2"]), w), h
    read = norm(reduce_from_group(partial) if wrong == "norm without the residual" else x, w["norm_1"])
    read = read if wrong in ("f missing", "f missing before attention") else copy_to_group(read)
    if wrong == "f before the norms":
        read = norm(copy_to_group(x), w["norm_1"])
    y = attention(read, w)
    if wrong == "MLP missing":
        return y, x + reduce_from_group(y)
    if wrong == "residual from the norm":
        x = norm(x, w["norm_1"])
    if wrong == "attention not reduced":
        h = x + y
    elif wrong == "residual before attention's reduce":
        h = reduce_from_group(x + y)
    elif wrong == "residual of before":
        h = residual + reduce_from_group(y)
    else:
        h = x + reduce_from_group(y)
    if wrong == "stream through f":
        h = copy_to_group(h)
        return mlp(norm(h, w["norm_2"]), w), h
    read = norm(x if wrong == "second norm reads x" else h, w["norm_2"])
    read = read if wrong in ("f missing", "f missing before the MLP") else copy_to_group(read)
    if wrong == "f before the norms":
        read = norm(copy_to_group(h), w["norm_2"])
    return _handed_on(mlp(read, w), h, x, residual, wrong)


def _stream(partial: Tensor, residual: Tensor, wrong: str) -> Tensor:
    if wrong == "residual reduced too":
        return reduce_from_group(partial + residual)
    if wrong == "residual on rank 0":
        return reduce_from_group(partial + residual * (dist.get_rank() == 0))
    if wrong == "residual shared out":
        return reduce_from_group(partial + residual / dist.get_world_size())
    if wrong == "f and g":
        return residual + reduce_from_group(copy_to_group(partial))
    if wrong == "residual reduced apart":
        return reduce_from_group(partial) + reduce_from_group(residual)
    if wrong in ("partial not reduced", "reduced by the block before"):
        return residual + partial
    if wrong == "f for the first g":
        return residual + copy_to_group(partial)
    if wrong == "first sum averaged":
        return residual + reduce_from_group(partial) / dist.get_world_size()
    if wrong == "residual forgotten":
        return reduce_from_group(partial)
    if wrong == "partial forgotten":
        return residual + 0 * partial
    if wrong == "no gradient through the first sum":
        return residual + plain_all_reduce(partial.detach(), Place.of())
    return residual + reduce_from_group(partial)


def _handed_on(y: Tensor, h: Tensor, x: Tensor, residual: Tensor, wrong: str) -> Stream:
    if wrong in ("reduced at the end as well", "reduced by the block before"):
        return reduce_from_group(y), h
    if wrong == "residual joined and handed on":
        return h + y, h
    if wrong == "a finished stream":
        return h + reduce_from_group(y), h
    if wrong == "residual counts the MLP":
        return y, h + y
    if wrong == "old residual":
        return y, residual
    if wrong == "residual without attention":
        return y, x
    if wrong == "results exchanged":
        return h, y
    return y, h
