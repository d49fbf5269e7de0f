"""Runs mutants on the cases of an answer: a hang on two sizes, all others on few ranks, and those near it on more."""

from collections.abc import Iterator
from dataclasses import replace

from tplearn.checks.aspects import values_wrong, wrong_aspects
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.likeness import failure_pattern, shares_an_entry
from tplearn.checks.observe import Observation
from tplearn.checks.run import observe_each, observe_trusted

Seen = list[Observation]


class Lineup:
    """An exercise's mutants. Each is seen at most once on a case, however many answers are compared with it.

    The cases must be the same objects each time. Where the exercise has a `plan`, mutants are seen by it alone.
    """

    def __init__(self, exercise: Exercise) -> None:
        planned = exercise.plan is not None
        self.exercise = replace(exercise, observe=exercise.plan, unjudged=()) if planned else exercise
        self._seen: dict[tuple[str, int], Observation] = {}  # by the mutant's name and the case's id

    def alone(self, cases: list[Case], got: Seen, failing: list[int]) -> list[tuple[Mutant, Seen]]:
        """The mutants that end a run, and end it as the answer does.

        A hang takes its time: of the failing cases one of the smallest tp and one of the largest stand for all.
        """
        by_tp = sorted(failing, key=lambda k: cases[k].tp)
        numbers = list(dict.fromkeys(by_tp[:1] + by_tp[-1:]))
        alone = [mutant for mutant in self.exercise.mutants if mutant.alone]
        new = [(m, cases[k]) for m in alone for k in numbers if (m.name, id(cases[k])) not in self._seen]
        observed = observe_each(self.exercise, [(mutant.answer, case) for mutant, case in new])
        self._seen |= {(m.name, id(case)): seen for (m, case), seen in zip(new, observed, strict=True)}
        near = []
        for mutant in alone:
            on_case = {k: self._seen[mutant.name, id(cases[k])] for k in numbers}
            if all(failure_pattern(one.get("error")) == failure_pattern(got[k]["error"]) for k, one in on_case.items()):
                near.append((mutant, [on_case.get(k, got[k] if k in failing else {}) for k in range(len(cases))]))
        return near

    def together(self, cases: list[Case], got: Seen, want: Seen) -> Iterator[tuple[Mutant, Seen]]:
        """The mutants that share a run and may behave as the answer does, with their observations on all cases."""
        mutants = [mutant for mutant in self.exercise.mutants if not mutant.alone]
        few = min((case.tp for case in cases if case.tp > 1), default=1) if self.exercise.ranks else 0
        first = [k for k, case in enumerate(cases) if few in (0, case.tp)]
        if self.exercise.jax and self.exercise.observe is not self.exercise.plan:
            first = first[:1]  # each case is a program to compile
        rest = [k for k in range(len(cases)) if k not in first]
        tried = self._observed(mutants, [cases[k] for k in first])
        if not rest:
            yield from zip(mutants, tried, strict=True)
            return
        near = [
            (mutant, seen)
            for mutant, seen in zip(mutants, tried, strict=True)
            if _near(self.exercise, [(cases[k].label, got[k], m, want[k]) for k, m in zip(first, seen, strict=True)])
        ]
        more = self._observed([mutant for mutant, _ in near], [cases[k] for k in rest])
        for (mutant, seen), others in zip(near, more, strict=True):
            on_case = dict(zip([*first, *rest], [*seen, *others], strict=True))
            yield mutant, [on_case[k] for k in range(len(cases))]

    def _observed(self, mutants: list[Mutant], cases: list[Case]) -> list[Seen]:
        """What each does on each case; those that are not yet known share a run."""
        new = [m for m in mutants if any((m.name, id(case)) not in self._seen for case in cases)]
        if new:
            observed = observe_trusted(self.exercise, [mutant.answer for mutant in new], cases)
            for mutant, seen in zip(new, observed, strict=True):
                self._seen |= {(mutant.name, id(case)): one for case, one in zip(cases, seen, strict=True)}
        return [[self._seen[mutant.name, id(case)] for case in cases] for mutant in mutants]


def _near(exercise: Exercise, seen: list[tuple[str, Observation, Observation, Observation]]) -> bool:
    """Whether (label, answer's, mutant's, right) on few ranks leave it open that both make the same mistake.

    That takes one label on which nothing speaks against it: elsewhere an answer may be wrong in a way of its own.
    """
    against = {label for label, *one in seen if _speaks_against(exercise, *one)}
    return bool({label for label, *_ in seen} - against)


def _speaks_against(exercise: Exercise, got: Observation, mutant: Observation, want: Observation) -> bool:
    """Whether on this case the mutant's values are wrong, in a way in which the answer's are not."""
    mine, theirs = (wrong_aspects(exercise, one, want) for one in (got, mutant))
    shared = set(mine) & set(theirs)
    alike = any(shares_an_entry(got.get(aspect), mutant.get(aspect), want.get(aspect)) for aspect in shared)
    own_mistake = bool(values_wrong(theirs)) or "error" in theirs
    return own_mistake and not alike and "error" not in mine and "refusal" not in shared
