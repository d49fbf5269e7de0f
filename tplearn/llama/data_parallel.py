"""How the gradients of data-parallel replicas become one mean: by hand, or by the engines that people use at scale."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.nn.parallel import DistributedDataParallel

from tplearn.llama.model import Llama
from tplearn.parallel.collectives import plain_all_reduce
from tplearn.parallel.place import Place
from tplearn.sizes import shown


class ByHand:
    """All gradients in one bucket, one all-reduce over the replicas, divided by their number.

    The mean and `sync_gradients` are both sums, over other ranks, so either may come first. (Here the mean: it makes
    new gradients, and `sync_gradients` remembers those that it has summed.) A norm may not: it is the mean's.
    """

    def __init__(self, model: Llama, mesh: DeviceMesh | None) -> None:
        self.model, self.dp = model, place_in(mesh, "dp")

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of this replica's windows [batch/dp, seq]."""
        return self.model.loss(ids, targets)

    @contextlib.contextmanager
    def accumulating(self) -> Iterator[None]:
        """Around every forward and backward of a step but the last: their gradients stay on this replica."""
        yield

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Around forward passes that no backward follows."""
        yield

    @torch.no_grad()
    def mean_gradients(self) -> None:
        """After the last backward of a step: every gradient is the mean over the replicas."""
        if self.dp.world_size == 1:
            return
        parameters = [parameter for parameter in self.model.parameters() if parameter.grad is not None]
        bucket = torch.cat([parameter.grad.flatten() for parameter in parameters])
        total = plain_all_reduce(bucket, self.dp).div_(self.dp.world_size)
        for parameter, mean in zip(parameters, total.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = mean.view_as(parameter)


class ByDDP(ByHand):
    """DistributedDataParallel: buckets of 25 MB, sent while the backward pass still goes on."""

    def __init__(self, model: Llama, mesh: DeviceMesh) -> None:
        super().__init__(model, mesh)
        self.ddp = DistributedDataParallel(_WithLoss(model), process_group=mesh.get_group("dp"))

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        return self.ddp(ids, targets)  # not model.loss: past DDP's forward nothing is synchronised, without a word

    def accumulating(self) -> contextlib.AbstractContextManager[None]:
        return self.ddp.no_sync()

    def mean_gradients(self) -> None:
        """The backward pass has done it."""


class ByFSDP(ByHand):
    """FSDP2: each replica keeps 1/dp of every parameter, gradient and moment, and gathers a block before it runs."""

    def __init__(self, model: Llama, mesh: DeviceMesh) -> None:
        super().__init__(model, mesh)
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method  # takes a second

        for block in model.layers:
            fully_shard(block, mesh=mesh["dp"])
        self.root = fully_shard(model, mesh=mesh["dp"])
        register_fsdp_forward_method(model, "loss")

    @contextlib.contextmanager
    def accumulating(self) -> Iterator[None]:
        self.root.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            self.root.set_requires_gradient_sync(True)

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.root.reshard()  # else embedding and head stay whole until a backward, in the place of the parameters

    def mean_gradients(self) -> None:
        """The backward pass has done it."""


class _WithLoss(nn.Module):
    """DDP looks at `forward` only."""

    def __init__(self, model: Llama) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        return self.model.loss(ids, targets)


ENGINES = {"hand": ByHand, "ddp": ByDDP, "fsdp": ByFSDP}


def engine_of(name: str, model: Llama, mesh: DeviceMesh | None) -> ByHand:
    """Raises ValueError for a name that is none of ENGINES, and where an engine needs a mesh and has none."""
    if name not in ENGINES:
        raise ValueError(f"data_parallel = {shown(name)} is not known; names that work: {', '.join(ENGINES)}")
    if mesh is None and name != "hand":
        raise ValueError(
            f"data_parallel = {name!r} needs a mesh; init_device_mesh makes one, and without one 'hand' works"
        )
    return ENGINES[name](model, mesh)


def place_in(mesh: DeviceMesh | None, name: str) -> Place:
    """This process's place along "dp" or "tp" of a mesh; one rank alone without one.

    Raises ValueError for a mesh whose dimensions are not named so.
    """
    if mesh is None:
        return Place()
    if mesh.mesh_dim_names != ("dp", "tp"):
        raise ValueError(
            f"a mesh with the dimensions {mesh.mesh_dim_names}; init_device_mesh(device, (dp, tp), "
            'mesh_dim_names=("dp", "tp")) works'
        )
    return Place.of(mesh.get_group(name))
