"""Writes a graded batch into its folder: the JSON, the pages, the gradebooks, and a file a student for each platform.

The same report and the same templates give the same bytes. A file is written whole or not at all.
"""

import re
from collections.abc import Callable
from pathlib import Path

from tplearn.grading.course_file import CourseFile
from tplearn.grading.formats import canvas as canvas_csv
from tplearn.grading.formats import gradebook
from tplearn.grading.formats import moodle as moodle_csv
from tplearn.grading.formats_json import github_notice, github_summary, gradescope, prairielearn
from tplearn.grading.formats_junit import junit
from tplearn.grading.keeper import write_whole
from tplearn.grading.pages import class_page, student_page
from tplearn.grading.plain import file_stem
from tplearn.grading.results import Report
from tplearn.grading.results_json import as_json

# A file a student in each folder; what a platform may not get of an answer that the grader failed on is left out.
ANYWAY: dict[str, Callable[[Report, str], str]] = {"prairielearn/{}.json": prairielearn, "github/{}.md": github_summary}
WHEN_GRADED = {"gradescope/{}.json": gradescope, "github/{}.txt": github_notice}
OURS = re.compile(r"[a-z0-9-]+-[0-9a-f]{8}\.(html|json|md|txt)")  # as `file_stem` makes them
FOLDERS = ("students", "gradescope", "prairielearn", "github")
TEMPLATED = ("canvas.csv", "moodle.csv")


def publish(report: Report, out: Path, course: CourseFile, canvas: Path | None, moodle: Path | None) -> None:
    """Write everything that comes from the report; remove what an earlier one has left of students who are gone.

    Args:
        report: the graded batch.
        out: the folder, made where it is missing. What else is in it stays.
        course: names the assignment in Canvas and the headings in Moodle.
        canvas: the gradebook as Canvas exports it, or None: then there is no canvas.csv.
        moodle: the grading worksheet as Moodle gives it, or None: then there is no moodle.csv.

    Raises:
        ValueError: a template is no CSV of its platform, or does not fit the points. All else is written then.
        OSError: a template cannot be read, or a file cannot be written.
    """
    texts = _texts(report)
    for folder in FOLDERS:
        (out / folder).mkdir(parents=True, exist_ok=True)
    for name, content in texts.items():
        write_whole(out / name, content.encode("utf-8-sig" if name == "gradebook.csv" else "utf-8"))
    for path in (path for folder in FOLDERS for path in (out / folder).glob("*")):
        if OURS.fullmatch(path.name) and f"{path.parent.name}/{path.name}" not in texts:
            path.unlink()
    for name in TEMPLATED:  # old grades must not be taken for those of this report
        (out / name).unlink(missing_ok=True)
    if canvas:
        write_whole(out / "canvas.csv", canvas_csv(report, _given(canvas), course.canvas).encode())
    if moodle:
        write_whole(out / "moodle.csv", moodle_csv(report, _given(moodle), course.moodle).encode())


def _texts(report: Report) -> dict[str, str]:
    """{name in the folder: text} of all that needs no template."""
    stems = {one.student: file_stem(one.student) for one in report.students}
    links = {student: f"students/{stem}.html" for student, stem in stems.items()}
    texts = {
        "report.json": as_json(report),
        "index.html": class_page(report, links),
        "gradebook.csv": gradebook(report),
        "junit.xml": junit(report),
    }
    for one in report.students:
        texts[links[one.student]] = student_page(report, one)
        formats = ANYWAY if one.earned is None else ANYWAY | WHEN_GRADED
        texts |= {name.format(stems[one.student]): make(report, one.student) for name, make in formats.items()}
    return texts


def _given(path: Path) -> str:
    """The text of a CSV that the teacher has downloaded."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is no text in UTF-8: give the CSV as it was downloaded") from None
