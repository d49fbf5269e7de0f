"""A linear layer with the inputs cut: row parallel."""

from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.parallel.collectives import reduce_from_group, reduce_scatter_sequence, scatter_to_group
from tplearn.parallel.inputs import require_features, require_input
from tplearn.parallel.parameters import draw_linear, make_parameters
from tplearn.parallel.partition import Chunk, Partition
from tplearn.parallel.place import Group, Place
from tplearn.sizes import require_flags, shard_range


class RowParallelLinear(nn.Module):
    """y = x Aᵀ + b, with the inputs cut. Megatron-LM and vLLM have it under this name; DTensor: RowwiseParallel.

    | tensor   | shape on a rank   | whose slice it is                                                     |
    | x        | [..., in/p]       | columns of the dense input; [..., in] without input_is_parallel       |
    | weight   | [out, in/p]       | columns of the dense weight: Shard(1)                                 |
    | bias     | [out]             | a copy; added once, after the sum                                     |
    | y        | [..., out]        | the same on every rank ([batch, seq/p, out] with sequence_parallel)   |

    Communication: forward one all-reduce (reduce-scatter with sequence_parallel), backward none (all-gather with
    sequence_parallel, or without input_is_parallel).

    Raises ValueError where a size is none or in_features does not divide by the ranks, and in forward for an x of
    another shape, dtype or device, such as all of the inputs where the rank's own are due.
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
        require_flags(bias=bias, input_is_parallel=input_is_parallel, sequence_parallel=sequence_parallel)
        in_features, out_features = require_features(in_features, out_features)
        self.place = Place.of(group)
        self.in_features, self.out_features = in_features, out_features
        self.input_is_parallel, self.sequence_parallel = input_is_parallel, sequence_parallel
        columns = Chunk(*shard_range(in_features, self.place.rank, self.place.world_size, "in_features"))
        self.partitions = {"weight": Partition((out_features, in_features), self.place, (columns,), dim=1)}
        if bias:  # under sequence parallelism each rank adds it to its own tokens
            self.partitions["bias"] = Partition.replicated((out_features,), self.place, partial=sequence_parallel)
        make_parameters(self, ("weight", "bias"))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """nn.Linear's own initialisation of the dense layer, of which each rank keeps its shard."""
        draw_linear(self)

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in/p] (or [..., in] without input_is_parallel) → [..., out]."""
        features = self.weight.shape[1] if self.input_is_parallel else self.in_features
        require_input(self, x, features, self.weight, self.sequence_parallel)
        x_shard = x if self.input_is_parallel else scatter_to_group(x, -1, self.place)
        partial = F.linear(x_shard, self.weight)  # [..., in/p] → [..., out], of which the sum over ranks is due
        if self.sequence_parallel:
            y = reduce_scatter_sequence(partial, 1, self.place)
        else:
            y = reduce_from_group(partial, self.place)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        """What print(model) shows."""
        cut = f"{self.weight.shape[1]} of {self.in_features}"
        return f"in_features={cut}, out_features={self.out_features}, bias={self.bias is not None}"
