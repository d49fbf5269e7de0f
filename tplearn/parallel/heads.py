"""Which rank owns which attention heads, and the fused QKV projection cut by heads."""

from dataclasses import dataclass

from torch import Tensor

from tplearn.parallel.linear import ColumnParallelLinear
from tplearn.parallel.partition import Piece
from tplearn.parallel.place import Group, Place
from tplearn.sizes import divisors, require_divisible, require_rank


@dataclass(frozen=True)
class HeadRange:
    """Query heads and KV heads of one rank, as ranges (start, stop); `kv_copies` ranks hold the same KV heads."""

    queries: tuple[int, int]
    keys: tuple[int, int]
    kv_copies: int
    kv_copy: int


def head_range(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> HeadRange:
    """The heads of `rank`: equal runs of query heads, and the KV heads that they attend to.

    With more ranks than KV heads each KV head is held by several neighbouring ranks, those with its query heads.

    Raises ValueError where query heads do not divide by the KV heads or by the ranks, or KV heads neither divide by
    the ranks nor the other way round; the message lists the sizes that work. vLLM: `num_kv_head_replicas`.
    """
    if num_kv_heads < 1 or num_heads % num_kv_heads:
        works = ", ".join(map(str, divisors(num_heads)))
        raise ValueError(
            f"num_kv_heads = {num_kv_heads} does not divide num_heads = {num_heads}; values that work: {works}"
        )
    per_rank = require_divisible("num_heads", num_heads, world_size)
    require_rank("rank", rank, world_size)
    if num_kv_heads % world_size and world_size % num_kv_heads:
        sizes = [p for p in divisors(num_heads) if num_kv_heads % p == 0 or p % num_kv_heads == 0]
        raise ValueError(
            f"num_kv_heads = {num_kv_heads} cannot be split or copied evenly over tp = {world_size} ranks; "
            f"sizes that work: {', '.join(map(str, sizes))}"
        )
    copies = max(1, world_size // num_kv_heads)
    kv_per_rank = max(1, num_kv_heads // world_size)
    first = (rank // copies) * kv_per_rank
    return HeadRange((rank * per_rank, (rank + 1) * per_rank), (first, first + kv_per_rank), copies, rank % copies)


class QKVParallelLinear(ColumnParallelLinear):
    """The query, key and value projections as one matmul, cut by whole heads. vLLM has it under this name.

    The dense weight is [(heads + 2·kv_heads)·d, hidden]: all queries, then all keys, then all values. A rank's weight
    is its own rows of each of the three. KV heads that several ranks hold get summands as gradients: call
    `sync_gradients(model)` after backward.

    Communication: none forward, one all-reduce backward (all-gather and reduce-scatter with sequence_parallel).
    """

    def __init__(
        self,
        hidden_size: int,
        head_dim: int,
        num_heads: int,
        num_kv_heads: int,
        bias: bool = False,
        group: Group = None,
        *,
        sequence_parallel: bool = False,
    ) -> None:
        place = Place.of(group)
        self.head_dim, self.num_heads, self.num_kv_heads = head_dim, num_heads, num_kv_heads
        self.heads = head_range(num_heads, num_kv_heads, place.rank, place.world_size)
        rows = (num_heads + 2 * num_kv_heads) * head_dim
        super().__init__(hidden_size, rows, bias, False, group, sequence_parallel=sequence_parallel)

    def _pieces(self) -> tuple[Piece, ...]:
        heads, keys_from = self.heads, self.num_heads
        values_from = self.num_heads + self.num_kv_heads
        return (
            self._rows(*heads.queries),
            self._rows(*heads.keys, keys_from, heads.kv_copies, heads.kv_copy),
            self._rows(*heads.keys, values_from, heads.kv_copies, heads.kv_copy),
        )

    def _rows(self, start: int, stop: int, offset: int = 0, copies: int = 1, copy: int = 0) -> Piece:
        """Heads start to stop as rows of the fused weight, in which their kind begins at head `offset`."""
        return Piece((offset + start) * self.head_dim, (offset + stop) * self.head_dim, copies, copy)

    def _partial(self) -> tuple[int, int] | None:
        return (self.num_heads * self.head_dim, self.out_features) if self.heads.kv_copies > 1 else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x: [..., hidden] → q [..., heads/p·d], k and v [..., kv heads of a rank·d]."""
        sizes = [piece.size for piece in self.partitions["weight"].pieces]
        return self.own_outputs(x).split(sizes, dim=-1)
