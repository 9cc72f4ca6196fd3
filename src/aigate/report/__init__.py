"""Words out: a decision, written for a person, a program or a page. Nothing is fetched or judged here.

Every format is a function of the decision and a context. What a report says
never changes the verdict; `Delivery.exit_code` says what a report that could
not be written does to the exit code.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aigate.decision import Decision
from aigate.errors import UsageError
from aigate.report import annotations, codequality, json, junit, markdown, sarif, text
from aigate.report.clean import clean
from aigate.report.context import COLUMNS, ReportContext
from aigate.report.file import ReportError, write_file

__all__ = [
    "FORMATS",
    "Delivery",
    "Format",
    "Output",
    "ReportContext",
    "ReportError",
    "deliver",
    "parse_output",
    "parse_outputs",
]

Format = Callable[[Decision, ReportContext], str]
"""Writes a decision down; the text ends with a newline. It raises nothing of its own."""

FORMATS: Final[dict[str, Format]] = {
    "text": text.render,
    "json": json.render,
    "markdown": markdown.render,
    "sarif": sarif.render,
    "junit": junit.render,
    "codequality": codequality.render,
    "github": annotations.render,
}
"""Every format by the name that `-o` takes. One with heavy imports does them inside its `render`."""


@dataclass(frozen=True, slots=True)
class Output:
    """One report that was asked for: in which format, and into which file."""

    format: str
    path: Path | None = None
    """None is standard output."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of the reports."""

    shown: str
    """What is for standard output; the door prints it."""
    troubles: tuple[ReportError, ...] = ()
    """The reports that are not there."""

    def exit_code(self, decided: int) -> int:
        """Return the exit code of the whole: the decision's, but never 0 where a report is not there."""
        return ReportError.exit_code if self.troubles and decided == 0 else decided


def parse_output(spec: str) -> Output:
    """Read `format` or `format:path`; a path `-` or `/dev/stdout`, or none, is standard output.

    Raises UsageError for a format that does not exist and for a path that is
    empty or holds a control character.
    """
    name, colon, path = spec.partition(":")
    if name not in FORMATS:
        raise UsageError(
            f"there is no report format {clean(name, 60)!r}{_nearest(name)}",
            fix=f"write -o FORMAT or -o FORMAT:PATH, with one of {', '.join(FORMATS)}",
        )
    if colon and not path:
        raise UsageError(f"-o {name}: names no file", fix=f"write -o {name}:PATH, or -o {name} alone")
    if not path.isprintable():
        raise UsageError(f"-o {name}: a path with control characters: {clean(path, 120)}")
    return Output(name, None if path in ("", "-", "/dev/stdout") else Path(path))


def parse_outputs(specs: Iterable[str], default: str = "text") -> tuple[Output, ...]:
    """Read every `-o`; without any, `default` on standard output.

    Raises UsageError also where two reports would go to one place: the later
    would overwrite the earlier, or both would be mixed.
    """
    outputs = tuple(parse_output(spec) for spec in specs) or (Output(default),)
    places: dict[str, str] = {}
    for output in outputs:
        place = "" if output.path is None else str(output.path.absolute())
        if place in places:
            where = clean(str(output.path), 200) if output.path else "standard output"
            raise UsageError(
                f"{places[place]} and {output.format} would both go to {where}",
                fix="give each report a file of its own",
            )
        places[place] = output.format
    return outputs


def deliver(decision: Decision, outputs: Iterable[Output], ctx: ReportContext) -> Delivery:
    """Make every report, write those that go to files, and return the text of the others.

    One that fails does not keep back the others. Files are written in UTF-8,
    without colour and at the usual width, whatever the terminal is.
    """
    plain = replace(ctx, color=False, unicode=True, columns=COLUMNS)
    shown: list[str] = []
    troubles: list[ReportError] = []
    for output in outputs:
        try:
            if output.path is None:
                shown.append(_made(decision, output, ctx))
            else:
                write_file(output.path, _made(decision, output, plain))
        except ReportError as trouble:
            troubles.append(trouble)
    return Delivery("".join(shown), tuple(troubles))


def _made(decision: Decision, output: Output, ctx: ReportContext) -> str:
    try:
        return FORMATS[output.format](decision, ctx)
    except Exception as e:  # a fault in one format must not cost the reader the others
        raise ReportError(
            f"the {output.format} report could not be made: {type(e).__name__}: {clean(str(e), 200)}",
            fix="the decision stands; take another format, and report this one as a bug",
        ) from e


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), list(FORMATS), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
