"""The page of an exported history: static, without scripts, everything from outside escaped."""

import base64
import hashlib
from html import escape

from aigate.audit import Audit
from aigate.ledger import Entry
from aigate.report.clean import clean
from aigate.report.entry import details
from aigate.values import show_instant

_STYLE = """\
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1a1a1a;background:#fff}
table{border-collapse:collapse;width:100%}caption{text-align:left;font-weight:600;padding:.5rem 0}
th,td{text-align:left;vertical-align:top;padding:.25rem .6rem;border-bottom:1px solid #ccc}
code{overflow-wrap:anywhere}.broken{color:#a40000;font-weight:600}.unseen,.warning{color:#7a4b00;font-weight:600}
"""

_HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
"""


def index(audit: Audit, listed: list[Entry], total: int) -> str:
    """Return the page: what the audit found, the anchors, and the entries that were asked for."""
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    title = _safe(f"{audit.model}@{audit.alias}: history")
    head = "none" if audit.head is None else f"{audit.head.seq}:{audit.head.digest}"
    counts = f"{len(listed)} of {total} entries are listed; all of them are in entries.jsonl."
    parts = [
        _HEAD.format(style=style, title=title, css=_STYLE),
        f"<h1>{title}</h1>\n",
        f"<p>Exported at {show_instant(audit.now)}. Head: <code>{_safe(head)}</code>. {counts} "
        "Verify it: <code>python -I -S verify.py</code></p>\n",
        _table(
            "What the audit found",
            ("", "where", "what"),
            [
                (f'<span class="{r.gravity}">{r.gravity}</span>', _safe(r.where), _safe(r.what))
                for r in audit.remarks
            ]
            or [("", "", "nothing")],
        ),
        _table(
            "Anchors",
            ("kept in", "entry", "digest", "on the chain"),
            [
                (_safe(a.kept_in), str(a.head.seq), f"<code>{a.head.digest}</code>", _holds(a.holds))
                for a in audit.anchors
            ],
        ),
        _table("Entries", ("entry", "at", "what", "by", "reason"), [_entry(entry) for entry in listed]),
        "</body>\n</html>\n",
    ]
    return "".join(parts)


def _entry(entry: Entry) -> tuple[str, ...]:
    told = details(entry)
    moved = " → ".join(part for part in (told.get("from", ""), told.get("to", "")) if part)
    what = [told.get("kind", entry.body.kind), f"@{told['alias']}" if "alias" in told else "", moved]
    what += [f"of {told['of']}" if "of" in told else "", told.get("result", "")]
    who = " ".join(part for part in (entry.actor.name, entry.actor.run) if part)
    said = _safe(" ".join(part for part in what if part))
    return (str(entry.seq), show_instant(entry.at), said, _safe(who), _safe(told.get("reason", "")))


def _holds(holds: bool | None) -> str:
    return "not known" if holds is None else "yes" if holds else '<span class="broken">no</span>'


def _table(caption: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table; its cells are HTML already."""
    top = "".join(f'<th scope="col">{head}</th>' for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table><caption>{caption}</caption>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}</tbody></table>\n"


def _safe(text: str) -> str:
    """Return text from anywhere as HTML that shows just that text."""
    return escape(clean(text, 2000))
