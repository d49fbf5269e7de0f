"""Which rank owns which attention heads, and the fused QKV projection cut by heads."""

from dataclasses import dataclass

from torch import Tensor

from tplearn.parallel.column import ColumnParallel
from tplearn.parallel.partition import Chunk
from tplearn.parallel.place import Group, Place
from tplearn.sizes import divisors, require_size, shard_range


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

    Raises ValueError where there are no heads, query heads do not divide by the KV heads or by the ranks, or KV heads
    neither divide by the ranks nor the other way round; the message lists the sizes that work. vLLM:
    `num_kv_head_replicas`.
    """
    num_heads, num_kv_heads = require_size("num_heads", num_heads), require_size("num_kv_heads", num_kv_heads)
    if num_heads % num_kv_heads:
        works = ", ".join(map(str, divisors(num_heads)))
        raise ValueError(
            f"num_kv_heads = {num_kv_heads} does not divide num_heads = {num_heads}; values that work: {works}"
        )
    queries = shard_range(num_heads, rank, world_size, "num_heads")
    if num_kv_heads % world_size and world_size % num_kv_heads:
        sizes = [p for p in divisors(num_heads) if num_kv_heads % p == 0 or p % num_kv_heads == 0]
        raise ValueError(
            f"num_kv_heads = {num_kv_heads} cannot be split or copied evenly over tp = {world_size} ranks; "
            f"sizes that work: {', '.join(map(str, sizes))}"
        )
    copies = max(1, world_size // num_kv_heads)
    kv_per_rank = max(1, num_kv_heads // world_size)
    first = (rank // copies) * kv_per_rank
    return HeadRange(queries, (first, first + kv_per_rank), copies, rank % copies)


class QKVParallelLinear(ColumnParallel):
    """The query, key and value projections as one matmul, cut by whole heads. vLLM has it under this name.

    The dense weight is [(heads + 2·kv_heads)·d, hidden]: all queries, then all keys, then all values. A rank's weight
    is its own rows of each of the three. KV heads that several ranks hold get partials as gradients: call
    `sync_gradients(model)` after backward.

    Communication: none forward, one all-reduce backward (all-gather and reduce-scatter with sequence_parallel).
    Raises ValueError where a size is none, and for heads that do not divide (see `head_range`).
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
        hidden_size, head_dim = require_size("hidden_size", hidden_size), require_size("head_dim", head_dim)
        heads = head_range(num_heads, num_kv_heads, place.rank, place.world_size)

        def rows(own: tuple[int, int], above: int, copies: int = 1, copy: int = 0) -> Chunk:
            """Heads of one kind as rows of the fused weight, in which so many heads of other kinds are above."""
            return Chunk((above + own[0]) * head_dim, (above + own[1]) * head_dim, copies, copy)

        copies = heads.kv_copies, heads.kv_copy
        keys, values = (rows(heads.keys, above, *copies) for above in (num_heads, num_heads + num_kv_heads))
        dense_rows = (num_heads + 2 * num_kv_heads) * head_dim
        super().__init__(
            hidden_size,
            dense_rows,
            (rows(heads.queries, 0), keys, values),
            place,
            bias=bias,
            gather_output=False,
            sequence_parallel=sequence_parallel,
            partial=(num_heads * head_dim, dense_rows) if heads.kv_copies > 1 else None,
        )
        self.head_dim, self.num_heads, self.num_kv_heads, self.heads = head_dim, num_heads, num_kv_heads, heads
        self.sizes = [chunk.size for chunk in self.partitions["weight"].chunks]  # of this rank's q, k and v

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x: [..., hidden] → q [..., heads/p·d], k and v [..., kv heads of a rank·d]."""
        return self.own_outputs(x).split_with_sizes(self.sizes, dim=-1)
