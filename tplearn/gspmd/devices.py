"""Devices and meshes for JAX: one process that plays eight devices on its CPU, in a grid with named axes."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from tplearn.sizes import divisors, require_flags, require_size

if TYPE_CHECKING:
    import jax
    from jax.sharding import Mesh

BATCH, MODEL, KV, COPY = "batch", "model", "kv", "copy"  # the names of the axes


class JaxMissing(ImportError):
    """JAX is not installed; the message says what to do."""

    def _render_traceback_(self) -> list[str]:
        """Jupyter shows this instead of frames that are not the reader's."""
        return [str(self)]


def require_jax() -> ModuleType:
    """The module jax. Raises JaxMissing where it is not installed."""
    try:
        return import_module("jax")
    except ModuleNotFoundError as error:
        if error.name not in ("jax", "jaxlib"):
            raise
        raise JaxMissing(
            f"JAX is not installed ({error.name} is missing); `make lab` installs it "
            "(or pip install 'tplearn-course[jax]')"
        ) from None


def cpu_devices(count: int = 8) -> list[jax.Device]:
    """`count` devices, played by threads of this process: shapes and collectives are real, times are not.

    The number is fixed when JAX is used for the first time; a call with the same number may be repeated.
    Raises ValueError where JAX already runs with another number, JaxMissing without JAX.
    """
    count = require_size("count", count, noun="a number of devices")
    config = require_jax().config
    config.update("jax_platforms", "cpu")  # else JAX warns where there is a GPU
    with suppress(RuntimeError):  # another number than the one it runs with
        config.update("jax_num_cpu_devices", count)
    devices = _running()
    kind = "" if devices[0].platform == "cpu" else f" ({devices[0].platform})"
    if len(devices) != count or kind:
        raise ValueError(
            f"count = {count}, but JAX already runs with {len(devices)}{kind}; restart the kernel, and ask for "
            f"{count} devices before JAX is used"
        )
    return devices


def make_mesh(batch: int, model: int, *, explicit: bool = False) -> Mesh:
    """A grid of batch × model devices with axes "batch" and "model"; neighbours share their texts.

    explicit: the type of each array says how it lies (JAX's explicit mode). Otherwise the compiler decides.
    Raises ValueError where there are fewer devices.
    """
    return _mesh({BATCH: batch, MODEL: model}, explicit)


def make_kv_mesh(batch: int, model: int, kv_heads: int, *, explicit: bool = False) -> Mesh:
    """As `make_mesh`, with "model" as two axes, "kv" and "copy": copy devices hold the same KV heads.

    kv · copy = model; copy = 1 where there are enough KV heads. vLLM: `num_kv_head_replicas`.
    Raises ValueError where KV heads neither divide by `model` nor the other way round, or there are fewer devices.
    """
    model, kv_heads = require_size(MODEL, model), require_size("kv_heads", kv_heads)
    if kv_heads % model and model % kv_heads:
        works = ", ".join(map(str, divisors(kv_heads)))
        raise ValueError(
            f"kv_heads = {kv_heads} cannot be split or copied evenly over model = {model} devices; "
            f"sizes that work: {works} and multiples of {kv_heads}"
        )
    kv = min(model, kv_heads)
    return _mesh({BATCH: batch, KV: kv, COPY: model // kv}, explicit)


def _running() -> list[jax.Device]:
    return require_jax().devices()


def _mesh(axes: dict[str, int], explicit: bool) -> Mesh:
    """A mesh of the first devices. `axis_types` is always given: JAX's default has changed, and may again."""
    sizes, needed = tuple(require_size(name, size) for name, size in axes.items()), 1
    require_flags(explicit=explicit)
    for size in sizes:
        needed *= size
    devices = _running()
    if needed > len(devices):
        written = " × ".join(f"{name} {size}" for name, size in axes.items())
        raise ValueError(
            f"a mesh of {written} needs {needed} devices, and JAX runs with {len(devices)}; up to {len(devices)} "
            f"work, and all {needed} after cpu_devices({needed}) in a fresh kernel"
        )
    kinds = require_jax().sharding.AxisType
    kind = kinds.Explicit if explicit else kinds.Auto
    return require_jax().make_mesh(sizes, tuple(axes), axis_types=(kind,) * len(sizes), devices=devices[:needed])
