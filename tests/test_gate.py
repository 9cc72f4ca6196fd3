"""The whole road in process: what is in force, what is refused before anybody is asked, what is never a yes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aigate.collect.access import Access
from aigate.collect.manifest_file import LoadedManifest, load_manifest
from aigate.collect.redact import Redactor
from aigate.decision import Actor, Decision
from aigate.digest import canonical, digest_bytes
from aigate.errors import AigateError, ConfigError, PolicyCodeError, UsageError
from aigate.gate import Request, World, evaluate, evaluate_change, evaluate_snapshot
from aigate.gate import _without_secrets as without_secrets
from aigate.rules import (
    catalogue,
    check_settings,
    environment_of,
    policies_digest,
    policies_in_force,
    read_standard,
)
from aigate.snapshot import Snapshot
from aigate.testing import change, passing_snapshot
from aigate.values import gap
from aigate.waiver import book_of
from fake_registry import FakeRegistry, churn, run_id
from fakes import WebServer, json_reply

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(autouse=True)
def _clock() -> None:
    """Read the clock anew for each test: servers here answer with their own, and a session takes minutes."""
    global NOW
    NOW = datetime.now(UTC).replace(microsecond=0)


MANIFEST = """\
version: 1
system: churn
owner: {{team: retention-platform, contact: "#churn-oncall"}}
model: {{name: churn}}
metrics:
  accuracy: {{range: [0, 1], floor: 0.7, max_drop: 0.5, provenance: {{method: measured, {who}, run: "{run}"}}}}
stages:
  - name: features
    owner: data-eng
    freshness: {{url: "{url}/features.json", time: loaded_at, max_age: 2h{auth}, provenance: {{method: expert, {who}, rationale: agreed}}}}
runbooks: {{default: runbook.md}}
{more}
"""
WHO = "set_by: m.ito, set_on: 2026-08-02, environment: production"

HOUSE = '''\
from aigate import Findings, Snapshot, deny, policy


@policy("house.rule")
def rule(s: Snapshot, *, least: int = 1) -> Findings:
    """The house rule."""
    if s.owner is None:
        yield deny("no", key="x")
'''


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    found = churn()
    monkeypatch.setattr(Access, "registry", lambda self, deadline: found)
    return found


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer() as server:
        server.routes["/features.json"] = json_reply({"loaded_at": (NOW - timedelta(hours=1)).isoformat()})
        yield server


Load = Callable[..., LoadedManifest]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write a manifest, and policies beside it, and load it."""

    def make(
        more: str = "", *, url: str = "https://data.example", auth: str = "", **policies: str
    ) -> LoadedManifest:
        (tmp_path / "aigate.yaml").write_text(
            MANIFEST.format(run=run_id("1"), who=WHO, url=url, auth=auth, more=more)
        )
        (tmp_path / "runbook.md").write_text("# what to do\n")
        for name, source in policies.items():
            (tmp_path / "policies").mkdir(exist_ok=True)
            (tmp_path / f"policies/{name}.py").write_text(source)
        return load_manifest(tmp_path / "aigate.yaml")

    return make


def world(**environ: str) -> World:
    return World(NOW, environ, Path("/nonexistent"), Actor(name="user:tester"), 10)


def ask(loaded: LoadedManifest, around: World | None = None, **request: Any) -> Decision:
    asked = Request(tracking_uri="https://mlflow.example", **request)
    return evaluate(loaded, asked, around or world()).decision


def outcomes(decision: Decision) -> dict[str, str]:
    return {judgement.info.id: judgement.result.outcome for judgement in decision.judgements}


# The road


def test_a_system_that_is_well_is_allowed(load: Load, fake: FakeRegistry, web: WebServer) -> None:
    decision = ask(load(url=web.url()))
    assert (decision.verdict, decision.exit_code) == ("allow", 0), decision.judgements
    assert (decision.now, decision.actor.name) == (NOW, "user:tester")
    assert set(outcomes(decision)) == {id for file in read_standard() for id in file.policies}


