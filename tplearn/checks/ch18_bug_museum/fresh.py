"""Fresh fingerprints for chapter 18's exercises: new sizes, numbers and ranks, and no name that tells the exhibit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    cases = _taken(_draw(generator, names, WITH_ONE), generator)
    cases += _taken(_draw(generator, again, WITH_THREE), generator, few=True) if again else []
    return cases + (_taken(_draw(generator, mended, WITH_ONE, mended=True), generator) if mended else [])


def at_one_size(generator: Generator, names: Sequence[str]) -> list[Case]:
    """Two cases for each exhibit: broken on the fewest ranks, and right on more; and the other way round."""
    state = generator.get_state()
    broken = _draw(generator, names, SEVERAL)
    generator.set_state(state)
    right = _draw(generator, names, SEVERAL, mended=True)
    cases: list[Case] = []
    for least in (True, False):
        tps = [tp for tp in broken.tps if tp > 1]
        at = min(tps) if least else max(tps)
        mixed = {name: right.prints[name] | {at: broken.prints[name][at]} for name in broken.prints}
        cases += _taken(replace(broken, prints=mixed), generator)
    return cases


@dataclass(frozen=True)
class _Drawn:
    """Fingerprints of one draw."""

    tps: tuple[int, ...]
    prints: dict[str, Fingerprint]
    mended: bool


def _draw(
    generator: Generator, names: Sequence[str], choices: tuple[tuple[int, ...], ...], mended: bool = False
) -> _Drawn:
    sizes = Sizes(
        batch=pick(generator, 4, 6),
        seq=12,
        hidden=24 * pick(generator, 1, 2),
        intermediate=12 * pick(generator, 2, 4),
        vocab=pick(generator, 30, 48),
    )
    tps = choices[pick(generator, 0, len(choices) - 1)]
    shuffled = [names[k] for k in torch.randperm(len(names), generator=generator).tolist()]
    return _Drawn(tps, fingerprints(shuffled, tps, sizes, pick(generator, 0, 2**20), mended), mended)


def _taken(drawn: _Drawn, generator: Generator, few: bool = False) -> list[Case]:
    return [
        Taken(max(drawn.tps), (_nameless(found, generator, few),), exhibit=name, mended=drawn.mended)
        for name, found in drawn.prints.items()
    ]


def _nameless(fingerprint: Fingerprint, generator: Generator, few: bool) -> dict[int, Any]:
    """x's gradient and some others under numbers; of the wrong ones one of each factor at least; sizes in any order.

    few: no wrong ones but these.
    """
    names = list(next(iter(fingerprint.values()))["gradients"])
    order = [names[k] for k in torch.randperm(len(names), generator=generator).tolist()]
    seen = {name: [of["gradients"][name] for of in fingerprint.values()] for name in names}
    order.sort(key="x".__eq__)  # x last, so that it stands for all with its factor
    wrong = [name for name in order if any(mark["error"] > TOLERANCE for mark in seen[name])]
    told = {str([(mark["factor"], mark["agree"]) for mark in seen[name]]): name for name in wrong}
    maybe = [name for name in order if pick(generator, 0, 1) and not (few and name in wrong)]
    kept = {"x", *told.values(), *maybe}
    shown = [name for name in names if name in kept]
    shuffled = [shown[k] for k in torch.randperm(len(shown), generator=generator).tolist()]
    numbered = {name: "x" if name == "x" else f"p{at}" for at, name in enumerate(shuffled)}
    tps = list(fingerprint)
    return {
        tps[k]: fingerprint[tps[k]] | {"gradients": {to: seen[name][k] for name, to in numbered.items()}}
        for k in torch.randperm(len(tps), generator=generator).tolist()
    }
