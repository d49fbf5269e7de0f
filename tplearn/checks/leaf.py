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
    among them. mesh: as in Case.
    """

    tp: int
    got: list[Tensor]
    want: list[Tensor]
    inputs: dict[str, list[Tensor]]
    numbers: dict[str, float] = field(default_factory=dict)
    mesh: tuple[int, int] | None = None

    @property
    def wrong(self) -> list[int]:
        """The ranks whose tensor is wrong."""
        return [r for r, pair in enumerate(zip(self.got, self.want, strict=True)) if first_difference(*pair)]

    @property
    def ranks(self) -> str:
        """ "tp = 4", or "a 2×2 mesh"."""
        return f"a {self.mesh[0]}×{self.mesh[1]} mesh" if self.mesh else f"tp = {self.tp}"

    @property
    def sizes(self) -> dict[str, int]:
        """What numbers of ranks are called."""
        if self.mesh is None:
            return {"tp": self.tp}
        return {"dp": self.mesh[0], "tp": self.mesh[1], "(dp · tp)": self.tp}

    @property
    def alike_in_shape(self) -> bool:
        """Whether got and want can be compared number by number."""
        return all(g.shape == w.shape for g, w in zip(self.got, self.want, strict=True))


def wrong_pairs(leaves: list[Leaf]) -> Iterator[tuple[Leaf, Tensor, Tensor]]:
    """(its leaf, got, want) of every wrong tensor in which something is due."""
    for leaf in leaves:
        yield from ((leaf, leaf.got[rank], leaf.want[rank]) for rank in leaf.wrong if leaf.want[rank].numel())


def telling_sizes(leaves: list[Leaf]) -> list[str]:
    """The names of sizes that something can be said about: above 1 somewhere, and no other's numbers.

    None where every mesh is square: dp is tp, and nobody can tell which of them a factor is.
    """
    columns = {name: [leaf.sizes[name] for leaf in leaves] for name in (leaves[0].sizes if leaves else ())}
    if columns.get("dp") and columns["dp"] == columns["tp"]:
        return []
    seen = list(columns.values())
    return [name for k, (name, column) in enumerate(columns.items()) if max(column) > 1 and column not in seen[:k]]


def kind_of(tensor: Tensor) -> str:
    """ "float", "int", "bool" or "complex"."""
    if tensor.is_complex():
        return "complex"
    return "float" if tensor.is_floating_point() else "bool" if tensor.dtype == torch.bool else "int"
