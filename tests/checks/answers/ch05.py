"""Chapter 05: lazy answers, right ones written in other ways, and the sums and exchanges of whole tensors."""

import os
from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as funcol
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import init_device_mesh

from tests.checks.answers import Alone
from tplearn.checks import Case


def place(group: ProcessGroup | None = None) -> tuple[int, int]:
    return dist.get_rank(group), dist.get_world_size(group)


Pass = Callable[[Tensor, ProcessGroup], Tensor]


def by_group_dst(x: Tensor, group: ProcessGroup) -> Tensor:
    rank, p = place(group)
    arrived = torch.empty_like(x)
    receiving = dist.irecv(arrived, group=group, group_src=(rank - 1) % p)
    dist.isend(x, group=group, group_dst=(rank + 1) % p).wait()
    receiving.wait()
    return arrived


def by_global_rank(x: Tensor, group: ProcessGroup) -> Tensor:
    """In the default group, between the global ranks of the group's members."""
    rank, p = place(group)
    left, right = (dist.get_global_rank(group, (rank + step) % p) for step in (-1, 1))
    arrived = torch.empty_like(x)
    works = (dist.isend(x, dst=right), dist.irecv(arrived, src=left))
    return [arrived for work in works if work.wait() or True][0]


def by_batch(x: Tensor, group: ProcessGroup) -> Tensor:
    ranks = dist.get_process_group_ranks(group)
    me = ranks.index(dist.get_rank())
    arrived = torch.empty_like(x)
    ops = [
        dist.P2POp(dist.isend, x, ranks[(me + 1) % len(ranks)], group),
        dist.P2POp(dist.irecv, arrived, ranks[me - 1], group),
    ]
    for work in dist.batch_isend_irecv(ops):
        work.wait()
    return arrived


def by_turns(x: Tensor, group: ProcessGroup) -> Tensor:
    """Blocking: even ranks speak first, odd ones listen first. With an odd number of ranks the last waits once."""
    rank, p = place(group)
    arrived = torch.empty_like(x)
    if rank % 2 == 0:
        dist.send(x, group=group, group_dst=(rank + 1) % p)
        dist.recv(arrived, group=group, group_src=(rank - 1) % p)
    else:
        dist.recv(arrived, group=group, group_src=(rank - 1) % p)
        dist.send(x, group=group, group_dst=(rank + 1) % p)
    return arrived


def ring(pass_on: Pass) -> Callable[[Tensor, ProcessGroup], Tensor]:
    def answer(x: Tensor, group: ProcessGroup) -> Tensor:
        rank, p = place(group)
        if p == 1:
            return x.clone()
        chunks = list(x.flatten().clone().tensor_split(p))
        for step in range(1, p):
            chunks[(rank - step - 1) % p].add_(pass_on(chunks[(rank - step) % p], group))
        for step in range(p - 1):
            chunks[(rank - step - 1) % p] = pass_on(chunks[(rank - step) % p], group)
        return torch.cat(chunks).view_as(x)

    return answer


def ring_of_sums(x: Tensor, group: ProcessGroup) -> Tensor:
    """One buffer [p, n/p], and a running sum in hand."""
    rank, p = place(group)
    rows = x.reshape(p, -1)
    total = torch.empty_like(rows)
    travelling = rows[(rank - 1) % p]
    for step in range(2, p + 1):
        travelling = by_group_dst(travelling.contiguous(), group) + rows[(rank - step) % p]
    total[rank] = travelling
    for step in range(1, p):
        travelling = by_group_dst(travelling, group)
        total[(rank - step) % p] = travelling
    return total.reshape(x.shape)


def times_p(x: Tensor, group: ProcessGroup) -> Tensor:
    return x * dist.get_world_size(group)


def built_in(x: Tensor, group: ProcessGroup) -> Tensor:
    total = x.clone()
    dist.all_reduce(total, group=group)
    return total


