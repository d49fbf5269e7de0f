"""Chapter 01's exercises: the twin from which mutants are made is right, and no kind of case is left to chance."""

import pytest
import torch

from tplearn.checks import Exercise
from tplearn.checks.ch01_why_split import EXERCISES
from tplearn.checks.ch01_why_split.counting import count
from tplearn.planning import MODELS, parameter_count, weight_bytes_per_rank
from tplearn.planning.memory import tp_sizes


def test_the_counting_twin_with_nothing_wrong_is_right() -> None:
    for shape in MODELS.values():
        assert count(shape) == parameter_count(shape)
        for tp in tp_sizes(shape):
            assert count(shape, tp, 2) == weight_bytes_per_rank(shape, tp, 2)


@pytest.mark.parametrize("exercise", EXERCISES[1:], ids=lambda exercise: exercise.name)
@pytest.mark.parametrize("seed", range(5))
def test_kv_heads_are_cut_and_copied_on_every_tp(exercise: Exercise, seed: int) -> None:
    cases = exercise.cases(torch.Generator().manual_seed(seed))
    kinds = {(case.tp, min(case.tp, case.args[0].num_key_value_heads)) for case in cases}
    assert kinds == {(1, 1), (2, 1), (2, 2), (3, 1), (3, 3), (4, 1), (4, 2), (4, 4)}


@pytest.mark.parametrize("seed", range(5))
def test_no_case_has_the_head_width_that_llama_has(seed: int) -> None:
    for exercise in EXERCISES:
        for case in exercise.cases(torch.Generator().manual_seed(seed)):
            shape = case.args[0]
            assert shape.hidden_size // shape.num_attention_heads != shape.head_dim
