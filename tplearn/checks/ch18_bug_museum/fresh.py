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
SEVERAL = ((2, 3), (1, 2, 3))
READY = ("tplearn.museum", "tplearn.checks.registry", "tplearn.checks.ch18_bug_museum")


@dataclass(frozen=True)
class Taken(Case):
    """A fingerprint, and which exhibit it was taken of: for tests. Neither an answer nor a verdict is told."""

    exhibit: str = ""
    mended: bool = False


def fresh_cases(generator: Generator, names: Sequence[str], again: Sequence[str] = (), mended: str = "") -> list[Case]:
    """A case for each exhibit; for those of `again` one more, on three ranks among others; and of `mended` ones.

    Of the wrong gradients few are shown in the second case, so that their number tells nothing.
    """
    cases = _cases(_draw(generator, names, WITH_ONE).take(), generator)
    cases += _cases(_draw(generator, again, WITH_THREE).take(), generator, few=True) if again else []
    return cases + (
        _cases(_draw(generator, mended, WITH_ONE).take(mended=True), generator, mended=True) if mended else []
    )


def at_one_size(generator: Generator, names: Sequence[str]) -> list[Case]:
    """Two cases for each exhibit: broken on the fewest ranks, and right on more; and the other way round."""
    draw = _draw(generator, names, SEVERAL)
    broken, right = draw.take(), draw.take(mended=True)
    several = [tp for tp in draw.tps if tp > 1]
    mixed = [{name: right[name] | {at: broken[name][at]} for name in broken} for at in (min(several), max(several))]
    return [case for prints in mixed for case in _cases(prints, generator)]


@dataclass(frozen=True)
class _Draw:
    """Some exhibits in random order, and all that their fingerprints depend on."""

    names: Sequence[str]
    tps: tuple[int, ...]
    sizes: Sizes
    seed: int

    def take(self, mended: bool = False) -> dict[str, Fingerprint]:
        """The fingerprints, or those of the right models in their places."""
        return fingerprints(self.names, self.tps, self.sizes, self.seed, mended)


def _draw(generator: Generator, names: Sequence[str], choices: tuple[tuple[int, ...], ...]) -> _Draw:
    sizes = Sizes(
        batch=pick(generator, 4, 6),
        seq=12,
        hidden=24 * pick(generator, 1, 2),
        intermediate=12 * pick(generator, 2, 4),
        vocab=pick(generator, 30, 48),
    )
    tps = choices[pick(generator, 0, len(choices) - 1)]
    shuffled = [names[k] for k in torch.randperm(len(names), generator=generator).tolist()]
    return _Draw(shuffled, tps, sizes, pick(generator, 0, 2**20))


def _cases(prints: dict[str, Fingerprint], generator: Generator, few: bool = False, mended: bool = False) -> list[Case]:
    return [
        Taken(max(found), (_nameless(found, generator, few),), exhibit=name, mended=mended)
        for name, found in prints.items()
    ]


def _nameless(fingerprint: Fingerprint, generator: Generator, few: bool) -> dict[int, Any]:
    """x's gradient and some others under numbers; of the wrong ones one of each factor at least; sizes in any order.

    few: no wrong ones but these.
    """
    names = list(next(iter(fingerprint.values()))["gradients"])
    order = [names[k] for k in torch.randperm(len(names), generator=generator).tolist()]
    order.sort(key="x".__eq__)  # x last, so that it stands for all with its factor
    seen = {name: [of["gradients"][name] for of in fingerprint.values()] for name in order}
    wrong = [name for name in order if any(mark["error"] > TOLERANCE for mark in seen[name])]
    told = {str([(mark["factor"], mark["agree"]) for mark in seen[name]]): name for name in wrong}
    maybe = [name for name in order if pick(generator, 0, 1) and not (few and name in wrong)]
    kept = {"x", *told.values(), *maybe}
    numbered = {name: "x" if name == "x" else f"p{at}" for at, name in enumerate(order) if name in kept}
    tps = list(fingerprint)
    return {
        tps[k]: fingerprint[tps[k]] | {"gradients": {to: seen[name][k] for name, to in numbered.items()}}
        for k in torch.randperm(len(tps), generator=generator).tolist()
    }