@pytest.mark.parametrize(
    "failure",
    [ZeroDivisionError("x"), SystemExit(0), KeyboardInterrupt(), MemoryError(), AigateError("x")],
    ids=lambda e: type(e).__name__,
)
def test_a_collector_that_fails_as_nobody_foresaw_is_no_yes(
    load: Load, fake: FakeRegistry, web: WebServer, failure: BaseException
) -> None:
    fake.fails["model"] = failure
    decision = ask(load(url=web.url()))
    assert (decision.verdict, decision.exit_code) == ("hold", 3)
    assert type(failure).__name__ in decision.reason or decision.reason.endswith(": x")


def test_a_source_that_fails_as_nobody_foresaw_is_no_yes(
    load: Load, fake: FakeRegistry, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise AttributeError("an adapter's fault")

    monkeypatch.setattr("aigate.collect.stages.read_freshness", broken)
    decision = ask(load(url=web.url()))
    assert decision.verdict == "hold"
    assert outcomes(decision)["freshness.stage"] == "unknown"
    (reason,) = (j.result.reason for j in decision.judgements if j.info.id == "freshness.stage")
    assert "the collector failed: AttributeError" in reason


def test_what_a_source_echoes_is_in_no_record(load: Load, fake: FakeRegistry, web: WebServer) -> None:
    token = 'canary-"\\7f3a'
    web.routes["/features.json"] = lambda asked: json_reply({"loaded_at": asked.headers["x-key"]})
    fake.models["churn"]["description"] = f"the token is {token}, says MLflow"
    loaded = load(url=web.url(), auth=", auth: {header: X-Key, value: DATA_KEY}")
    answer = evaluate(
        loaded,
        Request(tracking_uri="https://mlflow.example"),
        world(DATA_KEY=token, MLFLOW_TRACKING_TOKEN="other"),
    )
    assert web.asked[0].headers["x-key"] == token
    assert answer.snapshot.model.description == "the token is [redacted], says MLflow"
    for record in (canonical(answer.snapshot), canonical(answer.decision)):
        assert b"canary" not in record
    assert answer.decision.verdict == "hold"


@pytest.mark.parametrize(
    ("question", "verdict"), [("promote", "allow"), ("retain", "keep")], ids=["promote", "retain"]
)
def test_a_recorded_snapshot_gives_the_same_decision(
    load: Load, fake: FakeRegistry, web: WebServer, question: Any, verdict: str
) -> None:
    loaded = load(url=web.url())
    first = evaluate(loaded, Request(question=question, tracking_uri="https://mlflow.example"), world())
    assert first.decision.verdict == verdict, first.decision.judgements
    again = evaluate_snapshot(loaded, first.snapshot, Actor(name="user:tester"))
    assert canonical(again.decision) == canonical(first.decision)


def test_a_snapshot_of_another_manifest_is_refused(load: Load) -> None:
    loaded = load()
    with pytest.raises(ConfigError, match="taken under another manifest") as caught:
        evaluate_snapshot(loaded, passing_snapshot(), Actor(name="user:tester"))
    assert "--save-snapshot" in caught.value.fix


def test_a_snapshot_of_an_environment_that_is_gone_is_refused(load: Load) -> None:
    loaded = load()
    ours = passing_snapshot().model_copy(update={"manifest_digest": loaded.digest, "environment": "qa"})
    with pytest.raises(UsageError, match="unknown environment 'qa'"):
        evaluate_snapshot(loaded, ours, Actor(name="user:tester"))


def test_a_snapshot_is_judged_by_settings_that_select_something(load: Load) -> None:
    loaded = load("environments: {production: {levels: {fresness: advise}}}\n")
    ours = passing_snapshot().model_copy(update={"manifest_digest": loaded.digest})
    with pytest.raises(ConfigError, match="did you mean 'freshness'"):
        evaluate_snapshot(loaded, ours, Actor(name="user:tester"))


def test_the_alias_that_is_asked_for_may_be_another(load: Load, fake: FakeRegistry, web: WebServer) -> None:
    loaded = load(url=web.url())
    decision = ask(loaded, to="next", candidate="champion")
    assert (decision.alias, decision.holder) == ("next", None)
    assert decision.subject.version == "1"
    assert ask(loaded, version="1", to="next").subject.version == "1"


def test_levels_and_parameters_are_those_of_the_environment(
    load: Load, fake: FakeRegistry, web: WebServer
) -> None:
    web.routes["/features.json"] = json_reply({"loaded_at": (NOW - timedelta(hours=3)).isoformat()})
    loaded = load(
        "environments:\n"
        "  qa: {params: {freshness.stage: {grace: 2h}}}\n"
        '  dev: {levels: {"*": advise, ownership: require}}\n',
        url=web.url(),
    )
    assert outcomes(ask(loaded))["freshness.stage"] == "fail"
    assert outcomes(ask(loaded, environment="qa"))["freshness.stage"] == "pass"
    dev = ask(loaded, environment="dev")
    levels = {judgement.info.id: judgement.level for judgement in dev.judgements}
    assert outcomes(dev)["freshness.stage"] == "fail"
    assert (levels["freshness.stage"], levels["ownership.stages"]) == ("advise", "require")


def test_what_the_user_must_mend_is_raised_before_anybody_is_asked(load: Load, fake: FakeRegistry) -> None:
    typo = "environments: {qa: {levels: {fresness: advise}}}\n"
    for more, request, says in (
        ("", Request(environment="prodution"), "did you mean 'production'"),
        ("", Request(), "no MLflow address"),
        (typo, Request(environment="qa", tracking_uri="https://mlflow.example"), "did you mean 'freshness'"),
        (
            "policies: {standard: false}\n",
            Request(tracking_uri="https://mlflow.example"),
            "no policy is in force",
        ),
    ):
        with pytest.raises((UsageError, ConfigError), match=says):
            evaluate(load(more), request, world())
    assert fake.asked == []


# Secrets


def test_secrets_are_cut_out_of_every_text() -> None:
    leaky = change(passing_snapshot(), "/model/description", 'a s3cr3t"ü b')
    clean = without_secrets(leaky, Redactor(['s3cr3t"ü']))
    assert clean.model.description == "a [redacted] b"
    assert clean == change(passing_snapshot(), "/model/description", "a [redacted] b")


def test_a_snapshot_without_secrets_is_the_same() -> None:
    snapshot = passing_snapshot()
    assert without_secrets(snapshot, Redactor(["s3cr3t"])) is snapshot
    assert without_secrets(snapshot, Redactor()) is snapshot


@pytest.mark.parametrize("secret", ["1", "promote", "2026", "0.943", "sha256"])
def test_a_secret_that_the_evidence_cannot_do_without_is_refused(secret: str) -> None:
    """Anybody can guess it, and a snapshot with holes in it would say something else."""
    with pytest.raises(ConfigError, match="so short or so common") as caught:
        without_secrets(passing_snapshot(), Redactor([secret]))
    assert secret not in caught.value.message
    assert caught.value.__suppress_context__


# What is in force


def test_the_standard_pack_is_in_force_and_others_are_added(load: Load) -> None:
    standard = read_standard()
    assert all(file.standard for file in standard)
    assert policies_in_force(load()) == standard
    *rest, own = policies_in_force(load(house=HOUSE))
    assert tuple(rest) == standard
    assert (own.shown, own.policies, own.standard) == ("policies/house.py", ("house.rule",), False)
    assert [file.shown for file in policies_in_force(load("policies: {standard: false}\n", house=HOUSE))] == [
        "policies/house.py"
    ]


@pytest.mark.parametrize(
    ("more", "policies", "says", "kind"),
    [
        ("policies: {standard: false}\n", {}, "no policy is in force", ConfigError),
        (
            "policies: {standard: false}\n",
            {"_off": HOUSE, "test_x": HOUSE},
            "no policy is in force",
            ConfigError,
        ),
        ("policies: {path: nowhere}\n", {}, "no folder 'nowhere'", ConfigError),
        ("", {"a": HOUSE, "b": HOUSE}, "house.rule", PolicyCodeError),
        ("", {"a": HOUSE.replace("house.rule", "freshness.stage")}, "freshness.stage", PolicyCodeError),
        ("", {"a": "X = 1\n"}, "declares no policy", PolicyCodeError),
    ],
    ids=["none", "none-that-count", "no-folder", "twice", "the-packs", "empty-file"],
)
def test_what_cannot_be_in_force(
    load: Load, more: str, policies: dict[str, str], says: str, kind: type[AigateError]
) -> None:
    with pytest.raises(kind, match=says) as caught:
        policies_in_force(load(more, **policies))
    assert caught.value.exit_code == 2
    if isinstance(caught.value, ConfigError):
        assert "aigate.yaml:" in caught.value.place


def test_a_folder_of_another_name(load: Load, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/house.py").write_text(HOUSE)
    files = policies_in_force(load("policies: {standard: false, path: rules}\n"))
    assert [file.shown for file in files] == ["rules/house.py"]


def test_the_digest_is_of_names_and_contents(load: Load) -> None:
    files = policies_in_force(load(house=HOUSE))
    known = policies_digest(files)
    own = files[-1]
    for other in (
        (*files[:-1], replace(own, digest="sha256:" + "0" * 64)),
        (*files[:-1], replace(own, shown="policies/other.py")),
        files[:-1],
        files[::-1],
    ):
        assert policies_digest(other) != known


def test_environments(load: Load) -> None:
    loaded = load("environments: {staging: {levels: {freshness: advise}}}\n")
    assert environment_of(loaded, "staging").levels == {"freshness": "advise"}
    assert environment_of(loaded, "production").levels == {}
    for name in ("Production", "prod", "", "stagng"):
        with pytest.raises(UsageError, match="unknown environment"):
            environment_of(loaded, name)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("levels: {freshness.stages: advise}", "did you mean 'freshness.stage'"),
        ("levels: {fresness: advise}", "did you mean 'freshness'"),
        ('levels: {"**": advise}', "'**'"),
        ("params: {freshness: {grace: 1h}}", "unknown policy 'freshness'"),
        ("params: {house.rule: {least: 2}}", "unknown policy 'house.rule'"),
    ],
    ids=["level", "theme", "star", "params-of-a-theme", "params-of-nobody"],
)
def test_a_setting_that_selects_nothing_is_refused(load: Load, settings: str, says: str) -> None:
    loaded = load(f"environments: {{staging: {{{settings}}}}}\n")
    check_settings(loaded, "production", read_standard())
    with pytest.raises(ConfigError) as caught:
        check_settings(loaded, "staging", read_standard())
    assert says in caught.value.message
    assert "aigate.yaml:12:" in caught.value.place
    assert "aigate policies" in caught.value.fix


