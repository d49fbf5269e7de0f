"""The two linear layers of 07.2 and 07.3, and versions of them with one step replaced."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn.functional import linear

from tplearn.checks.ch07_mlp_on_gloo import steps
from tplearn.checks.ch07_mlp_on_gloo.first_values import init_shard
from tplearn.checks.ch07_mlp_on_gloo.inputs import Group, Shard
from tplearn.checks.ch07_mlp_on_gloo.steps import Step
from tplearn.parallel import copy_to_group, reduce_from_group, scatter_to_group


class ColumnLinear(nn.Module):
    """y = x Aᵀ + b with the outputs cut: f, then the shard's matmul and bias."""

    def __init__(
        self, in_features: int, out_features: int, group: Group, draw: Callable[..., Shard] = init_shard
    ) -> None:
        super().__init__()
        weight, bias = draw(in_features, out_features, "outputs", group)
        self.weight, self.bias, self.group = nn.Parameter(weight), nn.Parameter(bias), group

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in], the same on every rank of the group → this rank's columns of y."""
        return linear(copy_to_group(x, self.group), self.weight, self.bias)


class ColumnWith(ColumnLinear):
    """The layer with one of its steps replaced."""

    def __init__(
        self,
        *sizes: int | Group,
        enter: Step = copy_to_group,
        leave: Step = steps.keep,
        bias: Step = steps.keep,
        **how: Callable,
    ) -> None:
        super().__init__(*sizes, **how)
        self.enter, self.leave, self.own_bias = enter, leave, bias

    def forward(self, x: Tensor) -> Tensor:
        y_shard = linear(self.enter(x, self.group), self.weight, self.own_bias(self.bias, self.group))
        return self.leave(y_shard, self.group)


class ColumnOfTheWorld(ColumnLinear):
    def __init__(self, in_features: int, out_features: int, group: Group) -> None:
        super().__init__(in_features, out_features, None)


class ColumnOfTensors(ColumnLinear):
    def __init__(self, in_features: int, out_features: int, group: Group) -> None:
        super().__init__(in_features, out_features, group)
        weight, bias = self.weight.detach(), self.bias.detach()
        del self.weight, self.bias
        self.weight, self.bias = weight, bias


class RowLinear(nn.Module):
    """y = x Aᵀ + b with the inputs cut: this rank's columns of x, the shard's matmul, g, then the bias."""

    def __init__(
        self, in_features: int, out_features: int, group: Group, draw: Callable[..., Shard] = init_shard
    ) -> None:
        super().__init__()
        weight, bias = draw(in_features, out_features, "inputs", group)
        self.weight, self.bias, self.group = nn.Parameter(weight), nn.Parameter(bias), group

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in], the same on every rank of the group → [..., out], the same on every rank of the group."""
        x_shard = scatter_to_group(x, -1, self.group)
        return reduce_from_group(linear(x_shard, self.weight), self.group) + self.bias


class RowWith(RowLinear):
    """The layer with one of its steps replaced. `before` of the bias is added before the sum, `after` of it after."""

    def __init__(
        self,
        *sizes: int | Group,
        enter: Step = lambda x, group: scatter_to_group(x, -1, group),
        leave: Step = reduce_from_group,
        before: Step = steps.forgotten,
        after: Step = steps.keep,
        **how: Callable,
    ) -> None:
        super().__init__(*sizes, **how)
        self.enter, self.leave, self.before, self.after = enter, leave, before, after

    def forward(self, x: Tensor) -> Tensor:
        before, after = (step(self.bias, self.group) for step in (self.before, self.after))
        return self.leave(linear(self.enter(x, self.group), self.weight, before), self.group) + after


def before_the_sum(step: Step) -> Callable[..., nn.Module]:
    return partial(RowWith, before=step, after=steps.forgotten)


class RowOfTheWorld(RowLinear):
    def __init__(self, in_features: int, out_features: int, group: Group) -> None:
        super().__init__(in_features, out_features, None)
