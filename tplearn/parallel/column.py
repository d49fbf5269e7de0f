"""Linear layers with the outputs cut: column parallel, one dense layer or several on the same input."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.parallel.collectives import copy_to_group, gather_from_group, gather_sequence
from tplearn.parallel.inputs import require_features, require_input
from tplearn.parallel.parameters import draw_linear, make_parameters
from tplearn.parallel.partition import Chunk, Partition
from tplearn.parallel.place import Group, Place
from tplearn.sizes import require_flags, require_size, shard_range, shown


class ColumnParallel(nn.Module):
    """What all column-parallel layers are: `chunks` of the dense weight's rows, and one f for them all.

    Communication: forward none (all-gather of y with gather_output, of x with sequence_parallel), backward one
    all-reduce of x's gradient (reduce-scatter with sequence_parallel).

    `partial`: the dense rows whose gradients are partials, because several ranks hold copies of them and each uses its
    own for something else.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        chunks: tuple[Chunk, ...],
        place: Place,
        *,
        bias: bool,
        gather_output: bool,
        sequence_parallel: bool,
        partial: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        require_flags(bias=bias, gather_output=gather_output, sequence_parallel=sequence_parallel)
        self.place = place
        self.in_features, self.out_features = in_features, out_features
        self.gather_output, self.sequence_parallel = gather_output, sequence_parallel
        self.partitions = {"weight": Partition((out_features, in_features), place, chunks, partial=partial)}
        if bias:
            self.partitions["bias"] = Partition((out_features,), place, chunks, partial=partial)
        make_parameters(self, ("weight", "bias"))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """nn.Linear's own initialisation of the dense layer, of which each rank keeps its shard."""
        draw_linear(self)

    def own_outputs(self, x: Tensor) -> Tensor:
        """x: [..., in] → [..., out/p]: this rank's outputs, of all chunks side by side."""
        require_input(self, x, self.in_features, self.weight, self.sequence_parallel)
        x = gather_sequence(x, 1, self.place) if self.sequence_parallel else copy_to_group(x, self.place)
        return F.linear(x, self.weight, self.bias)  # [..., in] → [..., out/p]

    def extra_repr(self) -> str:
        """What print(model) shows."""
        cut = f"{self.weight.shape[0]} of {self.out_features}"
        return f"in_features={self.in_features}, out_features={cut}, bias={self.bias is not None}"


class ColumnParallelLinear(ColumnParallel):
    """y = x Aᵀ + b, with the outputs cut. Megatron-LM and vLLM have it under this name; DTensor: ColwiseParallel.

    | tensor   | shape on a rank   | whose slice it is                                                   |
    | x        | [..., in]         | the same on every rank ([batch, seq/p, in] with sequence_parallel)  |
    | weight   | [out/p, in]       | rows of the dense weight: Shard(0)                                  |
    | bias     | [out/p]           | the same rows: Shard(0)                                             |
    | y        | [..., out/p]      | columns of the dense result; [..., out] with gather_output          |

    Communication: as ColumnParallel. Raises ValueError where a size is none or out_features does not divide by the
    ranks, and in forward for an x of another shape, dtype or device.
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
        place = Place.of(group)
        in_features, out_features = require_features(in_features, out_features)
        rows = Chunk(*shard_range(out_features, place.rank, place.world_size, "out_features"))
        flags = {"bias": bias, "gather_output": gather_output, "sequence_parallel": sequence_parallel}
        super().__init__(in_features, out_features, (rows,), place, **flags)

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in] → [..., out/p], or [..., out] with gather_output."""
        y_shard = self.own_outputs(x)
        return gather_from_group(y_shard, -1, self.place) if self.gather_output else y_shard


class MergedColumnParallelLinear(ColumnParallel):
    """Several column-parallel layers on one input, such as gate and up: one matmul, one f. vLLM has it under this name.

    The dense weight is [sum(out), in], one layer's rows above the next one's. Each layer is cut by itself: a rank's
    weight is its rows of the first, then its rows of the second, and so on. A cut of the whole as one block would give
    rank 0 nothing but gate.

    Communication and errors: as ColumnParallelLinear; `out_features` holds at least one size.
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
        place, outs = Place.of(group), _sizes_of(out_features)
        in_features = require_size("in_features", in_features)
        chunks, above = [], 0
        for number, out in enumerate(outs):
            start, stop = shard_range(out, place.rank, place.world_size, f"out_features[{number}]")
            chunks.append(Chunk(above + start, above + stop))
            above += out
        flags = {"bias": bias, "gather_output": gather_output, "sequence_parallel": sequence_parallel}
        super().__init__(in_features, above, tuple(chunks), place, **flags)
        self.sizes = [chunk.size for chunk in chunks]  # of this rank's outputs

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """x: [..., in] → one [..., out[i]/p] for each layer, or [..., out[i]] with gather_output."""
        y_shards = self.own_outputs(x).split_with_sizes(self.sizes, dim=-1)
        if not self.gather_output:
            return y_shards
        return tuple(gather_from_group(y_shard, -1, self.place) for y_shard in y_shards)


def _sizes_of(out_features: Sequence[int]) -> tuple[int, ...]:
    """Raises ValueError for what is no list of sizes, such as one size."""
    if not isinstance(out_features, Sequence) or isinstance(out_features, str) or not out_features:
        raise ValueError(f"out_features = {shown(out_features)} is not a list of sizes; (16, 16) would be one")
    return tuple(require_size(f"out_features[{number}]", out) for number, out in enumerate(out_features))
