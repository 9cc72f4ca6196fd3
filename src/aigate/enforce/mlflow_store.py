"""The ledger inside MLflow: every entry is a param of a run, and a param cannot be changed once it is set.

What is where, by the name of the experiment (`aigate`):

- experiment `aigate` holds all runs of the ledger;
- experiment `aigate.root` is empty. Its tag `aigate.root`, set in the request
  that makes it, names the root run. Names are unique, so that of all who begin
  a ledger at once one wins, and the others read whose run it is;
- the root run has a param `ledger.<hash of a model's name>.<segment>` for each
  ledger run, whose id is its value: again the first one who writes it wins;
- a ledger run has a param `entry.<number>` for each of up to 500 entries.

A loser leaves an empty run behind, which nobody reads.
"""

import re
import time
from collections.abc import Callable, Sequence
from itertools import takewhile

from aigate.collect.deadline import Deadline
from aigate.collect.mlflow import checks
from aigate.collect.mlflow.reader import Json, RegistryError
from aigate.enforce.mlflow_documents import Documents, hash_of
from aigate.enforce.mlflow_runs import PATIENCE, Runs
from aigate.enforce.store import Guarantees, LedgerError, UncertainError
from aigate.enforce.tracking import NOT_WRITTEN, TakenError, Tracking
from aigate.values import Digest

EXPERIMENT = "aigate"
"""The experiment's name where none is given."""

SEGMENT = 500
"""Entries in one run: 3 MB of JSON at most, as they are usually written. Never to be changed once it is in use."""

MOST_CHARACTERS = 6_000
"""Characters of a param that MLflow keeps; it cuts off the rest, and answers that all is well."""

_PROBE = "x" * MOST_CHARACTERS


