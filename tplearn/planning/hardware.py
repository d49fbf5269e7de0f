"""Accelerators as a cost model sees them: memory, bandwidths, peak, links, and what fraction of each a program gets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from types import MappingProxyType


@dataclass(frozen=True)
class Accelerator:
    """One accelerator and its place in a cluster. `hardware.json` gives the source of each number.

    The `_fraction`s are measured, not on any data sheet: multiply the peak by them to get what programs reach.
    """

    name: str
    memory: float
    """bytes; what a card has beyond the data sheet's figure is left to the driver and to fragments"""
    memory_bandwidth: float
    """bytes/s"""
    peak_flops: float
    """FLOP/s of dense bf16 matmuls"""
    node_size: int
    """accelerators that the fast link joins"""
    node_bandwidth: float
    """bytes/s one way for one accelerator, inside the node"""
    network_bandwidth: float
    """bytes/s one way for one accelerator, between nodes"""
    node_alpha: float
    """seconds that a collective takes however small it is, inside the node"""
    network_alpha: float
    """the same between nodes"""
    network_hop: float
    """seconds that each step of a ring or tree between nodes adds"""
    matmul_fraction: float
    """of peak_flops, in the matmuls of a large model"""
    memory_fraction: float
    """of memory_bandwidth, when weights are read once"""
    link_fraction: float
    """of node_bandwidth and network_bandwidth, in large collectives"""
    layer_seconds: float
    """what a layer takes in decode that no rank divides: kernels so small that starting them is most of their time"""

    @property
    def matmul_flops(self) -> float:
        """FLOP/s that large matmuls reach."""
        return self.peak_flops * self.matmul_fraction

    @property
    def read_bandwidth(self) -> float:
        """Bytes/s that reading a large tensor reaches."""
        return self.memory_bandwidth * self.memory_fraction


def read_hardware() -> dict[str, dict[str, object]]:
    """The entries of `hardware.json` by name: the fields of `Accelerator`, and under `sources` where each is from."""
    entries = json.loads(files("tplearn.planning").joinpath("hardware.json").read_text(encoding="utf-8"))
    return {name: entry for name, entry in entries.items() if not name.startswith("_")}


ACCELERATORS: Mapping[str, Accelerator] = MappingProxyType(
    {
        name: Accelerator(name, **{field: value for field, value in entry.items() if field != "sources"})
        for name, entry in read_hardware().items()
    }
)
"""Accelerators by name. "A100" is the one with 80 GB."""

ALIASES = {"a100-80gb": "A100", "h100-80gb": "H100", "v5e": "TPU-v5e", "v5p": "TPU-v5p"}


def find_accelerator(name: str) -> Accelerator:
    """The accelerator of that name, in capitals or not. Raises ValueError, which says what name may be meant."""
    by_lower = {known.lower(): known for known in ACCELERATORS} | ALIASES
    known = by_lower.get(name.strip().lower()) if isinstance(name, str) else None
    if known is None:
        near = get_close_matches(str(name).lower(), by_lower, n=2, cutoff=0.5)
        meant = f"did you mean {' or '.join(dict.fromkeys(by_lower[one] for one in near))}? " if near else ""
        raise ValueError(f"accelerator {name!r} is not known; {meant}names that work: {', '.join(ACCELERATORS)}")
    return ACCELERATORS[known]
