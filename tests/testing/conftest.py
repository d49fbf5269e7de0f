"""Inner runs that several tests look at happen once for a worker."""

import pytest

from tests.testing.inner import Ended, program, run_pytest


@pytest.fixture(scope="package")
def passing(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("passing")
    return run_pytest(folder, program(folder, "passing"), "--junitxml=report.xml", "--durations=3")


@pytest.fixture(scope="package")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("failing")
    return run_pytest(folder, program(folder, "failing"), "-rfEsx")


@pytest.fixture(scope="package")
def wrong_marks(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("marks")
    return run_pytest(folder, program(folder, "marks"))
