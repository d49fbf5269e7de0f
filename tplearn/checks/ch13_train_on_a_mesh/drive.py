"""How chapter 13's functions are watched: on all ranks of a mesh at once, on a real mesh, after backward."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tplearn.checks.ch13_train_on_a_mesh.small import (
    Mesh,
    dense_numbers,
    own_mesh,
    partial_gradient,
    shard_of,
    small_model,
)
from tplearn.checks.live import with_upstream
from tplearn.checks.observe import changed_inputs, plain
from tplearn.parallel import partitions


def on_every_rank(fn: Callable[..., Any], windows: int, batch: int, epoch: int, dp: int, tp: int) -> dict[str, Any]:
    """The windows of all ranks of a mesh: who reads the same, how many, and what the mesh reads at each step.

    How a batch is shared out among the rows is the answer's own business.
    """
    read = [_lists(fn(windows, batch, epoch, dp, tp, rank)) for rank in range(dp * tp)]
    strange = next((own for own in read if not _is_steps(own)), None)
    if strange is not None:
        return {"forward": strange}
    firsts = [read.index(own) for own in read]
    names = {f"rank {rank}": first for rank, first in enumerate(firsts)}
    return {
        "data": {name: "windows of its own" if name == f"rank {k}" else f"rank {k}'s" for name, k in names.items()},
        "windows a step": {name: [len(step) for step in own] for name, own in zip(names, read, strict=True)},
        "batches": [sorted(sum(steps, [])) for steps in zip(*(read[k] for k in sorted(set(firsts))), strict=False)],
    }


def _lists(value: Any) -> Any:
    """Tensors of whole numbers as lists."""
    if isinstance(value, Tensor):
        return value.tolist()
    return [_lists(item) for item in value] if isinstance(value, list | tuple | range) else plain(value)


def _is_steps(value: Any) -> bool:
    """Whether it is a list of lists of whole numbers."""
    return isinstance(value, list) and all(
        isinstance(step, list) and all(type(window) is int for window in step) for step in value
    )


def after_backward(fn: Callable[..., Any], targets: list[int], mesh: Mesh, seed: int) -> dict[str, Any]:
    """{"gradients"} of a model after fn(model, this row's targets, mesh); the weights must stay as they are."""
    ranks, model = own_mesh(mesh), small_model(mesh)
    row = ranks["dp"].get_local_rank()
    weights, gradients = dense_numbers(seed), dense_numbers(seed + 1 + row)
    with torch.no_grad():
        for name, parameter, partition in partitions(model):
            parameter.copy_(shard_of(weights[name], partition))
            parameter.grad = partial_gradient(gradients[name], partition)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    fn(model, targets[row], ranks)
    seen: dict[str, Any] = {"gradients": {name: plain(p.grad) for name, p in model.named_parameters()}}
    if any(not torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True)):
        seen["weights"] = "the weights have changed. Only the gradients are to be written to."
    return seen


def norm_on_mesh(
    fn: Callable[..., Any], gradients: list[Tensor], states: list[list[str]], mesh: Mesh
) -> dict[str, Any]:
    """One number, as a tensor of shape [] or a Python number."""
    given = [gradient.clone() for gradient in gradients]
    result = plain(fn(given, [tuple(pair) for pair in states], own_mesh(mesh)))
    if isinstance(result, float):
        result = gradients[0].new_tensor(result)
    return {"forward": result} | changed_inputs((plain([gradients]), {}), (plain([given]), {}))


def dropout_on_mesh(
    fn: Callable[..., Any], upstream: Tensor, x: Tensor, p: float, cut: dict[str, int], mesh: Mesh, seed: int
) -> dict[str, Any]:
    """{"mask", "scale", "gradient"} of fn(x, p, cut, mesh), and the next number that torch draws after it."""
    ranks = own_mesh(mesh)
    torch.manual_seed(seed)
    seen = with_upstream(lambda x: fn(x, p, dict(cut), ranks), upstream, x)
    after = torch.rand(())
    result = seen.pop("forward")
    if not isinstance(result, Tensor) or result.shape != x.shape or not result.is_floating_point():
        return {"forward": result} | seen
    kept = result != 0
    scales = (result / x)[kept]
    one = bool(kept.any()) and bool((scales - scales[0]).abs().max() < 1e-9)
    scale = scales.mean().item() if one else "not one number"
    return {"mask": kept, "scale": scale} | seen | {"next random number": after}
