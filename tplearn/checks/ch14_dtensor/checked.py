"""Exercise 14.1: a plan whose keys all match something is applied, any other refused before anything is cut."""

from fnmatch import fnmatch

from torch import Generator, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    RowwiseParallel,
    SequenceParallel,
    parallelize_module,
)

from tplearn.checks.ch14_dtensor.checked_mutants import MUTANTS
from tplearn.checks.ch14_dtensor.drive_parts import of_checked
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick

Plan = dict[str, ParallelStyle]


def checked_plan(model: nn.Module, mesh: DeviceMesh, plan: Plan) -> nn.Module:
    """Walk down from the model, name by name; where nothing goes on, say what is there."""
    complaints = []
    for key in plan:
        here = [model]
        for token in key.split("."):
            children = [pair for module in here for pair in module.named_children()]
            here = [child for name, child in children if fnmatch(name, token)]
            if not here:
                there = ", ".join(dict.fromkeys(name for name, _ in children)) or "no modules"
                complaints.append(f"{key!r} matches no module: no {token!r} among {there}")
                break
    if complaints:
        raise ValueError("; ".join(complaints))
    return parallelize_module(model, mesh, plan)


TOP = ["tok_embeddings", "layers", "norm", "output"]
LAYER = ["attention_norm", "ffn_norm", "attention", "feed_forward", "experts"]
ATTENTION = ["wq", "wk", "wv", "q_norm", "k_norm", "wo"]
# What a plan has, and of its keys that match nothing the names where their path breaks off.
PLANS: dict[str, tuple[str, dict[str, list[str]]]] = {
    "keys that match": ("layers.*.attention.w[qkv] layers.*.attention.wo tok_embeddings layers.1.ffn_norm output", {}),
    "keys that match in one layer only": ("layers.*.feed_forward.w2 layers.*.experts.w1 layers.1.attention.wq", {}),
    "a module with modules in it": ("layers.*.attention layers.*.attention.wq layers.*.attention.wo", {}),
    "a typo": ("layers.*.attention.wq layers.*.feed_foward.w1", {"layers.*.feed_foward.w1": LAYER}),
    "a typo at the end": ("layers.*.attention.wp layers.*.attention.wo", {"layers.*.attention.wp": ATTENTION}),
    "two typos": (
        "layers.*.attention.wq lm_head layers.*.atention.wk",
        {"lm_head": TOP, "layers.*.atention.wk": LAYER},
    ),
    "a * too few": ("layers.*.attention.wq layers.wk", {"layers.wk": ["0", "1"]}),
    "a * for two names": ("layers.*.wv layers.*.attention.wq", {"layers.*.wv": LAYER}),
    "a parameter's name": ("layers.*.attention.wq.weight layers.*.attention.wo", {"layers.*.attention.wq.weight": []}),
}


def _style(key: str) -> ParallelStyle:
    if key.endswith("attention"):
        layouts = (Replicate(), None, None)
        return PrepareModuleInput(input_layouts=layouts, desired_input_layouts=layouts)
    if key.endswith("norm"):
        return SequenceParallel()
    return RowwiseParallel() if key.endswith(("wo", "w2")) else ColwiseParallel()


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp, labels in ((1, list(PLANS)[:1]), (2, list(PLANS)), (4, ["keys that match", "a typo"])):
        for label in labels:
            keys, there = PLANS[label]
            plan = {key: _style(key) for key in keys.split()}
            cases.append(Case(tp, (pick(generator, 1, 10**6), (plan, there)), label=label))
    return cases


CHECKED_PLAN = Exercise(
    number="14.1",
    name="checked_plan",
    points=10,
    difficulty=1,
    minutes=10,
    reference=checked_plan,
    cases=_cases,
    observe=of_checked,
    ranks=True,
    mutants=MUTANTS,
)
