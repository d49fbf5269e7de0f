"""The hooks: which tests run on ranks, what pytest's own process does for them, and how it reports them.

Pytest loads this file in every run of everybody who has installed the package: it imports nothing but pytest, and
without a marked test no hook does anything.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest
from _pytest.unittest import TestCaseFunction

from tplearn.forkserver import START_METHODS, start_method, under_torchrun
from tplearn.testing import marks
from tplearn.testing.fixtures import ledger, shared_tmp_path  # noqa: F401 (fixtures)

if TYPE_CHECKING:
    from tplearn.testing.verdict import Verdict

SECONDS = 60.0
NURSERY = "tplearn-nursery"
VERDICT: "pytest.StashKey[Verdict]" = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ranks", "tests on several ranks")
    group.addoption(
        "--ranks-timeout",
        type=float,
        metavar="SECONDS",
        help=f"wall-clock limit of a test on ranks, if its mark has none (default: ini ranks_timeout, or {SECONDS:g})",
    )
    group.addoption(
        "--ranks-start",
        choices=START_METHODS,
        help="how ranks start: forks of the collected session, or a fresh interpreter each (default: forks on Linux)",
    )
    parser.addini("ranks_timeout", "wall-clock limit in seconds of a test on ranks", default=str(SECONDS))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "ranks(size, timeout=seconds): run the test on that many fresh ranks, which form one gloo group; with a list "
        "of sizes, once for each.",
    )
    if not config.option.help:
        _limit(config)


def _limit(config: pytest.Config) -> float:
    """The limit of tests whose mark has none, in seconds."""
    asked = config.getoption("ranks_timeout")
    said = "--ranks-timeout" if asked is not None else "ranks_timeout in the ini file"
    try:
        seconds = float(config.getini("ranks_timeout")) if asked is None else asked
        marks.check_seconds(seconds, said)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    return seconds


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    mark = marks.mark_of(metafunc.definition)
    if mark is None:
        return
    try:
        marks.check(mark, metafunc.definition.nodeid)
    except ValueError as error:
        pytest.fail(str(error), pytrace=False)
    if marks.lists_sizes(mark):
        metafunc.fixturenames.append(marks.SIZE)
        metafunc.parametrize(marks.SIZE, marks.sizes(mark), ids=[f"{size} ranks" for size in marks.sizes(mark)])


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    if config.option.collectonly or under_torchrun() or not any(marks.wanted(item) for item in session.items):
        return
    if (config.getoption("ranks_start") or start_method()) == "forkserver":
        from tplearn.testing.nursery import Nursery, can_fork

        if can_fork():
            config.pluginmanager.register(Nursery(session), NURSERY)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if isinstance(item, TestCaseFunction) and marks.mark_of(item):
        pytest.fail(
            f"{item.nodeid}: a unittest.TestCase cannot run on ranks, since it keeps its state in objects of its own; "
            "make it a plain class or function, with fixtures in place of setUp",
            pytrace=False,
        )
    wanted = marks.wanted(item)
    if wanted is not None and under_torchrun():
        from tplearn.testing.under_torchrun import fits, misfit

        if not fits(wanted.world_size):
            pytest.skip(misfit(wanted.world_size))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Under torchrun, a test of the group's size runs in the group that is there."""
    wanted = marks.wanted(item)
    if wanted is None or not under_torchrun():
        return None
    from tplearn.testing.under_torchrun import fits, run_protocol

    if not fits(wanted.world_size):
        return None
    run_protocol(item, nextitem, wanted.world_size, wanted.timeout or _limit(item.config))
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef, request: pytest.FixtureRequest) -> object:
    """Fixtures of function scope are set up in the ranks, and not here."""
    if request.scope != "function" or under_torchrun() or marks.wanted(request._pyfuncitem) is None:
        return None
    fixturedef.cached_result = ("set up in each rank", fixturedef.cache_key(request), None)
    return fixturedef.cached_result[0]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """The call of a marked item runs the ranks; the other hooks of a call go on as they do."""
    wanted = None if under_torchrun() else marks.wanted(item)
    if wanted is not None:
        item.runtest = lambda: _run(item, wanted)
    return (yield)


def _run(item: pytest.Function, wanted: marks.Wanted) -> None:
    from tplearn.testing.run import run_on_ranks, spawn_child

    nursery = item.config.pluginmanager.get_plugin(NURSERY)
    start = nursery.start_child if nursery and not nursery.lost else spawn_child
    try:
        verdict = run_on_ranks(item, wanted.world_size, wanted.timeout or _limit(item.config), start)
    except pytest.fail.Exception as stop:  # of pytest-timeout; where the ranks were is among what was captured
        raise pytest.fail.Exception(stop.msg, pytrace=False) from None
    item.stash[VERDICT] = verdict
    if verdict.raises is not None:
        raise verdict.raises


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The report of the ranks in place of that of the process which has waited for them."""
    report = yield
    verdict = item.stash.get(VERDICT, None) if call.when == "call" else None
    if verdict is not None:
        verdict.settle(report, item)
    return report
