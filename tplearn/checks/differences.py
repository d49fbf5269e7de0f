"""A clue: what is wrong minus what is right is a multiple of an argument."""

from collections.abc import Callable

import torch

from tplearn.checks.leaf import Leaf
from tplearn.checks.relations import multiple_of


def difference(leaves: list[Leaf]) -> str | None:
    """Yours minus the right one is a multiple of an argument."""
    names = set.intersection(*(set(leaf.inputs) for leaf in leaves)) if leaves else set()
    if not all(leaf.alike_in_shape for leaf in leaves):
        return None
    for name in sorted(names):
        factors = []
        for leaf in leaves:
            for rank in leaf.wrong:
                arguments = leaf.inputs[name]
                argument = arguments[rank if len(arguments) > 1 else 0]
                try:
                    whole = argument.expand_as(leaf.want[rank])
                except RuntimeError:
                    whole = _joined(arguments, leaf.want[rank])
                factors.append((leaf.tp, multiple_of(leaf.got[rank] - leaf.want[rank], whole)))
        if any(factor is None for _, factor in factors):
            continue
        for text, function in DIFFERENCES:
            if all(abs(factor - function(tp)) <= 1e-9 * max(1.0, abs(function(tp))) for tp, factor in factors):
                return f"Yours minus the right one is {text}{name}."
    return None


def _joined(arguments: list[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """All ranks' shards side by side, where they fit so; else a zero, which is no difference."""
    try:
        return torch.cat(arguments, -1).expand_as(like)
    except RuntimeError:
        return torch.zeros(())


DIFFERENCES: tuple[tuple[str, Callable[[int], float]], ...] = (
    ("(tp − 1) · ", lambda tp: tp - 1),
    ("minus ", lambda tp: -1),
    ("", lambda tp: 1),
    ("tp · ", lambda tp: tp),
    ("minus (tp − 1) · ", lambda tp: 1 - tp),
    ("(1/tp − 1) · ", lambda tp: 1 / tp - 1),
)
