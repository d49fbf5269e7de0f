"""Fresh fingerprints for chapter 18's exercises: new sizes, numbers and ranks, and no name that tells the exhibit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator

from tplearn.checks.exercise import Case
from tplearn.checks.inputs import pick
from tplearn.museum import TOLERANCE, Fingerprint, Sizes, fingerprints

WITH_ONE, WITH_THREE = ((1, 4),), ((3,), (2, 3), (1, 2, 3))  # the first: no law of tp can be fitted to a single size
READY = ("tplearn.museum", "tplearn.checks.registry", "tplearn.checks.ch18_bug_museum")


@dataclass(frozen=True)
class Taken(Case):
    """A fingerprint, and which exhibit it was taken of: for tests. Neither an answer nor a verdict is told."""

    exhibit: str = ""
    mended: bool = False


def fresh_cases(generator: Generator, names: Sequence[str], again: Sequence[str] = (), mended: str = "") -> list[Case]:
    """A case for each exhibit; for those of `again` one more, on three ranks among others; and of `mended` ones."""
    cases = _drawn(generator, names, WITH_ONE)
    cases += _drawn(generator, again, WITH_THREE) if again else []
    return cases + (_drawn(generator, mended, WITH_ONE, mended=True) if mended else [])


def _drawn(
    generator: Generator, names: Sequence[str], choices: tuple[tuple[int, ...], ...], mended: bool = False
) -> list[Case]:
    sizes = Sizes(
        batch=pick(generator, 4, 6),
        seq=12,
        hidden=24 * pick(generator, 1, 2),
        intermediate=12 * pick(generator, 2, 4),
        vocab=pick(generator, 30, 48),
    )
    tps = choices[pick(generator, 0, len(choices) - 1)]
    shuffled = [names[k] for k in torch.randperm(len(names), generator=generator).tolist()]
    found = fingerprints(shuffled, tps, sizes, pick(generator, 0, 2**20), mended)
    return [Taken(max(tps), (_nameless(found[name], generator),), exhibit=name, mended=mended) for name in shuffled]


def _nameless(fingerprint: Fingerprint, generator: Generator) -> dict[int, Any]:
    """x's gradient and some others, the first and the last wrong one among them, under numbers; sizes in any order."""
    names = list(next(iter(fingerprint.values()))["gradients"])
    wrong = [n for n in names if any(of["gradients"][n]["error"] > TOLERANCE for of in fingerprint.values())]
    kept = {"x", *wrong[:1], *wrong[-1:]} | {name for name in names if pick(generator, 0, 1)}
    order = [names[k] for k in torch.randperm(len(names), generator=generator).tolist() if names[k] in kept]
    numbered = {name: "x" if name == "x" else f"p{number}" for number, name in enumerate(order)}
    tps = list(fingerprint)
    return {
        tps[k]: fingerprint[tps[k]] | {"gradients": {numbered[n]: fingerprint[tps[k]]["gradients"][n] for n in order}}
        for k in torch.randperm(len(tps), generator=generator).tolist()
    }
