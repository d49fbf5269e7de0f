"""What became of a test, of what each of its ranks has told and of what the judge of the ranks says."""

from dataclasses import dataclass, field

import pytest

from tplearn.ranks.errors import RankError
from tplearn.ranks.report import name_ranks
from tplearn.testing import show
from tplearn.testing.told import PHASES, Told


@dataclass
class Verdict:
    """How the report of pytest's own process is to be changed. raises: what the item's call raises there.

    outcome: "passed", "skipped", "failed"; None: as the item's own marks say of what is raised.
    """

    outcome: str | None = "passed"
    raises: BaseException | None = None
    longrepr: object = None
    wasxfail: str | None = None
    sections: list[tuple[str, str]] = field(default_factory=list)

    def settle(self, report: pytest.TestReport, item: pytest.Function) -> None:
        """Make pytest's report of the item that of its ranks."""
        report.sections += self.sections
        if self.outcome is None:
            report.longrepr = self.longrepr if report.failed else report.longrepr
        elif self.outcome != "passed" and not (hasattr(report, "wasxfail") and _expects_rank_error(item)):
            report.outcome, report.longrepr = self.outcome, self.longrepr
            vars(report).pop("wasxfail", None)
        if self.wasxfail is not None:
            report.wasxfail = self.wasxfail


def judge(item: pytest.Function, told: list[Told], error: RankError | None) -> Verdict:
    """One verdict for all ranks: the worst that happened. told: by rank."""
    for one in told:
        if one.leaves:
            pytest.exit(*one.leaves)
    reports = [_reports(item, one) for one in told]
    verdict = _verdict(item, reports, error)
    verdict.sections = show.sections(reports)
    return verdict


def _verdict(item: pytest.Function, reports: list[list[pytest.TestReport]], error: RankError | None) -> Verdict:
    every = [(rank, report) for rank, of_rank in enumerate(reports) for report in of_rank]
    failed = [(rank, report) for rank, report in every if report.failed]
    expected = [(rank, report) for rank, report in every if hasattr(report, "wasxfail")]
    skipped = [(rank, report) for rank, report in every if report.skipped and not hasattr(report, "wasxfail")]
    if failed:
        return Verdict("failed", error, show.failures(failed, error, len(reports)))
    xfailed = [(rank, report) for rank, report in expected if report.skipped]
    if xfailed:
        reason = xfailed[0][1].wasxfail
        return Verdict("skipped", pytest.xfail.Exception(reason), xfailed[0][1].longrepr, reason)
    if error is not None:
        return Verdict(None, error, show.fault(item, error, {rank: _why(report) for rank, report in skipped}))
    if skipped:
        (path, line, _), reason = skipped[0][1].longrepr, f"Skipped: {_why(skipped[0][1])}"
        if len({rank for rank, _ in skipped}) < len(reports):
            reason = f"{reason} (on {name_ranks([rank for rank, _ in skipped])}; the others passed)"
        return Verdict("skipped", pytest.skip.Exception(reason), (path, line, reason))
    if expected:
        return Verdict("passed", wasxfail=expected[0][1].wasxfail)
    return Verdict()


def _expects_rank_error(item: pytest.Function) -> bool:
    """Whether a mark xfail(raises=...) names what is raised here when a rank fails."""
    named = [mark.kwargs.get("raises") for mark in item.iter_markers("xfail")]
    kinds = [kind for one in named for kind in (one if isinstance(one, tuple) else (one,))]
    return any(isinstance(kind, type) and issubclass(kind, RankError) for kind in kinds)


def _reports(item: pytest.Function, told: Told) -> list[pytest.TestReport]:
    data = [*told.subtests, *(told.reports[phase] for phase in PHASES if phase in told.reports)]
    hook = item.config.hook
    return [hook.pytest_report_from_serializable(config=item.config, data=one) for one in data]


def _why(skipped: pytest.TestReport) -> str:
    return skipped.longrepr[2].removeprefix("Skipped: ")
