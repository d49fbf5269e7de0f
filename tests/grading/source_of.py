"""The source of a cell that defines an answer: any reference, mutant or lazy answer, as a student might hand it in.

The course's answers are functions, classes, closures, partials and objects, spread over modules that a jail does not
have. Here an answer becomes one cell: all that it needs of those modules, and nothing else, and what is not a
definition written as the expression that makes it.
"""

import ast
import builtins
import copy
import copyreg
import dataclasses
import enum
import functools
import importlib
import math
import operator
import sys
from collections.abc import Mapping
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
import torch.distributed
import torch.nn.functional

from tests.grading.scopes import FUNCTIONS, Globals, is_builtin

COURSE = ("tplearn", "tests")
# Where a function that C++ or C has made may be found.
SHELVES = (builtins, math, operator, torch, torch.nn.functional, torch.distributed, torch.Tensor)
HEAD = "from __future__ import annotations\n"


def source_of(answer: Any, name: str, importable: Mapping[str, str] | None = None) -> str:
    """A cell after which `name` is the answer.

    importable: {a name's path, such as "tplearn.simulated.all_reduce": how it is imported}: what the cell may import of
    the course; everything else of it is written out. Raises ValueError for a value that cannot be written.
    """
    writer = Writer(name, importable or {})
    made = writer.answer(answer)
    imports = sorted(writer.imports)
    last = [] if made == name else [f"{name} = {made}"]
    return HEAD + "\n".join([*imports, "", *writer.lines, *last]) + "\n"


