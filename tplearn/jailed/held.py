"""Tensors that the judge keeps: a process has their names, shapes and kinds of numbers, and asks for each slice.

So the bytes that an answer reads are counted where it cannot reach the counter.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tplearn.jailed.forms import DTYPES, WireError
from tplearn.jailed.line import Line


class HeldTensors(Mapping[str, "HeldTensor"]):
    """Stands for a dict of tensors. kinds: {name: [dtype, shape]}; line: to the judge, set where the case is begun."""

    line: Line

    def __init__(self, kinds: dict[str, list[Any]]) -> None:
        self.kinds = kinds

    def __getitem__(self, name: str) -> "HeldTensor":
        dtype, shape = self.kinds[name]
        return HeldTensor(self.line, name, torch.empty(shape, dtype=DTYPES[dtype], device="meta"))

    def __iter__(self) -> Iterator[str]:
        return iter(self.kinds)

    def __len__(self) -> int:
        return len(self.kinds)


@dataclass(frozen=True)
class HeldTensor:
    """One of them. form: a tensor without numbers, of its shape and dtype."""

    line: Line
    name: str
    form: Tensor

    @property
    def shape(self) -> torch.Size:
        return self.form.shape

    def numel(self) -> int:
        return self.form.numel()

    def element_size(self) -> int:
        return self.form.element_size()

    def __getitem__(self, where: Any) -> Tensor:
        """A part, which the judge sends and counts. Slices and whole numbers work, each for a dimension."""
        places = [_said(place) for place in (where if isinstance(where, tuple) else (where,))]
        self.form[where]  # torch's own error, where there is no such part
        with self.line.lock:
            self.line.say("slice", self.name, places)
            word, part = self.line.hear()
        if word != "part":
            raise WireError(f"{word} answers a slice")
        return part


def _said(place: Any) -> Any:
    if isinstance(place, slice):
        return [None if end is None else int(end) for end in (place.start, place.stop, place.step)]
    if isinstance(place, bool) or not hasattr(place, "__index__"):
        raise TypeError(f"a part is named by slices and whole numbers, not by {place!r:.80}")
    return place.__index__()
