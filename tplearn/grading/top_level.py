"""A module's top level as statements: what each defines, which names it uses, and the text with some of them only."""

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PACKAGE = __name__.partition(".")[0]
ROOT = Path(__file__).parents[2]
SCOPES = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
ALL = "*"  # instead of a name: every name of a module


@dataclass(frozen=True)
class Import:
    """A name that an import brings: `name` of `module`, or the module itself, where `name` is ""."""

    module: str
    name: str = ""


@dataclass
class TopLevel:
    """The statements of a source. bound: {name: numbers of the statements that bind it}. brings: {name: its import}.

    acts: numbers of the statements that bind nothing and do something.
    """

    text: str
    package: bool = False
    body: list[ast.stmt] = field(default_factory=list)
    bound: dict[str, list[int]] = field(default_factory=dict)
    brings: dict[str, Import] = field(default_factory=dict)
    acts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number, node in enumerate(self._statements()):
            self.body.append(node)
            names = list(_bound(node))
            for name in names:
                self.bound.setdefault(name, []).append(number)
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.brings |= dict(_brought(node))
            if not names and not _is_idle(node):
                self.acts.append(number)

    def _statements(self) -> Iterator[ast.stmt]:
        """The top level. What a package imports for type checkers alone it hands over when it is asked."""
        for node in ast.parse(self.text).body:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                yield from node.body if self.package else ()
            else:
                yield node

    def uses(self, number: int) -> set[tuple[str, str]]:
        """(name of this module, attribute): the attribute is "" where the name stands alone."""
        return _uses(self.body[number])

    def imports(self, number: int) -> Iterator[tuple[Import, str]]:
        """(what the functions in a statement import from the package, attribute of it that is used or "")."""
        uses = _uses(self.body[number])
        for node in ast.walk(self.body[number]):
            if isinstance(node, ast.Import | ast.ImportFrom) and node is not self.body[number]:
                for name, brought in _brought(node):
                    yield from ((brought, attribute) for used, attribute in uses if used == name)

    def only(self, names: Collection[str]) -> str:
        """The text with what binds these names, in its lines; nothing stands in the others."""
        lines = self.text.splitlines()
        kept = [""] * len(lines)
        for number, node in enumerate(self.body):
            own = [name for name in _bound(node) if name in names or ALL in names]
            first = min(part.lineno for part in (node, *getattr(node, "decorator_list", ())))
            if isinstance(node, ast.Import | ast.ImportFrom) and not _is_future(node):
                if own:
                    kept[first - 1] = _import_of(node, own)
            elif own or number in self.acts or _is_future(node) or (number == 0 and _is_idle(node)):
                kept[first - 1 : node.end_lineno] = lines[first - 1 : node.end_lineno]
        return "\n".join(kept).rstrip() + "\n"


@cache
def top_level(module: str) -> TopLevel:
    """Of a module of the package. Raises ValueError where there is none of that name."""
    path = path_of(module)
    if path is None:
        raise ValueError(f"{module} is no module; {PACKAGE} has no such file")
    package = path.name == "__init__.py"
    top = TopLevel(path.read_text(encoding="utf-8"), package)
    if package:  # it does nothing, but hands over
        top.acts.clear()
    return top


def path_of(module: str) -> Path | None:
    """The file of a module of the package, None where there is none."""
    place = ROOT.joinpath(*module.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_name(place.name + ".py")
    return file if module.split(".")[0] == PACKAGE and file.is_file() else None


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that a statement binds, also those inside `if`, `try` and `with`."""
    if isinstance(node, SCOPES):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.stmt | ast.Tuple | ast.List | ast.Starred | ast.ExceptHandler | ast.withitem):
        for child in ast.iter_child_nodes(node):
            yield from _bound(child)


def _brought(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Import]]:
    """The names that an import from the package brings."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            name, brought = alias.asname or alias.name.partition(".")[0], Import(alias.name)
        else:
            name, brought = alias.asname or alias.name, Import(node.module or "", alias.name)
            if path_of(f"{node.module}.{alias.name}") and alias.name not in top_level(node.module).bound:
                brought = Import(f"{node.module}.{alias.name}")
        if brought.module.partition(".")[0] == PACKAGE:
            yield name, brought


def _uses(node: ast.AST) -> set[tuple[str, str]]:
    found, seen = set(), set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            found.add((part.value.id, part.attr))
            seen.add(part.value)
        elif isinstance(part, ast.Name) and part not in seen:
            found.add((part.id, ""))
    return found


def _import_of(node: ast.Import | ast.ImportFrom, names: list[str]) -> str:
    """An import in one line, of these names only."""
    kept = [alias for alias in node.names if (alias.asname or alias.name).partition(".")[0] in names]
    listed = ", ".join(map(ast.unparse, kept))
    return f"import {listed}" if isinstance(node, ast.Import) else f"from {node.module} import {listed}"


def _is_idle(node: ast.stmt) -> bool:
    """Whether it is a text or a number that stands by itself."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"
