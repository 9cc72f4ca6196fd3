"""The walk over a policy's code that finds hidden inputs. Pure."""

import ast
import re
from collections.abc import Iterable, Iterator

from aigate.lint_order import Order
from aigate.lint_tables import (
    BUILTINS,
    CHANCE,
    CLOCKS,
    DUNDERS,
    FRAMES,
    HANDED,
    MAKERS,
    MEMBERS,
    MODULES,
    MUTATORS,
    NOT_MODULES,
    OWN,
    PLAIN,
    Kind,
)
from aigate.lint_trail import Trail, aliases, functions_names, is_function, iterators, module_names

_REACHING = re.compile(r"\{[^{}]*[.\[]__\w")
"""A text with which `str.format` reads attributes."""

_LOOKED_INTO = PLAIN | {"urllib"}
"""Modules that may be imported, so that what is taken from them has to be looked at."""

Found = tuple[int, int, Kind, str]
"""Line, column, kind, and what stands there."""


class Reader(ast.NodeVisitor):
    """Walks over a file once, with what every name may stand for at hand."""

    def __init__(self, tree: ast.Module) -> None:
        self.found: list[Found] = []
        self._trail = Trail(tree)
        self._module = module_names(tree)
        self._once = iterators(tree, self._trail)
        self._order = Order(tree)
        self._functions: list[str] = []
        self._aliases: list[frozenset[str]] = []
        """Names of a function's own that stand for something of the module's, as in `x = TABLE`."""
        self._locals: list[frozenset[str]] = []
        """Names that are a function's own, the innermost last; they hide built-ins and the module's names."""

    def _say(self, kind: Kind, node: ast.AST, what: str) -> None:
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        self.found.append((line, column + 1, kind, what))

    # Imports.

    def visit_Import(self, node: ast.Import) -> None:
        """See `import x`."""
        for name in node.names:
            self._import(node, name.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """See `from x import y`."""
        if node.level:
            self._say("import", node, f"from {'.' * node.level}{node.module or ''}")
            return
        module = node.module or ""
        for name in node.names:
            if name.name == "*":
                self._say("code", node, f"from {module} import *")
            elif f"{module}.{name.name}" in PLAIN:
                continue
            elif self._import(node, module):
                if (kind := _kind_of(f"{module}.{name.name}")) in CHANCE and _kind_of(module) is None:
                    self._say(kind, node, f"{module}.{name.name}")
            elif kind := _kind_of(f"{module}.{name.name}"):
                self._say(kind, node, f"{module}.{name.name}")
            elif module == "aigate" and name.name not in OWN:
                self._say("import", node, f"aigate.{name.name}")

    def _import(self, node: ast.AST, module: str) -> bool:
        """Say what importing a module brings in; return whether it brings in anything."""
        kind = _kind_of(module)
        top, _, rest = module.partition(".")
        if (
            kind is None
            and module not in PLAIN
            and (top not in PLAIN or (top == "aigate" and rest not in OWN))
        ):
            kind = "import"
        if kind is not None:
            self._say(kind, node, module)
        return kind is not None

    # Names and attributes.

    def visit_Name(self, node: ast.Name) -> None:
        """See a built-in that is used, or hidden by another of its name."""
        if any(node.id in names for names in self._locals):
            return
        if node.id in BUILTINS and not (node.id == "hash" and self._functions[-1:] == ["__hash__"]):
            self._say(BUILTINS[node.id], node, node.id)
        if self._locals and node.id in self._once and isinstance(node.ctx, ast.Load):
            self._say("state", node, f"{node.id}, which is the module's and can be read once,")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """See `x.y`."""
        self._attribute(node, node.value, node.attr, called=False)
        if not isinstance(node.ctx, ast.Load):
            self._changed(node, node.value)
        self.visit(node.value)

    def _attribute(self, node: ast.AST, value: ast.expr, name: str, *, called: bool) -> None:
        if _is_dunder(name) or name in FRAMES:
            self._say("code", node, name)
        if name == "__hash__":
            self._say("random", node, name)
        for path in self._trail.paths(value):
            top = path.partition(".")[0]
            if not path.startswith("?") and top not in _LOOKED_INTO:
                # Where it is imported, that is said once; but who lets in a module does not let in its dice.
                kind = _kind_of(f"{path}.{name}")
                if _kind_of(top) is None and (kind in CHANCE or name in CLOCKS):
                    self._say(kind or "clock", node, f"{path}.{name}")
                continue
            if not path.startswith("?") and (kind := _kind_of(f"{path}.{name}")):
                self._say(kind, node, f"{path}.{name}")
            elif name in CLOCKS and (called or _strange(path, name)):
                self._say("clock", node, f"{path.lstrip('?') or 'this'}.{name}")

    def visit_Call(self, node: ast.Call) -> None:
        """See a call: of an attribute, of `getattr`, of what stands for either."""
        function = node.func
        if "contextlib.suppress" in self._trail.paths(function) and any(map(self._catches_all, node.args)):
            self._say("swallow", node, "suppress(Exception)")
        if isinstance(function, ast.Attribute):
            self._attribute(function, function.value, function.attr, called=True)
            self._zone(node, function.attr)
            if function.attr in MUTATORS:
                self._changed(node, function.value)
            self._handed(node, function)
            self.visit(function.value)
        elif self._builtin(function, "getattr"):
            self._getattr(node)
        else:
            paths = self._trail.paths(function)
            for path in (
                path for path in paths if path.startswith("?") and path.rpartition(".")[2] in CLOCKS
            ):
                self._say("clock", node, path.lstrip("?"))
            if self._builtin(function, "next") and node.args:
                self._changed(node, node.args[0])
            self._handed(node, function)
            if any(path == "contextlib.suppress" for path in paths) and any(
                map(self._catches_all, node.args)
            ):
                self._say("swallow", node, "suppress(Exception)")
            self.visit(function)
        for what in self._order.lost(node):
            self._say("random", what, "the order of a set")
        for part in (*node.args, *node.keywords):
            self.visit(part)

    def _handed(self, node: ast.Call, function: ast.expr) -> None:
        """See what a function changes that it is handed: `heappush(x, …)`, `list.append(x, …)`."""
        if not node.args:
            return
        own = isinstance(function, ast.Attribute) and function.attr in MUTATORS
        if own and isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            own = function.value.id in ("list", "dict", "set", "bytearray", "deque")
        else:
            own = False
        names = (path.partition(".") for path in self._trail.paths(function))
        if own or any(name in HANDED.get(module, ()) for module, _, name in names):
            self._changed(node, node.args[0])

    def _zone(self, node: ast.Call, name: str) -> None:
        """See a time that is told in this machine's zone."""
        given = len(node.args) + len(node.keywords)
        value = node.func.value if isinstance(node.func, ast.Attribute) else node
        if name in ("timestamp", "astimezone") and self._naive(value):
            self._say("environment", node, f"{name}() of a time without a zone")
        elif (name == "astimezone" and not given) or (name == "fromtimestamp" and given < 2):
            self._say("environment", node, f"{name}() without a zone")

    def _naive(self, node: ast.expr) -> bool:
        """Whether a time is made there that has no zone."""
        if not isinstance(node, ast.Call):
            return False
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if isinstance(node.func, ast.Attribute) and node.func.attr == "replace":
            zone = given.get("tzinfo")
            return isinstance(zone, ast.Constant) and zone.value is None
        made = "datetime.datetime" in self._trail.paths(node.func)
        return made and "tzinfo" not in given and None not in given and 0 < len(node.args) < 8

    def _getattr(self, node: ast.Call) -> None:
        name = node.args[1] if len(node.args) > 1 else None
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            self._attribute(node, node.args[0], name.value, called=name.value in CLOCKS)
        else:
            self._say("code", node, "getattr of a name that is not written out")

    def _builtin(self, node: ast.expr, name: str) -> bool:
        return isinstance(node, ast.Name) and node.id == name and not any(name in own for own in self._locals)

    def visit_MatchClass(self, node: ast.MatchClass) -> None:
        """See `case x(now=y)`, which reads an attribute."""
        for name in node.kwd_attrs:
            if name in CLOCKS:
                self._say("clock", node, f"case …({name}=…)")
            elif _is_dunder(name) or name in FRAMES:
                self._say("code", node, f"case …({name}=…)")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """See a text that `str.format` would reach through."""
        if isinstance(node.value, str) and _REACHING.search(node.value):
            self._say("code", node, "a format that reads __attributes__")

    # Scopes, and what outlives them.

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """See a function: its decorators and defaults outside, its body inside."""
        if _is_dunder(node.name):
            self._say("code", node, node.name)
        if node.name == "__exit__" and any(map(_keeps_quiet, ast.walk(node))):
            self._say("swallow", node, "__exit__ that returns something")
        for part in (*node.decorator_list, *([node.returns] if node.returns else [])):
            self._annotation(part)
        self._arguments(node.args)
        self._functions.append(node.name)
        self._aliases.append(aliases(node, self._module))
        self._within(functions_names(node), node.body)
        self._aliases.pop()
        self._functions.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - the names are those of ast

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """See a lambda."""
        self._arguments(node.args)
        self._within(functions_names(node), [node.body])

    def _within(self, names: frozenset[str], body: Iterable[ast.AST]) -> None:
        self._locals.append(names)
        for part in body:
            self.visit(part)
        self._locals.pop()

    def _arguments(self, arguments: ast.arguments) -> None:
        for argument in ast.walk(arguments):
            if isinstance(argument, ast.arg) and argument.annotation is not None:
                self._annotation(argument.annotation)
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                if _is_mutable(default):
                    self._say("state", default, "a default that can be changed")
                self.visit(default)

    def _annotation(self, node: ast.expr) -> None:
        """See an annotation; one that is a text is evaluated when the policy is loaded."""
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                try:
                    inner = ast.parse(part.value, mode="eval").body
                except (SyntaxError, ValueError):
                    continue
                for each in ast.walk(inner):
                    ast.copy_location(each, part)
                self.visit(inner)
        self.visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """See an annotated name."""
        self._annotation(node.annotation)
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        names = {
            name.id
            for part in node.generators
            for name in ast.walk(part.target)
            if isinstance(name, ast.Name)
        }
        for part in node.generators:
            if self._order.is_set(part.iter) and not self._order.whatever(node):
                self._say("random", part.iter, "the order of a set")
        self.visit(node.generators[0].iter)  # which is read outside
        parts: list[ast.AST] = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for number, part in enumerate(node.generators):
            parts += [part.target, *part.ifs, *([part.iter] if number else [])]
        self._within(frozenset(names), parts)

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension  # noqa: N815 - the names are those of ast

    def visit_Global(self, node: ast.Global) -> None:
        """See a name of the module that a function sets."""
        self._say("state", node, f"global {', '.join(node.names)}")

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """See a class: what it inherits, and what stands in it."""
        for part in node.body:
            if isinstance(part, ast.Assign):
                for name in (
                    name for name in part.targets if isinstance(name, ast.Name) and _is_dunder(name.id)
                ):
                    self._say("code", part, name.id)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """See `x[y] = z`."""
        if not isinstance(node.ctx, ast.Load):
            self._changed(node, node.value)
        self.generic_visit(node)

    def _changed(self, node: ast.AST, what: ast.expr) -> None:
        """Say so where what is changed is the module's, or somebody else's."""
        root = what
        while isinstance(root, ast.Attribute | ast.Subscript | ast.Call):
            if isinstance(root, ast.Call) and self._builtin(root.func, "type"):
                self._say("state", node, "a change to a class")
            root = root.func if isinstance(root, ast.Call) else root.value
        if not isinstance(root, ast.Name):
            return
        if any(root.id in names for names in self._locals):
            if root.id in frozenset().union(*self._aliases):
                self._say(
                    "state", node, f"a change to {root.id}, which stands for something of the module's,"
                )
            return
        if root.id in self._trail.imported and not isinstance(what, ast.Call):
            self._say("state", node, f"a change to {root.id}, which is imported,")
        elif self._locals and root.id in self._module:
            self._say("state", node, f"a change to {root.id}, which is the module's,")

    def visit_If(self, node: ast.If) -> None:
        """See a branch; what stands under `if TYPE_CHECKING:` never runs."""
        never = self._trail.paths(node.test) == ("typing.TYPE_CHECKING",)
        if never and not (isinstance(node.test, ast.Name) and node.test.id in self._module):
            for part in node.orelse:
                self.visit(part)
            return
        self.generic_visit(node)

    def _put_in_order(self, node: ast.FormattedValue | ast.YieldFrom | ast.Starred) -> None:
        if self._order.is_set(node.value):
            self._say("random", node.value, "the order of a set")
        self.generic_visit(node)

    visit_FormattedValue = visit_YieldFrom = visit_Starred = _put_in_order  # noqa: N815 - the names are those of ast

    def visit_For(self, node: ast.For) -> None:
        """See a loop, which follows the order of what it goes through."""
        if self._order.is_set(node.iter):
            self._say("random", node.iter, "the order of a set")
        self.generic_visit(node)

    # Exceptions.

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        """See what is caught."""
        for handler in node.handlers:
            every = handler.type is None or self._catches_all(handler.type)
            if every and not any(isinstance(part, ast.Raise) for part in _own(handler.body)):
                words = "except" if handler.type is None else f"except {ast.unparse(handler.type)}"
                self._say("swallow", handler, words)
        for part in _own(node.finalbody):
            if isinstance(part, ast.Return | ast.Break | ast.Continue):
                self._say("swallow", part, "leaving a `finally`")
        self.generic_visit(node)

    visit_TryStar = visit_Try  # noqa: N815 - the names are those of ast

    def _catches_all(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Tuple | ast.Starred | ast.List):
            return any(map(self._catches_all, ast.iter_child_nodes(node)))  # type: ignore[arg-type]
        return any(
            path.removeprefix("?") in ("Exception", "BaseException") for path in self._trail.paths(node)
        )


def _kind_of(path: str) -> Kind | None:
    """Return what a dotted name brings in: by the whole of it, else by a module anywhere in it."""
    if path in NOT_MODULES or path in PLAIN:
        return None
    parts = path.split(".")
    for length in range(len(parts), 1, -1):
        if kind := MEMBERS.get(".".join(parts[:length])):
            return kind
    if parts[-1] in MAKERS:
        return "code"
    if ".".join(parts[:2]) in NOT_MODULES and len(parts) > 1:
        parts = parts[2:]
    return next((MODULES[name] for part in parts if (name := part.lstrip("_")) in MODULES), None)


def _strange(path: str, name: str) -> bool:
    """Whether a time that is read and not called is another thing than `s.now`."""
    return name != "now" or path in ("?", "?()") or path[0] != "?" or path.rpartition(".")[2] in CLOCKS


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and name not in DUNDERS


def _is_mutable(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in (
            "list",
            "dict",
            "set",
            "bytearray",
            "defaultdict",
        )
    return isinstance(node, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def _keeps_quiet(node: ast.AST) -> bool:
    if not isinstance(node, ast.Return) or node.value is None:
        return False
    return not (isinstance(node.value, ast.Constant) and node.value.value in (None, False))


def _own(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield every statement below, but not those of functions that are defined there."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if not is_function(node):
            waiting.extend(ast.iter_child_nodes(node))
