"""A grade that is killed twice and resumed gives the same bytes as one that is not."""

import pytest

from tests.grading.kill_and_resume import kill_and_resume
from tplearn.grading.can_jail import can_jail

NO_JAIL = can_jail()


@pytest.mark.skipif(NO_JAIL is not None, reason=str(NO_JAIL))
def test_killed_twice_and_resumed() -> None:
    assert kill_and_resume(2, students=3) == []
