"""The webhook's secret: read once, from the environment or from a file, and never shown."""

from collections.abc import Mapping
from pathlib import Path

from aigate.errors import UsageError

VARIABLE = "AIGATE_WEBHOOK_SECRET"
"""Holds the secret itself, as it was given to MLflow."""

FILE_VARIABLE = "AIGATE_WEBHOOK_SECRET_FILE"
"""Holds the path of a file with it; white space around it does not count."""

LEAST_BYTES = 16
MOST_BYTES = 4096

MAKE = (
    "make one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'; put it into "
    f"{VARIABLE} here, and give it to MLflow with the webhook: MlflowClient().create_webhook("
    "name='aigate', url='https://HOST/mlflow', secret=..., "
    "events=['model_version_alias.created', 'model_version_alias.deleted'])"
)


def webhook_secret(environ: Mapping[str, str]) -> bytes:
    """Return the secret. Raises UsageError where there is none, or one that can be guessed; it repeats nothing."""
    text, path = environ.get(VARIABLE, ""), environ.get(FILE_VARIABLE, "").strip()
    if text.strip() and path:
        raise UsageError(f"both {VARIABLE} and {FILE_VARIABLE} are set", fix="unset one of them")
    place = FILE_VARIABLE if path else VARIABLE
    secret = (_read(Path(path)) if path else text.encode("utf-8", "surrogateescape")).strip()
    if not secret:
        raise UsageError("there is no webhook secret, so anybody could wake the watcher", fix=MAKE)
    if len(secret) < LEAST_BYTES:
        raise UsageError(f"the secret in {place} is shorter than {LEAST_BYTES} bytes", fix=MAKE)
    return secret


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as e:
        reason = (e.strerror if isinstance(e, OSError) else None) or type(e).__name__
        raise UsageError(f"the file in {FILE_VARIABLE} cannot be read: {reason}", fix=MAKE) from e
    if len(data) > MOST_BYTES:
        raise UsageError(f"the file in {FILE_VARIABLE} has more than {MOST_BYTES} bytes", fix=MAKE)
    return data