class Writer:
    """One cell, while it is written. lines: its statements; imports: those at its top."""

    def __init__(self, name: str, importable: Mapping[str, str]) -> None:
        self.lines: list[str] = []
        self.imports: set[str] = set()
        self._taken = {name}
        self._name = name
        self._given = {id(_resolved(path)): (path, how) for path, how in importable.items()}
        self._tops: dict[tuple[str, str], str] = {}  # (module, name) -> its name in the cell
        self._made: dict[int, tuple[Any, str]] = {}  # of a value: itself, which keeps its id, and its name
        self._opened: set[int] = set()

    def answer(self, answer: Any) -> str:
        """The expression for it. What is a definition of its module is given the exercise's own name."""
        if isinstance(answer, FunctionType | type) and _is_top(answer) and id(answer) not in self._given:
            self._tops[answer.__module__, answer.__qualname__] = self._name
            self._define(answer.__module__, answer.__qualname__)
            return self._name
        return self.expression(answer)

    # --- values -----------------------------------------------------------------------------------------------

    def expression(self, value: Any) -> str:
        """Source that makes the value."""
        kind, write = type(value), self.expression
        if id(value) in self._given:
            return self._import(*self._given[id(value)])
        if value is None or value is ... or kind in (bool, int, str, bytes):
            return repr(value)
        if kind is float:
            return repr(value) if math.isfinite(value) else f"float({str(value)!r})"
        if kind in (list, set) and value:
            return ("[{}]" if kind is list else "{{{}}}").format(", ".join(map(write, value)))
        if kind in (tuple, list):
            return ("({})" if kind is tuple else "[{}]").format("".join(f"{write(each)}, " for each in value))
        if kind is dict:
            return "{" + ", ".join(f"{write(key)}: {write(each)}" for key, each in value.items()) + "}"
        if kind in (set, frozenset, slice, range):
            parts = [list(value)] if kind in (set, frozenset) else [value.start, value.stop, value.step]
            return f"{kind.__name__}({', '.join(map(write, parts))})"
        if kind is torch.dtype:
            return self._foreign("torch", str(value).removeprefix("torch."))
        if kind is torch.Tensor:
            return f"{self._foreign('torch', 'tensor')}({value.tolist()!r}, dtype={write(value.dtype)})"
        if isinstance(value, enum.Enum):
            return f"{write(kind)}.{value.name}"
        if kind is functools.partial:
            parts = [value.func, *value.args]
            words = [*map(write, parts), *(f"{key}={write(each)}" for key, each in value.keywords.items())]
            return f"{self._foreign('functools', 'partial')}({', '.join(words)})"
        if kind is MethodType:
            return f"{write(value.__self__)}.{value.__name__}"
        if isinstance(value, FunctionType | type):
            return self._reference(value)
        if dataclasses.is_dataclass(value):
            fields = [(each.name, getattr(value, each.name)) for each in dataclasses.fields(value) if each.init]
            return f"{write(kind)}({', '.join(f'{key}={write(each)}' for key, each in fields)})"
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            return f"{write(kind)}({', '.join(map(write, value))})"
        if isinstance(value, ModuleType) and not _is_course(value.__name__):
            return self._module(value.__name__)
        for shelf in SHELVES:
            for found in [each for each in (getattr(value, "__name__", ""),) if each and hasattr(shelf, each)]:
                if getattr(shelf, found) is value or isinstance(value, BuiltinFunctionType) and shelf is builtins:
                    return found if shelf is builtins else self._of_shelf(shelf, found)
        if kind is type(torch.distributed.ReduceOp.SUM):
            return f"{self._foreign('torch.distributed', 'ReduceOp')}.{value.name}"
        return self._object(value)

    def _object(self, value: Any) -> str:
        """Any other object: the call that copies it, or its class and its attributes."""
        kind, reduced = type(value), value.__reduce_ex__(2)
        if isinstance(reduced, tuple) and reduced[0] is not copyreg.__newobj__ and not any(reduced[2:]):
            return f"{self.expression(reduced[0])}({', '.join(map(self.expression, reduced[1]))})"
        if isinstance(reduced, tuple) and reduced[1] == (kind,) and isinstance(reduced[2], dict | None):
            if id(value) not in self._made:
                made, name = self.expression(kind), self._new(kind.__name__.lower())
                self.lines.append(f"{name} = {made}.__new__({made})")
                self.lines.append(f"{name}.__dict__.update({self.expression(reduced[2] or {})})")
                self._made[id(value)] = value, name
            return self._made[id(value)][1]
        raise ValueError(f"no source is known for {value!r:.200} of type {kind.__module__}.{kind.__qualname__}")

    def _of_shelf(self, shelf: Any, name: str) -> str:
        if isinstance(shelf, ModuleType):
            return self._foreign(shelf.__name__, name)
        return f"{self._foreign('torch', shelf.__name__)}.{name}"

    def _reference(self, value: Any) -> str:
        """The name of a function or a class."""
        if id(value) in self._made:
            return self._made[id(value)][1]
        if _is_top(value):
            first, _, rest = value.__qualname__.partition(".")
            top = self.top(value.__module__, first) if _is_course(value.__module__) else None
            name = top or self._foreign(value.__module__, first)
            return f"{name}.{rest}" if rest else name
        if isinstance(value, FunctionType) and not _is_course(value.__globals__["__name__"]):
            return self._wrapped(value)
        if id(value) in self._opened:
            raise ValueError(f"{value!r} refers to itself through another")
        self._opened.add(id(value))
        name = self._local_class(value) if isinstance(value, type) else self._local_function(value)
        self._made[id(value)] = value, name
        return name

    def _wrapped(self, value: FunctionType) -> str:
        """What a decorator of another package has made of the course's own function."""
        decorator = {"contextlib": "contextmanager"}.get(value.__globals__["__name__"])
        if decorator is None or not hasattr(value, "__wrapped__"):
            raise ValueError(f"no source is known for {value!r}, which {value.__globals__['__name__']} has made")
        return f"{self._foreign('contextlib', decorator)}({self.expression(value.__wrapped__)})"

    def _local_function(self, value: FunctionType) -> str:
        """A function that another one has made, or a lambda: made once more, with what it closes over."""
        node = copy.deepcopy(_node_of(value.__code__, value.__globals__["__name__"]))
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        free = {key: cell.cell_contents for key, cell in cells if cell.cell_contents is not value}
        arguments = node.args
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
        given = bool(arguments.defaults or any(arguments.kw_defaults))
        arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
        arguments.kw_defaults = [each and ast.Constant(None) for each in arguments.kw_defaults]
        node = self._transformer(value.__globals__["__name__"], value.__code__.co_freevars).visit(node)
        name = self._new("answer" if value.__name__ == "<lambda>" else value.__name__)
        self._make(name, node, free)
        if given and value.__defaults__:
            self.lines.append(f"{name}.__defaults__ = {self.expression(value.__defaults__)}")
        if given and value.__kwdefaults__:
            self.lines.append(f"{name}.__kwdefaults__ = {self.expression(value.__kwdefaults__)}")
        return name

    def _local_class(self, value: type) -> str:
        """A class that a function has made."""
        node = copy.deepcopy(_class_node(value))
        free: dict[str, Any] = {}
        for member in vars(value).values():
            function = getattr(member, "__func__", member)
            if isinstance(function, FunctionType):
                cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
                free |= {key: cell.cell_contents for key, cell in cells if key != "__class__"}
        free = {key: each for key, each in free.items() if each is not value}
        node.bases = []
        node = self._transformer(value.__module__, [*free, node.name]).visit(node)
        node.bases = [ast.parse(self.expression(base), mode="eval").body for base in value.__bases__]
        name = self._new(value.__name__)
        self._make(name, node, free)
        return name

    def _make(self, name: str, node: ast.AST, free: Mapping[str, Any]) -> None:
        """name = the function or class of the node, inside a function whose arguments are what it closes over."""
        values = [self.expression(each) for each in free.values()]
        is_lambda = isinstance(node, ast.Lambda)
        if not free and not is_lambda:
            node.name = name
            self.lines.append(ast.unparse(ast.fix_missing_locations(node)))
            return
        maker = self._new(f"make_{name}")
        text = ast.unparse(ast.fix_missing_locations(node))
        body = f"return {text}" if is_lambda else f"{text}\nreturn {node.name}"
        indented = "\n".join(f"    {line}" for line in body.split("\n"))
        if "'''" in text or '"""' in text:  # a text over several lines must not be indented
            tree = ast.parse(f"def {maker}({', '.join(free)}):\n    pass")
            tree.body[0].body = [node, ast.Return(ast.Name(node.name, ast.Load()))]
            indented = ast.unparse(ast.fix_missing_locations(tree)).partition("\n")[2]
        self.lines += [f"def {maker}({', '.join(free)}):\n{indented}", f"{name} = {maker}({', '.join(values)})"]

    # --- definitions of modules -------------------------------------------------------------------------------

    def top(self, module: str, name: str) -> str:
        """The name in the cell of what a module of the course calls `name`."""
        value = getattr(sys.modules[module], name, None)
        if id(value) in self._given:
            return self._import(*self._given[id(value)])
        if (module, name) in self._tops:
            return self._tops[module, name]
        statements = _bindings(module).get(name)
        if statements is None:
            return self.expression(value)
        first = statements[0]
        if isinstance(first, ast.ImportFrom):
            return self._imported(first, name)
        if isinstance(first, ast.Import):
            alias = next(each for each in first.names if (each.asname or each.name).partition(".")[0] == name)
            return self._module(alias.name, name if alias.asname else None)
        self._tops[module, name] = self._new(name)
        self._define(module, name)
        return self._tops[module, name]

    def _imported(self, statement: ast.ImportFrom, name: str) -> str:
        source = next(each.name for each in statement.names if (each.asname or each.name) == name)
        if not _is_course(statement.module or ""):
            return self._foreign(statement.module or "", source)
        importlib.import_module(statement.module or "")
        return self.top(statement.module or "", source)

    def _define(self, module: str, name: str) -> None:
        for statement in _bindings(module)[name]:
            node = copy.deepcopy(statement)
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
                for each in _targets(node):
                    self._tops.setdefault((module, each), self._tops.get((module, each)) or self._new(each))
            node = self._transformer(module).visit(node)
            for each in ast.walk(node) if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) else ():
                if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                    each.id = self._tops.get((module, each.id), each.id)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                node.name = self._tops[module, name]
            self.lines.append(ast.unparse(ast.fix_missing_locations(node)))

    def _transformer(self, module: str, bound: Any = ()) -> Globals:
        known = _bindings(module)

        def found(name: str) -> ast.expr | None:
            if name in ("__file__", "__name__"):
                return ast.Constant(module if name == "__name__" else f"/course/{module.replace('.', '/')}.py")
            if name not in known:
                if not is_builtin(name) and not name.startswith("__"):
                    raise ValueError(f"{module} binds no {name}")
                return None
            value = vars(sys.modules[module]).get(name)
            if isinstance(value, ModuleType) and _is_course(value.__name__):
                raise ValueError(f"{module} uses {name}, a module, for more than its names")
            return _parsed(self.top(module, name))

        def member(base: str, path: list[str]) -> ast.expr | None:
            value, k = vars(sys.modules[module]).get(base) if base in known else None, 0
            while k < len(path) and isinstance(value, ModuleType) and _is_course(value.__name__):
                owner, value = value, getattr(value, path[k])
                k += 1
                if not isinstance(value, ModuleType):
                    return _parsed(".".join([self.top(owner.__name__, path[k - 1]), *path[k:]]))
            return None

        def imported(source: str, name: str) -> ast.expr | None:
            if not _is_course(source):
                return None
            importlib.import_module(source)
            return _parsed(self.top(source, name))

        return Globals(found, member, imported, bound)

    # --- names ------------------------------------------------------------------------------------------------

    def _new(self, name: str) -> str:
        made, k = name, 1
        while made in self._taken or is_builtin(made):
            k += 1
            made = f"{name}_{k}"
        self._taken.add(made)
        return made

    def _import(self, path: str, how: str) -> str:
        return self._once(path, path.rpartition(".")[2], how)

    def _foreign(self, module: str, name: str) -> str:
        if module == "builtins":
            return name
        return self._once(f"{module}.{name}", name, f"from {module} import {name}")

    def _module(self, module: str, alias: str | None = None) -> str:
        alias = alias or module.partition(".")[0]
        return self._once(f"import {module} as {alias}", alias, f"import {module}")

    def _once(self, path: str, name: str, how: str) -> str:
        """What an import at the top of the cell is called."""
        key = "import", path
        if key not in self._tops:
            self._tops[key] = self._new(name)
            plain = how.split(" as ")[0]
            own = self._tops[key]
            whole = how.startswith("import ") and plain.removeprefix("import ").partition(".")[0] == own
            renamed = not how.startswith("import ") and plain.rpartition(" ")[2] == own
            self.imports.add(plain if whole or renamed else f"{plain} as {own}")
        return self._tops[key]


