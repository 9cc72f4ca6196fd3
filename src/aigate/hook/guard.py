"""What the guard says to an operation on the registry. Pure: it knows neither MLflow nor the request."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from fnmatch import fnmatchcase
from typing import Annotated, Literal
from unicodedata import category, normalize

from pydantic import Field

from aigate.enforce.keys import TrustedKey
from aigate.ticket import LONGEST_LIFE, GuardSays, Refusal, again
from aigate.values import Duration, Instant, Model, Name
from aigate.wording import command

Kind = Literal[
    "set_alias",
    "delete_alias",
    "delete_version",
    "create_version",
    "rename_model",
    "delete_model",
    "transition_stage",
    "create_model",
    "set_tag",
    "delete_tag",
]
"""The operations that are judged. Everything else passes."""

Mode = Literal["enforce", "observe"]

ARTIFACT = "aigate.artifact_digest"
"""The version's tag in which people say what its files were; written once, by whoever registers it."""

OWNER = "aigate.owner"
"""The tag that names an owner. It is evidence as any other `owner` tag is, and stays free for people to change:
who owns a model is theirs to say, and the policies hold it against the manifest."""


class Protected(Model):
    """Models and their aliases that move only with a ticket."""

    model: Name
    """Their names, with `*`, `?` and `[…]` as in a shell."""
    aliases: Annotated[tuple[Name, ...], Field(min_length=1, max_length=100)] = ("champion",)
    versions: Literal["open", "closed"] = "open"
    """Whether versions can be made in it: `closed` refuses every one, copies too."""


class KeyFile(Model):
    """A file with a public key, and until when it is believed."""

    file: Name
    until: Instant | None = None


class GuardFile(Model):
    """The guard's configuration, as it is written down on the server."""

    version: Literal[1]
    mode: Mode = "enforce"
    registry: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)]
    """The addresses under which signers know this server."""
    protected: Annotated[tuple[Protected, ...], Field(min_length=1, max_length=500)]
    keys: Annotated[tuple[KeyFile, ...], Field(max_length=20)] = ()
    max_age: Duration = LONGEST_LIFE
    open_tags: Annotated[tuple[Literal["aigate.watch"], ...], Field(max_length=1)] = ()
    """Tags of aigate's own that need no ticket: `aigate.watch`, for a watcher without a key. Then anybody can
    forge its heartbeat, and hide that nobody watches."""


@dataclass(frozen=True)
class Guard:
    """The configuration with its keys; or why there is none, and then everything counts as protected."""

    file: GuardFile | None
    keys: tuple[TrustedKey, ...] = ()
    broken: str = ""

    @property
    def observes(self) -> bool:
        """Whether refusals are only told of."""
        return not self.broken and self.file is not None and self.file.mode == "observe"

    def says(self, now: datetime) -> GuardSays:
        """Return what whoever asks is told: the mode, and the keys that are believed now."""
        if self.broken or self.file is None:
            return GuardSays("broken")
        return GuardSays(self.file.mode, tuple(k.id for k in self.keys if k.until is None or now < k.until))

    def concerns(self, operation: "Operation") -> bool:
        """Whether it is about a protected model; where there is no configuration, each is."""
        if self.broken or self.file is None:
            return True
        names = (operation.model, operation.new_name) if operation.new_name else (operation.model,)
        return any(_protected(name, self.file) for name in names)


@dataclass(frozen=True)
class Operation:
    """What somebody wants to do to the registry."""

    kind: Kind
    model: str
    alias: str = ""
    version: str = ""
    new_name: str = ""
    tags: tuple[str, ...] = ()
    """The keys of the tags that are written; a version's where there is a version."""


class Condition(Enum):
    """What an operation may be done under, and not without."""

    TICKET = "with a ticket that fits it"
    ONCE = "where the tag is not there yet"


def judge(operation: Operation, guard: Guard) -> Refusal | Condition | None:
    """Return what stands against an operation; None where it is none of the guard's business."""
    closed = closed_tags(operation, guard)
    if operation.kind in ("set_tag", "delete_tag", "create_model") and not closed:
        return None
    if guard.broken or guard.file is None:
        return Refusal(f"the guard has no configuration that it can use ({guard.broken})", "")
    found = _protected(operation.model, guard.file)
    if operation.kind == "rename_model":
        taken = _protected(operation.new_name, guard.file)
        return _kept(operation) if found or taken else None
    if not found:
        return None
    if operation.kind == "set_alias":
        return _set_alias(operation, found)
    if operation.kind == "delete_alias":
        return _delete_alias(operation, found)
    if operation.kind == "create_version":
        return _create_version(operation, found)
    if operation.kind in ("set_tag", "delete_tag", "create_model"):
        return _tags(operation, closed)
    if operation.kind == "transition_stage":
        return Refusal(
            f"model {operation.model!a} is protected: its versions move by alias, and not by stage",
            again(operation.model, "champion", operation.version),
        )
    return _kept(operation)


