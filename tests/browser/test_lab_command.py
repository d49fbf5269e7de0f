"""`tplearn lab` serves the reader's copy, says where, and leaves no process behind."""

import re
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

pytest.importorskip("playwright", reason="the dev extra is not installed")

from benchmarks.lab_page import serve  # noqa: E402
from tplearn import lab  # noqa: E402


def test_lab_is_up_and_leaves_nothing(served: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tplearn.cli", "lab", "--no-browser", "--port", "{port}"]
    with serve(served, tmp_path, command) as server:
        log = (tmp_path / "server.log").read_text()
        assert f"Your copy of the course: {served}" in log
        printed = re.search(rf"http://127.0.0.1:{server.port}/\S+\?token=\w+", log)
        assert printed and lab.FIRST_PAGE in printed[0], "the printed address leads to the first chapter"
        assert b"JupyterLab" in urllib.request.urlopen(printed[0], timeout=10).read()
        words = psutil.Process(server.pid).cmdline()
        assert "--ServerApp.ip=127.0.0.1" in words and "--no-browser" in words
    assert not psutil.pid_exists(server.pid)


def test_a_linux_machine_without_a_display_opens_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not lab.can_show_browser()
    monkeypatch.setenv("DISPLAY", ":0")
    assert lab.can_show_browser()


def test_the_command_allows_root_only_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    for user, allowed in ((0, True), (1000, False)):
        monkeypatch.setattr(lab.os, "geteuid", lambda user=user: user)
        assert ("--allow-root" in lab.lab_command(Path("course"))) is allowed


def test_settings_of_the_course_come_first_and_keep_what_was_there() -> None:
    environment = lab.lab_environment({"JUPYTER_CONFIG_PATH": "mine", "OTHER": "kept"})
    first, second = environment["JUPYTER_CONFIG_PATH"].split(lab.os.pathsep)
    assert (Path(first), second, environment["OTHER"]) == (lab.SETTINGS, "mine", "kept")
    assert (lab.SETTINGS / "labconfig" / "default_setting_overrides.json").exists()
