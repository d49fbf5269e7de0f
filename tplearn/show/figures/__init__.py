"""Static figures, one module per chapter; every public `draw_*` function there becomes `figures/chNN_*.svg`.

A drawing function takes no required argument and returns a matplotlib Figure. The first line of its docstring says
what the picture shows: it becomes the title of the SVG, which screen readers read.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable

from matplotlib.figure import Figure


def all_figures() -> dict[str, Callable[[], Figure]]:
    """File stem → drawing function, for every chapter, in order: `{"ch02_two_cuts": draw_two_cuts, ...}`."""
    found = {}
    for module_info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        for name, function in vars(module).items():
            if name.startswith("draw_") and inspect.isfunction(function) and function.__module__ == module.__name__:
                found[f"{module_info.name}_{name.removeprefix('draw_')}"] = function
    return found


def title_of(draw: Callable[[], Figure]) -> str:
    """What the picture shows, in words: the first line of the drawing function's docstring."""
    return (inspect.getdoc(draw) or "").partition("\n")[0]
