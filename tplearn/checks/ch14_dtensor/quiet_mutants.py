"""What the wrong answers to exercise 14.3 show: an f too many, an f that sums nothing, silence that is bought."""

from torch.distributed.tensor import Partial, Placement, Replicate, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    PrepareModuleOutput,
    SequenceParallel,
)

from tplearn.checks.exercise import mutants_of

Plan = dict[str, ParallelStyle]
WHOLE = Replicate()


def _at_input(inputs: int) -> PrepareModuleInput:
    """R → R for the first of so many inputs."""
    layouts = (WHOLE, *[None] * (inputs - 1))
    return PrepareModuleInput(input_layouts=layouts, desired_input_layouts=layouts)


def _at_output(given: Placement, due: Placement) -> PrepareModuleOutput:
    return PrepareModuleOutput(output_layouts=given, desired_output_layouts=due, use_local_output=False)


def _plan(plan: Plan, wrong: str) -> Plan:
    """The mended plan with one thing `wrong`."""
    if wrong == "as it was":
        return plan
    if wrong == "an f for each half":
        return plan | {"layers.*.attention": _at_input(3), "layers.*.feed_forward": _at_input(1)}
    if wrong == "attention only":
        return plan | {"layers.*.attention": _at_input(3)}
    if wrong == "MLP only":
        return plan | {"layers.*.feed_forward": _at_input(1)}
    if wrong == "one input of three":
        return plan | {"layers.*.attention": _at_input(1), "layers.*.feed_forward": _at_input(1)}
    if wrong == "all inputs DTensors":
        three = (WHOLE, WHOLE, WHOLE)
        every = PrepareModuleInput(input_layouts=three, desired_input_layouts=three)
        return plan | {"layers.*.attention": every, "layers.*.feed_forward": _at_input(1)}
    if wrong == "norm gives a partial":
        return plan | {"layers.*.norm": _at_output(Partial(), WHOLE)}
    if wrong == "norm on shards":
        return plan | {"layers.*.norm": SequenceParallel()}
    if wrong == "norm cut":
        return plan | {"layers.*.norm": _at_output(WHOLE, Shard(1))}
    if wrong == "before the norm":
        return plan | {"layers.*.norm": _at_input(1)}
    if wrong == "y made a partial":
        return plan | {"layers.*.norm": _at_output(WHOLE, Partial())}
    if wrong == "after the block":
        return plan | {"layers.*": _at_output(WHOLE, WHOLE)}
    if wrong == "columns give DTensors":
        column = ColwiseParallel(use_local_output=False)
        return {key: column if isinstance(style, ColwiseParallel) else style for key, style in plan.items()}
    if wrong == "first block only":
        return plan | {"layers.0.norm": _at_output(WHOLE, WHOLE)}
    if wrong == "key without its place":
        return plan | {"norm": _at_output(WHOLE, WHOLE)}
    if wrong == "columns left out":
        return {key: style for key, style in plan.items() if not isinstance(style, ColwiseParallel)}
    if wrong == "nothing cut":
        return {}
    return {"layers.*.norm": _at_output(WHOLE, WHOLE)}  # only the line that is new


MUTANTS = mutants_of(
    _plan,
    (
        "as it was",
        "The plan sends what it sent: wq, wk, wv, w1 and w3 find a plain y, make a DTensor each of it, and each sums "
        "what comes back to its own. Sum first, then send once: y must be one DTensor when it reaches them. (A style "
        "with use_local_output=True makes a DTensor and a plain tensor again at once.)",
        "where y becomes a DTensor: five times, in the columns.",
    ),
    (
        "an f for each half",
        "Better: two all_reduce a block backward instead of five, one for attention and one for the MLP. That is the "
        "chapter's mend, where each half reads a norm of its own. Here both read the same y: made a DTensor once, "
        "before they part, it needs one.",
        "the module that gives y. Which style wraps what a module gives out?",
    ),
    (
        "attention only",
        "You mended attention's half: wq, wk and wv share an f. w1 and w3 still have one each.",
        "the module that gives y to both halves.",
    ),
    (
        "MLP only",
        "You mended the MLP's half: w1 and w3 share an f. wq, wk and wv still have one each.",
        "the module that gives y to both halves.",
    ),
    (
        "one input of three",
        "attention is called with three arguments, attention(y, cos, sin), and your layouts speak of one. A tuple "
        "must have a place for each, None for what is to stay as it is.",
        "input_layouts=(Replicate(), None, None), or a style at the module that gives y.",
    ),
    (
        "all inputs DTensors",
        "You made DTensors of cos and sin too. q and k are plain tensors when they meet them, and PyTorch refuses to "
        "mix the two.",
        "None in the place of what is to stay as it is.",
    ),
    (
        "norm gives a partial",
        "You said that the norm gives a partial, and the ranks' equal results were added up: y is tp times too large. "
        "The norm's result is finished, R.",
        "output_layouts.",
    ),
    (
        "norm on shards",
        "SequenceParallel takes the norm's plain input for a shard of the sequence. Here it is all of it, so what "
        "comes out is tp times as long.",
        "the norm's style. Nothing is cut along the sequence here.",
    ),
    (
        "norm cut",
        "You cut y along the sequence, and the columns gather it again: right, but an all_gather in each of them "
        "forward, and a reduce_scatter for each backward.",
        "desired_output_layouts.",
    ),
    (
        "before the norm",
        "You made a DTensor of x, before the norm. The norm's weight is a plain tensor, and PyTorch refuses to mix the "
        "two. And it is after the norm that the ways of the two halves part: what flows back before it is finished.",
        "what the norm gives, not what it gets.",
    ),
    (
        "y made a partial",
        "You asked for a partial. No redistribution makes one: a P is what a product leaves behind, and y is finished. "
        "It stays R; it is its gradient that comes back as a P.",
        "desired_output_layouts.",
    ),
    (
        "after the block",
        "Your style stands after the block: what leaves it is a DTensor now, and y in it is a plain tensor, as before.",
        "the module that gives y.",
    ),
    (
        "columns give DTensors",
        "Your columns give DTensors, and RoPE wants plain tensors. What they give was fine: what they *get* should be "
        "one DTensor for all five.",
        "the module that gives y. The lines that you were given stay as they are.",
    ),
    (
        "first block only",
        "Block 0 is mended, the others are not.",
        "the key: layers.* is every block.",
    ),
    (
        "key without its place",
        "The plan sends what it sent, for your key matches no module. A key is a module's whole name, from the model "
        "down; of one that matches nothing PyTorch only warns.",
        "the key: layers.*.norm.",
    ),
    (
        "columns left out",
        "You took the columns out of the plan, and what is left does not fit together.",
        "the plan that you were given: its lines stay as they are.",
    ),
    (
        "nothing cut",
        "Silence has its price: your plan cuts nothing, and every rank has all of the weights.",
        "the plan that you were given: its lines stay, one is added.",
    ),
    (
        "only the new line",
        "Your plan has the new line and none of the old: nothing is cut, and y comes out of the norm as a DTensor "
        "that meets plain weights.",
        "plan | {...}: the lines that you were given stay.",
    ),
)
