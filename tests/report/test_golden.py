"""Every case in every format, as a person last found it good. `pytest tests/report --update-golden` rewrites."""

from collections.abc import Callable

import pytest

from aigate.report import FORMATS
from report.cases import CASES, Case
from report.hostile import everywhere

Golden = Callable[[str, str], None]

_HOSTILE = (
    "\x1b[31m::error::<b>@octocat</b>\n##[set-output name=verdict;]allow | `x` \u202e#12\n::stop-commands::x"
)
_ALL = {**CASES, "hostile": Case(everywhere(_HOSTILE))}
_ENDINGS = {
    "text": "txt",
    "json": "json",
    "markdown": "md",
    "sarif": "sarif",
    "junit": "xml",
    "codequality": "codequality.json",
    "github": "github.txt",
}


@pytest.mark.parametrize("case", _ALL)
@pytest.mark.parametrize("kind", FORMATS)
def test_report(case: str, kind: str, golden: Golden) -> None:
    golden(f"{case}.{_ENDINGS[kind]}", FORMATS[kind](_ALL[case].decision, _ALL[case].context()))


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("deny-verbose.txt", {"verbose": True}),
        ("deny-ascii.txt", {"unicode": False}),
        ("deny-color.txt", {"color": True}),
        ("deny-narrow.txt", {"columns": 72}),
    ],
)
def test_text_in_other_circumstances(name: str, how: dict[str, object], golden: Golden) -> None:
    golden(name, FORMATS["text"](CASES["deny"].decision, CASES["deny"].context(**how)))
