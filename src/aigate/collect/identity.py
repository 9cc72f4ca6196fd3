"""Who a version is, and whether it can be served: what a move of the alias needs to know, and no more."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from aigate.collect.deadline import Deadline
from aigate.collect.mlflow.reader import ArtifactRoot, Json, RegistryError, RegistryReader
from aigate.collect.mlflow.typed import copied_from
from aigate.collect.mlflow.version import CHAIN_LIMIT, Reading, identify
from aigate.digest import digest_bytes
from aigate.ledger import LONGEST_SOURCE, Identity
from aigate.values import Digest, Evident, missing

_DESCRIPTION = "MLmodel"
_DESCRIPTION_BYTES = 1024 * 1024
_SIGNATURE = "signature:"
_ANY_SIGNATURE = re.compile(r"""\ufeff?(\{\s*)?["']?signature["']?\s*:""")


@dataclass(frozen=True)
class Found:
    """One version as the registry has it now."""

    identity: Identity
    status: str
    """`READY`, or what keeps it from being so."""
    stage: str | None
    tags: Mapping[str, str]
    gone: bool = False
    """Whether the registry says for sure that it has no files; only where they were looked for."""
    signature: Evident[Digest | None] = None
    """Over the model's declared inputs and outputs; None where it declares none or nobody asked."""


def look_at(
    reader: RegistryReader,
    name: str,
    version: str,
    deadline: Deadline,
    *,
    now: datetime,
    files: bool = True,
    signature: bool = False,
) -> Found:
    """Read one version; `files` for the digest of its files, `signature` for that of its inputs and outputs.

    Raises RegistryError where the version itself cannot be read; gaps in the
    rest are in the result.
    """
    found = reader.version(name, version)
    reading = Reading(reader, deadline, now, {})
    who = identify(reading, found, files=files)
    stage = found.get("current_stage") or "None"
    return Found(
        identity=Identity.of(who.subject),
        status=who.status,
        stage=None if stage == "None" else stage,
        tags=_tags(found),
        gone=who.gone,
        signature=_signature(reading, who.root) if signature else None,
    )


def astray(reader: RegistryReader, name: str, identity: Identity) -> str | None:
    """Return where a version is served from, where that is not where its files lie; None where it is.

    MLflow keeps that address beside the version's source, and hands it to
    whoever loads the version (the source itself, where it has none); nothing
    but its database can change it. Raises RegistryError where nobody can say.
    """
    served = reader.served_from(name, identity.version).rstrip("/")
    if served[:LONGEST_SOURCE] == identity.source.rstrip("/"):
        return None
    if identity.model_id is not None:
        model = reader.logged_model(identity.model_id)
        lies = "" if model is None else str(model["info"].get("artifact_uri", ""))
    else:
        lies = identity.source
        for _ in range(CHAIN_LIMIT):
            if (copied := copied_from(lies)) is None:
                break
            lies = str(reader.version(*copied).get("source", ""))
    return None if served[:LONGEST_SOURCE] == lies[:LONGEST_SOURCE].rstrip("/") else served


def holder_of(reader: RegistryReader, name: str, alias: str) -> str | None:
    """Return the number of the version that holds an alias; None where nothing does. Raises RegistryError."""
    found = reader.version_by_alias(name, alias)
    return None if found is None else str(found["version"])


def _tags(found: Json) -> dict[str, str]:
    return {str(tag["key"]): str(tag.get("value", "")) for tag in found.get("tags", ())}


def _signature(reading: Reading, root: ArtifactRoot | RegistryError) -> Evident[Digest | None]:
    """Return the digest of the signature's lines in the model's description, as MLflow writes them."""
    if isinstance(root, RegistryError):
        return reading.missing(root.message)
    path = f"{root.path}/{_DESCRIPTION}" if root.path else _DESCRIPTION
    try:
        text = reading.reader.artifact(root, path, _DESCRIPTION_BYTES).decode()
    except RegistryError as e:
        return None if e.code == "not_found" else reading.missing(e.message)
    except UnicodeDecodeError:
        return missing("its MLmodel file is not text", reading.reader.registry)
    lines = text.replace("\r\n", "\n").split("\n")
    if _SIGNATURE not in lines:
        if any(_ANY_SIGNATURE.match(line) for line in lines if line != "signature: null"):
            return reading.missing(
                "its MLmodel file declares a signature in a form that MLflow does not write"
            )
        return None
    start = lines.index(_SIGNATURE)
    block = [lines[start]]
    for line in lines[start + 1 :]:
        if line and not line.startswith(" "):
            break
        block.append(line)
    return digest_bytes("\n".join(block).rstrip("\n").encode())
