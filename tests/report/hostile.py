"""Strings that the world may put into names, tags, messages and reasons; and models of what obeys them."""

import re
from functools import cache
from typing import Any

from aigate.decision import Decision, Finding, Waivers, WaiverUse
from aigate.manifest import Owner
from aigate.snapshot import Runbook
from aigate.values import missing
from report.cases import NOW, decision, judgement, source, version

HOSTILE: dict[str, str] = {
    "newline": "churn\nALLOW  churn v2 → @champion",
    "carriage-return": "churn\rALLOW  churn v2",
    "tabs-and-feeds": "a\tb\vc\fd",
    "ansi-color": "\x1b[32mALLOW\x1b[0m",
    "ansi-cursor": "\x1b[2J\x1b[1;1Hpass",
    "osc-title": "\x1b]0;owned\x07",
    "osc-link": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "c1-csi": "\x9b31mred\x9b0m",
    "c1-nel": "a\x85::error::b",
    "nul-and-bell": "a\x00b\x07c\x7fd\x08e",
    "bidi-override": "v2 \u202eWOLLA\u202c",
    "bidi-isolate": "\u2066a\u2067b\u2068c\u2069",
    "bidi-marks": "a\u200eb\u200fc\u061cd",
    "zero-width": "ch\u200bur\u200cn\u200d\ufeff\u2060",
    "line-separator": "a\u2028::error::b\u2029c",
    "fillers": "a\u3164b\u115fc\u2800d\u00ade",
    "tag-characters": "a\U000e0041\U000e0042b",
    "variation-selectors": "a\ufe0fb\U000e0100c",
    "private-use": "a\ue000b\U0010fffdc",
    "noncharacter": "a\uffff\ufffeb",
    "no-break-spaces": "::\u00a0x\u3000::\u2003y",
    "combining": "Z" + "\u0336\u0489\u0300" * 20,
    "wide": "模型名称" * 40,
    "workflow-command": "::set-output name=verdict::allow",
    "workflow-indented": "   ::error file=a,line=1::boom",
    "workflow-after-newline": "ok\n::add-mask::ok",
    "workflow-old": "see ##[set-output name=verdict;]allow and ##[error]x",
    "azure-command": "##vso[task.setvariable variable=verdict]allow ####[error]y",
    "teamcity-command": "##teamcity[testFinished name='x']",
    "stop-commands": "::stop-commands::token\n::token::",
    "script": "<script>alert(1)</script>",
    "image-onerror": "<img src=x onerror=alert(1)>",
    "html-close": "</details></summary><!-- x --><h1>ALLOW</h1>",
    "html-entity": "&lt;b&gt; &#64;team &commat;team",
    "markdown-image": "![x](https://evil.example/?leak)",
    "markdown-link": "[runbook](javascript:alert(1)) [a]: https://evil.example",
    "markdown-table": "a | b | c \\| d \\\\| e\n|---|---|",
    "markdown-code": "a `b` ``c``` \\` d",
    "markdown-fence": "x\n```\n# ALLOW\n````",
    "markdown-emphasis": "**ALLOW** __x__ ~~y~~ _z_ *w* snake_case",
    "markdown-heading": "# ALLOW",
    "markdown-list": "1. ALLOW",
    "markdown-rule": "--- ",
    "markdown-quote": "> [!NOTE] ALLOW",
    "markdown-math": "$\\href{https://evil.example}{x}$ $`y`$",
    "mention": "@octocat @org/team a@b.example (@here)",
    "reference": "#12 org/repo#34 GH-56 fixes #1",
    "autolink": "https://evil.example www.evil.example ftp://x.example <https://evil.example>",
    "autolink-odd": "https://evil.example/`x`|<y> www.evil.example\\`",
    "email": "mail a.b+c@evil.example now",
    "long": "x" * 30_000,
    "long-words": "word " * 5_000,
    "spaces": "   a     b   ",
    "nothing": "",
}
"""By a name for the test; no lone surrogates, which the models refuse (see `test_clean`)."""


def name(text: str) -> str:
    """Make a text fit for a place that holds a `Name`: short, not empty, no controls."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", "", text)[:200] or "x"


@cache
def everywhere(text: str) -> Decision:
    """A decision with one text in every place that the world can write to."""
    n, text = name(text), text[:19_000]
    finding = Finding(message=text, key=text, fix=text, owner=text, value=text, limit=text, origin=text)
    use = WaiverUse(policy=n, key=text, who=n, reason=text, until=NOW)
    silent = source(n, text, text or "no reason")
    info: dict[str, Any] = {"title": text, "detail": text, "url": text}
    return decision(
        judgement(
            "a.fail", "fail", finding, finding.model_copy(update={"waived": text or "x"}), file=text, **info
        ),
        judgement("a.unknown", "unknown", reason=text.strip() or "x", file=text, **info),
        judgement("a.lifted", "unknown", reason=text.strip() or "x", file=text, **info).model_copy(
            update={"waived": text or "x"}
        ),
        judgement("a.error", "error", reason=text.strip() or "x", file=text, **info),
        judgement("a.advice", "fail", finding, level="advise", file=text, **info),
        judgement("a.skip", "skip", reason=text.strip() or "x", file=text, **info),
        judgement(n, "fail", finding, file=text, **info),
        judgement(f"p.{n}"[:200], reason=text, file=text, **info),
        evidence=(silent, source(f"2{n}"[:200], text)),
        owner=Owner(team=n, contact=n, escalation=n),
        runbooks=(Runbook(blames="default", path=n, exists=missing(text, text)),),
        waivers=Waivers(
            applied=(use.model_copy(update={"soon": True}),),
            expired=(use,),
            unused=(use,),
            refused=(use.model_copy(update={"why": text, "line": 3}),),
        ),
        system=n,
        environment=n,
        alias=n,
        challenger=version("2", name=n),
        champion=missing(text, text),
    )


def commands(output: str) -> list[str]:
    """What a CI runner would obey in a log: GitHub's `::x::` and `##[x]`, Azure's and TeamCity's `##x[y]`.

    After actions/runner ActionCommand.cs: a line is trimmed at its start and
    split at CR and LF; the older form counts anywhere in a line.
    """
    found = [
        line
        for line in re.split(r"\r\n|\r|\n|\x85|\u2028|\u2029", output)
        if re.match(r"::[^:]*", line.lstrip())
    ]
    return found + re.findall(r"##\w*\[.*", output)


def unseen(output: str) -> set[str]:
    """Characters of an output that do not print, other than its own line ends."""
    return {sign for sign in output if sign != "\n" and not sign.isprintable()}
