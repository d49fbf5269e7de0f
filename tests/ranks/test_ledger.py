"""The ledger is complete: every way torch has to communicate, checked against CommDebugMode where that counts."""

import pytest
import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as functional
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode

from tplearn import Ledger, run_ranks


def ops(run, rank: int = 0) -> list[str]:  # noqa: ANN001
    return [row.op for row in run.ledger.rows if row.rank == rank]


def test_plain_collectives_with_shape_and_bytes() -> None:
    def program() -> None:
        x, p = torch.ones(4, 2), dist.get_world_size()
        dist.all_reduce(x, op=dist.ReduceOp.MAX)
        dist.all_gather([torch.empty(4, 2) for _ in range(p)], x)
        dist.broadcast(x, src=1)
        dist.reduce(x, dst=1)
        dist.gather(x, [torch.empty(4, 2) for _ in range(p)] if dist.get_rank() == 0 else None, dst=0)
        dist.scatter(x, [torch.ones(4, 2) for _ in range(p)] if dist.get_rank() == 0 else None, src=0)
        new_name = getattr(dist, "reduce_scatter_single", None)  # since torch 2.13
        (new_name or dist.reduce_scatter_tensor)(torch.empty(2, 2), x)
        dist.all_to_all_single(torch.empty(4, 2), x)
        dist.barrier()

    run = run_ranks(program, 2)
    names = [
        "all_reduce",
        "all_gather",
        "broadcast",
        "reduce",
        "gather",
        "scatter",
        "reduce_scatter",
        "all_to_all",
        "barrier",
    ]
    assert ops(run, 0) == ops(run, 1) == names
    first = run.ledger.rows[0]
    assert (first.shape, first.dtype, first.reduce_op, first.bytes, first.group) == (
        (4, 2),
        "float32",
        "MAX",
        32,
        (0, 1),
    )
    assert first.source.startswith("test_ledger.py:") and first.code.startswith("dist.all_reduce(x")
    assert run.ledger.rows[2].root == 1 and run.ledger.rows[3].root == 1
    assert all(row.bytes == 32 for row in run.ledger.rows if row.op != "barrier")
    assert run.output == ["", ""], "no deprecation warning reaches the reader"


def test_async_and_point_to_point() -> None:
    def program() -> float:
        x, rank, p = torch.ones(6), dist.get_rank(), dist.get_world_size()
        work = dist.all_reduce(x, async_op=True)
        work.wait()
        right = dist.isend(x, (rank + 1) % p)
        dist.recv(x, (rank - 1) % p)
        right.wait()
        return x.sum().item()

    run = run_ranks(program, 3)
    assert run.values == [18.0] * 3
    assert ops(run) == ["all_reduce", "send", "recv"]
    assert [(row.peer, row.bytes) for row in run.ledger.rows[1:3]] == [(1, 24), (2, 24)]


def test_objects() -> None:
    def program() -> list:
        out: list = [None, None]
        dist.all_gather_object(out, {"rank": dist.get_rank()})
        return out

    run = run_ranks(program, 2)
    assert run.values[1] == [{"rank": 0}, {"rank": 1}]
    assert run.ledger.count("all_gather", rank=0) == 2


def test_functional_collectives_against_comm_debug_mode() -> None:
    def program() -> int:
        group = dist.group.WORLD
        with CommDebugMode() as counts:
            x = functional.all_reduce(torch.ones(4), "sum", group)
            x = functional.all_gather_tensor(x, 0, group)
            x = functional.reduce_scatter_tensor(x, "sum", 0, group)
            x = functional.all_to_all_single(x, None, None, group)
            float(x.sum())
        return counts.get_total_counts()

    run = run_ranks(program, 2)
    assert run.values == [4, 4]
    assert ops(run) == ["all_reduce", "all_gather", "reduce_scatter", "all_to_all"]
    assert run.ledger.rows[0].reduce_op == "SUM"


