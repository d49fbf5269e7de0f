"""The package with only what some names stand on: of each module the definitions that are reached, and no others.

Reached is what the text of a definition names, also inside its functions. What it would look up by a string at run time
is not seen: an image is tried with every published solution (tests/grading/test_image.py).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from tplearn.grading.top_level import ALL, Import, TopLevel, path_of, top_level


class Pruned:
    """Grows with each `need`. names: {module: the names of it that are there}."""

    def __init__(self) -> None:
        self.names: dict[str, set[str]] = {}

    @classmethod
    def of(cls, wanted: Iterable[Import]) -> Self:
        """With all that these need."""
        pruned = cls()
        for each in wanted:
            pruned.need(each)
        return pruned

    def need(self, wanted: Import) -> None:
        """A name of a module and all that it stands on; the module alone where the name is "".

        Raises ValueError where the package has no such module, or the module no such name.
        """
        module, name = wanted.module, wanted.name
        if module not in self.names:
            parent = module.rpartition(".")[0]
            if parent:
                self.need(Import(parent))
            self.names[module] = set()
            for number in top_level(module).acts:
                self._follow(top_level(module), module, number)
        top = top_level(module)
        if not name or {name, ALL} & self.names[module]:
            return
        if name == ALL:
            for each in top.bound:
                self.need(Import(module, each))
            return
        if name not in top.bound:
            if not path_of(f"{module}.{name}"):
                raise ValueError(f"{module} has no {name!r}; it has {', '.join(top.bound)}")
            self.need(Import(f"{module}.{name}"))
            return
        self.names[module].add(name)
        if name in top.brings:
            self.need(top.brings[name])
            return
        for number in top.bound[name]:
            self._follow(top, module, number)

    def _follow(self, top: TopLevel, module: str, number: int) -> None:
        """What one statement uses."""
        for name, attribute in top.uses(number):
            if name in top.bound:
                self.need(Import(module, name))
                if name in top.brings and not top.brings[name].name:  # a module
                    self.need(Import(top.brings[name].module, attribute or ALL))
        for brought, attribute in top.imports(number):
            self.need(brought if brought.name else Import(brought.module, attribute or ALL))

    def paths(self) -> set[str]:
        """Every name that is there, as "tplearn.sizes.divisors"."""
        return {f"{module}.{name}" for module, names in self.names.items() for name in names}

    def texts(self) -> Iterator[tuple[str, Path, str]]:
        """(module, its file, what is there of it), in order; a line's number is as it was."""
        for module, names in sorted(self.names.items()):
            yield module, path_of(module), top_level(module).only(names)
