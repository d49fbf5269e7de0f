"""Calls in which DTensor sends something by itself: counted by torch's CommDebugMode, and by the ledger."""

import json
from collections import Counter
from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.parallel import loss_parallel

from tplearn import Ledger, run_ranks

Call = Callable[[], object]
NAMES = {"all_gather_into_tensor": "all_gather", "reduce_scatter_tensor": "reduce_scatter"}  # CommDebugMode's


def placed(mesh: DeviceMesh, x: torch.Tensor, placement: Placement) -> DTensor:
    """x, without a message; as a Partial it is this rank's summand."""
    if placement.is_partial():
        return DTensor.from_local(x, mesh, [placement])
    return distribute_tensor(x, mesh, [placement], src_data_rank=None)


def parameter_with_partial_gradient(mesh: DeviceMesh) -> nn.Parameter:
    """As a norm's weight has it after sequence parallelism."""
    weight = nn.Parameter(placed(mesh, torch.ones(4), Replicate()))
    weight.grad = placed(mesh, torch.ones(4), Partial())
    return weight


def loss(mesh: DeviceMesh) -> Call:
    """A cross-entropy of cut logits, and its backward."""
    logits, targets = placed(mesh, torch.randn(3, 8), Shard(1)).requires_grad_(), torch.tensor([1, 5, 7])

    def call() -> None:
        with loss_parallel():
            F.cross_entropy(logits, targets).backward()

    return call


def relu(mesh: DeviceMesh) -> Call:
    """Not linear, so the sum comes first."""
    x = placed(mesh, torch.ones(3), Partial())
    return lambda: torch.relu(x)


def adamw(mesh: DeviceMesh) -> Call:
    """The gradient's sum is made again at each use."""
    return torch.optim.AdamW([parameter_with_partial_gradient(mesh)]).step


def clip(mesh: DeviceMesh) -> Call:
    """The norm of a sum is not the sum of norms."""
    weight = parameter_with_partial_gradient(mesh)
    return lambda: nn.utils.clip_grad_norm_([weight], 1.0)


def full_tensor(mesh: DeviceMesh) -> Call:
    """From each state."""
    tensors = [placed(mesh, torch.ones(4), placement) for placement in (Partial(), Shard(0), Replicate())]
    return lambda: [x.full_tensor() for x in tensors]


def redistribute(mesh: DeviceMesh) -> Call:
    """A way of each kind."""
    partial, shard = (placed(mesh, torch.ones(4, 4), placement) for placement in (Partial(), Shard(0)))
    ways = ((partial, Replicate()), (partial, Shard(1)), (shard, Replicate()))
    return lambda: [x.redistribute(mesh, [to]) for x, to in ways]


# call: what it sends, by the op's name in the ledger
DUE = {
    loss: {"all_reduce": 3},
    relu: {"all_reduce": 1},
    adamw: {"all_reduce": 3},
    clip: {"all_reduce": 1},
    full_tensor: {"all_reduce": 1, "all_gather": 1},
    redistribute: {"all_reduce": 1, "reduce_scatter": 1, "all_gather": 1},
}


def counted(name: str) -> dict[str, int]:
    """On a rank: CommDebugMode's counts of a call. Then the call once more without it: two modes help each other."""
    mesh = dist.init_device_mesh("cpu", (dist.get_world_size(),))
    prepare = next(call for call in DUE if call.__name__ == name)
    call = prepare(mesh)
    dist.barrier()
    with CommDebugMode() as mode:
        call()
    call = prepare(mesh)
    dist.barrier()
    call()
    return {NAMES.get(op.__name__, op.__name__): count for op, count in mode.get_comm_counts().items()}


def in_ledger(ledger: Ledger, rank: int) -> list[dict[str, int]]:
    """What the ledger has of a rank under CommDebugMode, and without it."""
    parts: list[list[str]] = [[]]
    for row in ledger.rows:
        if row.rank == rank:
            parts = [*parts, []] if row.op == "barrier" else [*parts[:-1], [*parts[-1], row.op]]
    return [dict(Counter(part)) for part in parts[-2:]]


def told() -> dict[str, list[dict[str, int]]]:
    """Of each call and rank: CommDebugMode's counts, and the ledger's two."""
    runs = {call.__name__: run_ranks(counted, 2, call.__name__) for call in DUE}
    return {
        f"{name} on rank {r}": [run.values[r], *in_ledger(run.ledger, r)]
        for name, run in runs.items()
        for r in range(2)
    }


def script() -> None:
    """Under torchrun: the counts as JSON, and then a rank that leaves while the other is inside an operator."""
    from tests.ranks import agent

    counts = told()
    if dist.get_rank() == 0:
        print(json.dumps(counts))
    agent.script("leaves_before_relu")