def test_dtensor_against_comm_debug_mode() -> None:
    def program() -> int:
        mesh = dist.init_device_mesh("cpu", (2,))
        a = distribute_tensor(torch.ones(4, 4), mesh, [Shard(1)])
        b = distribute_tensor(torch.ones(4, 4), mesh, [Shard(0)])
        dist.barrier()
        with CommDebugMode() as counts:
            c = a @ b
            assert isinstance(c, DTensor) and c.placements == (Partial(),)
            c.redistribute(mesh, [Replicate()]).to_local().sum().item()
            c.redistribute(mesh, [Shard(0)]).to_local().sum().item()
            a.redistribute(mesh, [Replicate()]).to_local().sum().item()
            a.redistribute(mesh, [Shard(0)]).to_local().sum().item()
        return counts.get_total_counts()

    run = run_ranks(program, 2)
    after = ops(run)[ops(run).index("barrier") + 1 :]
    # On CPU, DTensor turns the all-to-all into an all-gather and a slice, and says so.
    assert after == ["all_reduce", "reduce_scatter", "all_gather", "all_gather"]
    assert run.values == [len(after)] * 2


def test_ddp_buckets() -> None:
    def program() -> list[int]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 8))
        ddp = torch.nn.parallel.DistributedDataParallel(model)
        dist.barrier()
        ddp(torch.ones(2, 8)).sum().backward()
        return [p.numel() * 4 for p in model.parameters()]

    run = run_ranks(program, 2)
    rows = [row for row in run.ledger.rows if row.rank == 0]
    after = rows[[row.op for row in rows].index("barrier") + 1 :]
    reduced = [row for row in after if row.op == "all_reduce"]
    assert sum(row.bytes for row in reduced) == sum(run.values[0]), "every gradient crosses the wire once"


def test_subgroups_are_named_by_their_global_ranks() -> None:
    def program() -> None:
        mesh = dist.init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
        dist.all_reduce(torch.ones(1), group=mesh["tp"].get_group())
        dist.all_reduce(torch.ones(1), group=mesh["dp"].get_group())

    run = run_ranks(program, 4)
    assert [row.group for row in run.ledger.rows if row.rank == 3] == [(2, 3), (1, 3)]


def test_ring_formulas() -> None:
    ledger = Ledger()
    for op in ("all_reduce", "all_gather", "reduce_scatter", "send"):
        ledger.record(0, op, torch.zeros(8, dtype=torch.float64), group=(0, 1, 2, 3))
    assert [row.wire_bytes for row in ledger.rows] == [96, 192, 48, 64]
    assert ledger.bytes() == 256 and ledger.count("send") == 1 and ledger.wire_bytes("send") == 64
    assert ledger.table().splitlines()[1].split() == ["0", "0", "all_reduce", "8", "float64", "64", "0,1,2,3"]


@pytest.mark.parametrize("world_size", [2, 4])
def test_a_ring_all_reduce_sends_its_share(world_size: int) -> None:
    def ring(n: int) -> torch.Tensor:
        rank, p = dist.get_rank(), dist.get_world_size()
        chunks = list(torch.full((n,), float(rank)).chunk(p))
        for phase in range(2):
            for step in range(p - 1):
                out = (rank - step + phase) % p
                into = (out - 1) % p
                received = torch.empty_like(chunks[into])
                work = dist.isend(chunks[out], (rank + 1) % p)
                dist.recv(received, (rank - 1) % p)
                work.wait()
                chunks[into] = chunks[into] + received if phase == 0 else received
        return torch.cat(chunks)

    n = 8 * world_size
    run = run_ranks(ring, world_size, n)
    total = world_size * (world_size - 1) / 2
    assert all(torch.equal(value, torch.full((n,), total)) for value in run.values)
    for rank in range(world_size):
        assert run.ledger.count("send", rank=rank) == 2 * (world_size - 1)
        assert run.ledger.bytes("send", rank=rank) == 2 * (world_size - 1) * (n // world_size) * 4