def _protected(model: str, file: GuardFile) -> tuple[Protected, ...]:
    """Return the entries for a model: for its name, and for one that looks like it."""
    return tuple(
        entry for entry in file.protected if fnmatchcase(model, entry.model) or alike(model, entry.model)
    )


def closed_tags(operation: Operation, guard: Guard) -> tuple[str, ...]:
    """Return which of the tags are aigate's own: their keys begin with `aigate.`, or look as if they did."""
    open_ = (OWNER, *(() if guard.file is None else guard.file.open_tags))
    once = (ARTIFACT,) if operation.kind == "create_version" else ()
    return tuple(
        key for key in operation.tags if key not in (*open_, *once) and skeleton(key).startswith(_OURS)
    )


def _tags(operation: Operation, closed: tuple[str, ...]) -> Refusal | Condition:
    if operation.kind == "set_tag" and closed == (ARTIFACT,) and operation.version:
        return Condition.ONCE
    if operation.kind == "delete_tag" and closed == (ARTIFACT,):
        return Refusal(
            f"the tag {ARTIFACT} of model {operation.model!a} is written once, and is not taken away",
            command("status", operation.model),
        )
    if operation.kind == "create_model":
        return Refusal(
            f"the tag {closed[0]!a} of model {operation.model!a} is aigate's own, and no new model has it",
            command("status", operation.model),
        )
    return Condition.TICKET


def _set_alias(operation: Operation, found: tuple[Protected, ...]) -> Refusal | Condition | None:
    patterns = [pattern for entry in found for pattern in entry.aliases]
    if any(fnmatchcase(operation.alias, pattern) for pattern in patterns):
        return Condition.TICKET
    twin = next((pattern for pattern in patterns if alike(operation.alias, pattern)), None)
    if twin is None:
        return None
    return Refusal(
        f"alias {operation.alias!a} looks like the protected @{twin}: people would take one for the other",
        again(operation.model, twin, operation.version),
    )


def _delete_alias(operation: Operation, found: tuple[Protected, ...]) -> Refusal | None:
    if not any(fnmatchcase(operation.alias, pattern) for entry in found for pattern in entry.aliases):
        return None
    return Refusal(
        f"@{operation.alias} of model {operation.model!a} is protected, and is moved but never taken away",
        command("rollback", operation.model, "--alias", operation.alias, "--reason", "…"),
    )


def _create_version(operation: Operation, found: tuple[Protected, ...]) -> Refusal | None:
    if all(entry.versions == "open" for entry in found):
        return None
    return Refusal(
        f"model {operation.model!a} is closed: no versions are made in it; who keeps the guard file can open it",
        command("status", operation.model),
    )


def _kept(operation: Operation) -> Refusal:
    words = {
        "rename_model": f"renaming model {operation.model!a} to {operation.new_name!a} would swap what a protected alias serves",
        "delete_model": f"model {operation.model!a} is protected, and is not deleted",
        "delete_version": f"version {operation.version} of model {operation.model!a} is protected: an alias may need it",
    }
    return Refusal(words[operation.kind], command("status", operation.model))


def alike(name: str, pattern: str) -> bool:
    """Whether a name looks like one that a pattern is for: case, spaces, accents and other alphabets do not count."""
    return fnmatchcase(skeleton(name), skeleton(pattern))


_DRAWN_ALIKE = {
    # Cyrillic, Greek, Armenian and phonetic letters, and digits, after Unicode TS 39, in lower case. Capitals are
    # compared by their small letters; so one class holds h and n, of which Greek and Cyrillic each have a mixture.
    "a": "аαɑ",
    "b": "вьƅβ",
    "c": "сϲᴄ",
    "d": "ԁδ",
    "e": "еεҽє",
    "g": "ɡԍց",
    "i": "іıιӏlʟ1|",
    "j": "јϳ",
    "k": "кκ",
    "m": "мμ",
    "n": "hнһпηνոհ",
    "o": "оοօσ0",
    "p": "рρ",
    "q": "ԛ",
    "r": "гᴦ",
    "s": "ѕ",
    "t": "тτ",
    "u": "սυ",
    "v": "ѵ",
    "w": "ԝω",
    "x": "хχ",
    "y": "уγү",
    "z": "ᴢζ",
}
_CONFUSABLE = {ord(twin): latin for latin, twins in _DRAWN_ALIKE.items() for twin in twins}
_INVISIBLE = ("Cf", "Cc", "Zs", "Zl", "Zp", "Mn", "Me")


def skeleton(text: str) -> str:
    """Return what is the same for names that look alike: one Latin letter for all that are drawn as it is."""
    for _ in range(2):  # what one folding brings out, the other has to see
        text = normalize("NFKD", text).casefold()
    text = "".join(letter for letter in text if category(letter) not in _INVISIBLE)
    return text.translate(_CONFUSABLE).replace("rn", "m")


_OURS = skeleton("aigate.")
