"""How what stands around a plan is watched: a plan that is checked, ties, gradients, a weight that is marked."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.distributed.tensor.parallel import ParallelStyle

from tplearn.checks.ch14_dtensor.twin import Model, drawn
from tplearn.checks.ch14_dtensor.watch import (
    Stopped,
    gradients,
    local,
    may_stop,
    mesh_of,
    shortened,
    weights,
    written,
)
from tplearn.checks.compare import first_line
from tplearn.checks.inputs import randn
from tplearn.checks.observe import changed_inputs, plain

Plan = dict[str, ParallelStyle]
BATCH, SEQ = 2, 4
TIED, APART, EQUAL = "tied", "not tied", "not tied, of equal numbers"  # embedding and head


def of_checked(fn: Callable[..., Any], seed: int, inputs: tuple[Plan, dict[str, list[str]]]) -> dict[str, Any]:
    """fn(model, mesh, plan) for a model whose second layer has experts. A plan whose keys all match is applied.

    inputs: the plan, and of each key that matches nothing the names of the modules where its path breaks off.
    {"applied": by module what was done to it} or, of a plan that is to be refused, {"refused": how it was}.
    """
    plan, there = inputs
    model = drawn(Model(4, 2), seed)
    model.layers[1].experts = nn.ModuleDict({name: nn.Linear(8, 8) for name in ("router", "w1")})
    del model.layers[1].feed_forward
    before = _applied(model)
    if not there:
        try:
            result = fn(model, mesh_of(), dict(plan))
        except ValueError as error:
            says = f"your function refused a plan whose keys all match something: {shortened(first_line(str(error)))}"
            refused = f"nothing, because of {', '.join(_named(plan, str(error))) or 'no key that is named'}"
            return {"plan": says, "applied": refused, "returns": "nothing"}
        return {"applied": _applied(model), "returns": "the model" if result is model else plain(result)}
    try:
        fn(model, mesh_of(), dict(plan))
        says, kind = "", "nothing"
    except Exception as error:  # whatever an answer raises is what is seen of it
        says, kind = str(error), _kind(error)
    named = _named(plan, says)
    words = set(re.findall(r"\w+", re.sub("|".join(map(re.escape, named)) or "$^", " ", says)))
    missing = sorted({name for names in there.values() for name in names} - words)
    return {
        "refused": {
            "raised": kind,
            "keys that are named": named,
            "names that are not given": missing,
            "changed all the same": [name for name, state in _applied(model).items() if state != before[name]],
        }
    }


def _named(plan: Plan, says: str) -> list[str]:
    """The plan's keys that a message names."""
    return [key for key in plan if re.search(rf"(?<![\w.*\]]){re.escape(key)}(?!\w|\.\w|[*\[])", says)]


def _kind(error: Exception) -> str:
    """The name of its type; a stub's goes on its way."""
    if isinstance(error, NotImplementedError):
        raise error
    return ValueError.__name__ if isinstance(error, ValueError) else type(error).__name__


def _applied(model: nn.Module) -> dict[str, str]:
    """By module: the placements of its own parameters, and how many hooks stand before and after it."""
    return {
        name: ", ".join(f"{key} {written(p)}" for key, p in module.named_parameters(recurse=False))
        + f"; {len(module._forward_pre_hooks)} before, {len(module._forward_hooks)} after"
        for name, module in model.named_modules()
    }


def of_ties(fn: Callable[..., Any], seed: int, inputs: tuple[str, Plan]) -> dict[str, Any]:
    """fn(model, mesh, plan) for an embedding, a norm and a head, tied or not: logits, gradients, what is one parameter.

    "one parameter": the names of each. The gradients are those of all names.
    """
    tie, plan = inputs
    words, generator = 48, Generator().manual_seed(seed + 1)
    model = drawn(Model(words, 0), seed)
    if tie == TIED:
        model.output.weight = model.tok_embeddings.weight
    elif tie == EQUAL:
        model.output.weight = nn.Parameter(model.tok_embeddings.weight.detach().clone())
    ids = torch.randint(words, (BATCH, SEQ), generator=generator)
    fn(model, mesh_of(), dict(plan))
    seen: dict[str, Any] = {}
    try:
        with may_stop(model, "the model"):
            logits = model(ids)
        seen["forward"] = plain(logits)
        with may_stop(model, "the backward pass"):
            logits.backward(randn(generator, BATCH, SEQ, words))
        seen["gradient"] = gradients(model)
    except Stopped as stop:
        seen |= {"runs": stop.says, "forward": stop.says, "gradient": stop.says}
    return seen | {"one parameter": _same(model), "weights": weights(model)}


def _same(model: nn.Module) -> list[list[str]]:
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    return list(names.values())


KINDS = {  # placement, and that of the gradient after backward
    "norm": (Replicate(), Partial()),
    "q_norm": (Replicate(), Partial()),
    "columns": (Shard(0), Shard(0)),
    "rows": (Shard(1), Shard(1)),
    "words": (Shard(0), Replicate()),
}


def of_finishing(
    fn: Callable[..., Any], mesh: tuple[int, int], given: dict[str, tuple[Tensor, Tensor]], plain_gradient: Tensor
) -> dict[str, Any]:
    """fn(model, mesh) after the backward pass of a model on a dp × tp mesh.

    given: for each of KINDS this rank's part of the parameter and of its gradient. Beside them the model has "bias", a
    plain tensor with a plain gradient, and "frozen", which has none. {"placements", "gradient"} afterwards, by name.
    """
    device_mesh = mesh_of(mesh, ("dp", "tp"))
    tp, model = device_mesh["tp"], nn.ParameterDict()
    for name, (value, gradient) in given.items():
        placement, of_gradient = KINDS[name]
        model[name] = nn.Parameter(DTensor.from_local(value, tp, [placement], run_check=False))
        model[name].grad = DTensor.from_local(gradient.clone(), tp, [of_gradient], run_check=False)
    model["bias"], model["frozen"] = (nn.Parameter(torch.zeros_like(plain_gradient)) for _ in range(2))
    model["bias"].grad = plain_gradient.clone()
    values = {name: plain(local(p)) for name, p in model.items()}
    fn(model, device_mesh)
    after = {name: p.grad for name, p in model.items()}
    changed = changed_inputs(([], values), ([], {name: plain(local(p)) for name, p in model.items()}))
    return {
        "placements": {name: "no gradient" if g is None else written(g) for name, g in after.items()},
        "gradient": {name: None if g is None else plain(local(g)) for name, g in after.items()},
    } | changed


def of_marked(
    fn: Callable[..., Any], mesh: tuple[int, ...], names: tuple[str, ...], weight: Tensor, spec: tuple
) -> dict[str, Any]:
    """fn(weight, mesh, spec): {"placements", "shard"}, or where it raised {"refused": the type of the error}."""
    device_mesh, given = mesh_of(mesh, names), weight.clone()
    try:
        result = fn(given, device_mesh, spec)
    except Exception as error:  # whatever an answer raises is what is seen of it
        return {"refused": _kind(error), "placements": "none", "shard": "none"}
    changed = changed_inputs(([plain(weight)], {}), ([plain(given)], {}))
    if not isinstance(result, DTensor):
        return {"refused": "nothing", "placements": "no DTensor", "shard": plain(result)} | changed
    placements = dict(zip(names, written(result).split(", "), strict=False))
    return {"refused": "nothing", "placements": placements, "shard": plain(local(result))} | changed
