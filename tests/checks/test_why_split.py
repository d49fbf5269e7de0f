"""Chapter 01's exercises: every mutant is wrong on some case, and no two behave alike."""

import itertools

import pytest
import torch

from tplearn.checks.ch01_why_split import EXERCISES
from tplearn.planning import MODELS, parameter_count, weight_bytes_per_rank

SEEDS = range(5)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_mutant_differs_from_the_reference_and_from_the_others(exercise, seed) -> None:
    cases = exercise.cases(torch.Generator().manual_seed(seed))
    seen = {"reference": [exercise.reference(*case.args) for case in cases]}
    seen |= {mutant.name: [mutant.answer(*case.args) for case in cases] for mutant in exercise.mutants}
    assert len(seen) == len(exercise.mutants) + 1 >= 4
    assert all(type(value) is int for values in seen.values() for value in values)
    for (one, left), (other, right) in itertools.combinations(seen.items(), 2):
        assert left != right, f"{one} and {other} cannot be told apart"


def test_the_counting_twin_with_nothing_wrong_is_right() -> None:
    from tplearn.checks.ch01_why_split.memory import count

    for shape in MODELS.values():
        assert count(shape) == parameter_count(shape)
        assert count(shape, 2 if shape.num_attention_heads % 2 == 0 else 3, 2) == weight_bytes_per_rank(
            shape, 2 if shape.num_attention_heads % 2 == 0 else 3, 2
        )


def test_a_cut_above_the_kv_heads_is_among_the_cases() -> None:
    for exercise in EXERCISES[1:]:
        cases = exercise.cases(torch.Generator().manual_seed(0))
        assert any(case.tp > case.args[0].num_key_value_heads for case in cases)
        assert {case.tp for case in cases} == {1, 2, 4}
