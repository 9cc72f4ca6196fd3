"""Readers of an MLflow registry for tests, opened the way the gate opens them."""

from collections.abc import Mapping

from aigate.collect.deadline import Deadline
from aigate.collect.mlflow import address, open_registry
from aigate.collect.mlflow.reader import RegistryReader
from aigate.collect.network import NetworkRule


def reader_of(
    uri: str, *, seconds: float = 60, environment: Mapping[str, str] | None = None
) -> RegistryReader:
    """A reader of what is at `uri`, allowed to reach this machine."""
    place = address(environment or {}, uri=uri)
    uris = (place.registry_uri, place.tracking_uri)
    return open_registry(place, deadline=Deadline(seconds), rule=NetworkRule.build(uris, trusted=True))
