"""Which names of a piece of source belong to its module: what is bound in a function, a class or a comprehension."""

import ast
import builtins
from collections.abc import Callable, Iterable

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class Globals(ast.NodeTransformer):
    """Replaces each name of the module by what `found` says, and each `module.name` by what `member` says.

    found(name): the node that stands for it. member(dotted): the same of a path such as "steps.keep", or None.
    imported(module, name): for an import of the course's own inside a function, or None where it stays as it is.
    bound: names that enclosing functions bind.
    """

    def __init__(
        self,
        found: Callable[[str], ast.expr | None],
        member: Callable[[str, list[str]], ast.expr | None],
        imported: Callable[[str, str], ast.expr | None],
        bound: Iterable[str] = (),
    ) -> None:
        self.found, self.member, self.imported = found, member, imported
        self.scopes: list[tuple[bool, set[str]]] = [(False, set(bound))]  # (of a class, names)

    def is_local(self, name: str) -> bool:
        *outer, (_, inner) = self.scopes
        return name in inner or any(name in names for of_class, names in outer if not of_class)

    def visit_Name(self, node: ast.Name) -> ast.expr:  # noqa: N802 (ast's name)
        if not isinstance(node.ctx, ast.Load) or self.is_local(node.id):
            return node
        return self.found(node.id) or node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:  # noqa: N802
        path, base = [node.attr], node.value
        while isinstance(base, ast.Attribute):
            path, base = [base.attr, *path], base.value
        if isinstance(base, ast.Name) and not self.is_local(base.id) and (member := self.member(base.id, path)):
            return member
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:  # noqa: N802
        """Its annotation is a text, and names nothing."""
        node.target, node.value = self.visit(node.target), node.value and self.visit(node.value)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:  # noqa: N802
        node.returns = None
        node.decorator_list = [self.visit(each) for each in node.decorator_list]
        return self._function(node)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:  # noqa: N802
        return self._function(node)

    def _function(self, node: FUNCTIONS) -> FUNCTIONS:
        node.args.defaults = [self.visit(each) for each in node.args.defaults]
        node.args.kw_defaults = [each and self.visit(each) for each in node.args.kw_defaults]
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments += filter(None, [node.args.vararg, node.args.kwarg])
        body = node.body if isinstance(node.body, list) else [node.body]
        self.scopes.append((False, {each.arg for each in arguments} | bound_in(body)))
        for each in arguments:
            each.annotation = None
        visited = self._statements(body)
        node.body = visited if isinstance(node.body, list) else visited[0]
        self.scopes.pop()
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:  # noqa: N802
        node.decorator_list = [self.visit(each) for each in node.decorator_list]
        node.bases = [self.visit(each) for each in node.bases]
        node.keywords = [self.visit(each) for each in node.keywords]
        self.scopes.append((True, set()))
        node.body = self._statements(node.body, grows=True)  # step = step: the right one is still the module's
        self.scopes.pop()
        return node

    def _statements(self, body: list[ast.AST], grows: bool = False) -> list[ast.AST]:
        visited = []
        for each in body:
            new = self.visit(each)
            visited += new if isinstance(new, list) else [new]
            if grows:
                self.scopes[-1][1].update(bound_in([each]))
        return visited

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | list[ast.AST]:  # noqa: N802
        kept, made = [], []
        for alias in node.names:
            value = self.imported(node.module or "", alias.name)
            if value is None:
                kept.append(alias)
            else:
                made.append(ast.Assign([ast.Name(alias.asname or alias.name, ast.Store())], value, lineno=0))
        return ([ast.ImportFrom(node.module, kept, node.level)] if kept else []) + made

    def _comprehension(self, node: COMPREHENSIONS) -> COMPREHENSIONS:
        targets = {name for each in node.generators for name in _stored(each.target)}
        self.scopes.append((False, targets))
        self.generic_visit(node)
        self.scopes.pop()
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815


def bound_in(body: Iterable[ast.AST]) -> set[str]:
    """The names that statements bind in their own scope."""
    names: set[str] = set()
    outer: set[str] = set()
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
                continue
            case ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                names |= {each.target.id for each in ast.walk(node) if isinstance(each, ast.NamedExpr)}
                continue
            case ast.Import() | ast.ImportFrom():
                names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            case ast.Global() | ast.Nonlocal():
                outer |= set(node.names)
            case ast.Name(ctx=ast.Store() | ast.Del()):
                names.add(node.id)
            case ast.ExceptHandler(name=str()):
                names.add(node.name)
            case ast.MatchAs(name=str()) | ast.MatchStar(name=str()):
                names.add(node.name)
            case ast.MatchMapping(rest=str()):
                names.add(node.rest)
        waiting += ast.iter_child_nodes(node)
    return names - outer


def _stored(target: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}


def is_builtin(name: str) -> bool:
    return hasattr(builtins, name)