def test_settings_that_select_something(load: Load) -> None:
    loaded = load(
        'environments: {staging: {levels: {"*": advise, house: block, house.rule: require}, '
        "params: {house.rule: {least: 2}}}}\n",
        house=HOUSE,
    )
    check_settings(loaded, "staging", policies_in_force(loaded))


def test_the_catalogue_has_each_policy_once_with_its_parameters(load: Load) -> None:
    assert [info.id for info in catalogue(None, "production")] == sorted(
        id for file in read_standard() for id in file.policies
    )
    loaded = load(
        "policies: {standard: false}\nenvironments: {staging: {params: {house.rule: {least: 7}}}}\n",
        house=HOUSE,
    )
    for environment, least in (("production", "1"), ("staging", "7")):
        (info,) = catalogue(loaded, environment)
        assert [(param.key, param.value) for param in info.params] == [("least", least)]


def test_parameters_that_do_not_fit_are_refused(load: Load) -> None:
    loaded = load(
        "policies: {standard: false}\nenvironments: {production: {params: {house.rule: {least: many}}}}\n",
        house=HOUSE,
    )
    with pytest.raises(PolicyCodeError, match="least"):
        catalogue(loaded, "production")


def test_a_snapshot_survives_its_own_record() -> None:
    """What is taken out is read back the same way as a file is."""
    snapshot = passing_snapshot()
    assert Snapshot.model_validate_json(canonical(snapshot)) == snapshot


