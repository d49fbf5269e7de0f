"""Exercises under JAX: where it is missing, that it stays in the children, and what a costly answer is told."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.checks.told import told
from tplearn.checks import check, exercises, find_exercise, judge
from tplearn.gspmd.devices import cpu_devices, require_jax

if TYPE_CHECKING:
    from jax import Array
    from jax.sharding import Mesh

MLP, SPECS = find_exercise("mlp_by_hand"), find_exercise("partition_spec")
HOW = "JAX is not installed (jax is missing); `make lab` installs it"


def test_without_jax_nothing_is_judged(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def partition_spec(*args: Any) -> None:
        raise AssertionError("it is run")

    def none(*args: Any) -> None:
        raise ImportError(HOW)

    module = sys.modules["tplearn.checks.check"]  # the package's `check` is the function
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setattr(module, "require_jax", none)
    check(partition_spec)
    assert capsys.readouterr().out == f"partition_spec   not checked\n  {HOW}.\n"
    assert judge(find_exercise("read_ledger"), find_exercise("read_ledger").reference).passed, "it needs no JAX"


def test_all_exercises_are_found_without_loading_jax() -> None:
    code = "import sys; import tplearn.checks.preload; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert [exercise.name for exercise in exercises("15") if not exercise.jax] == ["read_ledger"]


pytestmark = pytest.mark.xdist_group("jax")


@pytest.fixture
def jax() -> Any:
    pytest.importorskip("jax", reason="JAX is not installed; `make lab` installs it")
    cpu_devices()  # as all tests with JAX: the number is settled by the first of a process
    return require_jax()


def test_right_numbers_that_cost_more_are_told_what_they_cost(jax: Any) -> None:
    def mlp_by_hand(mesh: Mesh, x: Array, gate: Array, up: Array, down: Array, bias: Array) -> Array:
        """The activations are gathered, and down with them."""
        P = jax.sharding.PartitionSpec  # noqa: N806

        def own(x: Array, gate: Array, up: Array) -> Array:
            x = jax.lax.pcast(x, "model", to="varying")
            return jax.nn.silu(x @ gate.T) * (x @ up.T)

        specs = (P("batch"), P("model"), P("model"))
        y = jax.shard_map(own, mesh=mesh, in_specs=specs, out_specs=P("batch", None, "model"))(x, gate, up)
        whole = jax.sharding.NamedSharding(mesh, P("batch"))
        y = jax.lax.with_sharding_constraint(y, whole)
        return jax.lax.with_sharding_constraint(y @ jax.lax.with_sharding_constraint(down, whole).T + bias, whole)

    text = told(MLP, mlp_by_hand)
    assert "of your function ran" in text and "all_gather" in text and "6 × all_reduce" in text, text


def test_what_an_answer_keeps_in_global_arrays_does_not_settle_the_number_of_devices(jax: Any) -> None:
    """To unpickle an array uses JAX: the child must have its 8 devices before."""
    ones = jax.numpy.ones(3)

    def partition_spec(name: str, tp_axis: Any, kv_axis: Any) -> Any:
        assert ones.sum() == 3
        return SPECS.reference(name, tp_axis, kv_axis)

    verdict = judge(SPECS, partition_spec)
    assert verdict.passed, str(verdict)


def test_a_result_of_another_type_is_named(jax: Any) -> None:
    assert "where a PartitionSpec is due" in told(SPECS, lambda name, tp_axis, kv_axis: (tp_axis, None))
