"""An answer of chapter 18 that looks into the museum, or asks the course's own answers, is told so and is not run."""

from collections.abc import Callable
from typing import Any

import pytest

from tplearn.checks import exercises, find_exercise
from tplearn.checks.ready import taken_ready
from tplearn.museum import fingerprints
from tplearn.museum.labels import LABELS

CHAPTER = exercises("18")


def by_the_labels(fingerprint: dict[int, dict]) -> str:
    from tplearn.museum.labels import LABELS

    return LABELS["A"].name


def by_comparison(fingerprint: dict[int, dict]) -> str:
    return next(LABELS[name].name for name, own in fingerprints().items() if own.keys() == fingerprint.keys())


def by_the_reference(fingerprint: dict[int, dict]) -> str:
    return find_exercise("diagnose").reference(fingerprint)


def by_the_reference_itself(fingerprint: dict[int, dict]) -> str:
    from tplearn.checks.ch18_bug_museum.diagnose import diagnose

    return diagnose(fingerprint)


@pytest.mark.parametrize("answer", [by_the_labels, by_comparison, by_the_reference, by_the_reference_itself])
def test_looked_up(answer: Callable[..., Any]) -> None:
    for exercise in CHAPTER:
        assert taken_ready(answer, exercise.ready), exercise.name


def test_what_an_answer_is_given_names_no_exhibit_and_no_parameter() -> None:
    """Neither a bug's name nor a weight's, from which the model could be told."""
    import torch

    cases = find_exercise("name_gradient_bug").cases(torch.Generator().manual_seed(3))
    for case in cases:
        (fingerprint,) = case.args
        for reading in fingerprint.values():
            assert all(name == "x" or name[0] == "p" and name[1:].isdigit() for name in reading["gradients"])
        assert not any(label.name in str(fingerprint) for label in LABELS.values())
    shown = [tuple(next(iter(case.args[0].values()))["gradients"]) for case in cases]
    assert len({len(names) for names in shown}) > 1
