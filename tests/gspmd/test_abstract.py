"""A model without numbers has the shapes and shardings of the one that is loaded."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("jax")
pytest.importorskip("jax", reason="JAX is not installed; make lab installs it")


@pytest.mark.parametrize("model", ["tiny", "qwen2"])
@pytest.mark.parametrize("sizes", [(2, 4), (1, 8)])
def test_abstract_arrays_are_what_load_gives(model: str, sizes: tuple, request: pytest.FixtureRequest) -> None:
    import jax.numpy as jnp

    from tplearn.gspmd.abstract import abstract_arrays
    from tplearn.gspmd.checkpoint import load
    from tplearn.gspmd.devices import make_mesh
    from tplearn.llama import LlamaConfig

    folder: Path = request.getfixturevalue(model)
    mesh = make_mesh(*sizes)
    found = abstract_arrays(LlamaConfig.from_folder(folder), mesh, jnp.float32)
    due = load(folder, mesh).arrays
    assert list(found) == list(due)
    assert all(found[name].shape == due[name].shape and found[name].dtype == due[name].dtype for name in due)
    assert all(found[name].sharding == due[name].sharding for name in due)


def test_what_the_mesh_does_not_divide_is_refused() -> None:
    from tplearn.gspmd.abstract import abstract_arrays
    from tplearn.gspmd.devices import make_mesh
    from tplearn.llama import LlamaConfig

    with pytest.raises(
        ValueError, match=r"q_proj.weight of shape \(36, 36\) cannot be cut .*numbers of parts that work"
    ):
        abstract_arrays(LlamaConfig(36, 48, 1, 6, 2, 131), make_mesh(1, 8))
