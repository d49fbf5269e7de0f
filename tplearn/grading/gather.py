"""From submissions to tasks, and from findings to the report: which answers are run, and what each student then has."""

from collections.abc import Mapping
from dataclasses import replace

from tplearn.checks.exercise import Exercise
from tplearn.checks.observe import WithLedger
from tplearn.grading.answers import Answer
from tplearn.grading.attempts import attempts
from tplearn.grading.batch import Task
from tplearn.grading.course_cells import chapter_title, stub_of
from tplearn.grading.course_file import CourseFile
from tplearn.grading.inbox import Handed, Inbox, Submission
from tplearn.grading.keeper import Keeper, Run
from tplearn.grading.results import Mark, Report, Sheet, Student

ASKED = tuple[str, str]  # a student's key, an exercise's name


class Gathered:
    """What is to be graded. tasks: a key each once, in the order of the exercises.

    exercises: by name, of the chapters that somebody has handed in, with the class's own points and cases.
    """

    def __init__(self, inbox: Inbox, exercises: Mapping[str, Exercise], keeper: Keeper) -> None:
        self.inbox = inbox
        self.exercises = {name: e for name, e in exercises.items() if e.number[:2] in inbox.chapters}
        self.answers: dict[ASKED, Answer] = {}
        self.keys: dict[ASKED, str] = {}
        self.untouched: set[ASKED] = set()  # they are as the course has handed them out, and need no run
        tasks: dict[str, Task] = {}
        for name, exercise in self.exercises.items():
            for one in inbox.submissions:
                handed = one.handed.get(exercise.number[:2])
                answer = handed.notebook.answer(name) if handed else None
                if answer and answer.cell.source.strip() == stub_of(name).strip():
                    self.untouched.add((one.student, name))
                elif answer:
                    tries = attempts(exercise, answer)
                    key = keeper.key(name, tries)
                    tasks.setdefault(key, Task(name, tries, key))
                    self.answers[one.student, name], self.keys[one.student, name] = answer, key
        self.tasks = list(tasks.values())

    def report(self, run: Run, course: CourseFile, marks: Mapping[str, Mark]) -> Report:
        """The report, from the marks by key."""
        students = tuple(self._student(one, course, marks) for one in self.inbox.submissions)
        strays = tuple(map(str, self.inbox.strays))
        books = tuple(f"{one.number} {name}" for name, one in self.exercises.items() if keeps_its_own_books(one))
        return Report(course.title, run.seed, run.course, run.jail, students, strays, run.landlock, books)

    def _student(self, one: Submission, course: CourseFile, marks: Mapping[str, Mark]) -> Student:
        sheets = []
        for chapter in self.inbox.chapters:
            due = [exercise for exercise in self.exercises.values() if exercise.number[:2] == chapter]
            handed = one.handed.get(chapter)
            found = tuple(self._mark(one, exercise, handed, marks) for exercise in due)
            late = course.late.deduction(chapter, handed.when if handed else None, bool(handed and handed.late))
            file = handed.file if handed else ""
            sheets.append(Sheet(chapter, chapter_title(chapter), found, file, late.percent, late.says))
        return Student(one.student, one.name, tuple(sheets), (*map(str, one.unreadable), *one.notes))

    def _mark(self, one: Submission, exercise: Exercise, handed: Handed | None, marks: Mapping[str, Mark]) -> Mark:
        if key := self.keys.get((one.student, exercise.name)):
            mark = replace(marks[key], points=exercise.points)
            return replace(mark, notes=(*mark.notes, *self.answers[one.student, exercise.name].notes))
        status, reason = "missing", "There is no notebook of this chapter."
        if (one.student, exercise.name) in self.untouched:
            status, reason = "not attempted", "The cell of this exercise is as it was handed out."
        elif handed:
            reason = "The cell of this exercise is not in the notebook."
        elif one.unreadable:
            status, reason = "unreadable", "No notebook of this chapter could be read."
        return Mark(exercise.number, exercise.name, exercise.points, status, reason)


def keeps_its_own_books(exercise: Exercise) -> bool:
    """Whether the ledger that counts is recorded where the answer runs: all its ranks are one process."""
    return not exercise.ranks and (isinstance(exercise.observe, WithLedger) or hasattr(exercise.observe, "ledger"))
