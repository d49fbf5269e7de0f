"""One student's result as the autograders of Gradescope, PrairieLearn, Classroom 50 and GitHub want it.

Gradescope: https://gradescope-autograders.readthedocs.io/en/latest/specs/. PrairieLearn:
https://prairielearn.readthedocs.io/en/latest/externalGrading/. Classroom 50: schemas/result-v1.schema.json in
https://github.com/foundation50/classroom50, whose autograder runs where the student can write: its points are advisory.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from tplearn.grading.plain import number
from tplearn.grading.results import NOT_GRADED, Mark, Report, Student

PRAIRIELEARN_BYTES = 10**6
CLASSROOM50 = {"classroom": "CLASSROOM", "assignment": "ASSIGNMENT", "owner": "OWNER", "submission": "SUBMISSION_TAG"}
CLASSROOM50 |= {"commit": "COMMIT_URL", "release": "RELEASE_URL", "review": "REVIEW_URL"}


def gradescope(report: Report, student: str) -> str:
    """/autograder/results/results.json.

    Raises:
        ValueError: no student is called so, or something is not graded: Gradescope then says that its grader failed.
    """
    one = _graded(report, student)
    tests = [
        {
            "name": mark.title,
            "number": mark.number,
            "score": mark.earned,
            "max_score": mark.points,
            "status": "passed" if mark.passed else "failed",
            "output": mark.says(),
            "visibility": "visible",
        }
        for mark in one.marks
    ]
    result = {"score": one.earned, "output": _summary(report, one), "output_format": "text", "visibility": "visible"}
    return _text(result | {"stdout_visibility": "hidden", "tests": tests})


def prairielearn(report: Report, student: str) -> str:
    """/grade/results/results.json, of at most PRAIRIELEARN_BYTES. What is not graded counts as no attempt.

    Raises:
        ValueError: no student is called so.
    """
    one = _student(report, student)
    if one.earned is None:
        return _text({"gradable": False, "message": _summary(report, one)})
    tests = [
        {
            "name": mark.title,
            "description": f"Chapter {mark.number.partition('.')[0]}",
            "points": mark.earned,
            "max_points": mark.points,
            "message": mark.status,
            "output": mark.says(),
        }
        for mark in one.marks
    ]
    score = one.earned / one.possible if one.possible else 0.0
    result = {"gradable": True, "score": score, "message": one.score, "output": _summary(report, one), "tests": tests}
    text = _text(result)
    if len(text.encode()) > PRAIRIELEARN_BYTES:
        text = _text(result | {"tests": [test | {"output": ""} for test in tests]})
    return text


def classroom50(report: Report, student: str, environment: Mapping[str, str], submitted: str) -> str:
    """./result.json. Points are whole there: what lateness leaves of them is rounded down.

    Args:
        environment: of the autograder's run: it holds what CLASSROOM50 names.
        submitted: when it was handed in, in UTC: "2026-11-25T14:00:00Z".

    Raises:
        ValueError: no student is called so, something is not graded, or the environment lacks a variable.
    """
    one = _graded(report, student)
    known = dict(environment)
    known["REVIEW_URL"] = known.get("REVIEW_URL") or known.get("COMMIT_URL", "")
    missing = [name for name in CLASSROOM50.values() if not known.get(name)]
    if missing:
        raise ValueError(f"Classroom 50 sets {', '.join(CLASSROOM50.values())}, but here is no {', '.join(missing)}")
    tests = [_classroom50_test(mark) for mark in one.marks]
    head = {"schema": "classroom50/result/v1", "assignment_type": "individual", "datetime": submitted}
    head |= {key: known[name] for key, name in CLASSROOM50.items()}
    score = math.floor(one.earned)  # type: ignore[arg-type]
    return _text(head | {"score": score, "max-score": one.possible, "tests": tests})


def _classroom50_test(mark: Mark) -> dict[str, Any]:
    test = {"test-name": mark.title, "passed": mark.passed, "score": mark.earned, "max-score": mark.points}
    return test | {"message": mark.says()}


def github_notice(report: Report, student: str) -> str:
    """A line for a workflow's log, which GitHub shows beside the run.

    Raises:
        ValueError: no student is called so, or something is not graded.
    """
    one = _graded(report, student)
    return f"::notice title=Autograding complete::Points {number(one.earned or 0)}/{one.possible}\n"


def github_summary(report: Report, student: str) -> str:
    """Markdown for $GITHUB_STEP_SUMMARY: the boundary, the score, a table.

    Raises:
        ValueError: no student is called so.
    """
    one = _student(report, student)
    rows = ["| exercise | points | result | why |", "| --- | ---: | --- | --- |"]
    for mark in one.marks:
        points = NOT_GRADED if mark.earned is None else mark.earned
        why = " ".join((mark.reason, mark.hint and f"Look at: {mark.hint}")).strip()
        rows.append(f"| {_cell(mark.title)} | {points}/{mark.points} | {mark.status} | {_cell(why)} |")
    return "\n".join([report.boundary, "", f"**{one.score}**", "", *rows]) + "\n"


def _cell(text: str) -> str:
    """Text in a cell of a Markdown table, in which nothing is markup."""
    return "".join(f"&#{ord(sign)};" if sign in "&<>|`*_[]()\\~!#@:" else sign for sign in " ".join(text.split()))


def _summary(report: Report, one: Student) -> str:
    late = [sheet.lateness for sheet in one.sheets if sheet.lateness]
    return "\n".join([report.boundary, one.score, *late, *one.notes])


def _student(report: Report, student: str) -> Student:
    found = next((one for one in report.students if one.student == student), None)
    if found is None:
        there = ", ".join(one.student for one in report.students[:10]) or "nobody"
        raise ValueError(f"student = {student!r} is not in the report; there are: {there}")
    return found


def _graded(report: Report, student: str) -> Student:
    one = _student(report, student)
    if one.earned is None:
        failed = [mark for mark in one.marks if mark.status == NOT_GRADED]
        names = ", ".join(mark.name for mark in failed)
        raise ValueError(f"the grader failed on {names} of {student}, so there is no score to report: grade it again")
    return one


def _text(result: dict[str, Any]) -> str:
    return json.dumps(result, indent=1, ensure_ascii=False) + "\n"
