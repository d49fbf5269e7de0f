"""The attacks that once were worth full points get none, and the one that is known to get through is known."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.grading.attacks import ATTACKS, results, write
from tests.grading.test_twenty import GRADE
from tests.grading.users import ROOT
from tplearn.grading.can_jail import can_jail

NO_JAIL = can_jail()


@pytest.mark.skipif(NO_JAIL is not None, reason=str(NO_JAIL))
def test_no_attack_gets_points(tmp_path: Path) -> None:
    write(tmp_path / "attacks", list(ATTACKS))
    command = [*GRADE, str(tmp_path / "attacks"), "--out", str(tmp_path / "out"), "--seed", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    marks = results(tmp_path / "out" / "report.json", list(ATTACKS))
    passed = {attack.name for attack, mark in zip(ATTACKS, marks, strict=True) if mark["status"] == "passed"}
    assert passed == {attack.name for attack in ATTACKS if not attack.stopped}, json.dumps(marks, indent=1)
