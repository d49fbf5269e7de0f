"""Every answer that the course knows, on the same fresh cases: the reference equals the unsharded computation, lazy
answers and mutants fail, right ones pass however they are written, and no two mutants look alike.
"""

import itertools

from tests.checks.answers import Alone, tables
from tests.checks.trial import each, faults, fresh_cases, observations
from tplearn.checks import Case, Exercise, exercises
from tplearn.checks.compare import Failure, first_difference
from tplearn.checks.observe import Observation

ALL = exercises()
LAZY, RIGHT, ORACLES = (tables(kind) for kind in ("LAZY", "RIGHT", "ORACLES"))


@each(ALL)
def test_every_known_answer(exercise: Exercise) -> None:
    seed, cases = fresh_cases(exercise)
    lazy, right = LAZY[exercise.name], RIGHT[exercise.name]
    mutants = {mutant.name: Alone(mutant.answer) if mutant.alone else mutant.answer for mutant in exercise.mutants}
    assert lazy and len(right) >= 3
    answers = {
        (kind, name): answer
        for kind, table in (("lazy", lazy), ("right", right), ("mutant", mutants))
        for name, answer in table.items()
    }
    want, seen = observations(exercise, answers, cases)
    for case, of_reference in zip(cases, want, strict=True):
        differ = from_oracle(exercise, case, of_reference)
        assert not differ, f"the reference against the unsharded computation, {case}, seed {seed}: {differ}"
    found = faults(exercise, answers, cases, want, seen)
    assert not [name for name in answers if name[0] != "right" and not found[name]], f"passes with seed {seed}"
    assert not {name: found[name] for name in answers if name[0] == "right" and found[name]}, f"refused, seed {seed}"
    forms = {mutant.name: _form(seen["mutant", mutant.name]) for mutant in exercise.mutants}
    for mutant in exercise.mutants:
        if mutant.alone and not any("error" in one for one in forms[mutant.name]):
            del forms[mutant.name]  # with these inputs it neither hangs nor fails, and so no answer is compared with it
    alike = [pair for pair in itertools.combinations(forms, 2) if not first_difference(*(forms[n] for n in pair))]
    assert not alike, f"mutants that cannot be told apart with seed {seed}: {alike}"


def test_the_tables_are_of_exercises_that_there_are() -> None:
    names = {exercise.name for exercise in ALL}
    assert LAZY.keys() == RIGHT.keys() == ORACLES.keys() == names


def from_oracle(exercise: Exercise, case: Case, of_reference: Observation) -> dict[str, str]:
    """How the reference's aspects differ from the oracle's, which says at least one."""
    due = ORACLES[exercise.name](case)
    assert due
    differences = {}
    for aspect, value in due.items():
        seen = of_reference.get(aspect)
        difference = first_difference(seen.kind if isinstance(seen, Failure) else seen, value)
        differences |= {aspect: f"{difference.path} {difference.how}"} if difference else {}
    return differences


def _form(seen: list[Observation]) -> list[Observation]:
    """Observations with their ledgers as text, without lines of sources."""
    keep = lambda row: (row.rank, row.op, row.bytes, row.reduce_op, row.root, row.peer, row.group)  # noqa: E731
    return [one | ({"ledger": sorted(map(repr, map(keep, one["ledger"])))} if "ledger" in one else {}) for one in seen]
