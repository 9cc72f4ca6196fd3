"""Credentials, each bound to the one origin it may be sent to."""

import base64
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from aigate.collect.origin import Origin
from aigate.errors import ConfigError, UsageError

_TOKEN = re.compile(r"[!-~]+(?: [!-~]+)*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_RESERVED = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding"})


@dataclass(frozen=True)
class Credential:
    """What one origin is given, and nobody else: authorization, headers, certificates.

    `headers` are further headers such as `X-MLFLOW-WORKSPACE`. `ca_file` is a
    PEM bundle that replaces the public authorities for this origin;
    `client_cert` and `client_key` are PEM files for mutual TLS. Nothing of it
    is in its `repr`.
    """

    origin: Origin
    authorization: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = field(default=None, repr=False)
    client_key_password: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Every value of it that no output may show; for `Redactor`."""

    @classmethod
    def of(
        cls,
        url: str,
        *,
        bearer: str | None = None,
        basic: tuple[str, str] | None = None,
        headers: Iterable[tuple[str, str]] = (),
        ca_file: Path | None = None,
        client_cert: Path | None = None,
        client_key: Path | None = None,
        client_key_password: str | None = None,
    ) -> "Credential":
        """Bind credentials to the origin of `url`.

        Raises RefusedUrlError for an address that is not plain, UsageError for
        values that cannot stand in a header. No message repeats a value.
        """
        origin = Origin.of(url)
        extra = tuple(headers)
        authorization, secrets = _authorization(origin, bearer, basic)
        for name, value in extra:
            if not _HEADER.fullmatch(name) or name.lower() in _RESERVED:
                raise UsageError(f"{name[:60]!r} cannot be set as a header for {origin}")
            if not _TOKEN.fullmatch(value):
                raise UsageError(f"the value of header {name} for {origin} cannot stand in a header")
        secrets += tuple(value for _, value in extra)
        if client_key_password:
            secrets += (client_key_password,)
        return cls(
            origin, authorization, extra, ca_file, client_cert, client_key, client_key_password, secrets
        )

    @property
    def own_tls(self) -> bool:
        """Whether its origin needs a TLS set-up of its own."""
        return self.ca_file is not None or self.client_cert is not None


def _authorization(
    origin: Origin, bearer: str | None, basic: tuple[str, str] | None
) -> tuple[str | None, tuple[str, ...]]:
    if bearer is not None and basic is not None:
        raise UsageError(f"both a bearer token and a user name are given for {origin}", fix="give one")
    if bearer is not None:
        if not _TOKEN.fullmatch(bearer):
            raise UsageError(
                f"the bearer token for {origin} is empty, or has characters that cannot stand in a header",
                fix="check the variable for a trailing newline",
            )
        return f"Bearer {bearer}", (bearer,)
    if basic is not None:
        user, password = basic
        if not user or ":" in user:
            raise UsageError(f"the user name for {origin} is empty or has a colon")
        both = f"{user}:{password}"
        return f"Basic {base64.b64encode(both.encode()).decode()}", (password, both)
    return None, ()


def tls_context(credential: Credential | None) -> ssl.SSLContext:
    """Return the TLS set-up for an origin: certificates and names are always verified.

    The public authorities come from certifi and not from the environment
    (`SSL_CERT_FILE` and the like are not read). Raises ConfigError where a
    file of the credential cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if credential is None or credential.ca_file is None:
        import certifi

        context.load_verify_locations(cafile=certifi.where())
    else:
        try:
            context.load_verify_locations(cafile=credential.ca_file)
        except OSError as e:
            raise ConfigError(
                f"the CA bundle for {credential.origin} cannot be read",
                place=str(credential.ca_file),
                fix="give a PEM file with the authority's certificates",
            ) from e
    if credential is not None and credential.client_cert is not None:
        password = credential.client_key_password or ""  # never the terminal prompt that None means
        try:
            context.load_cert_chain(credential.client_cert, credential.client_key, password)
        except OSError as e:
            raise ConfigError(
                f"the client certificate for {credential.origin} cannot be used",
                place=str(credential.client_cert),
                fix="give a PEM certificate with its key, and the key's password if it has one",
            ) from e
    return context
