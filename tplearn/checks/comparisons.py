"""How an answer may be like a mutant: in everything, in values, in what it runs, in how it fails, in some cases."""

from collections.abc import Callable, Iterable, Iterator

from tplearn.checks.aspects import same_values, values_wrong, wrong_aspects
from tplearn.checks.compare import first_difference
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.likeness import (
    entry_at,
    error_kind,
    failure_pattern,
    names_to_difference,
    observed_alike,
    wrong_entry_names,
)
from tplearn.checks.observe import Observation, tensors_in
from tplearn.checks.traffic import bytes_by_rank, ops_by_rank
from tplearn.ranks import CollectiveMismatch, Deadlock

Seen = list[Observation]
# A report says more than what the values elsewhere may show.
REPORTED = (Deadlock.__name__, CollectiveMismatch.__name__)
FEW_BITS = 3  # there are many ways to a wrong yes or no: so few of them name no mistake


def comparisons(
    exercise: Exercise, cases: list[Case], got: Seen, want: Seen, wrong: list[list[str]]
) -> Iterator[Callable[[Seen], bool]]:
    """From the strictest to the loosest, as `find_misconception` lists them; each takes what was seen of a mutant."""
    every = range(len(cases))
    due = [k for k in every if "error" not in want[k]]
    ranks = [k for k in due if cases[k].tp > 1] or due
    values = {aspect for k in due for aspect in values_wrong(wrong[k])}
    failing = [k for k in due if "error" in wrong[k]]
    bills = [k for k in due if "ledger" in wrong[k]]
    spent = bytes_by_rank if exercise.sent.bytes_only else ops_by_rank
    fails = any(cases[k].tp > 1 for k in failing)  # on one rank alone there is often nobody to send to

    def everything(seen: Seen) -> bool:
        return all(observed_alike(got[k], seen[k], want[k]) for k in every)

    def same_on(numbers: list[int], aspect: str | None = None) -> Callable[[Seen], bool]:
        def alike(seen: Seen) -> bool:
            differs = any(not same_values(seen[k], want[k], aspect) for k in numbers)
            return differs and all(same_values(got[k], seen[k], aspect) for k in numbers)

        return alike

    def same_kinds(seen: Seen) -> bool:
        """An error of one type, or a result of one type, on every case."""
        return all(
            error_kind(seen[k]) == error_kind(got[k]) and type(seen[k].get("forward")) is type(got[k].get("forward"))
            for k in every
        )

    def refuses(seen: Seen) -> bool:
        """Wrong only where an error is due, and so is the mutant, in the same way."""
        return (
            same_kinds(seen)
            and any(error_kind(seen[k]) != error_kind(want[k]) for k in every)
            and all(same_values(seen[k], want[k]) for k in due)
        )

    def same_collectives(seen: Seen) -> bool:
        return all(same_values(seen[k], want[k]) for k in ranks) and all(
            ("ledger" in wrong_aspects(exercise, seen[k], want[k])) == (k in bills)
            and (k not in bills or spent(seen[k]["ledger"]) == spent(got[k]["ledger"]))
            for k in ranks
        )

    def explains_values(seen: Seen) -> bool:
        """Wherever the mutant is wrong the answer is, in the same way; it has more mistakes elsewhere."""
        mine = [k for k in ranks if not same_values(seen[k], want[k])]
        enough = len(mine) > FEW_BITS or not all(type(want[k].get("forward")) is bool for k in mine)
        return bool(mine) and enough and all(k not in failing and same_values(got[k], seen[k]) for k in mine)

    def explains_bills(seen: Seen) -> bool:
        mine = [k for k in ranks if "ledger" in wrong_aspects(exercise, seen[k], want[k])]
        alike = (k in bills and spent(seen[k]["ledger"]) == spent(got[k]["ledger"]) for k in mine)
        return bool(mine) and all(same_values(seen[k], want[k]) for k in ranks) and all(alike)

    def same_failure(seen: Seen) -> bool:
        """And elsewhere, as far as it was run, nothing that the answer does not do."""
        return all(
            failure_pattern(seen[k].get("error")) == failure_pattern(got[k]["error"])
            if k in failing
            else not seen[k] or same_values(seen[k], want[k]) or same_values(seen[k], got[k])
            for k in due
        )

    def same_first_value(numbers: list[int]) -> Callable[[Seen], bool]:
        def alike(seen: Seen) -> bool:
            spoilt = {a for k in numbers for a in values_wrong(wrong_aspects(exercise, seen[k], want[k]))}
            return spoilt <= values and same_on([k for k in numbers if first in want[k]], first)(seen)

        return alike

    def same_first_entry(seen: Seen) -> bool:
        """Alike in this entry, and wrong in no other in which the answer is right."""
        asked = [k for k in ranks if first in want[k]]
        entries = [[entry_at(of[k].get(first), names) for k in asked] for of in (got, seen, want)]
        if not names or first_difference(*entries[:2]) is not None or first_difference(*entries[1:]) is None:
            return False
        return all(
            wrong_entry_names(seen[k].get(first), want[k][first])
            <= wrong_entry_names(got[k].get(first), want[k][first])
            for k in asked
        )

    def same_refusals(seen: Seen) -> bool:
        return all(error_kind(seen[k]) == error_kind(got[k]) for k in due) and all(
            same_values(seen[k], got[k]) for k in due if k not in failing
        )

    def on_these_alone(numbers: list[int], alike: Callable[[Seen], bool]) -> Callable[[Seen], bool]:
        """And elsewhere right, or wrong as the answer is: it must not be wrong in a way of its own."""
        others = [k for k in every if k not in numbers]
        return lambda seen: (
            alike(seen) and all(same_values(seen[k], want[k]) or same_values(seen[k], got[k]) for k in others)
        )

    yield everything
    if values and not fails:
        first = min(values, key=[*want[due[0]], *got[due[0]], *values].index)
        differ = (names_to_difference(got[k].get(first), want[k].get(first)) for k in ranks if first in wrong[k])
        names = next(differ, ())
        yield same_on(due)
        yield same_on(ranks)
        yield same_first_value(ranks)
        yield same_first_entry
        labels = dict.fromkeys(cases[k].label for k in ranks if cases[k].label)
        for numbers in _but_one_label(cases, ranks, labels):
            yield same_on(numbers)
            yield same_first_value(numbers)
        for label in labels:
            numbers = [k for k in ranks if cases[k].label == label]
            if len(numbers) == 1 and _whole_numbers(got[numbers[0]]):
                continue
            yield on_these_alone(numbers, same_on(numbers))
            yield on_these_alone(numbers, same_first_value(numbers))
    elif not fails and bills:
        yield same_collectives
    elif not fails:
        yield refuses
    if failing:
        yield same_failure
    if failing and {error_kind(got[k]) for k in failing} <= {error_kind(seen) for seen in want}:
        yield lambda seen: same_kinds(seen) and same_refusals(seen)
        yield same_refusals
    if values:
        yield explains_values
    elif bills:
        yield explains_bills
    if failing and not any(error_kind(got[k]) in REPORTED and not cases[k].label for k in failing):
        yield same_on([k for k in ranks if k not in failing])


def _whole_numbers(seen: Observation) -> bool:
    """Whether the result is ids or positions: on a single case two mistakes may give the same ones by chance."""
    tensors = list(tensors_in(seen.get("forward")))
    return bool(tensors) and not any(tensor.is_floating_point() for tensor in tensors)


def _but_one_label(cases: list[Case], numbers: list[int], labels: Iterable[str]) -> Iterator[list[int]]:
    """The cases without a label; all but those of one label, which may have a mistake of its own."""
    yield [k for k in numbers if not cases[k].label]
    yield from ([k for k in numbers if cases[k].label != label] for label in labels)