# Waivers


WAIVER = """\
version: 1
waivers:
  - policy: house.rule
    key: late
    registry: {registry}
    model: churn
    version: {version}
    reason: the backfill runs on Monday
    approver: user:kai
    approved_on: {since}
    expires: {until}
"""
LATE = '''\
from aigate import Findings, Snapshot, deny, policy


@policy("house.rule")
def rule(s: Snapshot) -> Findings:
    """The house rule."""
    if s.owner is not None:
        yield deny("it is late", key="late")
'''


def waive(loaded: LoadedManifest, **fields: str) -> None:
    given = {
        "registry": "https://mlflow.example",
        "version": "2",
        "since": (NOW - timedelta(minutes=1)).isoformat(),
        "until": (NOW + timedelta(days=7)).isoformat(),
        **fields,
    }
    (loaded.folder / "waivers.yaml").write_text(WAIVER.format(**given))


def test_a_waiver_beside_the_manifest_counts_and_is_in_the_record(
    load: Load, fake: FakeRegistry, web: WebServer
) -> None:
    loaded = load(url=web.url(), house=LATE)
    before = ask(loaded)
    assert (before.verdict, before.waivers_digest) == ("deny", None)
    assert gap(before.subject) is None
    waive(loaded, registry=before.subject.registry, version=before.subject.version)
    after = ask(loaded)
    assert (after.verdict, after.counts.waived) == ("allow", 1), after.waivers
    assert after.waivers_digest == digest_bytes((loaded.folder / "waivers.yaml").read_bytes())
    assert "is waived" in after.reason


