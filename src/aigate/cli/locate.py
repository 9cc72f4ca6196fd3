"""Where in a policy file a mistake stands that was found by loading it, and what helps: for `aigate check`."""

import ast
import re
from collections.abc import Iterator, Mapping

_TWICE = re.compile(r"policy (?P<id>\S+) is declared in (?P<one>.+) and again in (?P<other>.+)")
_POLICY = re.compile(r"\bpolicy (?P<id>[a-z0-9_]+\.[a-z0-9_.]*[a-z0-9_])")
_PARAMETER = re.compile(r"\bparameter '?(?P<name>\w+)'?")

_FIXES = (
    ("not Python", "correct the syntax in this line"),
    (
        "does not load",
        "take out of the file what fails while it is loaded: it has policies to define, and no more",
    ),
    ("has no docstring", "write one: its first line is a sentence that holds when the policy passes"),
    ("is not a generator", "report with `yield deny(...)`, one for each finding"),
    ("is async", "write it with `def`, and without `await`"),
    ("needs a default and one of", "write  name: int = 1,  with one of these types"),
    ("must take one snapshot", "write  def name(s: Snapshot, *, parameter: int = 1) -> Findings:"),
    ("annotations cannot be read", "import or define what the annotations name"),
    ("is not one of", "choose one of them"),
    (
        "is declared in",
        "give one of the two another id; what a standard policy asks is set by levels and params",
    ),
    ("larger than", "split it: one theme a file"),
    ("took longer than", "take out of the file what runs while it is loaded"),
    ("parameter ", "give it a value of its own type"),
    ("other policies", "define each policy once, at the top of the file, and leave its name alone"),
    ("its process", "take out what ends or fills the process: sys.exit, os._exit, lists without an end"),
)
"""Words of a mistake, and what helps where the mistake does not say so itself."""


def located(place: str, message: str, sources: Mapping[str, bytes]) -> str:
    """Return a place with its line: where the policy stands that a mistake names, else the first line.

    `sources` are the policy files by their place. What is no policy file, and what has a line, is left as it is.
    """
    if twice := _TWICE.search(message):
        file = next((name for name in sources if name.endswith(twice["other"])), "")
        lines = [line for id, line, _ in _policies(sources.get(file, b"")) if id == twice["id"]]
        number = 1 if twice["one"] == twice["other"] else 0
        return f"{file}:{lines[number]}" if len(lines) > number else place
    if not place.endswith(".py"):
        return place
    named, parameter = _POLICY.search(message), _PARAMETER.search(message)
    for id, line, parameters in _policies(sources.get(place, b"")):
        if named is not None and id == named["id"]:
            return f"{place}:{parameters.get(parameter['name'], line) if parameter else line}"
    return f"{place}:1"


def remedy(message: str) -> str:
    """Return what helps against a mistake in a policy file that does not say so itself."""
    found = (fix for words, fix in _FIXES if words in message)
    return next(found, "mend the policy: `aigate test` tries it on evidence of every kind")


def _policies(source: bytes) -> Iterator[tuple[str, int, dict[str, int]]]:
    """Yield every policy of a file: its id, its line, and the lines of its parameters."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            parameters = {argument.arg: argument.lineno for argument in node.args.kwonlyargs}
            for part in node.decorator_list:
                for text in (each for each in ast.walk(part) if isinstance(each, ast.Constant)):
                    if isinstance(text.value, str) and "." in text.value:
                        yield text.value, part.lineno, parameters
