"""Eight devices for all tests of this floor, and the models that they load."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.gspmd.models import write_qwen2, write_tiny


@pytest.fixture(scope="session", autouse=True)
def eight_devices() -> None:
    """Before anything else uses JAX: the number is fixed then."""
    if find_spec("jax") is not None:
        from tplearn.gspmd.devices import cpu_devices

        cpu_devices(8)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first two layers of tiny-llama: 8 heads, 4 KV heads, 4096 words, tied."""
    return write_tiny(tmp_path_factory.mktemp("tiny"), layers=2)


@pytest.fixture(scope="session")
def qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen2 of two layers: biases, 8 heads, 2 KV heads, 131 words, tied."""
    return write_qwen2(tmp_path_factory.mktemp("qwen2"))
