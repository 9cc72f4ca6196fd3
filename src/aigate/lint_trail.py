"""What a name in Python code may stand for, followed through imports and assignments. Pure."""

import ast
from collections.abc import Iterable, Iterator

from aigate.lint_tables import ONCE

_ROUNDS = 4
"""How often assignments are followed: `a = b` after `b = c` after `c = time`."""

_MOST = 16
"""Things that one name may stand for."""


class Trail:
    """Follows names to what was imported, without regard to scopes: rather one too many than one too few.

    A path such as `datetime.datetime.now` begins with an imported module; one
    that begins with `?` does not, and names what is written (`?s.now`).
    """

    def __init__(self, tree: ast.Module) -> None:
        self._names: dict[str, set[str]] = {}
        self.imported: set[str] = set()
        """Names that an import binds."""
        for node in ast.walk(tree):
            self._import(node)
        pairs = [pair for node in ast.walk(tree) for pair in _bound(node)]
        for _ in range(_ROUNDS):
            for name, value in pairs:
                known = self._names.setdefault(name, set())
                known |= {path for path in self.paths(value) if _worth(path, name)}
        self._names = {name: paths for name, paths in self._names.items() if paths}

    def _import(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for name in node.names:
                top = name.name.partition(".")[0]
                self._imported(name.asname or top, name.name if name.asname else top)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for name in node.names:
                self._imported(name.asname or name.name, f"{node.module}.{name.name}")

    def _imported(self, name: str, path: str) -> None:
        self.imported.add(name)
        self._names.setdefault(name, set()).add(path)

    def paths(self, node: ast.expr) -> tuple[str, ...]:
        """Return everything that an expression may stand for, at least one path, what is imported first."""
        return tuple(sorted(self._paths(node), key=lambda path: (path.startswith("?"), path)))[:_MOST]

    def _paths(self, node: ast.expr) -> set[str]:
        match node:
            case ast.Name():
                return set(self._names.get(node.id) or {f"?{node.id}"})
            case ast.Attribute():
                return {f"{path}.{node.attr}" for path in self._paths(node.value)}
            case ast.NamedExpr():
                return self._paths(node.value)
            case ast.IfExp():
                return self._paths(node.body) | self._paths(node.orelse)
            case ast.BoolOp():
                return {path for value in node.values for path in self._paths(value)}
            case ast.Call(func=ast.Name(id="getattr"), args=[value, ast.Constant(value=str(name)), *_]):
                return {f"{path}.{name}" for path in self._paths(value)}
            case ast.Call():  # what a class makes has what the class has
                made = {path for path in self._paths(node.func) if path.rpartition(".")[2][:1].isupper()}
                return made or {"?()"}
            case _:
                return {"?"}


def _worth(path: str, name: str) -> bool:
    """Whether a path says more than the name itself."""
    return path not in ("?", "?()", f"?{name}") and not path.startswith(f"?{name}.") and path.count(".") < 8


def _bound(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield every name that a node binds to an expression."""
    match node:
        case ast.Assign():
            for target in node.targets:
                yield from _pairs(target, node.value)
        case ast.AnnAssign(value=value) if value is not None:
            yield from _pairs(node.target, value)
        case ast.NamedExpr():
            yield from _pairs(node.target, node.value)
        case ast.For() | ast.comprehension():
            if isinstance(node.iter, ast.Tuple | ast.List | ast.Set):
                for item in node.iter.elts:
                    yield from _pairs(node.target, item)
        case ast.ClassDef():
            for base in node.bases:
                yield node.name, base
        case ast.arguments():
            positional = [*node.posonlyargs, *node.args]
            for argument, default in zip(reversed(positional), reversed(node.defaults), strict=False):
                yield argument.arg, default
            for argument, given in zip(node.kwonlyargs, node.kw_defaults, strict=True):
                if given is not None:
                    yield argument.arg, given
        case _:
            return


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
        for one, other in zip(target.elts, value.elts, strict=False):  # with a star, not pair by pair
            yield from _pairs(one, other)


def is_function(node: ast.AST) -> bool:
    """Whether a node has names of its own, as a function has."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def functions_names(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> frozenset[str]:
    """Return the names that are a function's own: its arguments, and what it binds itself."""
    names = {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
    body: Iterable[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else node.body
    outside: set[str] = set()
    for part in _scope(body):
        names |= set(_binds(part))
        if isinstance(part, ast.Global | ast.Nonlocal):
            outside |= set(part.names)
    return frozenset(names - outside)


def module_names(tree: ast.Module) -> frozenset[str]:
    """Return the names that a module binds itself, functions and classes among them."""
    return frozenset(name for part in _scope(tree.body) for name in _binds(part))


def iterators(tree: ast.Module, trail: Trail) -> frozenset[str]:
    """Return the names of a module that stand for what can be read once: the second reader finds the rest."""
    found = set()
    for name, value in (pair for part in _scope(tree.body) for pair in _bound(part)):
        made = trail.paths(value.func) if isinstance(value, ast.Call) else ()
        if isinstance(value, ast.GeneratorExp) or any(
            path.removeprefix("?") in ONCE or path.startswith("itertools.") for path in made
        ):
            found.add(name)
    return frozenset(found)


def aliases(node: ast.FunctionDef | ast.AsyncFunctionDef, module: frozenset[str]) -> frozenset[str]:
    """Return the names of a function's own that it gives to something of the module's."""
    own = functions_names(node)
    defaults = {(name, value) for name, value in _bound(node.args) if isinstance(value, ast.Name)}
    found = {name for name, value in defaults if value.id in module}
    for name, value in (pair for part in _scope(node.body) for pair in _bound(part)):
        root = value
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        if isinstance(root, ast.Name) and root.id in module and root.id not in own:
            found.add(name)
    return frozenset(found)


_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _scope(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield every node of one scope, but nothing of the scopes inside it."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if is_function(node) or isinstance(node, ast.ClassDef):
            continue
        if isinstance(node, _COMPREHENSIONS):
            # Only `:=` in it binds outside of it.
            waiting.extend(part for part in ast.walk(node) if isinstance(part, ast.NamedExpr))
            continue
        waiting.extend(ast.iter_child_nodes(node))


def _binds(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(ctx=ast.Store() | ast.Del()):
            yield node.id
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case _:
            return
