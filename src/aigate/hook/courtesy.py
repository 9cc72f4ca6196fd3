"""The same rules before MLflow's own client: a courtesy to whoever would move an alias by mistake, and no control.

`MLFLOW_REGISTRY_URI=aigate+http://host:port` has MLflow's clients (notebooks,
`MlflowClient`, the `mlflow` command) ask here first, and says which command
to run instead. Whoever leaves out `aigate+` goes past it: only the guard in
the server (`aigate.hook.store`) keeps anybody from anything.

`AIGATE_GUARD` may name a guard file, of which the keys are not looked at;
without one, @champion of every model counts as protected. MLflow loads this
module in every process that imports its registry, so nothing heavy is
imported before a store is built.
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aigate.hook.guard import Condition, Guard, GuardFile, Operation, Protected, judge
from aigate.hook.shown import instead
from aigate.hook.store import PREFIX, Guarded
from aigate.ticket import Refusal

LABEL = "a courtesy of the address aigate+…, and no control: the server may let it through"
"""Ends every refusal."""


def build(store_uri: str | None = None, tracking_uri: str | None = None) -> Any:
    """Return MLflow's REST store for the address after `aigate+`, with the rules before it. MLflow calls it."""
    from mlflow.store.model_registry.rest_store import RestStore
    from mlflow.utils.credentials import get_default_host_creds

    assert store_uri is not None  # MLflow has resolved it
    plain = store_uri[len(PREFIX) :]
    guard = load(os.environ)  # noqa: TID251 - this is a door
    kind = type("CourteousRestStore", (Courteous, RestStore), {"aigate_guard": guard})
    return kind(partial(get_default_host_creds, plain))


def load(environ: Mapping[str, str]) -> Guard:
    """Return the rules that the environment names; broken ones, which refuse, where a named file cannot be had."""
    from pathlib import Path

    from aigate.collect.strict_yaml import MAX_YAML_BYTES
    from aigate.errors import AigateError
    from aigate.hook.config import VARIABLE, parse_guard

    named = environ.get(VARIABLE, "").strip()
    if not named:
        return Guard(GuardFile(version=1, registry=("any",), protected=(Protected(model="*"),)))
    path = Path(named)
    try:
        with path.open("rb") as stream:
            return Guard(parse_guard(stream.read(MAX_YAML_BYTES + 1), path.name))
    except AigateError as e:
        return Guard(None, broken=e.message)
    except OSError as e:
        return Guard(None, broken=f"{path.name} cannot be read: {e.strerror or type(e).__name__}")
    except Exception as e:  # noqa: BLE001 - whatever goes wrong here must not open it
        return Guard(None, broken=f"{VARIABLE}: {type(e).__name__}")


class Courteous(Guarded):
    """What is put before MLflow's REST store: the server's guard, which here has no ticket to go by."""

    def _done(self, operation: Operation, under: Callable[[Condition], Refusal | bool] | None = None) -> bool:
        """Refuse what the server would, and what it would ask a ticket for; where the rules observe, only tell.

        Whether a tag that is written once is there already, the server says.
        """
        verdict = judge(operation, self.aigate_guard)
        if verdict is Condition.TICKET:
            verdict = Refusal(
                f"{_named(operation)} of model {operation.model!a} is protected, and is written by aigate",
                instead(operation),
            )
        if isinstance(verdict, Refusal):
            self._refuse(f"aigate: {Refusal(f'{verdict.reason} ({LABEL})', verdict.command)}")
        return False

    def _refuse(self, words: str) -> None:
        if self.aigate_guard.observes:
            import warnings

            warnings.warn(f"{words}; done all the same, for the guard observes", stacklevel=5)
            return
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

        raise MlflowException(words, error_code=PERMISSION_DENIED)


def _named(operation: Operation) -> str:
    return f"@{operation.alias}" if operation.alias else f"the tag {', '.join(map(ascii, operation.tags))}"
