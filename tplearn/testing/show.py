"""How failures of ranks are shown: pytest's own pictures of them, once for all ranks that fail alike."""

import re
from collections.abc import Iterable

import pytest
from _pytest._code.code import ExceptionChainRepr, ReprEntry, ReprEntryNative, ReprFileLocation, ReprTraceback

from tplearn.ranks.errors import RankError
from tplearn.ranks.report import name_ranks

ADDRESS = re.compile(r"0x[0-9a-f]{6,}")  # differs from rank to rank, and says nothing
TOGETHER = "ranks that meet skip all together, or none does"
OF_RANK = re.compile(r"  rank (\d+)  ")  # how a line of the judge's report begins


def failures(failed: list[tuple[int, pytest.TestReport]], error: RankError | None, world_size: int) -> object:
    """Every failure with the ranks that it befell, then what the others did."""
    alike: dict[str, tuple[pytest.TestReport, list[int]]] = {}
    for rank, report in failed:
        alike.setdefault(_text(report), (report, []))[1].append(rank)
    chain = [(_nothing(), None, "")]
    for report, ranks in alike.values():
        who = f"all {world_size} ranks" if len(ranks) == world_size > 1 else name_ranks(ranks)
        chain[-1] = (*chain[-1][:2], f"{_phase(report)}{who}:")
        chain += _parts(report, ranks)
    shown = ExceptionChainRepr(chain)
    if others := _others(error, {rank for rank, _ in failed}):
        shown.addsection("the other ranks", others)
    return shown


def _others(error: RankError | None, failed: set[int]) -> str:
    """What the judge has to say of ranks that did not fail."""
    lines = [(OF_RANK.match(line), line) for line in str(error or "").splitlines()]
    return "\n".join(line for found, line in lines if found and int(found[1]) not in failed)


def _text(report: pytest.TestReport) -> str:
    return _phase(report) + ADDRESS.sub("0x…", str(report.longrepr))


def _phase(report: pytest.TestReport) -> str:
    """Where a failure is not the test's own, what it is of."""
    if hasattr(report, "context"):
        return f"subtest {report._sub_test_description()} on "
    return "" if report.when == "call" else f"at {report.when} on "


def _parts(report: pytest.TestReport, ranks: list[int]) -> list[tuple]:
    """A report's longrepr as parts of a chain; its last line, which the summary shows, with the ranks."""
    shown = report.longrepr
    if not hasattr(shown, "reprtraceback"):
        return [(_lines([f"{shown}"]), None, None)]
    parts = list(getattr(shown, "chain", [(shown.reprtraceback, shown.reprcrash, None)]))
    traceback, crash, description = parts[-1]
    if crash is not None:
        crash = ReprFileLocation(crash.path, crash.lineno, f"{name_ranks(ranks)}: {crash.message}")
    return [*parts[:-1], (traceback, crash, description)]


def fault(item: pytest.Function, error: RankError, skipped: dict[int, str]) -> ExceptionChainRepr:
    """A report of the judge, such as a deadlock, at the test's own line. skipped: why ranks did not run the test."""
    path, line, _ = item.reportinfo()
    place = ReprFileLocation(_near(item, path), (line or 0) + 1, type(error).__name__)
    lines = str(error).splitlines()
    for number, found in enumerate(map(OF_RANK.match, lines)):
        if found and int(found[1]) in skipped:
            lines[number] = f"{found[0]}skipped the test ({skipped[int(found[1])]}): {TOGETHER}"
    entry = ReprEntry([f"E   {line}" for line in lines], None, None, place, "long")
    crash = ReprFileLocation(str(path), (line or 0) + 1, str(error))
    return ExceptionChainRepr([(ReprTraceback([entry], None, "long"), crash, None)])


def _near(item: pytest.Function, path: object) -> str:
    """A path as pytest writes it in tracebacks."""
    try:
        return str(item.path.relative_to(item.config.invocation_params.dir))
    except ValueError:
        return str(path)


def _nothing() -> ReprTraceback:
    return ReprTraceback([], None, "long")


def _lines(lines: Iterable[str]) -> ReprTraceback:
    return ReprTraceback([ReprEntryNative([f"{line}\n" for line in lines])], None, "native")


def sections(reports: list[list[pytest.TestReport]]) -> list[tuple[str, str]]:
    """What pytest has captured on ranks, such as their logs, once for all that have the same."""
    alike: dict[tuple[str, str], list[int]] = {}
    for rank, of_rank in enumerate(reports):
        # each report has the sections of those before it
        for section in dict.fromkeys(tuple(section) for report in of_rank for section in report.sections):
            alike.setdefault(section, []).append(rank)
    return [(f"{title}, {name_ranks(ranks)}", text) for (title, text), ranks in alike.items()]
