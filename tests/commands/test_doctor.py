"""`tplearn doctor`: a line for each thing it looked at, and advice where something is wrong."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tplearn import doctor
from tplearn.finding import Finding
from tplearn.grading import can_jail


def test_it_looks_at_this_machine() -> None:
    command = [Path(sys.executable).with_name("tplearn"), "doctor"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "two ranks met in an all_reduce" in ran.stdout and "shared memory" in ran.stdout
    assert "tplearn grade" in ran.stdout
    assert "This machine can run the course" in ran.stdout.splitlines()[-1]


def test_packages_that_are_missing_or_of_another_version_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "requirements", lambda: [Requirement("numpy<0.1"), Requirement("no-such-package>=2")])
    found = {finding.subject: finding for finding in doctor._packages()}
    assert found["numpy"].state == "warning" and "the course is tested with <0.1" in found["numpy"].found
    assert ">=2" in found["no-such-package"].found
    assert found["no-such-package"].state == "problem" and "make lab" in found["no-such-package"].advice


def test_what_a_reader_needs_is_read_from_the_installed_package() -> None:
    needed = {requirement.name for requirement in doctor.requirements()}
    assert {"torch", "jupyterlab"} <= needed and not needed & {"jax", "ruff", "ipyparallel"}


@pytest.mark.parametrize(
    ("reason", "due"),
    [
        (None, ("ok", "one was tried: `tplearn grade` can keep students' code in it", "")),
        ("install it.", ("warning", "none; only teachers need it, for `tplearn grade`", "install it.")),
    ],
)
def test_a_machine_without_jails_gets_a_warning_that_is_for_teachers(
    reason: str | None, due: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(can_jail, "can_jail", lambda: reason)
    assert list(doctor._jail()) == [Finding("jail", *due)]


def test_a_look_that_fails_is_a_problem_in_the_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def _broken_thing() -> Iterator[Finding]:
        raise OSError("no such device")
        yield

    monkeypatch.setattr(doctor, "LOOKS", (doctor._python, _broken_thing))
    doctor.report(doctor.examine())
    printed = capsys.readouterr().out
    assert "broken thing" in printed and "OSError: no such device" in printed
    assert "pip install 'tplearn-course[course]'" in printed, "rich takes no word in brackets for a colour"
    assert printed.splitlines()[-1] == "1 of 2 lines name a problem: follow the arrows from top to bottom."
