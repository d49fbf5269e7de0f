"""Steps of a layer that mutants put in the place of f, of g or of the bias; each takes a tensor and the group."""

from collections.abc import Callable

import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch07_mlp_on_gloo.inputs import Group
from tplearn.parallel import copy_to_group

Step = Callable[[Tensor, Group], Tensor]


def keep(x: Tensor, group: Group) -> Tensor:
    """Nothing is done."""
    return x


def over_the_world(step: Step) -> Step:
    """The same step among all ranks, whatever the group."""
    return lambda x, group: step(x)


def twice(step: Step) -> Step:
    """The step, and the step again."""
    return lambda x, group: step(step(x, group), group)


def mean_gradient(x: Tensor, group: Group) -> Tensor:
    """f, with the mean of the gradients in place of their sum."""
    x = copy_to_group(x, group)
    share = x / dist.get_world_size(group)
    return share + (x - share).detach()


def plain_all_reduce(x: Tensor, group: Group) -> Tensor:
    """dist.all_reduce on a copy, which autograd takes for nothing."""
    total = x.clone()
    dist.all_reduce(total, group=group)
    return total


def own_columns(x: Tensor, group: Group) -> Tensor:
    """A slice: what comes back through it is zero in the other ranks' columns."""
    return x.chunk(dist.get_world_size(group), dim=-1)[dist.get_rank(group)]


def on_the_first(x: Tensor, group: Group) -> Tensor:
    """x on the group's first rank, and zeros, with a gradient of zero, on the others."""
    return x if dist.get_rank(group) == 0 else 0 * x


def shared(x: Tensor, group: Group) -> Tensor:
    """x / p."""
    return x / dist.get_world_size(group)


def forgotten(x: Tensor, group: Group) -> Tensor:
    """Zeros, with a gradient of zero."""
    return 0 * x
