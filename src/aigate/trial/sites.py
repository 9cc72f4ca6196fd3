"""Where a policy's file calls `deny`: the places at which it can say no."""

import ast

_DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef


def deny_sites(source: bytes) -> dict[str, tuple[int, ...]]:
    """Return the lines in which each policy of a file calls `deny`, itself or through functions of that file.

    A file that is no Python has none.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, _DEFINITION)}
    found: dict[str, tuple[int, ...]] = {}
    for node in functions.values():
        for id in filter(None, map(_policy_id, node.decorator_list)):
            found[id] = tuple(sorted(_reached(node, functions)))
    return found


def _policy_id(decorator: ast.expr) -> str:
    if not isinstance(decorator, ast.Call) or _name(decorator.func) != "policy":
        return ""
    given = [*decorator.args[:1], *(keyword.value for keyword in decorator.keywords if keyword.arg == "id")]
    id = given[0].value if given and isinstance(given[0], ast.Constant) else ""
    return id if isinstance(id, str) else ""


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _reached(start: ast.AST, functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]) -> set[int]:
    """Return the lines of every `deny(` in a function and in what it mentions of its own file."""
    waiting, seen, lines = [start], {id(start)}, set()
    while waiting:
        for node in ast.walk(waiting.pop()):
            if isinstance(node, ast.Call) and _name(node.func) == "deny":
                lines.add(node.lineno)
            called = functions.get(node.id) if isinstance(node, ast.Name) else None
            if called is not None and id(called) not in seen:
                seen.add(id(called))
                waiting.append(called)
    return lines
