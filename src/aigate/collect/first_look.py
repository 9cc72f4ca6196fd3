"""What `aigate init` needs to know of a registry: its models, one model's aliases, and what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from aigate.collect.concurrent import gather
from aigate.collect.deadline import Deadline
from aigate.collect.everything import credentials_file
from aigate.collect.mlflow import address, open_registry
from aigate.collect.mlflow.reader import Json, RegistryError, RegistryReader
from aigate.collect.network import NetworkRule, parse_networks
from aigate.collect.stages import NETWORK_VARIABLE
from aigate.errors import AigateError, UsageError
from aigate.scaffold import Measured

CHAMPION, CHALLENGER = "champion", "challenger"


class NoAnswerError(AigateError):
    """The registry did not say what is needed to begin."""

    exit_code = 3


@dataclass(frozen=True)
class Found:
    """One model as the registry holds it. `metrics` are those of the version in service, else of the newest."""

    model: str
    champion: str
    challenger: str
    owner: str | None
    metrics: tuple[Measured, ...]


def first_look(
    environ: Mapping[str, str], home: Path, seconds: float, tracking_uri: str | None, model: str | None
) -> Found:
    """Ask the registry about one model.

    Raises UsageError where it is not clear which one is meant, and
    NoAnswerError where the registry does not answer.
    """
    deadline = Deadline(seconds)
    place = address(environ, uri=tracking_uri, credentials_file=credentials_file(home))
    rule = NetworkRule.build(
        tracking_uri=place.tracking_uri, operator=parse_networks(environ.get(NETWORK_VARIABLE)), trusted=True
    )
    reader = open_registry(place, deadline=deadline, rule=rule)
    answer = gather({"look": lambda: _look(reader, model, place.shown)}, deadline)["look"]
    if isinstance(answer, RegistryError):
        raise NoAnswerError(
            f"MLflow at {place.shown}: {answer.message}", fix="`aigate doctor` says what is reachable"
        ) from answer
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _look(reader: RegistryReader, name: str | None, shown: str) -> Found:
    chosen = _choose(reader.registered_models(), name, shown)
    aliases = {str(a.get("alias")): str(a.get("version")) for a in chosen.get("aliases", [])}
    tags = {str(t.get("key")): str(t.get("value")) for t in chosen.get("tags", [])}
    numbers = [str(v.get("version")) for v in chosen.get("latest_versions", [])]
    in_service = (
        aliases.get(CHAMPION) or next(iter(aliases.values()), None) or max(numbers, key=int, default=None)
    )
    return Found(
        model=str(chosen["name"]),
        champion=CHAMPION,
        challenger=CHALLENGER,
        owner=tags.get("aigate.owner") or tags.get("owner"),
        metrics=_metrics(reader, str(chosen["name"]), in_service),
    )


def _choose(models: Sequence[Json], name: str | None, shown: str) -> Json:
    names = [str(model.get("name")) for model in models]
    if name is not None and name in names:
        return models[names.index(name)]
    if name is None and len(models) == 1:
        return models[0]
    if not models:
        raise UsageError(
            f"{shown} holds no registered model",
            fix="is this the store you meant? look at MLFLOW_TRACKING_URI",
        )
    some = ", ".join(names[:20])
    asked = "which model?" if name is None else f"there is no model {name!r}."
    raise UsageError(f"{asked} {shown} holds {some}", fix="name one: --model NAME")


def _metrics(reader: RegistryReader, name: str, number: str | None) -> tuple[Measured, ...]:
    """Return the metrics of a version's run; none where it has no run."""
    if number is None:
        return ()
    run_id = reader.version(name, number).get("run_id")
    if not run_id:
        return ()
    metrics = reader.run(str(run_id)).get("data", {}).get("metrics", [])
    return tuple(
        Measured(str(m["key"]), Decimal(m["value"]), str(run_id))
        for m in metrics
        if isinstance(m.get("value"), Decimal | int) and not isinstance(m["value"], bool)
    )
