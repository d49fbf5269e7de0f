"""The folder of reports: all of it, the same bytes each time, and nothing of who is gone."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.grading.made import CANVAS, MOODLE, put, report, small_class, student
from tplearn.grading.course_file import CourseFile
from tplearn.grading.plain import file_stem
from tplearn.grading.publish import publish
from tplearn.grading.results import Report
from tplearn.grading.results_json import from_json

COURSE = CourseFile(canvas="Chapter 02")
ADA, BOB, CYD = (file_stem(name) for name in ("11", "12", "13"))


def published(out: Path, one: Report) -> dict[str, bytes]:
    """Every file of the folder by its name, with both templates given."""
    canvas = put(out.parent, "export.csv", CANVAS.encode("utf-8-sig"))
    moodle = put(out.parent, "worksheet.csv", MOODLE.encode("utf-8-sig"))
    publish(one, out, COURSE, canvas, moodle)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_everything_is_there_and_what_failed_is_left_out_where_a_platform_would_take_it_for_a_score(
    tmp_path: Path,
) -> None:
    found = published(tmp_path / "out", small_class())
    each = {f"{folder}/{stem}.{end}" for stem in (ADA, BOB, CYD) for folder, end in FOR_ALL}
    graded = {f"{folder}/{stem}.{end}" for stem in (ADA, BOB) for folder, end in WHEN_GRADED}
    assert set(found) == each | graded | {
        *("report.json", "index.html", "gradebook.csv", "junit.xml", "canvas.csv", "moodle.csv")
    }
    assert from_json(found["report.json"].decode()) == small_class()
    assert found["gradebook.csv"].startswith(b"\xef\xbb\xbf"), "Excel takes a file without it for another encoding"
    assert f'href="students/{BOB}.html"' in found["index.html"].decode()
    assert json.loads(found[f"gradescope/{BOB}.json"])["score"] == 4
    assert [row[-1] for row in csv.reader(found["canvas.csv"].decode().splitlines())][3:5] == ["15", "4"]


FOR_ALL = (("students", "html"), ("prairielearn", "json"), ("github", "md"))
WHEN_GRADED = (("gradescope", "json"), ("github", "txt"))


def test_the_same_report_gives_the_same_bytes_whatever_was_there_before(tmp_path: Path) -> None:
    first = published(tmp_path / "one", small_class())
    published(tmp_path / "two", report(student("99", *small_class().students[0].marks)))
    put(tmp_path / "two", "results/abc.json", b"{}")
    put(tmp_path / "two", "students/my-notes.txt", b"mine")
    second = published(tmp_path / "two", replace(small_class(), students=tuple(reversed(small_class().students))))
    assert second.pop("results/abc.json") == b"{}" and second.pop("students/my-notes.txt") == b"mine"
    assert first == second


def test_without_a_template_no_old_grades_are_left(tmp_path: Path) -> None:
    published(tmp_path / "out", small_class())
    publish(small_class(), tmp_path / "out", COURSE, None, None)
    assert not (tmp_path / "out" / "canvas.csv").exists() and not (tmp_path / "out" / "moodle.csv").exists()


def test_a_template_that_does_not_fit_costs_its_own_file_only(tmp_path: Path) -> None:
    out = tmp_path / "out"
    latin = put(tmp_path, "latin.csv", "Identifier,Grade\nJos\xe9,\n".encode("latin-1"))
    with pytest.raises(ValueError, match="latin.csv is no text in UTF-8: give the CSV as it was downloaded"):
        publish(small_class(), out, COURSE, None, latin)
    with pytest.raises(ValueError, match="no column for assignment = 'Chapter 02'"):
        publish(small_class(), out, COURSE, put(tmp_path, "other.csv", b"Student,ID\nx,1\n"), None)
    assert (out / "index.html").exists() and not (out / "canvas.csv").exists()


@pytest.mark.parametrize(("jail", "landlock"), [("bubblewrap 0.8.0", False), ("", True), ("", False)])
def test_the_first_thing_that_can_be_read_is_whether_there_was_a_jail(
    tmp_path: Path, jail: str, landlock: bool
) -> None:
    whole = small_class(jail=jail, landlock=landlock)
    found = {name: content.decode("utf-8-sig") for name, content in published(tmp_path / "o", whole).items()}
    boundary = whole.boundary
    assert boundary.startswith("Graded in a jail" if jail else "Trusted class only: graded without a jail")
    assert ("could read the judge's files" in boundary) == (not jail and not landlock)
    assert ("Landlock kept answers from the judge's files" in boundary) == landlock
    assert from_json(found["report.json"]) == whole
    assert next(iter(json.loads(found["report.json"]).values())) == boundary
    assert json.loads(found[f"gradescope/{BOB}.json"])["output"].startswith(boundary)
    assert json.loads(found[f"prairielearn/{BOB}.json"])["output"].startswith(boundary)
    assert found[f"github/{BOB}.md"].startswith(boundary)
    for page in ("index.html", f"students/{ADA}.html"):
        shown = found[page].partition("<body")[2].partition(">")[2]
        assert shown.partition("<h1>")[0].count(boundary.replace("'", "&#39;")) == 1
    assert boundary in found["junit.xml"].split("<testcase")[0]
    assert found["gradebook.csv"].startswith("student" if jail else f'"{boundary}"')
