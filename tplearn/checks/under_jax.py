"""Makes JAX ready in a process that has not used it: eight devices, float64, and programs that are compiled quickly."""

import warnings

from tplearn.gspmd.devices import cpu_devices, require_jax


def prepare() -> None:
    """Once, before anything in this process uses JAX. Raises JaxMissing without JAX."""
    warnings.simplefilter("ignore")  # a verdict is the same text everywhere
    cpu_devices()
    config = require_jax().config
    config.update("jax_enable_x64", True)
    config.update("jax_disable_most_optimizations", True)  # programs run once: to make them fast takes longer
