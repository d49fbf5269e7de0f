"""The item on a rank: inherited from pytest's own process by fork, or collected once more by a fresh interpreter."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.config import _prepareconfig

# Options that choose tests, spread them over processes or start ranks; as xdist's workers set aside what is not theirs.
ONLY_THIS = {"keyword": "", "markexpr": "", "deselect": None, "collectonly": False, "lf": False, "failedfirst": False}
ONLY_THIS |= {"newfirst": False, "stepwise": False, "dist": "no", "tx": [], "numprocesses": None}
ONLY_THIS |= {"ranks_start": "spawn"}
_sessions: list[pytest.Session] = []  # in a process that was forked from pytest's own, the session of that one


def inherit(session: pytest.Session) -> None:
    """Keep the session for the ranks that are forked from this process."""
    _sessions[:] = [session]


def address(item: pytest.Item) -> str:
    """The item's file and names: its nodeid without what plugins append to that, as xdist does a group."""
    names = [node.name for node in item.listchain()]
    return "::".join([str(item.path), *names[item.listchain().index(item.getparent(pytest.Module)) + 1 :]])


def inherited(where: str) -> pytest.Function | None:
    """The item at this address, in a rank that was forked."""
    return next((item for session in _sessions for item in session.items if address(item) == where), None)


def be_silent(config: pytest.Config) -> None:
    """Nothing of what pytest says of a session is shown: pytest's own process says it."""
    if config.pluginmanager.has_plugin("terminalreporter"):
        config.get_terminal_writer()._file = open(os.devnull, "w")  # noqa: SIM115 (lives as long as the process)


@dataclass(frozen=True)
class Collection:
    """How pytest was called, so that it finds the same item once more."""

    arguments: tuple[str, ...]
    plugins: tuple[str, ...]
    folder: Path

    @staticmethod
    def of(item: pytest.Item) -> "Collection":
        """That of the session which has collected this item."""
        called = item.config.invocation_params
        plugins = tuple(plugin for plugin in called.plugins or () if isinstance(plugin, str))
        return Collection(tuple(map(str, called.args)), plugins, called.dir)

    def again(self, where: str) -> pytest.Function:
        """Collect the one item at this address. Raises LookupError where pytest does not find it again."""
        here = Path.cwd()
        os.chdir(self.folder)
        config = _prepareconfig(list(self.arguments), list(self.plugins))
        vars(config.option).update(ONLY_THIS)
        config.pluginmanager.unregister(name="faulthandler")  # a rank has its own, which tells the judge
        config._do_configure()
        be_silent(config)
        session = pytest.Session.from_config(config)
        config.hook.pytest_sessionstart(session=session)
        session.perform_collect([where])
        os.chdir(here)
        inherit(session)
        item = inherited(where)
        if item is None:
            raise LookupError(f"{where} is not collected a second time: its name differs from process to process")
        return item
