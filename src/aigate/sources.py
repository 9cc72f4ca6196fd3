"""Sources of freshness: how a stage's age is asked for, one model for each kind of place. Pure data.

Asking them is `collect`'s work; which model a source is, one key of its own says.
"""

from typing import Annotated, Literal

from pydantic import Discriminator, StringConstraints, Tag, model_validator

from aigate.limits import Provenance, SpanLimit
from aigate.values import Model, Name, Text


class Auth(Model):
    """Credentials for one freshness source, by the names of environment variables; never the secret itself."""

    bearer: Name | None = None
    """The variable that holds a bearer token."""
    basic: Name | None = None
    """The variable that holds `user:password`."""
    header: Name | None = None
    """A header's name; its value is in the variable `value`."""
    value: Name | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Auth":
        ways = [self.bearer is not None, self.basic is not None, self.header is not None]
        if sum(ways) != 1 or (self.header is None) != (self.value is None):
            raise ValueError(
                "give one of bearer, basic, or header with value: each names an environment variable"
            )
        return self


URL_PATTERN = r"^https?://[^\s@]+$"
Url = Annotated[str, StringConstraints(pattern=URL_PATTERN, max_length=2000)]
Unit = Literal["auto", "s", "ms", "us", "ns"]
Kind = Literal["loaded", "event", "built", "heartbeat"]
"""What the instant says: `loaded` newest load, `event` newest complete event time,
`built` when an artifact was made, `heartbeat` when its writer last lived."""


class Freshness(Model):
    """What every freshness adapter needs: how old the data may be, and how old the evidence."""

    max_age: SpanLimit
    max_evidence_age: SpanLimit | None = None
    """How old the source's own answer may be. Default: 15m for a service, 2h for a file."""
    kind: Kind = "loaded"
    zone: Name | None = None
    """The IANA zone of times written without one. Undeclared, such a time is unknown."""
    auth: Auth | None = None
    provenance: Provenance | None = None
    """Where its limits come from, where they do not say so themselves."""


class JsonFreshness(Freshness):
    """A JSON document by URL or file, and where in it the time stands (JMESPath)."""

    url: Url | None = None
    file: Name | None = None
    time: Name
    unit: Unit | None = None
    """The unit of a time given as a number."""
    observed: Name | None = None
    """JMESPath of the moment the document was made."""
    built: Name | None = None
    read: Name | None = None
    """JMESPath of the moment its inputs were read."""
    version: Name | None = None
    inputs: Name | None = None
    """JMESPath of an object: upstream stage to the version that was read."""

    @model_validator(mode="after")
    def _one_place(self) -> "JsonFreshness":
        if (self.url is None) == (self.file is None):
            raise ValueError("give either url or file")
        return self


class HeaderFreshness(Freshness):
    """The Last-Modified header of a URL."""

    headers: Url


class DbtFreshness(Freshness):
    """One source in the `sources.json` of `dbt source freshness`, by file or URL."""

    dbt: Name
    source: Name
    """`source.table`, or the whole unique id."""


class PrometheusFreshness(Freshness):
    """An instant query whose one sample is a Unix time, or an age where `is_age` says so."""

    prometheus: Url
    query: Text
    unit: Literal["s", "ms"] = "s"
    is_age: bool = False


class AirflowFreshness(Freshness):
    """The newest event of an Airflow dataset (2.4 and later) or asset (3)."""

    airflow: Url
    asset: Name
    """The dataset's or asset's URI or name."""


ADAPTERS = ("url", "file", "headers", "dbt", "prometheus", "airflow")
"""The keys of which a freshness has one: it chooses the adapter."""


def _adapter(value: object) -> str | None:
    """Choose the adapter by the key that only it has; None, where there is no such key, is refused."""
    keys = value if isinstance(value, dict) else getattr(type(value), "model_fields", {})
    found = [key for key in ADAPTERS if key in keys]
    return {"file": "url"}.get(found[0], found[0]) if found else None


AnyFreshness = Annotated[
    Annotated[JsonFreshness, Tag("url")]
    | Annotated[HeaderFreshness, Tag("headers")]
    | Annotated[DbtFreshness, Tag("dbt")]
    | Annotated[PrometheusFreshness, Tag("prometheus")]
    | Annotated[AirflowFreshness, Tag("airflow")],
    Discriminator(_adapter),
]


FRESHNESS: dict[str, type[Freshness]] = {
    "url": JsonFreshness,
    "headers": HeaderFreshness,
    "dbt": DbtFreshness,
    "prometheus": PrometheusFreshness,
    "airflow": AirflowFreshness,
}
"""The adapters, by the key that chooses each (`file` chooses the same as `url`)."""