class MlflowStore:
    """Keeps the ledger of every model inside MLflow. Remembers where the runs are, never what they hold.

    (A full run is the exception: nothing can be added to it or changed in it.)
    """

    def __init__(
        self,
        tracking: Tracking,
        deadline: Deadline,
        *,
        experiment: str = EXPERIMENT,
        segment: int = SEGMENT,
        patience: float = PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._tracking = tracking
        self._runs = Runs(tracking, deadline, experiment, patience=patience, sleep=sleep)
        self._documents = Documents(self._runs)
        self._size = segment
        self._root_name = f"{experiment}.root"
        self._root_id: str | None = None
        self._segments: dict[str, dict[int, str]] = {}
        self._full: dict[str, tuple[str, ...]] = {}
        self._known: dict[str, int] = {}

    def guarantees(self) -> Guarantees:
        """Return what this store promises."""
        return Guarantees(
            kind="mlflow",
            place=self._tracking.place,
            exclusive="two writers cannot both have an entry, because a param is set once and read back",
            durable="an entry lasts as long as MLflow's database",
            tamper_evident="nobody can change an entry through MLflow's API; "
            "who deletes its runs or holds the database can, and the anchors on model and versions show it",
        )

    def read(self, model: str) -> tuple[bytes, ...]:
        """Return a model's entries, first to last."""
        lines: list[str] = []
        runs, fresh = self._segments.get(model, {}), False
        segment = 1
        while True:
            if segment not in runs and not fresh:
                runs, fresh = self._find(model), True
            if segment not in runs:
                break
            part = self._entries(runs[segment], model, segment)
            lines += part
            if len(part) < self._size:
                break
            segment += 1
        if segment < len(runs):
            raise LedgerError(
                f"the ledger of {model!r} lacks entries after number {len(lines)}, and has later ones",
                fix="somebody who holds MLflow's database has removed them: restore it from a backup",
            )
        self._known[model] = len(lines)
        # What is no UTF-8 was not written by aigate, and is no entry to whoever reads the chain.
        return tuple(line.encode(errors="surrogatepass") for line in lines)

    def append(self, model: str, seq: int, entry: bytes) -> bool:
        """Write entry number `seq`, once and for ever; return whether it is ours that now stands there."""
        text = _text(entry)
        if seq > self._known.get(model, 0) + 1:
            self.read(model)
        known = self._known.get(model, 0)
        if not 1 <= seq <= known + 1:
            raise LedgerError(f"entry {seq} of {model!r} was not written: the ledger has {known} entries")
        if seq <= known:
            return self.read(model)[seq - 1] == entry
        run_id = self._ledger_run(model, (seq - 1) // self._size + 1)
        error: RegistryError | None = None
        try:
            self._tracking.log_param(run_id, _key(seq), text)
        except RegistryError as e:
            error = e
        return self._settled(model, run_id, seq, text, error)

    def keep(self, model: str, digest: Digest, content: bytes) -> str:
        """Keep a document of a model and return the id of its run."""
        return self._documents.keep(model, digest, content)

    def keep_together(self, model: str, documents: Sequence[tuple[Digest, bytes]]) -> tuple[str, ...]:
        """Keep several documents in one run, where they fit into it."""
        return self._documents.keep_together(model, documents)

    def document(self, model: str, place: str) -> bytes:
        """Return a document by the id of its run."""
        return self._documents.document(model, place)

    def close(self) -> None:
        """Let go of connections."""
        self._tracking.close()

    def _settled(self, model: str, run_id: str, seq: int, text: str, error: RegistryError | None) -> bool:
        """Return whose entry stands under a number after an attempt to write it, by looking and not by believing."""

        def look() -> str | None:
            return self._runs.params(run_id, f"the ledger of {model!r}").get(_key(seq))

        certain = error is not None and error.code in NOT_WRITTEN
        trouble: LedgerError | None = None
        found: str | None = None
        try:
            # A refusal of MLflow's own needs no patience, unless it says that an entry is there.
            patient = not certain or isinstance(error, TakenError)
            found = self._runs.wait_for(look) if patient else look()
        except LedgerError as e:
            trouble = e
        if found is not None:
            self._known[model] = max(seq, self._known.get(model, 0))
            if found != text and text.startswith(found):
                raise LedgerError(
                    f"entry {seq} of {model!r} was cut to {len(found)} characters: this MLflow keeps no more",
                    fix="this ledger is damaged: keep a new one in a database (AIGATE_LEDGER), and adopt",
                )
            return found == text
        if isinstance(error, TakenError):
            return False
        if error is not None and certain:
            raise LedgerError(
                f"entry {seq} of {model!r} was not written: {error.message}",
                fix=(trouble.fix if trouble else "")
                or f"let the credential write to experiment {self._runs.name!r} in MLflow, then try again",
            ) from error
        reason = error.message if error else "MLflow says that it was, and it is not to be seen"
        raise UncertainError(
            f"whether entry {seq} of {model!r} was written cannot be found out: {reason}"
            + (f"; {trouble.message}" if trouble else ""),
            fix="once MLflow answers, ask again: the next act finds out what stands in the ledger",
        ) from error or trouble

    def _entries(self, run_id: str, model: str, segment: int) -> tuple[str, ...]:
        """Return the entries of one ledger run, as far as they follow each other.

        What else stands there was put there by somebody else and counts for
        nothing: a param cannot be taken away again, so it must not lock anybody
        out. Where entries were removed, the anchors show it.
        """
        if run_id in self._full:
            return self._full[run_id]
        params = self._runs.params(run_id, f"the ledger of {model!r}")
        first = (segment - 1) * self._size + 1
        keys = takewhile(lambda key: key in params, (_key(first + offset) for offset in range(self._size)))
        lines = tuple(params[key] for key in keys)
        if len(lines) == self._size:
            self._full[run_id] = lines
        return lines

    def _find(self, model: str) -> dict[int, str]:
        """Return where a model's ledger runs are, by segment, as the root run says now."""
        root = self._root()
        if root is None:
            return {}
        own = re.compile(rf"ledger\.{hash_of(model)}\.([1-9][0-9]{{0,6}})")
        params = self._runs.params(root, "the ledger's root")
        found = {int(match[1]): params[key] for key in params if (match := own.fullmatch(key))}
        if sorted(found) != list(range(1, len(found) + 1)):
            raise LedgerError(
                f"the ledger's root (run {root}) names segments {sorted(found)} of {model!r}, and not all before",
                fix="who holds MLflow's database has removed some: restore it from a backup",
            )
        self._segments[model] = found
        return found

    def _ledger_run(self, model: str, segment: int) -> str:
        """Return the run for a segment, where all writers agree on one; it is registered where there is none."""
        found = self._segments.get(model, {}).get(segment) or self._find(model).get(segment)
        if found is not None:
            return found
        root = self._root() or self._make_root()
        tags = {"aigate.kind": "ledger", "aigate.model": model, "aigate.segment": str(segment)}
        run_id = self._runs.make(f"aigate ledger {model}", tags)
        error: RegistryError | None = None
        try:
            self._tracking.log_param(root, f"ledger.{hash_of(model)}.{segment}", run_id)
        except RegistryError as e:
            error = e
        winner = self._runs.wait_for(lambda: self._find(model).get(segment))
        if winner is None:
            reason = error.message if error else "MLflow says that it was, and it is not to be seen"
            raise LedgerError(
                f"no ledger of {model!r} could be begun: {reason}",
                fix=f"let the credential write to experiment {self._runs.name!r} in MLflow, then try again",
            ) from error
        if winner == run_id:
            self._runs.finish(run_id)
        return winner

    def _root(self) -> str | None:
        """Return the root run's id; None where no ledger was ever begun here."""
        if self._root_id is None:
            found = self._runs.experiment(self._root_name)
            self._root_id = None if found is None else self._named(found)
        return self._root_id

    def _make_root(self) -> str:
        """Make a root run, announce it, and return the root run that was announced first."""
        run_id = self._runs.make("aigate root", {"aigate.kind": "root"})
        self._check_width(run_id)
        found = self._runs.make_experiment(self._root_name, {"aigate.root": run_id})
        self._root_id = self._named(found)
        if self._root_id == run_id:
            self._runs.finish(run_id)
        return self._root_id

    def _check_width(self, run_id: str) -> None:
        """Find out with a param of no meaning whether MLflow keeps params as long as entries can be."""
        error: RegistryError | None = None
        try:
            self._tracking.log_param(run_id, "width", _PROBE)
        except RegistryError as e:
            error = e
        kept = self._runs.wait_for(lambda: self._runs.params(run_id, "the ledger's root").get("width"))
        if kept != _PROBE:
            reason = error.message if error else f"of {len(_PROBE)} characters it kept {len(kept or '')}"
            raise LedgerError(
                f"this MLflow cannot hold a ledger: {reason}",
                fix="keep the ledger in a database (AIGATE_LEDGER), or update MLflow",
            ) from error

    def _named(self, root: Json) -> str:
        """Return the run that the root experiment names."""
        named = {pair["key"]: pair.get("value", "") for pair in root.get("tags", [])}.get("aigate.root", "")
        try:
            return checks.ask_id(named)
        except RegistryError as e:
            raise LedgerError(
                f"experiment {self._root_name!r} in MLflow does not name the ledger's root in its tag aigate.root",
                fix="somebody has changed it: set the tag to the run that has the tag aigate.kind = root",
            ) from e


def _key(seq: int) -> str:
    return f"entry.{seq:07}"


def _text(entry: bytes) -> str:
    """Return an entry as MLflow can keep it; raise LedgerError for one that it would cut or change."""
    try:
        text = entry.decode()
    except UnicodeDecodeError as e:
        raise LedgerError("the entry is no UTF-8, and MLflow keeps text only") from e
    if not text or len(text) > MOST_CHARACTERS:
        raise LedgerError(f"the entry has {len(text)} characters; MLflow keeps 1 to {MOST_CHARACTERS}")
    return text
