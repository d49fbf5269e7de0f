"""What pytest users expect to work in a test works on ranks."""

import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest

from tests.testing.inner import PROGRAMS, Ended, program, run_pytest

pytestmark = pytest.mark.xdist_group("inner runs")


def test_every_way_of_writing_a_test_passes(passing: Ended) -> None:
    assert passing.code == 0 and set(passing.outcomes.values()) == {"PASSED"}, passing.output
    written = {
        line.split("(")[0].split()[-1]
        for line in (PROGRAMS / "passing.py").read_text().splitlines()
        if "def test_" in line
    }
    assert {name.split("::")[-1].split("[")[0] for name in passing.outcomes} == written


def test_sizes_are_named(passing: Ended) -> None:
    sizes = [name for name in passing.outcomes if name.startswith("test_sizes")]
    assert sizes == ["test_sizes[1 ranks]", "test_sizes[3 ranks]"]


def test_a_warning_of_all_ranks_is_shown_once_at_its_line(passing: Ended) -> None:
    line = next(n for n, text in enumerate((PROGRAMS / "passing.py").read_text().splitlines(), 1) if "once for" in text)
    assert passing.output.count("UserWarning: once for all ranks") == 1
    assert f"test_passing.py:{line}: UserWarning: once for all ranks" in passing.output


def test_properties_reach_the_report(passing: Ended, tmp_path_factory: pytest.TempPathFactory) -> None:
    (report,) = tmp_path_factory.getbasetemp().glob("passing0/report.xml")
    found = [(one.get("name"), one.get("value")) for one in Xml.parse(report).iter("property")]
    assert found == [("the key", "7")]


def test_the_same_with_fresh_interpreters_under_xdist(tmp_path: Path) -> None:
    """Each rank collects its item again: in a class, with fixtures of every scope, and where xdist changes its name."""
    name = "TestOfClass::test_setup_and_override"
    source = "import pytest\n\n@pytest.mark.xdist_group('few')\n@pytest.mark.ranks([1])\ndef test_it():\n    pass\n"
    (tmp_path / "test_group.py").write_text(source)
    grouped = ["-n1", "--dist", "loadgroup", "--ranks-start=spawn"]
    ended = run_pytest(tmp_path, f"{program(tmp_path, 'passing')}::{name}", "test_group.py", *grouped)
    assert ended.code == 0 and ended.outcomes == {name: "PASSED", "test_it[1 ranks]@few": "PASSED"}, ended.output


def test_xdist_spreads_tests_on_ranks(tmp_path: Path) -> None:
    ended = run_pytest(
        tmp_path, program(tmp_path, "failing"), "-n1", "-k", "on_one or hangs or test_skips or differently"
    )
    outcomes = {"test_on_one": "FAILED", "test_hangs": "FAILED", "test_differently": "FAILED", "test_skips": "SKIPPED"}
    assert outcomes.items() <= ended.outcomes.items(), ended.output
    assert "rank 0  waits in barrier #0" in ended.section("test_on_one")
    assert "\nrank 1:\n" in ended.section("test_differently"), "labels survive the way from the worker"
