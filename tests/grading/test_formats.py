"""Formats of autograders: each is read back by what reads it, or by the schema that its platform gives."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.grading.made import BIAS, CANVAS, MOODLE, mark, report, small_class, student
from tplearn.grading.formats import canvas, gradebook, moodle
from tplearn.grading.formats_json import classroom50, github_notice, github_summary, gradescope, prairielearn
from tplearn.grading.formats_junit import junit
from tplearn.grading.results import Report
from tplearn.grading.results_json import as_json

SCHEMA = json.loads((Path(__file__).parent / "classroom50-result-v1.schema.json").read_text())
RUN = {"CLASSROOM": "tp", "ASSIGNMENT": "02", "OWNER": "ada", "SUBMISSION_TAG": "submit/2026-11-25T14-00-00Z-abc"}
RUN |= {"COMMIT_URL": "https://github.com/a/b/commit/c", "RELEASE_URL": "https://github.com/a/b/releases/tag/d"}


def test_junit_is_read_back() -> None:
    top = ET.fromstring(junit(small_class()).encode())
    assert {name: top.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "6",
        "failures": "2",
        "errors": "1",
    }
    assert [suite.get("name") for suite in top] == ["13", "11", "12"], "not graded comes first"
    assert top.find("./testsuite/testcase/error").get("message") == "The jail did not start."
    (failure,) = top.findall("./testsuite[@name='12']/testcase/failure")
    assert failure.get("type") == "wrong" and failure.get("message") == BIAS
    assert "SECRET" not in junit(small_class())
    assert ET.fromstring(junit(small_class(jail="")).encode()).get("name").startswith("Trusted class only")


def test_gradescope_gets_tests_that_students_may_see() -> None:
    made = json.loads(gradescope(small_class(), "12"))
    assert (
        made["score"] == 4 and made["stdout_visibility"] == "hidden" and made["output"].startswith("Graded in a jail")
    )
    assert [test["status"] for test in made["tests"]] == ["passed", "failed"]
    assert made["tests"][1] == {
        "name": "02.4 row_parallel",
        "number": "02.4",
        "score": 0,
        "max_score": 10,
        "status": "failed",
        "output": f"wrong: {BIAS}\nMisconception: bias × tp\nLook at: where the bias enters.",
        "visibility": "visible",
    }
    with pytest.raises(ValueError, match="the grader failed on row_parallel of 13"):
        gradescope(small_class(), "13")
    with pytest.raises(ValueError, match="student = 'nobody' is not in the report; there are: 11, 12, 13"):
        gradescope(small_class(), "nobody")


def test_prairielearn_gets_a_share_of_one_in_a_megabyte() -> None:
    made = json.loads(prairielearn(small_class(), "12"))
    assert made["gradable"] and made["score"] == pytest.approx(4 / 15)
    assert [test["points"] for test in made["tests"]] == [5, 0]
    assert json.loads(prairielearn(small_class(), "13"))["gradable"] is False, "no attempt is lost"
    long = report(
        student("11", *[replace(mark("row_parallel", "wrong", "ö" * 9999), name=f"n{i}") for i in range(400)])
    )
    text = prairielearn(long, "11")
    assert len(text.encode()) <= 10**6 and len(json.loads(text)["tests"]) == 400


def test_classroom50s_own_schema_accepts_the_result() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    made = json.loads(classroom50(small_class(), "12", RUN, "2026-11-25T14:00:00Z"))
    Draft202012Validator(SCHEMA).validate(made)
    assert (made["score"], made["max-score"], made["review"]) == (4, 15, RUN["COMMIT_URL"])
    assert all(test["score"] <= test["max-score"] for test in made["tests"])
    assert not Draft202012Validator(SCHEMA).is_valid(made | {"score": 4.5})
    with pytest.raises(ValueError, match="here is no OWNER, RELEASE_URL"):
        classroom50(small_class(), "12", RUN | {"OWNER": "", "RELEASE_URL": ""}, "2026-11-25T14:00:00Z")
    late = replace(small_class().students[0].sheets[0], deduction=1)
    one = replace(small_class(), students=(replace(small_class().students[0], sheets=(late,)),))
    assert one.students[0].earned == 14.85
    assert json.loads(classroom50(one, "11", RUN, "2026-11-25T14:00:00Z"))["score"] == 14, "whole points, rounded down"


def test_github_gets_a_notice_and_a_table_without_markup_of_strangers() -> None:
    assert github_notice(small_class(), "12") == "::notice title=Autograding complete::Points 4/15\n"
    evil = report(student("11", mark("row_parallel", "error", "a | b\n# <img src=x> [x](http://x) ::error::")))
    table = github_summary(evil, "11").splitlines()
    assert table[0].startswith("Graded in a jail") and table[2] == "**0 of 10 points**"
    (row,) = [line for line in table if line.startswith("| 02")]
    assert row.count("|") == 5 and "<" not in row and "](" not in row and "::" not in row


def everything(one: Report) -> list[str]:
    texts = [as_json(one), gradebook(one), junit(one), canvas(one, CANVAS, "Chapter 02"), moodle(one, MOODLE)]
    return texts + [gradescope(one, "12"), prairielearn(one, "12"), github_summary(one, "12")]


def test_nothing_that_cannot_be_seen_gets_into_a_report() -> None:
    for text in everything(small_class()):
        text.encode("utf-8")
        assert not set("\x1b\u202e") & set(text)


def test_only_the_teachers_json_holds_what_is_for_the_teacher() -> None:
    full, *others = everything(small_class())
    assert "SECRET" in full and not any("SECRET" in text for text in others)
