"""Which devices work together: the spellings of `replica_groups` and `source_target_pairs` in HLO text."""

import math
import re

import numpy as np

Groups = tuple[tuple[int, ...], ...]

LISTED = re.compile(r"(?:replica_groups|source_target_pairs)=\{((?:\{[\d,]*\},?)*)\}")
IOTA = re.compile(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?(?=[,\s]|$)")
MESH = re.compile(
    r"replica_groups=mesh\[([^\]]*)\]"
    r"(?:, device_ids=\(\[([\d,]+)\](?:T\(([\d,]+)\))?\))?"
    r" \{((?:'\w+'(?:,\s?)?)*)\}(?=[,\s]|$)"
)
AXIS = re.compile(r"'(\w+)'=(\d+)")


def read_groups(line: str, devices: int) -> Groups:
    """The groups of an HLO instruction, each in its own order; of a permute the pairs (source, target).

    | spelling | meaning |
    |---|---|
    | `{{0,1},{2,3}}` | as it stands; `{}` is one group of all devices |
    | `[2,4]<=[8]`, `[4,2]<=[2,4]T(1,0)` | 0, 1, 2, … in the shape on the right, transposed, read in rows |
    | `mesh['x'=2,'y'=4], device_ids=([4,2]T(1,0)) {'y'}` | a mesh of these ids (without them 0, 1, 2, …), cut along y |

    devices: how many the program runs on. Raises ValueError for another spelling, and for groups that name a device
    twice or one that does not exist.
    """
    if found := LISTED.search(line):
        groups = tuple(_whole(inner) for inner in re.findall(r"\{([\d,]*)\}", found[1])) or (tuple(range(devices)),)
    elif found := IOTA.search(line):
        groups = _rows(_iota(found[2], found[3]).reshape(_whole(found[1])))
    elif found := MESH.search(line):
        groups = _along(*found.groups())
    else:
        spelled = re.search(r"(?:replica_groups|source_target_pairs)=.{0,80}", line)
        raise ValueError(
            f"{spelled[0] if spelled else line.strip()[:80]} is no spelling of device groups that is read here; "
            "{{0,1},{2,3}}, [2,2]<=[4] and mesh['x'=2,'y'=2] {'x'} are"
        )
    pairs = "source_target_pairs=" in line
    # A device may send to one and receive from another, but not take part twice on the same side.
    for side in zip(*groups, strict=True) if pairs and groups else [sum(groups, ())]:
        if len(set(side)) < len(side) or max(side) >= devices:
            raise ValueError(f"{groups} are no groups of {devices} devices; each of 0 to {devices - 1} once works")
    return groups


def _along(sizes: str, shape: str | None, transposed: str | None, own: str) -> Groups:
    """The groups of a mesh: its other axes tell them apart, its `own` axes run inside one."""
    axes = dict((name, int(size)) for name, size in AXIS.findall(sizes))
    inside = [list(axes).index(name) for name in re.findall(r"'(\w+)'", own)]
    outside = [axis for axis in range(len(axes)) if axis not in inside]
    size = tuple(axes.values())
    ids = _iota(shape, transposed) if shape else np.arange(math.prod(size))
    members = math.prod(size[axis] for axis in inside)
    return _rows(ids.reshape(size).transpose(outside + inside).reshape(-1, members))


def _iota(shape: str, transposed: str | None) -> np.ndarray:
    """0, 1, 2, … laid out in a shape, then with its axes in another order."""
    sizes = _whole(shape)
    ids = np.arange(math.prod(sizes)).reshape(sizes)
    return ids.transpose(_whole(transposed)) if transposed else ids


def _rows(ids: np.ndarray) -> Groups:
    return tuple(map(tuple, ids.tolist()))


def _whole(text: str) -> tuple[int, ...]:
    """ "4,2" → (4, 2)"""
    return tuple(int(number) for number in text.split(",") if number)
