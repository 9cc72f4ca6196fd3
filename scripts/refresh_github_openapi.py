"""Rebuild tests/data/github-openapi-subset.json from GitHub's OpenAPI description.

GitHub publishes its description on npm, as the package @octokit/openapi. This
takes from its tarball the operations below with everything they refer to; the
same tarball always gives the same bytes:

    npm pack @octokit/openapi@23.0.2
    python scripts/refresh_github_openapi.py octokit-openapi-23.0.2.tgz

With a second argument it writes there instead.
"""

import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "tests/data/github-openapi-subset.json"

MEMBER = "package/generated/api.github.com.json"
"""The description of github.com in the package."""

OPERATIONS = (
    ("post", "/repos/{owner}/{repo}/check-runs"),
    ("patch", "/repos/{owner}/{repo}/check-runs/{check_run_id}"),
    ("get", "/repos/{owner}/{repo}/issues/{issue_number}/comments"),
    ("post", "/repos/{owner}/{repo}/issues/{issue_number}/comments"),
    ("patch", "/repos/{owner}/{repo}/issues/comments/{comment_id}"),
    ("post", "/repos/{owner}/{repo}/statuses/{sha}"),
    ("post", "/repos/{owner}/{repo}/deployments"),
    ("post", "/repos/{owner}/{repo}/deployments/{deployment_id}/statuses"),
    ("post", "/repos/{owner}/{repo}/actions/runs/{run_id}/deployment_protection_rule"),
    ("post", "/repos/{owner}/{repo}/dispatches"),
    ("post", "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches"),
    ("post", "/repos/{owner}/{repo}/code-scanning/sarifs"),
    ("post", "/repos/{owner}/{repo}/issues"),
    ("get", "/user"),
)


def main(arguments: list[str]) -> int:
    """Read the tarball named first, write the subset; 2 where it is not named."""
    if len(arguments) not in (1, 2):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    with tarfile.open(arguments[0]) as package:
        member = package.extractfile(MEMBER)
        if member is None:
            raise SystemExit(f"{arguments[0]} has no file {MEMBER}")
        whole = json.load(member)
    target = Path(arguments[1]) if len(arguments) == 2 else TARGET
    text = json.dumps(subset(whole), ensure_ascii=False, separators=(",", ":"))
    target.write_text(f"{text}\n", encoding="utf-8")
    return 0


def subset(whole: dict[str, Any]) -> dict[str, Any]:
    """Return the description with nothing but the operations above and what they refer to.

    Raises KeyError where the description no longer has one of them.
    """
    part: dict[str, Any] = {
        "openapi": whole["openapi"],
        "info": whole["info"],
        "servers": whole["servers"],
        "paths": {},
        "components": {},
    }
    for method, path in OPERATIONS:
        part["paths"].setdefault(path, {})[method] = whole["paths"][path][method]
    missing = list(references(part["paths"]))
    while missing:
        # GitHub refers to components only: `#/components/<kind>/<name>`.
        _, root, kind, name = missing.pop(0).split("/")
        found = part["components"].setdefault(kind, {})
        if name not in found:
            found[name] = whole[root][kind][name]
            missing += references(found[name])
    return part


def references(node: object) -> Iterator[str]:
    """Yield every `$ref` in a node, in its order."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
