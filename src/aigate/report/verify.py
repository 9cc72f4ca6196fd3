"""Verify an exported history of aigate. Needs Python 3.8 or newer and nothing else.

    python -I -S verify.py [FOLDER] [--anchor SEQ:DIGEST]... [--manifest DIGEST]

It computes everything anew: the digest of every file, the canonical form of
every entry, the links between them, the anchors, and the records and the
evidence that the entries name. It says OK and leaves with 0, or names what is
broken and leaves with 1. An anchor from elsewhere (a job's log, a receipt) and
the digest of MANIFEST, as `aigate audit --export` printed it, show whether the
whole was made anew.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SAFE = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?")


class Wrong(Exception):  # noqa: N818 - an auditor reads it
    """What is broken, in a sentence."""


def sha256(data: bytes) -> str:
    """Return the digest of bytes, as aigate writes it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, and refuse one that says something twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Wrong("a key stands twice")
    return found


def refuse(number: str) -> NoReturn:
    """Refuse a number that is not whole: aigate writes none."""
    raise Wrong(f"the number {number[:40]}")


def parse(data: bytes) -> Any:
    """Read JSON strictly."""
    try:
        return json.loads(data.decode(), object_pairs_hook=unique, parse_float=refuse, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Wrong(f"not JSON: {ascii(str(error))[:120]}") from error


def canonical(value: Any) -> str:
    """Return the canonical form (RFC 8785) of what aigate writes: no number but whole ones."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(text(key) + ":" + canonical(value[key]) for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, (bool, int)):
        return json.dumps(value)
    raise Wrong(f"a value of type {type(value).__name__}")


def text(value: str) -> str:
    """Return a string as canonical JSON has it."""
    return json.dumps(value, ensure_ascii=False)


def same_form(data: bytes, value: Any) -> None:
    """Refuse bytes that are not the canonical form of their value."""
    try:
        form = canonical(value).encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise Wrong("it has no canonical form") from error
    if form != data:
        raise Wrong("its bytes are not in canonical form")


def formed(line: bytes) -> Any:
    """Return what a line holds, if it has the form of an entry."""
    entry = parse(line)
    same_form(line, entry)
    if entry["schema"] != "aigate.entry/v1" or entry["body"]["kind"] == "void":
        raise Wrong("it is no entry")
    _ = entry["model"], entry["seq"], entry["prev"]
    return entry


def given_up(after: bytes, digest: str, number: int) -> bool:
    """Say whether the next line is an adoption that links to this one and names it as void."""
    try:
        entry = formed(after)
        body = entry["body"]
        return bool(entry["prev"] == digest and body["kind"] == "adopt" and body.get("void") == number)
    except (Wrong, KeyError, TypeError, AttributeError):
        return False


class Bundle:
    """The exported files, and what was found to be broken in them."""

    def __init__(self, folder: Path) -> None:
        """Read every file below a folder."""
        self.broken: list[str] = []
        self.void: list[str] = []
        self.files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def check(self, where: str, look: Callable[[], Any]) -> Any:
        """Run a check, and note what it finds; return what it returns, or None."""
        try:
            return look()
        except Wrong as error:
            self.broken.append(f"{where}: {error}")
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            self.broken.append(f"{where}: not what was exported ({type(error).__name__})")
        return None

    def file(self, name: str) -> bytes:
        """Return a file's bytes."""
        if name not in self.files:
            raise Wrong("it is not in the bundle")
        return self.files[name]

    def manifest(self) -> None:
        """Hold every file against its digest in MANIFEST; no file may lack there, and none may be too many."""
        listed: dict[str, str] = {}
        for line in self.file("MANIFEST").decode().splitlines():
            digest, _, name = line.partition("  ")
            if name in listed or not SAFE.fullmatch(name):
                raise Wrong(f"a line that cannot be read: {ascii(line)[:120]}")
            listed[name] = digest
        for name in sorted(set(listed) | set(self.files) - {"MANIFEST"}):
            if name not in listed:
                self.broken.append(f"{name}: it is not in MANIFEST, so it was added")
            elif name not in self.files:
                self.broken.append(f"{name}: it is gone")
            elif hashlib.sha256(self.files[name]).hexdigest() != listed[name]:
                self.broken.append(f"{name}: it is not the file that was exported")
        lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(self.files.items())]
        form = "".join(line for line in lines if not line.endswith("  MANIFEST\n"))
        if not self.broken and form.encode() != self.file("MANIFEST"):
            raise Wrong("it is not in the form in which it was exported")

    def entries(self) -> tuple[list[Any], list[str]]:
        """Read the entries, each linked to the one before it; return them and their digests.

        A line that is no entry is void, and so is one that the next entry
        gives up: who may write beside aigate can put one there. It counts for
        nothing, and the entry after it names its digest. Where an entry was
        made void by tampering, that link breaks.
        """
        data = self.file("entries.jsonl")
        lines = data.split(b"\n")
        if lines.pop() != b"":
            raise Wrong("its last line was cut off")
        model = parse(self.file("anchors.json"))["model"]
        entries: list[Any] = []
        digests: list[str] = []
        for number, line in enumerate(lines, 1):
            after = lines[number] if number < len(lines) else b""
            entry = self.check(f"entry {number}", self.later(line, after, number, model, digests))
            if entry is None:
                self.broken.append(f"entry {number}: nothing after it can be believed")
                break
            entries.append(entry)
            digests.append(sha256(line))
        return entries, digests

    def later(
        self, line: bytes, after: bytes, number: int, model: str, digests: list[str]
    ) -> Callable[[], Any]:
        """Return the check of one entry, to be run by `check`."""
        return lambda: self.entry(line, after, number, model, digests)

    def entry(self, line: bytes, after: bytes, number: int, model: str, digests: list[str]) -> Any:
        """Return one entry, if it can stand where it stands; an empty one for a line that is void."""
        try:
            entry = formed(line)
        except (Wrong, KeyError, TypeError, AttributeError) as error:
            self.void.append(f"entry {number}: junk in its place ({error})")
            return {"seq": number, "body": {}}
        wrong = ""
        if entry["model"] != model:
            wrong = "it is not an entry of this model"
        elif entry["seq"] != number:
            wrong = f"it says that it is entry {ascii(entry['seq'])[:20]}"
        elif entry["prev"] != (digests[-1] if digests else None):
            wrong = "it does not follow the entry before it"
        if not wrong:
            return entry
        if not given_up(after, sha256(line), number):
            raise Wrong(wrong)
        self.void.append(f"entry {number}: junk in its place ({wrong}), given up by the next entry")
        return {"seq": number, "body": {}}

    def anchors(self, digests: list[str], handed: list[tuple[int, str]]) -> int:
        """Hold the chain against everything that was kept elsewhere."""
        found = parse(self.file("anchors.json"))
        same_form(self.file("anchors.json").rstrip(b"\n"), found)
        points = [(a["seq"], a["digest"], a["kept_in"]) for a in found["anchors"]]
        if found["head"] is not None:
            points.append(
                (found["head"]["seq"], found["head"]["digest"], "the head at the time of the export")
            )
        if (found["head"]["seq"] if found["head"] else 0) != len(digests):
            self.broken.append("anchors.json: the head is not the last entry")
        points += [(seq, digest, "the anchor that was handed in") for seq, digest in handed]
        for seq, digest, place in points:
            if not 1 <= seq <= len(digests):
                self.broken.append(f"{place!a}: it names entry {seq}, and there are {len(digests)}")
            elif digests[seq - 1] != digest:
                self.broken.append(f"{place!a}: entry {seq} is another one than it names")
        return len(points)

    def documents(self, entries: list[Any]) -> int:
        """Hold the records and the evidence against the entries that name them."""
        wanted: set[str] = set()
        for entry in entries:
            body = entry["body"]
            if body.get("kind") in ("intent", "halt"):
                for role in ("record", "snapshot"):
                    if body.get(role) is not None:
                        name = f"{role}s/{body[role]['digest'].partition(':')[2]}.json"
                        wanted.add(name)
                        self.check(f"entry {entry['seq']}, {name}", self.reading(role, name, body))
        for name in sorted(self.files):
            if name.startswith(("records/", "snapshots/")) and name not in wanted:
                self.broken.append(f"{name}: no entry names it")
        return len(wanted)

    def reading(self, role: str, name: str, body: Any) -> Callable[[], Any]:
        """Return the check of one document, to be run by `check`."""
        return lambda: self.document(role, name, body)

    def document(self, role: str, name: str, body: Any) -> None:
        """Verify one document: its own digest, and for a record its id, its evidence and its verdict."""
        data = self.file(name)
        if sha256(data) != body[role]["digest"]:
            raise Wrong("its digest is another one than the entry names")
        found = parse(data)
        same_form(data, found)
        if role == "snapshot":
            return
        said = found.pop("id")
        if sha256(canonical(found).encode()) != said:
            raise Wrong("its id is not the digest of its content")
        if said != body["decision"]:
            raise Wrong("it is the record of another decision")
        if body.get("snapshot") is not None and found["snapshot_digest"] != body["snapshot"]["digest"]:
            raise Wrong("it rests on other evidence than the entry names")
        if body.get("action") == "promote":
            if any(found["subject"][key] != body["to"][key] for key in ("version", "created_at", "run_id")):
                raise Wrong("it is about another version than the entry moved the alias to")
            if body.get("glass") is None and found["verdict"] != "allow":
                raise Wrong("its verdict is not allow")


