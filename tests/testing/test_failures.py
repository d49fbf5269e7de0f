"""How a test that fails on ranks is reported: pytest's own picture, the ranks, and what the others did."""

import re

import pytest

from tests.testing.inner import PROGRAMS, Ended

pytestmark = pytest.mark.xdist_group("inner runs")

# test: what is shown of it, in this order
SHOWN = {
    "test_on_all": ["all 2 ranks:", "AssertionError: must be three", "At index 0 diff: 2.0 != 3", "[rank 1] from 1"],
    "test_on_one": ["\nrank 1:\n", "assert 1 != 1", "the other ranks", "rank 0  waits in barrier #0", "dist.barrier()"],
    "test_differently": ["\nrank 0:\n", "assert 0 == 7", "\nrank 1:\n", "assert 1 == 7"],
    "test_before_a_teardown_that_meets": ["\nrank 1:\n", "assert 1 == 0", "the other ranks", "rank 0  all_reduce"],
    "test_in_setup": ["at setup on rank 1:", "def breaks_on_rank_1", "OSError: only here", "rank 0  waits in barrier"],
    "test_in_teardown": ["at teardown on all 2 ranks:", "OSError: too late"],
    "test_cannot_travel": ["the fixture unportable has module scope", "type socket.socket", "give it function scope"],
    "test_asked_too_late": ["the fixture wide has module scope", "usefixtures('wide')"],
    "test_hangs": [
        "Deadlock",
        "rank 0  waits in all_reduce",
        "dist.all_reduce(torch.ones(2))",
        "[rank 1] about to hang",
    ],
    "test_differs": ["different shape", "rank 1  all_reduce (3 float32, SUM)", "CollectiveMismatch"],
    "test_dies": ["Rank 1 was killed by SIGKILL", "rank 0  waits in barrier #0", "RankDied"],
    "test_takes_too_long": ["stopped after 0.7 s", "rank 1  is running", "time.sleep(100)", "RankTimeout"],
    "test_skips_alone": [
        "Deadlock",
        "rank 0  waits in barrier",
        "rank 1  skipped the test (no machine)",
        "all together",
    ],
    "test_stops_at_a_debugger": [">       breakpoint()", "a rank has no terminal"],
    "test_passes_unexpectedly": ["[XPASS(strict)] thought so"],
    "test_fails_otherwise": ["RuntimeError: another"],
    "test_nobody_awaits": ["async def functions are not natively supported"],
    "test_in_subtests": ["subtest [the first] on rank 1:", "assert 1 == 0"],
    "test_fixture_of_ranks": ["all 2 ranks:", "assert 0 == 1"],
}
ERRORS = {
    "test_broken_wide_fixture": ["OSError: no such machine"],
    "TestOld::test_of_unittest": ["a unittest.TestCase cannot run on ranks", "make it a plain class or function"],
}
NO_FAILURE = {
    "test_skips": "SKIPPED",
    "test_one_skips_and_waits_for_nobody": "SKIPPED",
    "test_skipped_before": "SKIPPED",
    "test_xfails": "XFAIL",
    "test_xfails_on_one": "XFAIL",
    "test_xfails_by_hanging": "XFAIL",
    "test_xfails_by_dying": "XFAIL",
    "test_xpasses": "XPASS",
    "test_not_run": "XFAIL",
}


@pytest.mark.parametrize("test", [*SHOWN, *ERRORS])
def test_a_failure_says_what_and_where(failing: Ended, test: str) -> None:
    assert failing.outcomes[test] == ("FAILED" if test in SHOWN else "ERROR")
    shown = failing.section(test if test in SHOWN else f"ERROR at setup of {test.replace('::', '.')}")
    rest = shown
    for text in (SHOWN | ERRORS)[test]:
        assert text in rest, f"{text!r} is missing, or not in its place:\n{shown}"
        rest = rest.partition(text)[2]
    assert "tplearn/testing/run.py" not in shown and "supervise.py" not in shown, "no frame of the machinery"


def test_what_is_no_failure_is_none(failing: Ended) -> None:
    assert failing.outcomes == dict.fromkeys(SHOWN, "FAILED") | dict.fromkeys(ERRORS, "ERROR") | NO_FAILURE
    assert "no machine (on rank 1; the others passed)" in re.sub(r"\s+", " ", failing.output)


def test_a_hang_is_at_the_line_of_the_test(failing: Ended) -> None:
    lines = (PROGRAMS / "failing.py").read_text().splitlines()
    begins = lines.index("def test_hangs():") + 1
    assert f"test_failing.py:{begins}: Deadlock" in failing.section("test_hangs")
    assert f"test_failing.py:{begins + 3}:  dist.all_reduce" in failing.section("test_hangs")
    assert "FAILED test_failing.py::test_hangs - Deadlock: no rank can make progress." in failing.output


def test_the_summary_names_the_ranks(failing: Ended) -> None:
    assert "FAILED test_failing.py::test_on_one - rank 1: assert 1 != 1" in failing.output
    assert "FAILED test_failing.py::test_on_all - ranks 0, 1: AssertionError: must be three" in failing.output
