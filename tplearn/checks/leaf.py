"""One tensor of an answer beside the right one, with its twins on other ranks and what went in."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tplearn.checks.compare import first_difference


@dataclass(frozen=True)
class Leaf:
    """One tensor of an aspect, on one case: what each rank (or list entry) has, and should have.

    inputs: the arguments of the call by name, as tensors, for each rank where they differ; numbers: the whole numbers
    among them.
    """

    tp: int
    got: list[Tensor]
    want: list[Tensor]
    inputs: dict[str, list[Tensor]]
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def wrong(self) -> list[int]:
        """The ranks whose tensor is wrong."""
        return [r for r, pair in enumerate(zip(self.got, self.want, strict=True)) if first_difference(*pair)]

    @property
    def alike_in_shape(self) -> bool:
        """Whether got and want can be compared number by number."""
        return all(g.shape == w.shape for g, w in zip(self.got, self.want, strict=True))


def wrong_pairs(leaves: list[Leaf]) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(tp, got, want) of every wrong tensor in which something is due."""
    for leaf in leaves:
        yield from ((leaf.tp, leaf.got[rank], leaf.want[rank]) for rank in leaf.wrong if leaf.want[rank].numel())


def kind_of(tensor: Tensor) -> str:
    """ "float", "int", "bool" or "complex"."""
    if tensor.is_complex():
        return "complex"
    return "float" if tensor.is_floating_point() else "bool" if tensor.dtype == torch.bool else "int"
