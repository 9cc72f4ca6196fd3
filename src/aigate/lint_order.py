"""Where a policy follows the order of a set, which nothing in the evidence says. Pure.

Sets of text come out in one order in the gate, whose processes hash alike, and
in another in the author's tests; sets of anything else, `None` among them, may
come out in another each time.
"""

import ast
from collections.abc import Iterator

from aigate.lint_tables import ANY_ORDER, IN_ORDER, SET_METHODS, SETS

_COMBINES = (ast.BitOr, ast.BitAnd, ast.BitXor, ast.Sub)


class Order:
    """Tells sets from what has an order, as far as a file says; rather one too few than one too many."""

    def __init__(self, tree: ast.Module) -> None:
        self._whatever: set[int] = set()
        """Comprehensions whose order nobody sees."""
        self._names: frozenset[str] = frozenset()
        """Names that stand for sets wherever they are bound."""
        bound: dict[str, list[ast.expr | None]] = {}
        for node in ast.walk(tree):
            self._look(node)
            for name, value in _named(node):
                bound.setdefault(name, []).append(value)
        for _ in range(3):  # a set of a set of a set
            self._names = frozenset(
                name
                for name, values in bound.items()
                if all(value is not None and self.is_set(value) for value in values)
            )

    def _look(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ANY_ORDER:
            for part in node.args:
                self._unseen(part)
        elif isinstance(node, ast.SetComp | ast.DictComp):  # a table's order is seen by who goes through it
            self._whatever.add(id(node))
        elif isinstance(node, ast.Compare):
            self._whatever |= {id(part) for part in node.comparators}

    def _unseen(self, node: ast.expr) -> None:
        self._whatever.add(id(node))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IN_ORDER:
            for part in node.args:
                self._unseen(part)

    def whatever(self, node: ast.expr) -> bool:
        """Whether nobody sees the order of what a comprehension goes through."""
        return id(node) in self._whatever

    def is_set(self, node: ast.expr) -> bool:
        """Whether an expression is a set, as far as it says so itself."""
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Name():
                return node.id in self._names
            case ast.Call(func=ast.Name(id=name)):
                return name in SETS
            case ast.Call(func=ast.Attribute(attr=name, value=value)):
                return name in SET_METHODS and self.is_set(value)
            case ast.BinOp(op=op):
                sides = (node.left, node.right)
                alike = any(map(self.is_set, sides)) or all(map(_is_keys, sides))
                return isinstance(op, _COMBINES) and alike
            case ast.IfExp():
                return self.is_set(node.body) or self.is_set(node.orelse)
            case _:
                return False

    def lost(self, node: ast.Call) -> Iterator[ast.expr]:
        """Yield the sets whose order a call lets through: `list(x)`, `", ".join(x)`, `x.pop()`."""
        match node.func:
            case ast.Name(id=name) if name in IN_ORDER and id(node) not in self._whatever:
                yield from filter(self.is_set, node.args)
            case ast.Attribute(attr="join"):
                yield from filter(self.is_set, node.args)
            case ast.Attribute(attr="pop", value=value) if not node.args and self.is_set(value):
                yield value


def _is_keys(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("keys", "items")
    )


def _named(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield every name that a node binds, with what it is bound to; None where that is not said."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, value
                else:
                    yield from ((name, None) for name in _stored(target))
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
            yield name, value
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield name, value
        case ast.For(target=target) | ast.comprehension(target=target):
            yield from ((name, None) for name in _stored(target))
        case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            yield name, None
        case ast.withitem(optional_vars=ast.expr() as target):
            yield from ((name, None) for name in _stored(target))
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            yield name, None
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from ((alias.asname or alias.name, None) for alias in names)
        case _:
            return


def _stored(target: ast.AST) -> Iterator[str]:
    for part in ast.walk(target):
        if isinstance(part, ast.Name):
            yield part.id
