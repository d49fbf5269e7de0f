"""Gradebooks: what a spreadsheet, Canvas and Moodle read back, and exports that do not fit."""

import csv
import io
from dataclasses import replace

import pytest

from tests.grading.made import CANVAS, HOSTILE, MOODLE, report, rows, small_class, student
from tplearn.grading.formats import canvas, gradebook, moodle
from tplearn.grading.plain import plain


def test_the_plain_gradebook() -> None:
    names, first, *others = rows(gradebook(small_class()))
    assert names == [
        *("student", "name", "02.1 split_columns (5)", "02.4 row_parallel (10)", "percent off", "earned", "possible")
    ]
    assert first == ["13", "13", "0", "not graded", "", "not graded", "15"], "not graded comes first"
    assert others[0] == ["11", "Ada Lovelace", "5", "10", "", "15", "15"]
    assert others[1] == ["12", plain(HOSTILE), "5", "0", "02: 20", "4", "15"]
    assert rows(gradebook(small_class(jail="")))[0][0].startswith("Trusted class only")


def test_a_spreadsheet_runs_nothing_that_a_student_is_called() -> None:
    for evil in ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)"):
        assert rows(gradebook(report(student(evil))))[1][:2] == [f"'{evil}", f"'{evil}"]


@pytest.mark.parametrize("separator", [",", ";"])
def test_canvas_takes_back_its_own_export(separator: str) -> None:
    export = "\ufeff" + CANVAS
    if separator == ";":
        text = io.StringIO()
        csv.writer(text, delimiter=";").writerows(rows(CANVAS))
        export = text.getvalue()
    made = rows(canvas(small_class(), export, "Chapter 02"), separator)
    assert made[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Chapter 02 (991)"]
    assert made[2] == ["    Points Possible", "", "", "", "", "15"]
    assert [row[1::4] for row in made[3:]] == [*(["11", "15"], ["12", "4"], ["13", "7"], ["14", "8"], ["99", ""])], (
        "who is not graded keeps the teacher's cell"
    )
    assert made[3][0] == "Lovelace, Ada" and made[3][4] == "A, B"
    assert canvas(small_class(), export, "Chapter 02 (991)") == canvas(small_class(), export, "Chapter 02")
    assert rows(canvas(small_class(), CANVAS.replace("Other (992)", "Other"), ""))[3][-1] == "15", "the only one"


@pytest.mark.parametrize(
    ("export", "assignment", "says"),
    [
        (CANVAS, "Chapter 03", r"no column for assignment = 'Chapter 03'; it has: Chapter 02 \(991\), Other \(992\)"),
        (CANVAS, "Other", r"Canvas gives 'Other \(992\)' 10 points, and these exercises have 15"),
        (CANVAS.replace("Other (992)", "Chapter 02 (992)"), "Chapter 02", "several columns"),
        (CANVAS, "", r"several columns for assignment = ''.*Name one of them in course.toml, as \[canvas\] assignment"),
        ("a,b\n1,2\n", "Chapter 02", "has no column 'ID'; it has: a, b"),
        ("", "Chapter 02", "has no column 'ID'; it has: nothing"),
    ],
)
def test_another_export_is_refused(export: str, assignment: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        canvas(small_class(), export, assignment)


def test_moodles_worksheet_is_filled_with_its_own_decimal_comma() -> None:
    one = small_class()
    late = replace(one.students[0].sheets[0], deduction=33)
    one = replace(one, students=(replace(one.students[0], sheets=(late,)), *one.students[1:]))
    given, made = rows(MOODLE), rows(moodle(one, MOODLE))
    assert [row[4] for row in made[1:]] == ["10,05", "4", "7,00", ""]
    assert made[3:] == given[3:], "who is not graded, and who is not here, stays"
    assert [row[:4] + row[5:7] for row in made] == [row[:4] + row[5:7] for row in given]
    said = made[2][7]
    assert "02.4 row_parallel: 0/10, wrong: Your result" in said and "Look at: where the bias" in said
    assert "<script>" not in said and "SECRET" not in said and "20 % less" in said


def test_moodle_in_another_language() -> None:
    german = (
        MOODLE.replace("Identifier", "Kennung").replace("Grade,", "Bewertung,").replace("Participant ", "Teilnehmer/in")
    )
    with pytest.raises(ValueError, match="no column 'Identifier'; it has: Kennung"):
        moodle(small_class(), german)
    headings = {"identifier": "Kennung", "grade": "Bewertung", "comments": "none"}
    assert rows(moodle(small_class(), german, headings))[1][4] == "15"
    with pytest.raises(ValueError, match="no column 'Note'"):
        moodle(small_class(), german, headings | {"grade": "Note"})
    with pytest.raises(ValueError, match="Moodle gives this assignment 20.00 points, and these exercises have 15"):
        moodle(small_class(), MOODLE.replace("15,00", "20,00"))