def head_of(argument: str) -> tuple[int, str]:
    """Read SEQ:DIGEST."""
    seq, _, digest = argument.partition(":")
    digest = digest if digest.startswith("sha256:") else f"sha256:{digest}"
    if not (seq.isascii() and seq.isdigit()) or not DIGEST.fullmatch(digest):
        sys.exit("an anchor is SEQ:DIGEST")
    return int(seq), digest


def main(arguments: list[str]) -> int:
    """Verify a bundle; return the exit code."""
    folder = Path(__file__).resolve().parent
    handed: list[tuple[int, str]] = []
    manifest = None
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--anchor" and waiting:
            handed.append(head_of(waiting.pop(0)))
        elif argument == "--manifest" and waiting:
            manifest = waiting.pop(0)
        elif argument.startswith("-"):
            sys.exit(__doc__)
        else:
            folder = Path(argument)
    broken, lines = verify(folder, handed, manifest)
    for line in (*(f"BROKEN  {line}" for line in broken), *lines):
        sys.stdout.write(line + "\n")
    return 1 if broken else 0


def verify(folder: Path, handed: list[tuple[int, str]], manifest: str | None) -> tuple[list[str], list[str]]:
    """Return what is broken, and what there is to say besides."""
    bundle = Bundle(folder)
    bundle.check("MANIFEST", bundle.manifest)
    digest = sha256(bundle.files.get("MANIFEST", b""))
    if manifest is not None and manifest.replace("sha256:", "") != digest.replace("sha256:", ""):
        bundle.broken.append(f"MANIFEST: its digest is {digest}, not the one that was handed in")
    entries, digests = bundle.check("entries.jsonl", bundle.entries) or ([], [])
    anchors = bundle.check("anchors.json", lambda: bundle.anchors(digests, handed)) or 0
    documents = bundle.check("documents", lambda: bundle.documents(entries)) or 0
    return bundle.broken, [
        f"{len(entries)} entries, {anchors} anchors, {documents} records and snapshots, {len(bundle.files)} files",
        f"head      {len(digests)}:{digests[-1]}" if digests else "head      none",
        f"MANIFEST  {digest}",
        *(f"VOID      {line}" for line in bundle.void),
        f"{len(bundle.broken)} broken" if bundle.broken else "OK",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
