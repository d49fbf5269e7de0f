"""Devices and meshes: their axes and places, and what cannot be laid out."""

import subprocess
import sys

import pytest

pytest.importorskip("jax", reason="JAX is not installed; `make lab` installs it")

import jax
import numpy as np
from jax.sharding import AxisType

from tplearn.gspmd.devices import cpu_devices, make_kv_mesh, make_mesh, require_jax

pytestmark = pytest.mark.xdist_group("jax")


def test_the_same_number_of_devices_may_be_asked_for_again() -> None:
    assert cpu_devices() == cpu_devices(8) == jax.devices() and require_jax() is jax


def test_another_number_needs_a_fresh_kernel() -> None:
    with pytest.raises(ValueError, match="count = 4, but JAX already runs with 8; restart the kernel, and ask for 4"):
        cpu_devices(4)
    assert len(cpu_devices(8)) == 8
    with pytest.raises(ValueError, match="count = 0 is not a number of devices"):
        cpu_devices(0)


def test_a_fresh_process_has_the_devices_it_asks_for_whatever_the_environment_says() -> None:
    code = "from tplearn.gspmd.devices import cpu_devices, make_mesh; print(len(cpu_devices(6)), make_mesh(2, 3).size)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "6 6\n" and not said.stderr


def test_without_jax_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ImportError, match="^JAX is not installed .*; `make lab` installs it"):
        require_jax()


@pytest.mark.parametrize("explicit", [False, True])
def test_neighbours_share_their_texts(explicit: bool) -> None:
    mesh = make_mesh(2, 4, explicit=explicit)
    assert mesh.axis_names == ("batch", "model") and mesh.devices.shape == (2, 4)
    assert np.array_equal([[device.id for device in row] for row in mesh.devices], np.arange(8).reshape(2, 4))
    assert set(mesh.axis_types) == {AxisType.Explicit if explicit else AxisType.Auto}


def test_a_mesh_may_leave_devices_out() -> None:
    assert [device.id for device in make_mesh(1, 4).devices.flat] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("batch", "model", "kv_heads", "shape"),
    [(1, 8, 4, (1, 4, 2)), (2, 4, 2, (2, 2, 2)), (2, 4, 4, (2, 4, 1)), (1, 8, 1, (1, 1, 8)), (4, 2, 8, (4, 2, 1))],
)
def test_copies_only_where_kv_heads_are_fewer(batch: int, model: int, kv_heads: int, shape: tuple[int, ...]) -> None:
    mesh = make_kv_mesh(batch, model, kv_heads)
    assert mesh.axis_names == ("batch", "kv", "copy") and mesh.devices.shape == shape


def test_what_cannot_be_laid_out() -> None:
    too_large = "a mesh of batch 4 × model 4 needs 16 devices, and JAX runs with 8; up to 8 work, and all 16 after cpu_"
    with pytest.raises(ValueError, match=too_large):
        make_mesh(4, 4)
    with pytest.raises(ValueError, match="model = 0 is not a size"):
        make_mesh(1, 0)
    with pytest.raises(ValueError, match="batch = 2.0 is not a whole number"):
        make_mesh(2.0, 4)
    with pytest.raises(ValueError, match="explicit = 'yes' is neither True nor False"):
        make_mesh(2, 4, explicit="yes")
    uneven = "kv_heads = 6 cannot be split or copied evenly over model = 4 devices; sizes that work: 1, 2, 3, 6 and mul"
    with pytest.raises(ValueError, match=uneven):
        make_kv_mesh(2, 4, 6)
