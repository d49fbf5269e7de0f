"""Which known wrong answer an answer behaves like: first in everything, then in values, then in what it runs."""

import re
from collections.abc import Callable, Iterator

from tplearn.checks.aspects import same_values, values_wrong, wrong_aspects
from tplearn.checks.compare import Failure, first_difference
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.observe import Observation
from tplearn.checks.run import observe, observe_trusted
from tplearn.checks.traffic import ops_by_rank

Seen = list[Observation]


def find_misconception(exercise: Exercise, cases: list[Case], got: Seen, want: Seen) -> Mutant | None:
    """The mutant that the answer behaves like, from the strictest comparison to the loosest; None where none does.

    1. the same in everything, on every case;
    2. the same values wherever a result is due, whatever was sent and however bad sizes are refused;
    3. the same on more than one rank (one rank is often a special case of its own);
    4. the same in the first value that is wrong (a result, where the gradient is spoilt in another way);
    5. the right values, by the same collectives, whatever their sizes;
    6. the same failure: each rank stops in the same op; of refusals, the same sizes are refused.
    """
    wrong = [wrong_aspects(exercise, g, w) for g, w in zip(got, want, strict=True)]
    kept = [k for k in range(len(cases)) if wrong[k] or cases[k].tp > 1 or not exercise.ranks]
    cases, got, want, wrong = ([of[k] for k in kept] for of in (cases, got, want, wrong))
    failed = [k for k, seen in enumerate(got) if "error" in seen and "error" not in want[k]]
    tried = list(_mutants_seen(exercise, cases, failed))
    for alike in _comparisons(exercise, cases, got, want, wrong):
        for mutant, seen in tried:
            if alike(seen):
                return mutant
    return None


def _mutants_seen(exercise: Exercise, cases: list[Case], failed: list[int]) -> Iterator[tuple[Mutant, Seen]]:
    """Every mutant with its observations. Those that need a run of their own only where the answer failed too."""
    together = [mutant for mutant in exercise.mutants if not mutant.alone]
    yield from zip(together, observe_trusted(exercise, [mutant.answer for mutant in together], cases), strict=True)
    for mutant in (mutant for mutant in exercise.mutants if mutant.alone and failed):
        yield mutant, observe(exercise, mutant.answer, cases)[0]


def _comparisons(
    exercise: Exercise, cases: list[Case], got: Seen, want: Seen, wrong: list[list[str]]
) -> Iterator[Callable[[Seen], bool]]:
    every = range(len(cases))
    due = [k for k in every if "error" not in want[k]]
    ranks = [k for k in due if cases[k].tp > 1]
    values = {aspect for k in due for aspect in values_wrong(wrong[k])}
    failing = [k for k in due if "error" in wrong[k]]
    fails = any(cases[k].tp > 1 for k in failing)  # on one rank alone there is often nobody to send to

    def everything(seen: Seen) -> bool:
        return all(_alike(got[k], seen[k], want[k]) for k in every)

    def same_on(numbers: list[int], aspect: str | None = None) -> Callable[[Seen], bool]:
        def alike(seen: Seen) -> bool:
            differs = any(not same_values(seen[k], want[k], aspect) for k in numbers)
            return differs and all(same_values(got[k], seen[k], aspect) for k in numbers)

        return alike

    def refuses(seen: Seen) -> bool:
        """Wrong only where an error is due, and so is the mutant, in the same way."""
        return (
            all(_kind(seen[k]) == _kind(got[k]) for k in every)
            and any(_kind(seen[k]) != _kind(want[k]) for k in every)
            and all(same_values(seen[k], want[k]) for k in due)
        )

    def same_collectives(seen: Seen) -> bool:
        bills = [k for k in due if "ledger" in wrong[k]]
        return all(same_values(seen[k], want[k]) for k in ranks) and all(
            "ledger" in wrong_aspects(exercise, seen[k], want[k])
            and ops_by_rank(seen[k]["ledger"]) == ops_by_rank(got[k]["ledger"])
            for k in bills
        )

    def same_failure(seen: Seen) -> bool:
        return all("error" in seen[k] and _pattern(seen[k]["error"]) == _pattern(got[k]["error"]) for k in failing)

    def same_refusals(seen: Seen) -> bool:
        return all(_kind(seen[k]) == _kind(got[k]) for k in due) and all(
            same_values(seen[k], got[k]) for k in due if k not in failing
        )

    yield everything
    if values and not fails:
        yield same_on(due)
        yield same_on(ranks)
        for aspect in dict.fromkeys(aspect for k in due for aspect in values_wrong(wrong[k])):
            yield same_on([k for k in ranks if aspect in want[k]], aspect)
            break
    elif not fails and any("ledger" in aspects for aspects in wrong):
        yield same_collectives
    elif not fails:
        yield refuses
    if failing:
        yield same_failure
    if failing and {_kind(got[k]) for k in failing} <= {_kind(seen) for seen in want}:
        yield same_refusals


def _alike(got: Observation, mutant: Observation, want: Observation) -> bool:
    """Equal observations; two refusals that are both right count as equal whatever their text."""
    if "error" in want and all("error" in seen and seen["error"].kind == want["error"].kind for seen in (got, mutant)):
        return True
    plain = [{key: value for key, value in seen.items() if key != "ledger"} for seen in (got, mutant)]
    ledgers = [sorted(map(_spent, seen.get("ledger", []))) for seen in (got, mutant)]
    return first_difference(*plain) is None and ledgers[0] == ledgers[1]


def _spent(row: object) -> str:
    return repr((row.rank, row.op, row.bytes, row.reduce_op, row.root, row.peer, row.group))


def _kind(seen: Observation) -> str:
    return seen["error"].kind if "error" in seen else ""


def _pattern(failure: Failure) -> tuple:
    """What each rank does in a report, without counts and shapes; of another error its type and its words."""
    doing = re.findall(r"rank (\d+)  (waits in \w+|returned|raised \w+|is running|[a-z_]+ \()", failure.text)
    return (failure.kind, *doing) if doing else (failure.kind, failure.text)
