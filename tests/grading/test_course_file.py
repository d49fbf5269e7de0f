"""course.toml: the documented example works, lateness costs what it says, and mistakes are named with what works."""

import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.grading.made import CHAPTERS
from tplearn.grading import course_file
from tplearn.grading.course_file import MOODLE, TITLE, CourseFile, read_course_file
from tplearn.grading.late import Late

DUE = datetime(2026, 11, 25, 23, 0, tzinfo=UTC)


def read(folder: Path, text: str) -> CourseFile:
    (folder / "course.toml").write_text(text, encoding="utf-8")
    return read_course_file(folder / "course.toml", CHAPTERS)


def test_the_documented_example_works(tmp_path: Path) -> None:
    (tmp_path / "private_cases.py").write_text("CASES = {}")
    course = read(tmp_path, textwrap.dedent(course_file.__doc__.partition("\n\n")[2]))
    assert course.title == "Tensor parallelism, autumn 2026"
    assert course.late.deadlines["02"] == datetime(2026, 11, 25, 22, 59, tzinfo=UTC), (
        "Berlin is an hour ahead in winter"
    )
    assert course.late.deadlines["03"] == datetime(2026, 12, 2, 22, tzinfo=UTC)
    assert (course.late.percent_per_day, course.late.cap, course.late.grace_minutes) == (10, 50, 30)
    assert course.points == {"row_parallel": 20}
    assert course.cases == tmp_path / "private_cases.py"
    assert course.canvas == "Chapter 02"
    assert course.moodle == {"identifier": "Kennung", "grade": "Bewertung", "comments": "Feedback als Kommentar"}


def test_everything_may_be_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, "") == CourseFile() == CourseFile(TITLE, Late(), {}, None, "", MOODLE)


def test_a_day_alone_means_its_end_in_the_zone(tmp_path: Path) -> None:
    course = read(tmp_path, '[deadlines]\ntimezone = "America/New_York"\n"02" = 2026-07-01')
    assert course.late.deadlines["02"].astimezone(UTC) == datetime(2026, 7, 2, 3, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[course", "is no TOML"),
        ("[corse]\ntitle = 'x'", r"no \[corse\] .*did you mean course"),
        ("[late]\npercent = 10", r"no percent in \[late\] \(it has the value 10\); did you mean percent_per_day"),
        ("[late]\npercent_per_day = 110", r"\[late\] percent_per_day = 110 must be a whole number from 0 to 100"),
        ("[late]\ncap = 12.5", r"\[late\] cap = 12.5 must be a whole number"),
        ("[late]\ncap = true", r"\[late\] cap = True must be a whole number"),
        ("[late]\ngrace_minutes = -1", r"grace_minutes = -1 must be"),
        ("[points]\nrow_paralel = 5", r"no exercise row_paralel in \[points\] .*did you mean row_parallel"),
        ("[points]\nrow_parallel = '5'", r"\[points\] row_parallel = '5' must be a whole number"),
        ("[points]\nrow_parallel = 0", r"row_parallel = 0 must be a whole number from 1 to 1000"),
        ("[canvas]\nassignment = ''", r"\[canvas\] assignment = '' must be a text"),
        ("[deadlines]\n'2' = 2026-01-01", r"no chapter 2 in \[deadlines\] .*02"),
        ("[deadlines]\n'02' = '2026-01-01'", r"\[deadlines\] 02 = '2026-01-01' must be a time without quotes"),
        ("[deadlines]\n'02' = 12:00:00", r"must be a time without quotes"),
        ("[deadlines]\ntimezone = 'Berlin'", r"timezone = 'Berlin' is no time zone; 'Europe/Berlin'"),
        ("[deadlines]\ntimezone = '../etc'", r"timezone = '../etc' is no time zone"),
        ("[course]\ntitle = 7", r"\[course\] title = 7 must be a text"),
        ("[private]\ncases = 'none.py'", r"\[private\] cases = 'none.py' must name a Python file"),
        ("late = 5", r"late = 5 is no table; write \[late\]"),
        ("[moodle]\ngrades = 'x'", r"no grades in \[moodle\] .*did you mean grade"),
    ],
)
def test_a_mistake_is_named_with_its_value_and_what_works(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"(?s)course.toml.*{says}"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("late", "percent", "says"),
    [
        (timedelta(0), 0, ""),
        (timedelta(minutes=30), 0, ""),
        (timedelta(minutes=31), 10, "31 minutes after the deadline, 2026-11-25 23:00 UTC: counted as 1 day late, 10 %"),
        (timedelta(days=1), 10, "1 day after the deadline"),
        (timedelta(days=1, seconds=1), 20, "counted as 2 days late, 20 % less."),
        (timedelta(days=1, hours=3, minutes=9), 20, "1 day 3 hours after"),
        (timedelta(days=40), 50, "counted as 40 days late, 50 % less."),
    ],
)
def test_days_late_are_begun_days_from_the_deadline_on(late: timedelta, percent: int, says: str) -> None:
    policy = Late({"02": DUE}, percent_per_day=10, cap=50, grace_minutes=30)
    deduction = policy.deduction("02", DUE + late)
    assert deduction.percent == percent
    assert says in deduction.says and bool(says) == bool(deduction.says)


def test_lateness_without_a_time_or_a_deadline() -> None:
    policy = Late({"02": DUE}, percent_per_day=10, days_if_only_marked=2)
    assert policy.deduction("02", None).percent == policy.deduction("03", DUE + timedelta(days=9)).percent == 0
    marked = policy.deduction("02", None, marked=True)
    assert marked.percent == 20 and "gives no time: counted as 2 days late, 20 % less." in marked.says
    assert policy.deduction("02", DUE, marked=True).percent == 0, "a known time is better than a mark"
    assert Late({"02": DUE}).deduction("02", DUE + timedelta(days=3)).says.endswith("which costs nothing.")
