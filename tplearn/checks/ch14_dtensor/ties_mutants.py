"""What the wrong answers to exercise 14.4 show: two parameters with equal numbers, ties that nobody asked for."""

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, parallelize_module

from tplearn.checks.exercise import mutants_of

Plan = dict[str, ParallelStyle]


def _tied(model: nn.Module, mesh: DeviceMesh, plan: Plan, wrong: str) -> None:
    """The plan applied, and the tie made with one thing `wrong`."""
    table = model.tok_embeddings.weight
    tied, equal = model.output.weight is table, torch.equal(model.output.weight, table)
    if wrong == "embedding left out":
        plan = {key: style for key, style in plan.items() if key == "output"}
    if wrong == "head left out":
        plan = {key: style for key, style in plan.items() if key != "output"}
    if wrong == "nothing applied":
        return
    if wrong == "tables sent":
        parallelize_module(model, mesh, plan)
    else:
        parallelize_module(model, mesh, plan, src_data_rank=None)
    if wrong == "always tied" or (wrong == "equal numbers tied" and equal):
        model.tok_embeddings.weight = model.output.weight
    if not tied or wrong in ("two parameters", "always tied", "equal numbers tied"):
        return
    if wrong in ("embedding's stays", "embedding left out"):
        model.output.weight = model.tok_embeddings.weight
    elif wrong == "the old table":
        model.tok_embeddings.weight = model.output.weight = table
    elif wrong == "a new table by hidden numbers":
        new = nn.Parameter(distribute_tensor(table.detach(), mesh, [Shard(1)], src_data_rank=None))
        model.tok_embeddings.weight = model.output.weight = new
    elif wrong == "a new table, whole":
        new = nn.Parameter(distribute_tensor(table.detach(), mesh, [Replicate()], src_data_rank=None))
        model.tok_embeddings.weight = model.output.weight = new
    elif wrong == "module for module":
        model.output = nn.Linear(*table.shape[::-1], bias=False)
        model.output.weight = model.tok_embeddings.weight
    elif wrong == "frozen":
        model.tok_embeddings.weight = nn.Parameter(model.output.weight.detach(), requires_grad=False)
    elif wrong == "embedding cut twice":
        model.tok_embeddings.weight = model.output.weight
        parallelize_module(model, mesh, {"tok_embeddings": ColwiseParallel()}, src_data_rank=None)
    else:
        model.tok_embeddings.weight = model.output.weight


MUTANTS = mutants_of(
    _tied,
    (
        "two parameters",
        "Embedding and head are two parameters. Their numbers are equal, so the logits are right; but each gets its "
        "own part of the gradient, and the optimizer makes a step of its own with each. It does not help to tie them "
        "before parallelize_module, which makes a new parameter for each, nor to copy numbers or storage: it must be "
        "one nn.Parameter, under two names.",
        "after parallelize_module: model.a.weight = model.b.weight.",
    ),
    (
        "always tied",
        "You tied a model that was not: its embedding has lost its numbers. Whether it was tied must be asked before "
        "parallelize_module, while the two are still one.",
        "model.output.weight is model.tok_embeddings.weight, asked first.",
    ),
    (
        "equal numbers tied",
        "You tie two parameters because their numbers are equal. Two tables that begin alike are still two: each gets "
        "a gradient of its own, and after a step they differ. Tied means one parameter under two names.",
        "model.output.weight is model.tok_embeddings.weight, asked before parallelize_module.",
    ),
    (
        "embedding's stays",
        "Right, but of the two parameters you kept the wrong one. Where the embedding is cut by hidden numbers, the "
        "head then has columns of the table where it should have words: each rank's logits are partials, and whole "
        "logits go through an all_reduce.",
        "which of the two is given to the other: the head's is cut by words in every plan here.",
    ),
    (
        "the old table",
        "A weight is a plain tensor now: the old table, or a local shard. The styles make DTensors of what comes in, "
        "and PyTorch refuses to mix the two.",
        "one of the two parameters that parallelize_module has made.",
    ),
    (
        "a new table, whole",
        "You tied the two to a table that is a DTensor, and replicated: nothing is cut any more.",
        "one of the two parameters that parallelize_module has made.",
    ),
    (
        "a new table by hidden numbers",
        "You tied the two to a table cut by hidden numbers. Each rank's logits are then partials, and whole logits go "
        "through an all_reduce.",
        "the head's parameter, which is cut by words in every plan here.",
    ),
    (
        "embedding left out",
        "You left the embedding out of the plan, so its table is plain and whole. Given to the head, it meets a "
        "DTensor there, and PyTorch refuses to mix the two.",
        "the plan: apply all of it.",
    ),
    (
        "head left out",
        "You left the head out of the plan: its table is plain and whole, and given to the embedding it meets a "
        "DTensor there.",
        "the plan: apply all of it.",
    ),
    (
        "nothing applied",
        "The tie is kept, for nothing was done: no parameter is cut.",
        "parallelize_module(model, mesh, plan, src_data_rank=None).",
    ),
    (
        "tables sent",
        "Right, but each table was sent from rank 0 to the others, a scatter each. Every rank has the same numbers "
        "already.",
        "src_data_rank=None.",
    ),
    (
        "module for module",
        "The head's weight is a DTensor, and what comes in is a plain tensor: nobody makes a DTensor of it, for the "
        "hooks that the head's line in the plan brings are not there. Either the line was left out, or a new module "
        "stands in the head's place.",
        "apply all of the plan, and change the weight, not the module.",
    ),
    (
        "frozen",
        "The embedding has a table of its own that learns nothing. Tied means one parameter, used twice, and a "
        "gradient that is the sum of both uses.",
        "the parameter itself, not its numbers.",
    ),
)
