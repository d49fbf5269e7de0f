"""Training on a mesh with one thing wrong, or with PyTorch's own tools: what test_mesh_traps.py runs on ranks."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed._composable.replicate_with_fsdp import replicate
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from tests.llama.mesh import CONFIG, RECIPE, Curve, mesh_of, trainer_on
from tplearn.llama import Llama
from tplearn.llama.apply_plan import apply_plan
from tplearn.llama.data_parallel import ByHand
from tplearn.llama.plain import PlainLlama
from tplearn.llama.plan import forward_backward, llama_plan
from tplearn.llama.train import Trainer
from tplearn.llama.windows import batches
from tplearn.parallel import clip_gradients, gradient_norm, partitions, sync_gradients
from tplearn.parallel.collectives import plain_all_reduce
from tplearn.parallel.place import Place

EVEN = replace(CONFIG, num_key_value_heads=4, vocab_size=300, tie_word_embeddings=False)


def wrong_run(wrong: str, mesh: tuple[int, int], stream: Tensor) -> tuple[Curve, Tensor]:
    """(loss, norm) of each step as this rank tells it, and this rank's first norm weight at the end."""
    trainer = trainer_on(mesh, RECIPE)
    engine, dp = trainer.engine, trainer.dp
    if wrong == "data by tp":  # every rank is dealt a hand of its own
        dealt, engine.dp = Place(dist.get_rank(), dist.get_world_size()), dp
        shares = batches(stream, RECIPE, dealt)
    else:
        shares = batches(stream, RECIPE, dp)
    steps: Curve = []
    for _ in range(RECIPE.steps):
        windows = next(shares)
        loss, norm = _step(trainer, engine, windows, wrong)
        steps.append((loss.item(), norm.item()))
    return steps, trainer.model.norm.weight.detach()


def _step(trainer: Trainer, engine: ByHand, windows: Tensor, wrong: str) -> tuple[Tensor, Tensor]:
    model, dp = trainer.model, trainer.dp
    trainer.optimizer.zero_grad()
    for group in trainer.optimizer.param_groups:
        group["lr"] = trainer.recipe.rate(trainer.done)
    loss = model.loss(windows[:, :-1], windows[:, 1:])
    loss.backward()
    sync_gradients(model)
    if wrong == "clip before the mean":
        clip_gradients(model, 0.5)
    if wrong == "over the world":
        for parameter in model.parameters():
            parameter.grad = plain_all_reduce(parameter.grad, Place.of()) / dist.get_world_size()
    elif wrong != "no mean":
        engine.mean_gradients()
    if wrong == "sum":
        for parameter in model.parameters():
            parameter.grad *= dp.world_size
    if wrong == "clip before the mean":
        norm = gradient_norm(model)
    elif wrong == "local norm":
        norm = clip_grad_norm_(model.parameters(), 0.5)
    else:
        norm = clip_gradients(model, 0.5)
    trainer.optimizer.step()
    trainer.done += 1
    return plain_all_reduce(loss.detach(), dp) / dp.world_size, norm


def norms_of_a_step(mesh: tuple[int, int], windows: Tensor) -> dict[str, float]:
    """What different sums of squares make of one gradient."""
    trainer = trainer_on(mesh)
    model = trainer.model
    model.loss(windows[:, :-1], windows[:, 1:]).backward()
    sync_gradients(model)
    trainer.engine.mean_gradients()
    tp = Place.of(trainer.mesh.get_group("tp"))
    squares = torch.stack([parameter.grad.square().sum() for parameter in model.parameters()]).sum()
    return {
        "right": gradient_norm(model).item(),
        "all squares over tp": plain_all_reduce(squares, tp).sqrt().item(),
        "counted once, over the world": (plain_all_reduce(_once(model), Place.of())).sqrt().item(),
        "local": squares.sqrt().item(),
    }


def _once(model: Llama) -> Tensor:
    views = [view for _, p, cut in partitions(model) for chunk, view in cut.views(p.grad) if chunk.copy == 0]
    return torch.stack([view.square().sum() for view in views]).sum()


