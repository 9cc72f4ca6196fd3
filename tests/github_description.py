"""GitHub's own OpenAPI description, cut from its npm package, as a judge of requests and answers.

Where the description says a rule in words only, it stands in `by_word`.
"""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry, Resource

DESCRIPTION = Path(__file__).parent / "data/github-openapi-subset.json"

Json = dict[str, Any]


@cache
def description() -> Json:
    """GitHub's description, as far as it is kept here."""
    loaded: Json = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    return loaded


def deref(node: Json) -> Json:
    """What a node of the description says, looked up where it refers to another place."""
    while "$ref" in node:
        _, root, kind, name = node["$ref"].split("/")
        node = description()[root][kind][name]
    return node


@cache
def _registry() -> Any:
    return Registry().with_resource("urn:github", Resource.opaque(description()))


@cache
def _validator(pointer: str) -> Any:
    return OAS30Validator(
        {"$ref": f"urn:github#{pointer}"}, registry=_registry(), format_checker=oas30_format_checker
    )


def problems(pointer: str, value: object) -> list[str]:
    """What the schema at a place of the description (a JSON pointer) has against a value."""
    found = _validator(pointer).iter_errors(value)
    return [f"{'/'.join(map(str, e.absolute_path)) or 'it'}: {e.message[:200]}" for e in found]


@dataclass(frozen=True)
class Operation:
    """One operation of the description, found for a request."""

    method: str
    path: str
    values: dict[str, str]

    @property
    def pointer(self) -> str:
        return f"/paths/{self.path.replace('~', '~0').replace('/', '~1')}/{self.method}"

    @property
    def says(self) -> Json:
        said: Json = description()["paths"][self.path][self.method]
        return said

    @property
    def success(self) -> int:
        return min(int(status) for status in self.says["responses"])

    def about_parameters(self, query: list[tuple[str, str]]) -> Iterator[str]:
        """What is wrong with the path's and the query's parameters."""
        declared = {(p["in"], p["name"]): p for p in map(deref, self.says.get("parameters", []))}
        given = [("path", *pair) for pair in self.values.items()] + [("query", *pair) for pair in query]
        for place, name, text in given:
            if (place, name) not in declared:
                yield f"{place} parameter {name!r} does not exist"
                continue
            schema = declared[place, name]["schema"]
            value: object = int(text) if schema.get("type") == "integer" and text.isdecimal() else text
            if not OAS30Validator(schema, format_checker=oas30_format_checker).is_valid(value):
                yield f"{place} parameter {name}={text!r} is not what {schema} says"
        if len(query) != len(dict(query)):
            yield "a query parameter stands there twice"

    def about_body(self, body: object) -> Iterator[str]:
        """What is wrong with a body; `...` stands for none."""
        if "requestBody" not in self.says:
            if body is not ...:
                yield "a body where there is none"
        elif body is ...:
            if self.says["requestBody"].get("required"):
                yield "no body"
        else:
            yield from problems(f"{self.pointer}/requestBody/content/application~1json/schema", body)

    def about_answer(self, status: int, body: object) -> Iterator[str]:
        """What is wrong with an answer of one of the statuses that the description knows."""
        response = self.says["responses"].get(str(status))
        if response is None:
            return
        at = f"{self.pointer}/responses/{status}"
        if "$ref" in response:
            at = response["$ref"].removeprefix("#")
        content = deref(response).get("content", {})
        if "application/json" in content:
            yield from problems(f"{at}/content/application~1json/schema", body)

    def example(self) -> object:
        """The description's own example of a good answer."""
        content = self.says["responses"][str(self.success)].get("content", {})
        examples = content.get("application/json", {}).get("examples", {})
        return copy.deepcopy(next((deref(e)["value"] for e in examples.values()), None))


def operation_of(method: str, path: str) -> Operation | None:
    """Return the operation for a request, as the description lists them."""
    for template, methods in description()["paths"].items():
        if method.lower() not in methods:
            continue
        wide = {p["name"] for p in map(deref, methods[method.lower()].get("parameters", []))
                if p.get("x-multi-segment")}  # fmt: skip
        pattern = "".join(
            f"(?P<{part[1:-1]}>{'.+' if part[1:-1] in wide else '[^/]+'})"
            if part[0] == "{"
            else re.escape(part)
            for part in re.findall(r"\{\w+\}|[^{]+", template)
        )
        if match := re.fullmatch(pattern, path):
            return Operation(
                method.lower(), template, {name: unquote(v) for name, v in match.groupdict().items()}
            )
    return None


def by_word(operation: Operation, body: object, query: dict[str, str]) -> Iterator[str]:
    """Rules that the description, or GitHub's answers, give in words."""
    said = body if isinstance(body, dict) else {}
    text, about = said.get("body"), said.get("description")
    if query.get("per_page", "1").isdecimal() and not 1 <= int(query.get("per_page", "1")) <= 100:
        yield "per_page is more than 100"
    if "/comments" in operation.path and isinstance(text, str) and not 0 < len(text) <= 65_536:
        yield "Body is too long (maximum is 65536 characters)" if text else "Body can't be blank"
    if "/statuses" in operation.path and isinstance(about, str) and len(about) > 140:
        yield "description is too long (maximum is 140 characters)"
    if operation.path.endswith("/statuses/{sha}"):
        if not re.fullmatch(r"[0-9a-f]{40}", operation.values["sha"]):
            yield "No commit found for SHA"
        if not re.fullmatch(r"https?://\S+", said.get("target_url") or "https://x"):
            yield "target_url must use http(s) scheme"
