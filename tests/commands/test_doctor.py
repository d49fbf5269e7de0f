"""`tplearn doctor`: a line for each thing it looked at, and advice where something is wrong."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tplearn import doctor
from tplearn.doctor import Finding


def test_it_looks_at_this_machine() -> None:
    command = [Path(sys.executable).with_name("tplearn"), "doctor"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "two ranks met in an all_reduce" in ran.stdout and "shared memory" in ran.stdout
    assert "This machine can run the course" in ran.stdout.splitlines()[-1]


def test_packages_that_are_missing_or_of_another_version_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "pinned_versions", lambda: {"numpy": "0.1", "no-such-package": "2.0"})
    found = {finding.subject: finding for finding in doctor._packages()}
    assert found["numpy"].state == "warning" and "the course is tested with 0.1" in found["numpy"].found
    assert found["no-such-package"].state == "problem" and "make lab" in found["no-such-package"].advice


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
    assert printed.splitlines()[-1] == "1 of 2 lines name a problem: follow the arrows from top to bottom."