def test_a_recorded_decision_is_judged_by_the_waivers_of_its_time(
    load: Load, fake: FakeRegistry, web: WebServer
) -> None:
    loaded = load(url=web.url(), house=LATE)
    answer = evaluate(loaded, Request(tracking_uri="https://mlflow.example"), world())
    subject = answer.decision.subject
    assert gap(subject) is None
    waive(loaded, registry=subject.registry, version=subject.version)
    now = evaluate_snapshot(loaded, answer.snapshot, Actor(name="user:tester")).decision
    (loaded.folder / "waivers.yaml").unlink()
    then = evaluate_snapshot(
        loaded, answer.snapshot, Actor(name="user:tester"), waivers=book_of(now)
    ).decision
    assert (now.verdict, then) == ("allow", now)
    without = evaluate_snapshot(loaded, answer.snapshot, Actor(name="user:tester")).decision
    assert without == answer.decision


def test_the_waivers_of_a_change_under_review_do_not_count(
    load: Load, fake: FakeRegistry, web: WebServer
) -> None:
    loaded = load(url=web.url(), house=LATE)
    subject = ask(loaded).subject
    assert gap(subject) is None
    waive(loaded, registry=subject.registry, version=subject.version)
    assert ask(loaded).counts.waived == 1
    found = ask(loaded, trusted=False)
    assert (found.verdict, found.waivers.applied) == ("deny", ())
    assert [use.why[:33] for use in found.waivers.refused] == ["it comes with a change under revi"]


def test_a_changes_manifest_is_judged_with_the_waivers_of_the_base(
    load: Load, fake: FakeRegistry, web: WebServer, tmp_path: Path
) -> None:
    loaded = load(url=web.url(), house=LATE)
    answer = evaluate(loaded, Request(tracking_uri="https://mlflow.example"), world())
    subject = answer.decision.subject
    assert gap(subject) is None
    head = tmp_path / "head"
    head.mkdir()
    (head / "aigate.yaml").write_text((tmp_path / "aigate.yaml").read_text() + "# changed\n")
    (head / "runbook.md").write_text("# what to do\n")
    change_ = load_manifest(head / "aigate.yaml")
    waive(change_, registry=subject.registry, version=subject.version)
    ahead = evaluate_change(loaded, change_, answer.snapshot, Actor(name="user:tester")).decision
    assert (ahead.verdict, ahead.waivers_digest) == ("deny", None)
    waive(loaded, registry=subject.registry, version=subject.version)
    ahead = evaluate_change(loaded, change_, answer.snapshot, Actor(name="user:tester")).decision
    assert (ahead.verdict, ahead.counts.waived) == ("allow", 1)


@pytest.mark.parametrize("text", ["- a", "version: 1\nwaivers: {}\n", "version: 1\nversion: 1\n"])
def test_waivers_that_cannot_be_read_stop_the_gate(load: Load, fake: FakeRegistry, text: str) -> None:
    loaded = load()
    (loaded.folder / "waivers.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"waivers\.yaml:") as caught:
        ask(loaded)
    assert caught.value.exit_code == 2
