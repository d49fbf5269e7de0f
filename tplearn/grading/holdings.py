"""Tensors that the judge keeps, and hands out slice by slice: what an answer reads of a file is counted here."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from tplearn.checks.observe import Observation
from tplearn.jailed.forms import NAMES, Made, WireError

HELD = "tplearn.jailed.held:HeldTensors"
COUNTED = "bytes read"  # the aspect in which an observer says what its own counter has seen, by name


@dataclass
class Holdings:
    """One process's tensors in one case. read: the bytes handed out so far."""

    tensors: dict[str, Tensor]
    read: int = field(default=0)

    def said(self) -> Made:
        """What the process is given instead."""
        kinds = {name: [NAMES[tensor.dtype], list(tensor.shape)] for name, tensor in self.tensors.items()}
        return Made(HELD, {"kinds": kinds})

    def part(self, message: list[Any]) -> Tensor:
        """What ["slice", name, places] asks for. Raises WireError where there is none."""
        match message:
            case ["slice", str(name), list(places)] if name in self.tensors and all(map(_is_place, places)):
                where = tuple(slice(*place) if isinstance(place, list) else place for place in places)
            case _:
                raise WireError("a slice of nothing that is there")
        try:
            part = self.tensors[name][where].clone()
        except (IndexError, ValueError) as error:
            raise WireError("a slice of nothing that is there") from error
        self.read += part.nbytes
        return part

    def complaint(self, seen: Observation) -> Observation:
        """{"reads": a sentence} where the observer's counter has seen something else than what was handed out."""
        told = seen.get(COUNTED)
        counted = sum(size for size in told.values() if type(size) is int) if isinstance(told, dict) else 0
        if counted == self.read:
            return {}
        return {
            "reads": f"{self.read} bytes of the file's tensors were read, and its counter has seen {counted}. Every "
            "read goes through the file that your function is given."
        }


def _is_place(place: Any) -> bool:
    if isinstance(place, list):
        return len(place) == 3 and all(end is None or type(end) is int for end in place)
    return type(place) is int
