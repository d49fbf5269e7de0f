"""Which known wrong answer an answer behaves like: first in everything, then in values, then in what it runs."""

from tplearn.checks.aspects import wrong_aspects
from tplearn.checks.comparisons import REPORTED, Seen, comparisons
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.likeness import error_kind
from tplearn.checks.mutants import Lineup

PLANNED = ("placement", "bytes on a device", "error")  # aspects that are seen before a program is compiled


def find_misconception(exercise: Exercise, cases: list[Case], got: Seen, want: Seen, lineup: Lineup) -> Mutant | None:
    """The mutant that the answer behaves like, from the strictest comparison to the loosest; None where none does.

    1. the same in everything, on every case;
    2. the same values wherever a result is due, whatever was sent and however bad sizes are refused;
    3. the same on more than one rank (one rank is often a special case of its own);
    4. the same in the first value that is wrong (a result, where the gradient is spoilt in another way), and right
       where the answer is;
    5. the same in the first entry of it that is wrong, where entries have names (one parameter's gradient);
    6. the same on the plain cases, on all but those of one label, or on those of one label, and not wrong elsewhere in
       a way of its own;
    7. the right values, by the same collectives, whatever their sizes (or by as many bytes, where only these count);
    8. the same failure: each rank stops in the same op; the same sizes are refused; or the same values elsewhere;
    9. the same wherever the mutant is wrong: one mistake of several.

    Of several that are alike the first whose ledger is right and wrong on the same cases, or the first. Where the
    answer sends nothing, so does the mutant: what is said of it may be about its messages.
    Where the exercise has a `plan`, all this is asked of the plans alone.
    """
    if exercise.plan is not None:
        exercise = lineup.exercise
        got, want = ([{a: one[a] for a in PLANNED if a in one} for one in seen] for seen in (got, want))
    wrong = [wrong_aspects(exercise, g, w) for g, w in zip(got, want, strict=True)]
    kept = [k for k in range(len(cases)) if wrong[k] or cases[k].tp > 1 or not exercise.ranks]
    cases, got, want, wrong = ([of[k] for k in kept] for of in (cases, got, want, wrong))
    failing = [k for k in range(len(cases)) if "error" in got[k] and "error" not in want[k]]
    tried = lineup.alone(cases, got, failing) if failing else []
    if not tried or any(error_kind(got[k]) not in REPORTED for k in failing):  # no other mutant hangs
        tried = [*lineup.together(cases, got, want), *tried]

    if _sends_nothing(got, want):
        tried = [(mutant, seen) for mutant, seen in tried if _sends_nothing(seen, want)]

    def same_bills(seen: Seen) -> bool:
        pairs = zip(seen, want, wrong, strict=True)
        return all(("ledger" in wrong_aspects(exercise, s, w)) == ("ledger" in mine) for s, w, mine in pairs)

    for alike in comparisons(exercise, cases, got, want, wrong):
        found = [(mutant, seen) for mutant, seen in tried if alike(seen)]
        if found:
            return next((mutant for mutant, seen in found if same_bills(seen)), found[0][0])
    return None


def _sends_nothing(seen: Seen, want: Seen) -> bool:
    """Whether no case brings a row, though collectives are due; a case that failed may have sent something."""
    due = [k for k, right in enumerate(want) if right.get("ledger")]
    return bool(due) and all("error" not in seen[k] and not seen[k].get("ledger") for k in due)
