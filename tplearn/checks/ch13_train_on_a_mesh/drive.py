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

OWN_SEED = (
    "your function sets a seed. All ranks have the same random state when they call you: draw from that, and leave it "
    "where the draw has brought it."
)
NOT_DRAWN = (
    "torch's random state is what it was before: nothing was drawn from it, or it was put back. All ranks have the "
    "same state when they call you: draw from that, and leave it where the draw has brought it."
)


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
        "share": {name: _counted(own) for name, own in zip(names, read, strict=True)},
        "batches": [sorted(sum(steps, [])) for steps in zip(*(read[k] for k in sorted(set(firsts))), strict=False)],
    }


def _counted(steps: list[list[int]]) -> str:
    """ "6 steps of 2 windows"."""
    sizes = [len(step) for step in steps]
    return f"{len(sizes)} steps of {', '.join(map(str, sizes if len(set(sizes)) > 1 else sizes[:1]))} windows"


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
    """The norm of each gradient alone, by its states, and of all of them."""
    norms, changed = {}, {}
    pairs = [(f"{over_dp} over dp, {over_tp} over tp", k) for k, (over_dp, over_tp) in enumerate(states)]
    for name, numbers in [*((name, [k]) for name, k in pairs), ("all together", list(range(len(states))))]:
        own = [gradients[k] for k in numbers]
        given = [gradient.clone() for gradient in own]
        result = plain(fn(given, [tuple(states[k]) for k in numbers], own_mesh(mesh)))
        norms[name] = own[0].new_tensor(result) if isinstance(result, float) else result
        changed |= changed_inputs((plain([own]), {}), (plain([given]), {}))
    return {"forward": norms} | changed


def dropout_on_mesh(
    fn: Callable[..., Any], upstream: Tensor, x: Tensor, p: float, cut: dict[str, int], mesh: Mesh, seed: int
) -> dict[str, Any]:
    """{"mask", "scale", "gradient"} of fn(x, p, cut, mesh), and the next number that torch draws after it.

    {"seed": a sentence} where the mask does not come from the random state that all ranks have.
    """
    ranks = own_mesh(mesh)
    torch.manual_seed(seed)
    before = torch.get_rng_state()
    seen = with_upstream(lambda x: fn(x, p, dict(cut), ranks), upstream, x)
    if torch.initial_seed() != seed:
        seen["seed"] = OWN_SEED
    elif torch.equal(torch.get_rng_state(), before):
        seen["seed"] = NOT_DRAWN
    after = torch.rand(())
    result = seen.pop("forward")
    if not isinstance(result, Tensor) or result.shape != x.shape or not result.is_floating_point():
        return {"forward": result} | seen
    kept = result != 0
    scales = (result / x)[kept]
    one = bool(kept.any()) and bool((scales - scales[0]).abs().max() < 1e-9)
    scale = scales.mean().item() if one else "not one number"
    return {"mask": kept, "scale": scale} | seen | {"next random number": after}