def importable_for(name: str, notebook: Path) -> dict[str, str]:
    """What the cells of a notebook import of the course, but for its checks, up to the answer of that exercise."""
    import nbformat

    found: dict[str, str] = {}
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and _is_course(node.module or "") and node.module != "tplearn.checks":
                found |= {f"{node.module}.{a.name}": f"from {node.module} import {a.name}" for a in node.names}
        if cell.metadata.get("nbgrader", {}).get("grade_id") == name:
            break
    return found


def _resolved(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _is_course(module: str) -> bool:
    return module.partition(".")[0] in COURSE


def _is_top(value: Any) -> bool:
    found: Any = sys.modules.get(value.__module__)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is value


def _parsed(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


@functools.cache
def _tree(module: str) -> ast.Module:
    return ast.parse(Path(sys.modules[module].__file__).read_text())


@functools.cache
def _bindings(module: str) -> dict[str, list[ast.stmt]]:
    """{name: the statements of the module that bind it, in order}."""
    found: dict[str, list[ast.stmt]] = {}
    for node in _tree(module).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [(each.asname or each.name).partition(".")[0] for each in node.names]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        else:
            names = _targets(node)
        for name in names:
            found.setdefault(name, []).append(node)
    return found


def _targets(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    walked = [each for target in targets if target is not None for each in ast.walk(target)]
    return [each.id for each in walked if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]


def _node_of(code: CodeType, module: str) -> FUNCTIONS:
    """The definition that a code object was compiled from."""
    places = [
        (one[0], one[2], one[1], one[3]) for one in code.co_positions() if None not in one and one[1:] != (1, 0, 0)
    ]
    places = [place for place in places if place[:2] != place[2:]]  # the first one is of no expression
    found: list[ast.Lambda] = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Lambda) and code.co_name == "<lambda>":
            body = node.body
            start, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
            if all(start <= place[:2] and place[2:] <= end for place in places):
                found.append(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    if not found:
        raise ValueError(f"no source is known for {code}")
    return max(found, key=lambda node: (node.lineno, node.col_offset))  # the innermost


def _class_node(value: type) -> ast.ClassDef:
    """The definition of a class inside a function, by its path."""
    nodes: list[ast.AST] = [_tree(value.__module__)]
    for part in value.__qualname__.split("."):
        if part == "<locals>":
            continue
        inside = [each for node in nodes for each in ast.walk(node)]
        nodes = [each for each in inside if getattr(each, "name", None) == part]
    if len(nodes) != 1:
        raise ValueError(f"{value!r} has {len(nodes)} definitions that could be its own")
    return nodes[0]