def through_the_world(x: Tensor, group: ProcessGroup) -> Tensor:
    return ring(by_group_dst)(x, dist.group.WORLD)


def two_only(x: Tensor, group: ProcessGroup) -> Tensor:
    """Right in groups of one and two ranks."""
    return x + by_group_dst(x, group) if dist.get_world_size(group) > 1 else x.clone()


def next_to_each_other(x: Tensor, group: ProcessGroup) -> Tensor:
    """Neighbours in the world, where a group is all ranks; the other layouts get x."""
    same = dist.get_world_size(group) == dist.get_world_size()
    return ring(by_group_dst)(x, group) if same else x.clone()


def decoys(x: Tensor, group: ProcessGroup) -> Tensor:
    rank, p = place(group)
    for _ in range(2 * (p - 1)):
        by_group_dst(x.flatten()[: x.numel() // p].contiguous(), group)
    return x * p


def exchange_in_other_order(x: Tensor) -> Tensor:
    rank, p = place()
    result = torch.stack([x, x, x])
    works = [dist.irecv(result[row], src=(rank + row - 1) % p) for row in (0, 2)]
    works += [dist.isend(x, (rank + step) % p) for step in (1, -1)]
    [work.wait() for work in works]
    return result


def exchange_in_batch(x: Tensor) -> Tensor:
    rank, p = place()
    left, right = (rank - 1) % p, (rank + 1) % p
    seen = [torch.empty_like(x), x.clone(), torch.empty_like(x)]
    ops = [dist.P2POp(dist.isend, x, right), dist.P2POp(dist.isend, x, left)]
    ops += [dist.P2POp(dist.irecv, seen[0], left), dist.P2POp(dist.irecv, seen[2], right)]
    for work in dist.batch_isend_irecv(ops):
        work.wait()
    return torch.stack(seen)


def exchange_receiving_first(x: Tensor) -> Tensor:
    """Only the receives are asynchronous."""
    rank, p = place()
    left, right = (rank - 1) % p, (rank + 1) % p
    from_left, from_right = torch.empty_like(x), torch.empty_like(x)
    works = [dist.irecv(from_left, left), dist.irecv(from_right, right)]
    dist.send(x, right)
    dist.send(x, left)
    for work in works:
        work.wait()
    return torch.cat([from_left, x, from_right]).view(3, -1)


def exchange_in_two_rounds(x: Tensor) -> Tensor:
    world = dist.group.WORLD
    rank, p = place()
    from_left = by_group_dst(x, world)
    from_right = torch.empty_like(x)
    works = [dist.isend(x, dst=(rank - 1) % p), dist.irecv(from_right, src=(rank + 1) % p)]
    for work in works:
        work.wait()
    return torch.stack((from_left, x, from_right))


def exchange_own_only(x: Tensor) -> Tensor:
    return torch.stack([x, x, x])


def exchange_for_two(x: Tensor) -> Tensor:
    """Right where both neighbours are one rank."""
    other = by_group_dst(x, dist.group.WORLD)
    return torch.stack([other, x, other])


def exchange_decoys(x: Tensor) -> Tensor:
    exchange_in_other_order(x)
    return torch.stack([x, x, x])


def exchange_gathered(x: Tensor) -> Tensor:
    rank, p = place()
    everybody = funcol.wait_tensor(funcol.all_gather_tensor(x, 0, dist.group.WORLD)).view(p, -1)
    return everybody[[rank - 1, rank, (rank + 1) % p]]


def longest_by_max(count: Tensor) -> int:
    return int(funcol.wait_tensor(funcol.all_reduce(count, "max", dist.group.WORLD)))


def longest_by_gather(count: Tensor) -> int:
    counts = [torch.empty_like(count) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, count)
    return max(int(one) for one in counts)


def longest_async(count: Tensor) -> int:
    longest = count.clone()
    dist.all_reduce(longest, dist.ReduceOp.MAX, async_op=True).wait()
    return longest.item()


def sum_with(longest: Callable[[Tensor], int]) -> Callable[[Tensor, Tensor], Tensor]:
    def answer(count: Tensor, values: Tensor) -> Tensor:
        missing = longest(count) - len(values)
        total = torch.cat([values, values.new_zeros(missing, values.shape[1])])
        dist.all_reduce(total)
        return total

    return answer


def sum_of_own_length(count: Tensor, values: Tensor) -> Tensor:
    total = values.clone()
    dist.all_reduce(total)
    return total


def sum_of_three_rows(count: Tensor, values: Tensor) -> Tensor:
    """The largest count of one example."""
    return sum_with(lambda count: 3)(count, values[:3])


def sum_by_rank_0(count: Tensor, values: Tensor) -> Tensor:
    shared = count.clone()
    dist.broadcast(shared, src=0)
    return sum_with(lambda count: int(shared))(count, values[: int(shared)])


def padded_only(count: Tensor, values: Tensor) -> Tensor:
    return torch.cat([values, values.new_zeros(longest_by_max(count) - len(values), values.shape[1])])


def share_by_lists(score: Tensor, settings: Tensor) -> Tensor:
    scores = [torch.zeros(1, dtype=score.dtype) for _ in range(dist.get_world_size())]
    dist.all_gather(scores, score)
    numbers = [one.item() for one in scores]
    result = settings.detach().clone()
    dist.broadcast(result, numbers.index(max(numbers)))
    return result


def share_functional(score: Tensor, settings: Tensor) -> Tensor:
    scores = funcol.wait_tensor(funcol.all_gather_tensor(score, 0, dist.group.WORLD))
    return funcol.wait_tensor(funcol.broadcast(settings, int(scores.argmax()), dist.group.WORLD))


def share_async(score: Tensor, settings: Tensor) -> Tensor:
    scores = score.new_empty(dist.get_world_size())
    dist.all_gather(list(scores.split(1)), score, async_op=True).wait()
    best = max(range(len(scores)), key=lambda rank: scores[rank])
    result = settings.clone() if dist.get_rank() == best else torch.empty_like(settings)
    dist.broadcast(result, src=best, async_op=True).wait()
    return result


def share_from_0(score: Tensor, settings: Tensor) -> Tensor:
    result = settings.clone()
    dist.broadcast(result, src=0)
    return result


def share_from_the_last(score: Tensor, settings: Tensor) -> Tensor:
    result = settings.clone()
    dist.broadcast(result, src=dist.get_world_size() - 1)
    return result


def share_own(score: Tensor, settings: Tensor) -> Tensor:
    return settings.clone()


def share_everything(score: Tensor, settings: Tensor) -> Tensor:
    rows = [torch.empty(1 + len(settings), dtype=settings.dtype) for _ in range(dist.get_world_size())]
    dist.all_gather(rows, torch.cat([score, settings]))
    return max(rows, key=lambda row: row[0])[1:].clone()


def sums_in(tp: ProcessGroup, dp: ProcessGroup, x: Tensor) -> Tensor:
    rows = x.repeat(2, 1)
    dist.all_reduce(rows[0], group=tp)
    dist.all_reduce(rows[1], group=dp)
    return rows


def sums_by_mesh(x: Tensor) -> Tensor:
    mesh = init_device_mesh("cpu", (dist.get_world_size() // 2, 2), mesh_dim_names=("dp", "tp"))
    return sums_in(mesh.get_group("tp"), mesh.get_group("dp"), x)


def sums_by_subgroups(x: Tensor) -> Tensor:
    p = dist.get_world_size()
    tp, _ = dist.new_subgroups(2)
    dp, _ = dist.new_subgroups_by_enumeration([list(range(0, p, 2)), list(range(1, p, 2))])
    return sums_in(tp, dp, x)


def sums_with_local_groups(x: Tensor) -> Tensor:
    """A rank may make its own groups alone when it says so."""
    rank, p = place()
    row = [rank // 2 * 2, rank // 2 * 2 + 1]
    tp = dist.new_group(row, use_local_synchronization=True)
    dp = dist.new_group(list(range(rank % 2, p, 2)), use_local_synchronization=True)
    return sums_in(tp, dp, x)


def sums_dp_first(x: Tensor) -> Tensor:
    rank, p = place()
    columns = [dist.new_group(list(range(first, p, 2))) for first in (0, 1)]
    rows = [dist.new_group([first, first + 1]) for first in range(0, p, 2)]
    dp_sum = funcol.wait_tensor(funcol.all_reduce(x, "sum", columns[rank % 2]))
    tp_sum = funcol.wait_tensor(funcol.all_reduce(x, "sum", rows[rank // 2]))
    return torch.stack((tp_sum, dp_sum))


def sums_over_all(x: Tensor) -> Tensor:
    total = x.clone()
    dist.all_reduce(total)
    return torch.stack([total, total])


def sums_for_four(x: Tensor) -> Tensor:
    """The groups of four ranks, written down."""
    if dist.get_world_size() != 4:
        return torch.stack([x, x])
    groups = {tuple(ranks): dist.new_group(ranks) for ranks in ([0, 1], [2, 3], [0, 2], [1, 3])}
    mine = [group for ranks, group in groups.items() if dist.get_rank() in ranks]
    return sums_in(*mine, x)


def sums_alone(x: Tensor) -> Tensor:
    return torch.stack([2 * x, dist.get_world_size() / 2 * x])


def sums_chained(x: Tensor) -> Tensor:
    mesh = init_device_mesh("cpu", (dist.get_world_size() // 2, 2), mesh_dim_names=("dp", "tp"))
    tp_sum, _ = sums_in(mesh.get_group("tp"), mesh.get_group("dp"), x)
    dp_sum = tp_sum.clone()
    dist.all_reduce(dp_sum, group=mesh.get_group("dp"))
    return torch.stack([tp_sum, dp_sum])


def program(body: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def joined(row: Tensor) -> Tensor:
        dist.init_process_group("gloo")
        try:
            return body(row)
        finally:
            dist.destroy_process_group()

    return joined


def column_single(row: Tensor) -> Tensor:
    column = torch.empty_like(row)
    dist.all_to_all_single(column, row)
    return column


def column_functional(row: Tensor) -> Tensor:
    return funcol.wait_tensor(funcol.all_to_all_single(row, None, None, dist.group.WORLD))


def column_by_messages(row: Tensor) -> Tensor:
    """One message to each, as an all_to_all is; p − 1 of them within the bytes of one."""
    rank, p = place()
    column = row.clone()
    for k in range(1, p):
        target, source = (rank + k) % p, (rank - k) % p
        works = [dist.isend(row[target : target + 1], target), dist.irecv(column[source : source + 1], source)]
        for work in works:
            work.wait()
    return column


def column_by_table(row: Tensor) -> Tensor:
    rows = [torch.empty_like(row) for _ in range(dist.get_world_size())]
    dist.all_gather(rows, row)
    return torch.stack(rows)[:, dist.get_rank()].contiguous()


def column_with_explicit_places(row: Tensor) -> Tensor:
    rank, p = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group(backend="gloo", init_method="env://", rank=rank, world_size=p)
    column = column_single(row)
    dist.destroy_process_group()
    return column


def column_without_leaving(row: Tensor) -> Tensor:
    dist.init_process_group("gloo")
    return column_single(row)


LAZY = {
    "all_reduce_by_ring": {
        "p times its own": times_p,
        "the library's": built_in,
        "all ranks, whatever the group": through_the_world,
        "right for two ranks": two_only,
        "only where the group is the world": next_to_each_other,
        "messages for show": decoys,
    },
    "exchange": {
        "its own, three times": exchange_own_only,
        "right for two ranks": exchange_for_two,
        "messages for show": exchange_decoys,
        "everybody's tensors": exchange_gathered,
    },
    "sum_until_done": {
        "no agreement": Alone(sum_of_own_length),
        "three rows, as in the example": Alone(sum_of_three_rows),
        "rank 0 has most": sum_by_rank_0,
        "padded, never summed": padded_only,
    },
    "share_settings": {
        "rank 0's": share_from_0,
        "the last rank's": share_from_the_last,
        "its own": share_own,
        "everybody's settings on the wire": share_everything,
    },
    "two_groups": {
        "the world for both": sums_over_all,
        "the groups of four ranks": sums_for_four,
        "multiplied, not summed": sums_alone,
        "chained": sums_chained,
    },
    "table_column": {
        "its own row": lambda row: row.clone(),
        "the whole table on the wire": program(column_by_table),
        "never left": column_without_leaving,
        "in no group": column_single,
    },
}

RIGHT = {
    "all_reduce_by_ring": {
        "ranks counted in the group": ring(by_group_dst),
        "global ranks": ring(by_global_rank),
        "a batch": ring(by_batch),
        "blocking, by turns": ring(by_turns),
        "a running sum in hand": ring_of_sums,
    },
    "exchange": {
        "into the rows of the result": exchange_in_other_order,
        "a batch": exchange_in_batch,
        "asynchronous receives alone": exchange_receiving_first,
        "first right, then left": exchange_in_two_rounds,
    },
    "sum_until_done": {
        "MAX, functional": sum_with(longest_by_max),
        "all counts gathered": sum_with(longest_by_gather),
        "MAX, asynchronous": sum_with(longest_async),
    },
    "share_settings": {
        "lists of numbers": share_by_lists,
        "functional": share_functional,
        "asynchronous": share_async,
    },
    "two_groups": {
        "a device mesh": sums_by_mesh,
        "subgroups": sums_by_subgroups,
        "own groups with local synchronisation": sums_with_local_groups,
        "columns first": sums_dp_first,
    },
    "table_column": {
        "into one tensor": program(column_single),
        "functional": program(column_functional),
        "places from the environment": column_with_explicit_places,
    },
}


def by_rank(case: Case, k: int = 0) -> list[Tensor]:
    return list(case.args[k].values)


def sums_of_groups(case: Case) -> dict:
    xs, groups = by_rank(case), case.args[1]
    mine = [next(ranks for ranks in groups if rank in ranks) for rank in range(case.tp)]
    return {"forward": [torch.stack([xs[rank] for rank in ranks]).sum(0) for ranks in mine]}


def neighbours(case: Case) -> dict:
    xs = torch.stack(by_rank(case))
    return {"forward": [torch.stack([xs[r - 1], xs[r], xs[(r + 1) % case.tp]]) for r in range(case.tp)]}


def longest_sum(case: Case) -> dict:
    rows = max(len(values) for values in by_rank(case, 1))
    total = torch.stack([torch.nn.functional.pad(v, (0, 0, 0, rows - len(v))) for v in by_rank(case, 1)]).sum(0)
    return {"forward": [total] * case.tp}


def best_settings(case: Case) -> dict:
    best = torch.cat(by_rank(case)).argmax()
    return {"forward": [by_rank(case, 1)[best]] * case.tp}


def grid_sums(case: Case) -> dict:
    grid = torch.stack(by_rank(case)).view(case.tp // 2, 2, -1)
    rows, columns = grid.sum(1), grid.sum(0)
    return {"forward": [torch.stack([rows[r // 2], columns[r % 2]]) for r in range(case.tp)]}


ORACLES = {
    "all_reduce_by_ring": sums_of_groups,
    "exchange": neighbours,
    "sum_until_done": longest_sum,
    "share_settings": best_settings,
    "two_groups": grid_sums,
    "table_column": lambda case: {"forward": list(torch.stack(by_rank(case)).T.contiguous())},
}
