"""One trial of an exercise: fresh cases, what the reference does on them, and the verdict on what an answer does.

Whoever runs answers, in a reader's kernel or for a whole class, has them run here on `tried`, and asks for the verdict.
"""

import time

import torch

from tplearn.checks.alone import WithShifted, computed_alone
from tplearn.checks.aspects import wrong_aspects
from tplearn.checks.confusion import find_confusion
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.explain import explain, explain_failure
from tplearn.checks.misconception import find_misconception
from tplearn.checks.mutants import Lineup
from tplearn.checks.observe import Observation
from tplearn.checks.probe import probed, with_probes
from tplearn.checks.run import observe_trusted
from tplearn.checks.traffic import ops_by_rank
from tplearn.checks.verdict import Verdict
from tplearn.ranks import RankDied, RankTimeout

STATUS_OF_FAILURE = {RankTimeout.__name__: "time limit", RankDied.__name__: "exited", SystemExit.__name__: "exited"}
PATIENCE = 5  # so many times as long as the reference on all cases may one run of an answer take
Seen = list[Observation]


def stub_met(exercise: Exercise, seen: Seen) -> str | None:
    """The exercise whose stub an answer has met: its own, or else another one's that it calls. None: it met no stub."""
    errors = [one["error"] for one in seen if "error" in one]
    met = {error.stub or exercise.name for error in errors if error.is_stub}
    return exercise.name if exercise.name in met else min(met, default=None)


class Trial:
    """The cases that a seed gives, seen by any number of answers; the reference and each mutant run once.

    tried: the cases in the order in which they are to be observed, the shifted ones last (see tplearn.checks.probe).
    timeout: seconds for one run of an answer. It is not for slow machines: it grows with what the reference needs.
    """

    def __init__(self, exercise: Exercise, seed: int) -> None:
        self.exercise, self.seed = exercise, seed
        self.cases = exercise.cases(torch.Generator().manual_seed(seed))
        self._again = probed(exercise, self.cases)
        self.tried = with_probes(self.cases, self._again)
        self._lineup = Lineup(exercise)
        started = time.monotonic()
        self._want, self._want_shifted = self._divided(self._right())
        self.timeout = max(exercise.timeout, PATIENCE * (time.monotonic() - started))

    def verdict(self, seen: Seen, printed: str = "") -> Verdict:
        """The verdict on an answer that was seen to do this on each case of `tried`, and printed that."""
        exercise, cases, want = self.exercise, self.cases, self._want
        got, shifted = self._divided(seen)
        failures = [(case, one["error"]) for case, one in zip(cases, got, strict=True) if "error" in one]
        stub = stub_met(exercise, seen)
        if stub == exercise.name:
            reason = f"{stub} still raises the stub's NotImplementedError. Replace that line with your answer."
            return Verdict(exercise, "not attempted", explanation=reason)
        if stub:
            reason = f"{exercise.name} ran into the stub of {stub}: NotImplementedError. Answer that one first."
            return Verdict(exercise, "error", explanation=reason, printed=printed)
        early = next((pair for pair in failures if pair[1].kind in STATUS_OF_FAILURE), None)
        if early:
            case, failure = early
            told = explain_failure(failure, case)
            return Verdict(exercise, STATUS_OF_FAILURE[failure.kind], explanation=told, seed=self.seed, printed=printed)
        wrong = [wrong_aspects(exercise, mine, due) for mine, due in zip(got, want, strict=True)]
        aspects, sizes = _aspects(exercise, got, want, wrong), _sizes(cases, wrong)
        alone = "" if any(wrong) else computed_alone(exercise, cases, (got, shifted), (want, self._want_shifted))
        if not any(wrong) and not alone:
            return Verdict(exercise, "passed", aspects, sizes, seed=self.seed)
        if alone:
            aspects, sizes = aspects | {"ledger": False}, {case.size: case.tp == 1 for case in _by_ranks(cases)}
        status = "error" if any("error" in found for found in wrong) else "wrong"
        told, look_at, name = self._told(got, alone)
        return Verdict(exercise, status, aspects, sizes, told, look_at, name, self.seed, printed)

    def _told(self, got: Seen, alone: str) -> tuple[str, str, str | None]:
        """What is said of a wrong answer, where to look, and the misconception that it shows."""
        cases, want = self.cases, self._want
        mutant = find_misconception(self.exercise, cases, got, want, self._lineup)
        if mutant:
            return " ".join(mutant.says.split()), " ".join(mutant.look_at.split()), mutant.name
        told = alone or explain(self.exercise, cases, got, want)
        confusion = None if alone else find_confusion(self.exercise, cases, got, want)
        if confusion:
            return f"{told}\n{confusion.says}", confusion.look_at, confusion.name
        return told, "", None

    def _divided(self, seen: Seen) -> WithShifted:
        """What was seen of each case, and of those that were run again, by number."""
        cases = len(seen) - len(self._again)
        return seen[:cases], dict(zip(self._again, seen[cases:], strict=True))

    def _right(self) -> Seen:
        """What the reference does. An error that is no refusal is the course's own mistake."""
        (want,) = observe_trusted(self.exercise, [self.exercise.reference], self.tried)
        errors = [s["error"] for case, s in zip(self.tried, want, strict=True) if "error" in s and not case.shift]
        broken = next((error for error in errors if error.kind != ValueError.__name__), None)
        if broken:
            name = self.exercise.name
            raise RuntimeError(f"the reference of {name} failed: {broken.kind}: {broken.text}\n{broken.detail}")
        return want


def _aspects(exercise: Exercise, got: Seen, want: Seen, wrong: list[list[str]]) -> dict[str, bool]:
    """Right or not, by aspect, over all cases. An expected error is the aspect "refusal".

    Nothing is said of a ledger that keeps its bounds by other collectives than are due, where values are wrong.
    """
    aspects: dict[str, bool] = {}
    other_ops = False
    for mine, due, found in zip(got, want, wrong, strict=True):
        names = ["refusal"] if "error" in due else [*due, *(key for key in mine if key != "error")]
        for aspect in [name for name in dict.fromkeys(names) if name not in exercise.unjudged]:
            missing = "error" in mine and "error" not in due
            aspects[aspect] = aspects.get(aspect, True) and aspect not in found and not missing
        other_ops |= bool(found) and ops_by_rank(mine.get("ledger", [])) != ops_by_rank(due.get("ledger", []))
    if other_ops and aspects.get("ledger"):
        del aspects["ledger"]
    return dict(sorted(aspects.items(), key=lambda item: item[0] in ("inputs", "handles", "refusal")))


def _sizes(cases: list[Case], wrong: list[list[str]]) -> dict[int | str, bool]:
    """Right or not, by the number of ranks or by mesh."""
    return {
        size: not any(found for case, found in zip(cases, wrong, strict=True) if case.size == size)
        for size in dict.fromkeys(case.size for case in _by_ranks(cases))
    }


def _by_ranks(cases: list[Case]) -> list[Case]:
    """Few ranks first."""
    return sorted(cases, key=lambda case: case.tp)
