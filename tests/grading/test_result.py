"""The one result: it comes back from its JSON, and what cannot be is refused."""

import json
from dataclasses import replace

import pytest

from tests.grading.made import mark, report, small_class, student
from tplearn.grading.plain import file_stem
from tplearn.grading.results import Mark
from tplearn.grading.results_json import as_json, from_json


def test_the_json_comes_back_and_is_the_same_bytes_in_any_order() -> None:
    one = small_class()
    assert from_json(as_json(one)) == one
    assert as_json(from_json(as_json(one))) == as_json(one)
    shuffled = replace(one, students=tuple(reversed(one.students)))
    assert as_json(shuffled) == as_json(one)
    read = json.loads(as_json(one))
    assert list(read)[:3] == ["boundary", "schema", "not_graded"], "what the grader failed on comes first"
    assert read["not_graded"] == [{"student": "13", "exercise": "row_parallel", "reason": "The jail did not start."}]
    assert [each["earned"] for each in read["students"]] == [15, 4.0, None]
    assert [each["student"] for each in read["students"]] == ["11", "12", "13"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": "tplearn/result/v0"}, "schema = 'tplearn/result/v0' is not read here"),
        ({"seed": "7"}, "report.seed = '7' must be of type int"),
        ({"students": {}}, r"report.students = \{\} must be a list"),
        ({"students": [{}]}, r"report.students\[0\] has no 'student'; it has: nothing"),
        ({"strays": [1]}, "must be a list of texts"),
    ],
)
def test_json_that_is_no_result_is_refused(change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        from_json(json.dumps(json.loads(as_json(small_class())) | change))


def test_a_result_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="status = 'fine' of x is none of passed, wrong"):
        Mark("02.1", "x", 5, "fine")
    with pytest.raises(ValueError, match="points = -1"):
        Mark("02.1", "x", -1, "passed")
    with pytest.raises(ValueError, match="there twice: 11"):
        report(student("11"), student("11"))


def test_only_the_graders_own_failure_makes_the_exit_code_2() -> None:
    assert small_class().exit_code == 2
    fine = report(student("11", mark("row_parallel", "unreadable"), mark("split_rows", "missing")))
    assert fine.exit_code == 0 and fine.students[0].earned == 0


def test_file_names_for_any_name_are_plain_and_keep_two_apart() -> None:
    names = ["Ada Lovelace", "ada-lovelace", "../../etc/passwd", "王", "", "a" * 500, "\ud800", "CON"]
    stems = [file_stem(name) for name in names]
    assert len(set(stems)) == len(names)
    assert all(stem.replace("-", "").isalnum() and stem.isascii() and len(stem) < 60 for stem in stems)
