"""Exercise 18.1: one tensor on all ranks beside the right one: how far off, by which factor, and who agrees."""

import torch
from torch import Generator, Tensor

from tplearn.checks.ch18_bug_museum.drive import of_reading
from tplearn.checks.ch18_bug_museum.fresh import READY
from tplearn.checks.ch18_bug_museum.reading_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick, randn


def reading(own: list[Tensor], right: Tensor, dim: int | None) -> dict:
    """{"error", "factor", "agree"} of shards along dim, or of copies."""
    here = [x.double() for x in own]
    there = [right.double()] * len(here) if dim is None else list(right.double().chunk(len(here), dim))
    a, b = (torch.cat([x.flatten() for x in side]) for side in (here, there))
    largest = b.abs().max()
    c = a @ b / (b @ b)
    one_factor = (a - c * b).abs().max() <= 1e-10 * largest * max(1.0, abs(c))
    agree = dim is not None or all((x - here[0]).abs().max() <= 1e-10 * largest for x in here)
    return {
        "error": float((a - b).abs().max() / largest),
        "factor": float(c) if one_factor else None,
        "agree": bool(agree),
    }


COPIES = ("right copies", "copies times a factor", "copies that differ on one rank", "copies off alike", "copies of 0")
COPIES += ("copies times a factor, but for the zeros", "copies times a negative factor")
SHARDS = ("right shards", "shards times a factor", "one rank's shard off", "shards each times another factor")


def _cases(generator: Generator) -> list[Case]:
    """Right values with a rounding error on each rank; some entries of the right tensor are zero; some in bfloat16."""
    cases = []
    for tp in (1, 2, 4):
        for label in COPIES + SHARDS:
            rows, columns = 4 * pick(generator, 1, 2), 4 * pick(generator, 1, 2)
            right = randn(generator, rows, columns) * 10 ** pick(generator, -3, 3)
            right[0, 0] = right[-1, -1] = 0.0
            dim = None if label in COPIES else pick(generator, 0, 1)
            own = _own(generator, right, dim, tp, label)
            cases.append(Case(tp, (own, right, dim), label=label))
        right = randn(generator, 4, 8).clamp(-1, 1).bfloat16()
        near, far = 3.3 * right, 3 * right  # near: a factor but for rounding, which in bfloat16 is half a percent
        cases.append(Case(tp, ([near] * tp, right, None), label="copies in bfloat16"))
        right = right.clone()
        right[1, 1], far[1, 1] = 1.75, 255.0  # the largest difference, 253.25, has more digits than bfloat16
        cases.append(Case(tp, ([far] * tp, right, None), label="copies in bfloat16, one number far off"))
    return cases


def _own(generator: Generator, right: Tensor, dim: int | None, tp: int, label: str) -> list[Tensor]:
    own = [right.clone() for _ in range(tp)] if dim is None else [x.clone() for x in right.chunk(tp, dim)]
    own = [x * (1 + 1e-15 * randn(generator, *x.shape)) for x in own]  # rounding, another on each rank
    rank, factor = pick(generator, 0, tp - 1), (float(tp) if tp > 1 else 3.0)
    if label.endswith("negative factor"):
        return [x * -factor for x in own]
    if label.endswith("times a factor"):
        return [x * factor for x in own]
    if label.endswith("but for the zeros"):
        return [torch.where(right == 0, right.abs().max(), x * factor) for x in own]
    if label.endswith("times another factor"):
        return [x * (2.0 + r) for r, x in enumerate(own)]
    if label in ("copies that differ on one rank", "one rank's shard off"):
        own[rank] = own[rank] + right.abs().max() * randn(generator, *own[rank].shape)
    if label == "copies off alike":
        off = right.abs().max() * randn(generator, *right.shape)
        return [x + off for x in own]
    return [x * 0.0 for x in own] if label == "copies of 0" else own


READING = Exercise(
    number="18.1",
    name="reading",
    points=15,
    difficulty=2,
    minutes=12,
    reference=reading,
    cases=_cases,
    observe=of_reading,
    mutants=MUTANTS,
    ready=READY,
)
