"""How aigate's ledger inside MLflow and its writes to the registry are opened, whichever way MLflow is reached."""

from aigate.collect.access import Access
from aigate.collect.deadline import Deadline
from aigate.collect.fetch import Fetcher
from aigate.collect.mlflow.auth import WORKSPACE_HEADER
from aigate.collect.mlflow.reader import RegistryError
from aigate.collect.mlflow.wire import Wire
from aigate.enforce.mlflow_store import EXPERIMENT, MlflowStore
from aigate.enforce.present import Tickets
from aigate.enforce.store import LedgerStore
from aigate.enforce.writer import BriefWriter, RegistryWriter


def open_writer(
    access: Access, deadline: Deadline, *, fetcher: Fetcher | None = None, tickets: Tickets | None = None
) -> RegistryWriter:
    """Return a writer to the registry. Nothing is asked yet, and MLflow is not yet imported.

    Each write ends within `WRITE` seconds (MLflow's own library: within its
    ten), unless a `fetcher` is given: then at its deadline.
    """
    place = access.place
    if place.by_client:
        from aigate.enforce.client import ClientWriter

        return ClientWriter(place.registry_uri, place.tracking_uri, deadline)
    from aigate.enforce.rest import RestWriter

    def within(seconds: float) -> RestWriter:
        if deadline.remaining() <= 0:
            raise RegistryError("refused", "the run's time is up, and nothing was sent")
        short = Deadline(min(seconds, deadline.remaining()))
        return RestWriter(open_wire(access, open_fetcher(access, short)), tickets)

    return RestWriter(open_wire(access, fetcher), tickets) if fetcher is not None else BriefWriter(within)


def open_store(
    access: Access,
    deadline: Deadline,
    *,
    fetcher: Fetcher | None = None,
    experiment: str = EXPERIMENT,
) -> LedgerStore:
    """Return the ledger that is kept inside MLflow. Nothing is asked yet, and nothing is made before it is written.

    Closing it closes the fetcher's connections, which opens new ones where it
    is used again. `experiment` is the name of the experiment that holds it:
    Databricks wants a path there.
    """
    place = access.place
    if place.by_client:
        from aigate.enforce.client import ClientTracking

        tracking = ClientTracking(place.registry_uri, place.tracking_uri, deadline)
        return MlflowStore(tracking, deadline, experiment=experiment)
    from aigate.enforce.rest import RestTracking

    wire = open_wire(access, fetcher or open_fetcher(access, deadline))
    return MlflowStore(RestTracking(wire), deadline, experiment=experiment)


def open_fetcher(access: Access, deadline: Deadline) -> Fetcher:
    """Return a fetcher with MLflow's credentials, which a store and a writer may share."""
    return Fetcher(deadline=deadline, rule=access.rule, credentials=access.place.credentials)


def open_wire(access: Access, fetcher: Fetcher) -> Wire:
    """Return the line to the server over which both speak."""
    place = access.place
    workspace = any(name == WORKSPACE_HEADER for c in place.credentials for name, _ in c.headers)
    return Wire(fetcher, place.registry_uri, place.tracking_uri, workspace=workspace)