def past_ddp(stream: Tensor) -> tuple[float, float]:
    """How far the replicas' gradients differ: through DDP's forward, and past it."""
    trainer = trainer_on((4, 1), replace(RECIPE, steps=1), "ddp")
    windows = next(batches(stream, RECIPE, trainer.dp))
    told = []
    for loss_of in (trainer.engine.loss, trainer.engine.ddp.module.model.loss):
        trainer.optimizer.zero_grad()
        loss_of(windows[:, :-1], windows[:, 1:]).backward()
        own = trainer.model.norm.weight.grad
        mean = plain_all_reduce(own, trainer.dp) / 4
        told.append(float((own - mean).abs().max() / mean.abs().max()))
    return told[0], told[1]


def fsdp_without_its_forward(windows: Tensor) -> str:
    """What FSDP2 says of a method that is not `forward`."""
    mesh = mesh_of(2, 1)
    model = Llama(CONFIG, mesh.get_group("tp"))
    fully_shard(model, mesh=mesh["dp"])
    return _said(lambda: model.loss(windows[:, :-1], windows[:, 1:]))


def ddp_on_a_plan(windows: Tensor) -> tuple[str, int]:
    """What DDP says of DTensor parameters, given a group; and how many parameters it leaves, given a mesh."""
    mesh = mesh_of(2, 2)
    ids, targets = windows[:, :-1], windows[:, 1:]
    by_group = _said(lambda: DistributedDataParallel(_planned(mesh), process_group=mesh.get_group("dp")))
    model = _planned(mesh)
    wrapped = DistributedDataParallel(model, device_mesh=mesh["dp"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forward_backward(wrapped, ids, targets)
    return by_group, len(list(wrapped.parameters()))


def _planned(mesh: DeviceMesh, norms: bool = True) -> PlainLlama:
    """The dense model's numbers, cut by the plan with sequence parallelism; without `norms` those stay plain tensors,
    between them R."""
    torch.manual_seed(0)
    model = PlainLlama(EVEN).double()
    apply_plan(model, mesh["tp"], llama_plan(sequence_parallel=norms))
    return model


def plan_on_a_mesh(engine: str, windows: Tensor) -> tuple[float, float, str]:
    """(norm by mesh, largest error of a gradient, what clip_grad_norm_ on all of them says) on 2 × 2 ranks."""
    mesh = mesh_of(2, 2)
    torch.manual_seed(0)
    dense = PlainLlama(EVEN).double()
    forward = dense(windows[:, :-1])
    nn.functional.cross_entropy(forward.flatten(0, 1), windows[:, 1:].flatten()).backward()
    due = nn.utils.get_total_norm([p.grad for p in dense.parameters()])
    model = _planned(mesh, norms=engine != "fsdp, plain norms")
    if engine == "replicate":
        replicate(model, mesh=mesh["dp"])
    else:
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh["dp"])
        fully_shard(model, mesh=mesh["dp"])
    own = windows.chunk(2)[mesh["dp"].get_local_rank()]
    forward_backward(model, own[:, :-1], own[:, 1:])
    errors = []
    for (_, ours), theirs in zip(model.named_parameters(), dense.parameters(), strict=True):
        errors.append(float((ours.grad.full_tensor() - theirs.grad).abs().max() / theirs.grad.abs().max()))
    said = _said(lambda: clip_grad_norm_(model.parameters(), 1e9))
    return float((norm_by_mesh(model) - due).abs() / due), max(errors), said


def norm_by_mesh(model: nn.Module) -> Tensor:
    """One norm a mesh, and the root of their squares."""
    by_mesh: dict[DeviceMesh, list[DTensor]] = {}
    for parameter in model.parameters():
        by_mesh.setdefault(parameter.grad.device_mesh, []).append(parameter.grad)
    squares = [nn.utils.get_total_norm(gradients).full_tensor() ** 2 for gradients in by_mesh.values()]
    return torch.stack(squares).sum().sqrt()


def _said(call: Callable[[], object]) -> str:
    try:
        call()
    except Exception as error:
        return str(error)
    return ""
