"""Linear layers cut by outputs (column parallel) and by inputs (row parallel). On one rank each is nn.Linear."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.parallel.collectives import (
    copy_to_group,
    gather_from_group,
    gather_sequence,
    reduce_from_group,
    reduce_scatter_sequence,
    scatter_to_group,
)
from tplearn.parallel.parameters import draw_linear, make_parameters
from tplearn.parallel.partition import Partition, Piece
from tplearn.parallel.place import Group, Place, require_input
from tplearn.sizes import require_divisible


class ColumnParallelLinear(nn.Module):
    """y = x Aᵀ + b, with the outputs cut. Megatron-LM and vLLM have it under this name; DTensor: ColwiseParallel.

    | tensor   | shape on a rank   | whose slice it is                                                   |
    | x        | [..., in]         | the same on every rank ([batch, seq/p, in] with sequence_parallel)  |
    | weight   | [out/p, in]       | rows of the dense weight: Shard(0)                                  |
    | bias     | [out/p]           | the same rows: Shard(0)                                             |
    | y        | [..., out/p]      | columns of the dense result; [..., out] with gather_output          |

    Communication: forward none (all-gather of y with gather_output, of x with sequence_parallel), backward one
    all-reduce of x's gradient (reduce-scatter with sequence_parallel).

    Raises ValueError where out_features does not divide by the ranks, or this rank is not in the group.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        gather_output: bool = False,
        group: Group = None,
        *,
        sequence_parallel: bool = False,
    ) -> None:
        super().__init__()
        self.place = Place.of(group)
        self.in_features, self.out_features = in_features, out_features
        self.gather_output, self.sequence_parallel = gather_output, sequence_parallel
        pieces = self._pieces()
        partial = self._partial()
        self.partitions = {"weight": Partition((out_features, in_features), self.place, pieces, partial=partial)}
        if bias:
            self.partitions["bias"] = Partition((out_features,), self.place, pieces, partial=partial)
        make_parameters(self, ("weight", "bias"))
        self.reset_parameters()

    def _pieces(self) -> tuple[Piece, ...]:
        """The rows of the dense weight that this rank holds."""
        size = require_divisible("out_features", self.out_features, self.place.world_size)
        return (Piece(self.place.rank * size, (self.place.rank + 1) * size),)

    def _partial(self) -> tuple[int, int] | None:
        """Rows whose gradients are summands: none, where every row has one owner."""
        return None

    def reset_parameters(self) -> None:
        """nn.Linear's own initialisation of the dense layer, of which each rank keeps its part."""
        draw_linear(self)

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in] → [..., out/p], or [..., out] with gather_output."""
        y_shard = self.own_outputs(x)
        return gather_from_group(y_shard, -1, self.place) if self.gather_output else y_shard

    def own_outputs(self, x: Tensor) -> Tensor:
        """x: [..., in] → [..., out/p]: this rank's outputs, of all parts side by side."""
        require_input(x, self.in_features, self.weight, type(self).__name__)
        x = gather_sequence(x, 1, self.place) if self.sequence_parallel else copy_to_group(x, self.place)
        return F.linear(x, self.weight, self.bias)  # [..., in] → [..., out/p]

    def extra_repr(self) -> str:
        """What print(model) shows."""
        cut = f"{self.weight.shape[0]} of {self.out_features}"
        return f"in_features={self.in_features}, out_features={cut}, bias={self.bias is not None}"


class MergedColumnParallelLinear(ColumnParallelLinear):
    """Several column-parallel layers on one input, such as gate and up: one matmul, one f. vLLM has it under this name.

    The dense weight is [sum(out), in], the parts one above the other. Each part is cut by itself: a rank's weight is
    its rows of the first, then its rows of the second, and so on. A cut of the whole as one block would give rank 0
    nothing but gate.
    """

    def __init__(
        self,
        in_features: int,
        out_features: Sequence[int],
        bias: bool = True,
        gather_output: bool = False,
        group: Group = None,
        *,
        sequence_parallel: bool = False,
    ) -> None:
        self.parts = tuple(out_features)
        super().__init__(in_features, sum(self.parts), bias, gather_output, group, sequence_parallel=sequence_parallel)
        self.sizes = [part // self.place.world_size for part in self.parts]  # of this rank's outputs

    def _pieces(self) -> tuple[Piece, ...]:
        pieces, start = [], 0
        for number, part in enumerate(self.parts):
            size = require_divisible(f"out_features[{number}]", part, self.place.world_size)
            pieces.append(Piece(start + self.place.rank * size, start + (self.place.rank + 1) * size))
            start += part
        return tuple(pieces)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """x: [..., in] → one [..., out[i]/p] for each part, or [..., out[i]] with gather_output."""
        y_shards = self.own_outputs(x).split_with_sizes(self.sizes, dim=-1)
        if not self.gather_output:
            return y_shards
        return tuple(gather_from_group(y_shard, -1, self.place) for y_shard in y_shards)


class RowParallelLinear(nn.Module):
    """y = x Aᵀ + b, with the inputs cut. Megatron-LM and vLLM have it under this name; DTensor: RowwiseParallel.

    | tensor   | shape on a rank   | whose slice it is                                                     |
    | x        | [..., in/p]       | columns of the dense input; [..., in] without input_is_parallel       |
    | weight   | [out, in/p]       | columns of the dense weight: Shard(1)                                 |
    | bias     | [out]             | a copy; added once, after the sum                                     |
    | y        | [..., out]        | the same on every rank ([batch, seq/p, out] with sequence_parallel)   |

    Communication: forward one all-reduce (reduce-scatter with sequence_parallel), backward none (all-gather with
    sequence_parallel, or without input_is_parallel).

    Raises ValueError where in_features does not divide by the ranks, or this rank is not in the group.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        input_is_parallel: bool = True,
        group: Group = None,
        *,
        sequence_parallel: bool = False,
    ) -> None:
        super().__init__()
        self.place = Place.of(group)
        self.in_features, self.out_features = in_features, out_features
        self.input_is_parallel, self.sequence_parallel = input_is_parallel, sequence_parallel
        size = require_divisible("in_features", in_features, self.place.world_size)
        columns = Piece(self.place.rank * size, (self.place.rank + 1) * size)
        self.partitions = {"weight": Partition((out_features, in_features), self.place, (columns,), dim=1)}
        if bias:  # under sequence parallelism each rank adds it to its own tokens
            self.partitions["bias"] = Partition.replicated((out_features,), self.place, partial=sequence_parallel)
        make_parameters(self, ("weight", "bias"))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """nn.Linear's own initialisation of the dense layer, of which each rank keeps its part."""
        draw_linear(self)

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in/p] (or [..., in] without input_is_parallel) → [..., out]."""
        features = self.weight.shape[1] if self.input_is_parallel else self.in_features
        require_input(x, features, self.weight, type(self).__name__)
        x_shard = x if self.input_is_parallel else scatter_to_group(x, -1, self.place)
        summand = F.linear(x_shard, self.weight)  # [..., in/p] → [..., out], of which the sum over ranks is due
        if self.sequence_parallel:
            y = reduce_scatter_sequence(summand, 1, self.place)
        else:
            y = reduce_from_group(summand, self.place)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        """What print(model) shows."""
        cut = f"{self.weight.shape[1]} of {self.in_features}"
        return f"in_features={cut}, out_features={self.out_features}, bias={self.bias is not None}"
