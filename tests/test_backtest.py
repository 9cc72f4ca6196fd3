"""What other policies would have changed: every snapshot counted once, nothing left out in silence."""

import gzip
import json
import shutil
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.again import many
from aigate.again.many import Asked, _by_reader, backtest, known_from
from aigate.again.rules import rules
from aigate.backtest import Backtest, Case, Cause, Counting, Jury, kind_of
from aigate.collect.policy_files import declared
from aigate.collect.records import Piece, Records
from aigate.decision import EXIT_CODES, Verdict
from aigate.digest import canonical, digest_bytes
from aigate.errors import AigateError, ConfigError, PolicyCodeError
from aigate.isolate import Isolate, Limits
from aigate.isolate.batch import Batch
from aigate.policy import PolicyFile
from aigate.report import ReportContext
from aigate.report.replay import backtest_markdown, headline, render_backtest
from aigate.snapshot import Snapshot
from aigate.testing import change, missing, passing_snapshot
from recorded import FLOOR, MANIFEST, WAIVERS, Project

PLAIN = ReportContext(columns=100)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """v9 was denied; v11 and v14 were allowed on 0.93, v12 on 0.95."""
    made = Project(tmp_path_factory.mktemp("history"))
    for version, accuracy in ((9, "0.915"), (11, "0.93"), (12, "0.95"), (14, "0.93")):
        made.decided(made.snapshot(version, accuracy), f"v{version}")
    return made.kept


@pytest.fixture
def history(tmp_path: Path, decided: Path) -> Project:
    """A project with four decisions behind it."""
    project = Project(tmp_path)
    shutil.copytree(decided, project.kept, dirs_exist_ok=True)
    return project


def tried(
    project: Project,
    folder: Path | None = None,
    source: Path | None = None,
    *,
    environment: str = "production",
    since: datetime | None = None,
) -> Backtest:
    loaded = project.loaded
    today = None if folder is None else rules(loaded, environment)
    asked = Asked(rules(loaded, environment, folder), today, environment, since, "kept")
    return backtest(Records(source or project.kept).read(), asked)


def test_stricter_policies_would_have_blocked(history: Project) -> None:
    found = tried(history, history.policies("other", "0.94"))
    assert headline(found) == "would have blocked v11, v14"
    assert (found.snapshots, found.unchanged, found.blocked, found.let_through) == (4, 2, 2, 0)
    assert [(case.version, case.was, case.becomes) for case in found.cases] == [
        ("11", "allow", "deny"),
        ("14", "allow", "deny"),
    ]
    assert found.cases[0].causes == (Cause(policy="mine.floor", outcome="fail", message="accuracy is 0.93"),)
    text = render_backtest(found, PLAIN)
    assert text.startswith("BACKTEST  Would have blocked v11, v14\n")
    assert "mine.floor: accuracy is 0.93" in text


def test_laxer_policies_would_have_let_through(history: Project) -> None:
    found = tried(history, history.policies("other", "0.91"))
    assert headline(found) == "would have let v9 through"
    assert found.cases[0].causes[0].message == "accuracy is 0.915"
    page = backtest_markdown(found, PLAIN)
    assert page.startswith("## Backtest: would have let v9 through\n")
    assert "| v9 |" in page
    assert "⛔ deny → ✅ allow" in page


def test_the_same_policies_change_nothing(history: Project) -> None:
    for folder in (None, history.policies("same", "0.92")):
        found = tried(history, folder)
        assert headline(found) == "would have changed nothing"
        assert (found.changed, found.unchanged, found.incomparable) == (0, 4, 0)


def test_snapshots_without_a_decision_are_held_against_the_policies_in_force(project: Project) -> None:
    for version in (3, 4):
        path = project.decided(project.snapshot(version, "0.93"), f"v{version}")
        path.unlink()
    found = tried(project, project.policies("other", "0.94"))
    assert (found.blocked, {case.by for case in found.cases}) == (2, {"policies"})
    alone = tried(project)
    assert (alone.incomparable, alone.judged, alone.unchanged) == (2, 2, 0)
    assert headline(alone) == "nothing to compare: no snapshot with a verdict was judged"


def test_everything_that_is_not_judged_is_counted_and_named(history: Project) -> None:
    kept = history.kept
    old = json.loads((kept / "v9.snapshot.json").read_bytes())
    (kept / "older.json").write_text(json.dumps({**old, "schema": "aigate.snapshot/v0"}))
    (kept / "broken.json").write_bytes(canonical(history.snapshot())[:-20])
    (kept / "twice.json").write_bytes(canonical(history.snapshot())[:-1] + b',"system":"other"}')
    (kept / "manifest.json").write_text("{}")
    (kept / "cut.json.gz").write_bytes(gzip.compress(canonical(history.snapshot()))[:-30])
    edited = (kept / "v9.json").read_text().replace('"deny"', '"allow"', 1)
    (kept / "v9.json").write_text(edited)
    (kept / "notes.txt").write_text("not looked at")
    found = tried(history, history.policies("other", "0.94"))
    assert (found.snapshots, found.unreadable, found.others) == (8, 4, 1)
    assert {Path(gone.where).name for gone in found.unread} == {
        "older.json",
        "broken.json",
        "twice.json",
        "cut.json.gz",
        "v9.json",
    }
    why = {Path(gone.where).name: gone.why for gone in found.unread}
    assert "/schema" in why["older.json"]
    assert "'system'" in why["twice.json"]
    assert "its content has sha256:" in why["v9.json"]
    assert render_backtest(found, PLAIN).count("older.json") == 1


def test_a_snapshot_in_another_form_is_judged_all_the_same(project: Project) -> None:
    project.decided(project.snapshot(11, "0.93"), "v11")
    path = project.kept / "v11.snapshot.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=2))
    found = tried(project, project.policies("other", "0.94"))
    assert (found.blocked, found.cases[0].by) == (1, "record")


def test_time_and_environment_choose(history: Project) -> None:
    history.decided(history.snapshot(20), "v20")
    start = history.snapshot(12).now
    found = tried(history, history.policies("other", "0.94"), since=start)
    assert (found.before, found.judged, headline(found)) == (2, 3, "would have blocked v14")
    (history.folder / "aigate.yaml").write_text(MANIFEST + "environments: {staging: {}}\n")
    assert tried(history, environment="staging").elsewhere == 5


def test_lines_and_compressed_lines_are_read(history: Project) -> None:
    lines = b"".join(path.read_bytes() for path in sorted(history.kept.iterdir()))
    one, two = history.folder / "all.jsonl", history.folder / "all.jsonl.gz"
    one.write_bytes(lines + b"\n \n{}\n")
    two.write_bytes(gzip.compress(lines))
    other = history.policies("other", "0.94")
    told = [tried(history, other, source) for source in (one, two)]
    assert [headline(found) for found in told] == ["would have blocked v11, v14"] * 2
    assert [found.others for found in told] == [1, 0]
    assert told[0].cases[0].where.startswith(f"{one}:")


def test_levels_are_the_manifests(history: Project) -> None:
    (history.folder / "aigate.yaml").write_text(
        MANIFEST + "environments: {production: {params: {mine.floor: {least: 0.94}}}}\n"
    )
    assert headline(tried(history)) == "would have blocked v11, v14"
    (history.folder / "aigate.yaml").write_text(
        MANIFEST + "environments: {production: {levels: {mine.floor: advise}}}\n"
    )
    assert headline(tried(history)) == "would have let v9 through"


def test_what_was_waived_then_is_waived_again_and_no_more(project: Project) -> None:
    file = project.folder / "waivers.yaml"
    file.write_text(WAIVERS)
    project.decided(project.snapshot(2, "0.91"), "v2")
    file.unlink()
    assert headline(tried(project)) == "would have changed nothing"
    assert headline(tried(project, project.policies("other", "0.94"))) == "would have changed nothing"
    text = FLOOR.replace('key="accuracy"', 'key="other"')
    assert headline(tried(project, project.policies("another", "0.94", text))) == "would have blocked v2"
    text = (
        FLOOR.replace("deny, policy", "Unknown, deny, policy")
        + "    raise Unknown('half of it is missing')\n"
    )
    (case,) = tried(project, project.policies("partial", "0.94", text)).cases
    assert (case.version, case.becomes) == ("2", "hold")
    assert case.causes == (Cause(policy="mine.floor", outcome="unknown", message="half of it is missing"),)


UNSTEADY = {
    "keeps a count": "from aigate import *\nseen = []\n@policy('bad.one')\ndef one(s):\n    'T'\n"
    "    seen.append(s.system)\n    if len(seen) > 1:\n        yield deny('again')\n",
    "rolls dice": "import random\nfrom aigate import *\n@policy('bad.one')\ndef one(s):\n    'T'\n"
    "    s.system, s.owner\n    yield deny(str(random.random()))\n",
}


@pytest.mark.parametrize("name", UNSTEADY)
def test_a_policy_that_answers_in_two_ways_is_refused(history: Project, name: str) -> None:
    folder = history.folder / "bad"
    folder.mkdir()
    (folder / "bad.py").write_text(UNSTEADY[name])
    with pytest.raises(PolicyCodeError, match=r"bad\.one answered the same snapshot in two ways"):
        tried(history, folder)


def test_a_policy_that_ends_its_process_is_asked_alone(history: Project) -> None:
    """It spoils the batch; each snapshot is then judged as the gate does, and the honest policy's answers stand."""
    folder = history.policies("bad", "0.94")
    (folder / "exits.py").write_text(
        "import os\nfrom aigate import *\n@policy('bad.exits')\ndef one(s):\n    'T'\n"
        "    if s.judged.subject.version == '12':\n        os._exit(0)\n    if s.owner is None: yield deny('no')\n"
    )
    found = tried(history, folder)
    assert {(case.version, case.becomes) for case in found.cases} == {
        ("11", "deny"),
        ("12", "hold"),
        ("14", "deny"),
    }


REMEMBERS = {
    "global": (
        "best = {}",
        "best.setdefault('first', s.judged.metric('accuracy').value)\n"
        "    s.judged.metric('accuracy').value\n    value = best['first']",
    ),
    "cache": (
        "import functools\n@functools.lru_cache\ndef of(alias): return [None]",
        "of(s.alias)[0] = of(s.alias)[0] or s.judged.metric('accuracy').value\n"
        "    s.judged.metric('accuracy').value\n    value = of(s.alias)[0]",
    ),
    "attribute": (
        "",
        "value = s.judged.metric('accuracy').value\n    vars(one).setdefault('first', value)\n"
        "    value = one.first",
    ),
    "another module": (
        "import calendar",
        "value = s.judged.metric('accuracy').value\n    vars(calendar).setdefault('first', value)\n"
        "    value = calendar.first",
    ),
    "environment": (
        "import os\nfrom decimal import Decimal",
        "value = s.judged.metric('accuracy').value\n    value = Decimal(os.environ.setdefault('X', str(value)))",
    ),
}
"""What stands in a file, and how a policy takes the first accuracy it saw for every other one's."""


def remembering(name: str) -> PolicyFile:
    head, body = REMEMBERS[name]
    id = f"bad.{name.replace(' ', '_')}"
    source = (
        f"from aigate import *\nfrom decimal import Decimal\n{head}\n@policy({id!r})\ndef one(s):\n    'T'\n"
        f"    {body}\n    if value < Decimal('0.94'): yield deny('low')\n"
    ).encode()
    return PolicyFile(f"{id}.py", source, digest_bytes(source), declared(source, f"{id}.py"))


def test_what_a_policy_keeps_answers_for_no_other_snapshot() -> None:
    files = (*map(remembering, REMEMBERS), FILES[0])
    at = "/challenger/measurements/accuracy/value"
    data = [canonical(change(passing_snapshot(), at, Decimal(value))) for value in ("0.95", "0.93", "0.95")]
    with Batch(files, {}, environment="production", processes=1) as batch:
        for order in ((0, 1, 2), (1, 0, 2), (1, 2, 0)):
            got = {n: judged.results for n, _, judged in batch.run((n, data[n]) for n in order)}
            for place, name in enumerate(REMEMBERS):
                assert [got[n][place].outcome for n in range(3)] == ["pass", "fail", "pass"], name
            assert {got[n][-1].outcome for n in range(3)} == {"pass"}


def test_a_policy_that_does_not_load_is_refused(history: Project) -> None:
    folder = history.folder / "bad"
    folder.mkdir()
    (folder / "bad.py").write_text(
        "from aigate import *\n@policy('bad.one')\ndef one(s):\n    'T'\n    yield\n1/0\n"
    )
    with pytest.raises(PolicyCodeError, match="does not load: ZeroDivisionError"):
        tried(history, folder)


def test_a_snapshot_that_was_cut_off_anywhere_is_named(history: Project) -> None:
    """Its `schema` stands near its end: without it, the rest is still no document of another kind."""
    path = history.kept / "v14.snapshot.json"
    data = path.read_bytes()
    path.unlink()
    for share in (0, 30, 60, 99):
        (history.kept / f"cut{share}.json").write_bytes(data[: len(data) * share // 100])
    found = tried(history, history.policies("other", "0.94"))
    assert (headline(found), found.unreadable, found.others) == ("would have blocked v11", 4, 0)
    assert {Path(gone.where).name for gone in found.unread} == {
        f"cut{share}.json" for share in (0, 30, 60, 99)
    }
    assert found.without_snapshot == 1


def test_what_lies_beside_is_said(history: Project) -> None:
    (history.kept / "v14.snapshot.json").unlink()
    (history.kept / "package.json").write_text("{}")
    found = tried(history, history.policies("other", "0.94"))
    assert (found.snapshots, found.without_snapshot, found.others) == (3, 1, 1)
    for text in (render_backtest(found, PLAIN), backtest_markdown(found, PLAIN)):
        assert "1 decision without the snapshot, so not judged" in " ".join(text.split())
        assert "1 document that is neither" in " ".join(text.split())
    late = tried(history, history.policies("other", "0.94"), since=history.snapshot(15).now)
    assert (late.before, late.without_snapshot) == (3, 0)


def test_of_two_decisions_from_one_snapshot_the_yes_counts_in_any_order(project: Project) -> None:
    snapshot = project.snapshot(2, "0.91")
    project.decided(snapshot, "denied")
    (project.folder / "waivers.yaml").write_text(WAIVERS)
    project.decided(snapshot, "waived")
    (project.folder / "waivers.yaml").unlink()
    lines = [path.read_bytes().strip() for path in sorted(project.kept.glob("*.json"))]
    text = FLOOR.replace('key="accuracy"', 'key="other"')
    other = project.policies("another", "0.94", text)
    for number, order in enumerate((lines, lines[::-1])):
        source = project.folder / f"{number}.jsonl"
        source.write_bytes(b"\n".join(order))
        found = tried(project, other, source)
        assert headline(found) == "would have blocked v2"


def test_a_policy_that_breaks_on_everything_is_no_change_of_nothing(project: Project) -> None:
    project.decided(project.snapshot(3, "0.91"), "v3")
    text = FLOOR.replace("if value <", "1 / 0\n    if value <")
    found = tried(project, project.policies("other", "0.94", text))
    assert found.broken == ("mine.floor",)
    assert headline(found) == (
        "would have said another no to v3; no answer from mine.floor: it broke on every snapshot"
    )
    for page in (render_backtest(found, PLAIN), backtest_markdown(found, PLAIN)):
        assert "mine.floor on 1 of 1, the first time: it raised ZeroDivisionError" in " ".join(page.split())


# A batch says what the gate says.

MIXED = {
    "mixed.model": "if s.model.name != 'churn': yield deny('other')",
    "mixed.skips": "if s.owner.team: raise Skip('it has one')\n    yield",
    "mixed.late": "for stage in s.stages:\n        if stage.age and stage.limit and stage.age > stage.limit: yield deny('late', key=stage.name)",
    "mixed.swallows": "try: s.challenger.measurements\n    except Exception: pass\n    if s.alias == 'x': yield deny('x')",
    "mixed.asleep": "if False: yield deny('never read a thing')",
}


def made(id: str, body: str) -> PolicyFile:
    source = f"from aigate import *\n@policy({id!r})\ndef one(s):\n    'T'\n    {body}\n".encode()
    return PolicyFile(f"{id}.py", source, digest_bytes(source), declared(source, f"{id}.py"))


FILES = tuple(made(id, body) for id, body in MIXED.items())


def varied() -> list[Snapshot]:
    sound = passing_snapshot()
    return [
        sound,
        change(sound, "/model", missing("503")),
        change(sound, "/stages/features/age", timedelta(hours=40)),
        change(sound, "/challenger/measurements", missing("503")),
        change(sound, "/owner", None),
    ]


def test_a_batch_answers_as_the_gate_does() -> None:
    snapshots = varied()
    with Batch(FILES, {}, environment="production", processes=2) as batch:
        got = list(batch.run((n, canonical(s)) for n, s in enumerate(snapshots * 80)))
    assert [n for n, _, _ in got] == list(range(len(snapshots) * 80))
    for n, snapshot in enumerate(snapshots):
        with Isolate(FILES, {}) as isolate:
            expected = isolate.run(snapshot)
        for _, _, judged in got[n :: len(snapshots)]:
            answered = {r.policy: (r.outcome, r.reason, r.findings) for r in judged.results}
            assert answered == {id: (r.outcome, r.reason, r.findings) for id, r in expected.results.items()}
        assert batch.infos == tuple(sorted(expected.infos, key=lambda info: info.id))
    assert {r.outcome for _, _, judged in got for r in judged.results} == {
        "pass",
        "fail",
        "skip",
        "unknown",
        "error",
    }


def test_one_that_kills_its_process_costs_the_others_no_start_of_an_interpreter() -> None:
    """A snapshot by itself is a fork: many of them are asked again in seconds, not in minutes."""
    kills = made(
        "kills.one", "if s.alias == 'x': import os; os._exit(0)\n    if s.owner is None: yield deny('no')"
    )
    sound = canonical(passing_snapshot())
    data = [(n, sound) for n in range(100)]
    data[60] = (60, canonical(change(passing_snapshot(), "/alias", "x")))
    with Batch((kills, FILES[0]), {}, environment="production", processes=1) as batch:
        started = [worker._child for worker in batch._workers]
        got = [judged.results for _, _, judged in batch.run(data)]
        assert [worker._child for worker in batch._workers] == started
    assert [n for n, (mine, _) in enumerate(got) if mine.outcome != "pass"] == [60]
    assert got[60][0].reason == "its process ended without an answer, or with nonsense"
    assert {other.outcome for _, other in got} == {"pass"}


@pytest.mark.slow
def test_a_policy_that_never_ends_is_given_up_and_named() -> None:
    endless = made("endless.one", "while s.owner: pass\n    yield deny('no')")
    data = [(n, canonical(s)) for n, s in enumerate(varied()[:4])]
    with (
        Batch((endless,), {}, environment="production", limits=Limits(seconds=0.3), processes=1) as batch,
        pytest.raises(PolicyCodeError, match=r"endless\.one\.py: on 3 snapshots it took longer than 0\.3 s"),
    ):
        list(batch.run(data))


@pytest.mark.slow
def test_a_batch_out_of_time_is_asked_alone() -> None:
    slow = made("slow.one", "import time; time.sleep(0.4)\n    if s.owner is None: yield deny('no')")
    data = [(n, canonical(s)) for n, s in enumerate(varied())]
    with Batch((slow,), {}, environment="production", limits=Limits(seconds=1.5), processes=1) as batch:
        got = [judged.results[0].outcome for _, _, judged in batch.run(data)]
    assert got == ["pass", "pass", "pass", "pass", "fail"]


# Pure parts.


@pytest.mark.parametrize("was", EXIT_CODES)
@pytest.mark.parametrize("becomes", EXIT_CODES)
def test_every_pair_of_verdicts_has_its_kind(was: Verdict, becomes: Verdict) -> None:
    kind = kind_of(was, becomes)
    yes = {"allow", "keep"}
    assert (kind is None) == (was == becomes)
    assert (kind == "blocked") == (was in yes and becomes not in yes)
    assert (kind == "let_through") == (was not in yes and becomes in yes)


def test_a_record_is_read_fast_and_read_in_full_alike(project: Project) -> None:
    path = project.decided(project.snapshot(9, "0.71"), "v9")
    data = path.read_bytes().strip()
    digest, known = known_from(data)
    assert _by_reader(data) == (digest, known)
    assert digest == digest_bytes((project.kept / "v9.snapshot.json").read_bytes().strip())
    assert known.verdict == "deny"
    for was, becomes in ((b'"deny"', b'"allow"'), (b'"exit_code":1', b'"exit_code":1,"exit_code":1')):
        assert was in data
        with pytest.raises(ConfigError):
            known_from(data.replace(was, becomes, 1))


@pytest.mark.parametrize("how", ["in another order", "with next to nothing in it"])
def test_a_record_that_only_its_id_speaks_for_is_read_in_full(
    project: Project, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Whoever can compute an id can give one to anything; the fast reading takes what has our form, and nothing else."""
    fields = json.loads(project.decided(project.snapshot(9, "0.93"), "v9").read_bytes())
    del fields["id"]
    fields = dict(reversed(fields.items()))
    if how == "with next to nothing in it":
        least = ("environment", "judgements", "now", "schema", "snapshot_digest", "verdict", "waivers")
        fields = {name: fields[name] for name in least}
    packed = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    id = digest_bytes(packed.encode())
    data = f'{packed[:-1]},"id":"{id}"}}'.encode()
    with pytest.raises(ConfigError):
        known_from(data)
    sound = (project.kept / "v9.json").read_bytes().strip()
    monkeypatch.setattr(many, "_by_reader", lambda data: pytest.fail("a sound record took the long way"))
    assert known_from(sound)[1].verdict == "allow"


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["blocked", "let_through", "otherwise", "unchanged", "before"]), max_size=30))
def test_every_snapshot_is_in_exactly_one_count(kinds: list[str]) -> None:
    counting, now = Counting(), passing_snapshot().now
    for number, kind in enumerate(kinds):
        if kind in ("unchanged", "before"):
            counting.count(kind)
            continue
        counting.case(
            Case(
                kind=kind,  # type: ignore[arg-type]
                model="churn",
                version=str(number + 1),
                alias="champion",
                question="promote",
                at=now,
                was="allow",
                becomes="deny",
                by="record",
                causes=(),
                where="x",
            )
        )
    found = counting.result(
        {
            "policies": "p",
            "policies_digest": "sha256:" + "0" * 64,
            "source": "s",
            "environment": "e",
            "since": None,
        }
    )
    assert found.snapshots == len(kinds) == found.judged + found.before
    assert found.changed == len([k for k in kinds if k not in ("unchanged", "before")])


def many_cases(kinds: list[str]) -> Backtest:
    counting, now = Counting(), passing_snapshot().now
    for number, kind in enumerate(kinds):
        at = now + timedelta(seconds=(number * 7919) % len(kinds))
        counting.case(
            Case(
                kind=kind,  # type: ignore[arg-type]
                model="churn",
                version=str(number + 1),
                alias="champion",
                question="promote",
                at=at,
                was="allow",
                becomes="deny",
                by="record",
                causes=(),
                where="x",
            )
        )
    digest = "sha256:" + "0" * 64
    about = {"policies": "p", "policies_digest": digest, "source": "s", "environment": "e", "since": None}
    return counting.result(about)


def test_more_changes_than_are_listed_hide_no_kind() -> None:
    found = many_cases(["otherwise"] * 4100 + ["blocked"] * 2 + ["let_through"])
    assert len(found.cases) == 2003
    assert headline(found).startswith("would have blocked v4101, v4102; would have let v4103 through; ")
    assert headline(found).endswith("and others (4,100 answers in all)")
    listed = [case.at for case in found.cases if case.kind == "otherwise"]
    assert max(listed) < passing_snapshot().now + timedelta(seconds=2010)  # the oldest, wherever they stood


def test_no_answers_are_never_a_yes() -> None:
    jury = Jury((), {}, None)
    assert jury.verdict("promote", "", ()) == "hold"


def test_a_folder_without_a_policy_is_no_set_of_policies(project: Project) -> None:
    """Beside the standard pack it would be judged as if nothing was left out."""
    (project.folder / "empty").mkdir()
    for name in ("", "notes.txt", "helper.py"):
        if name:
            (project.folder / "empty" / name).write_text("x = 1\n")
        with pytest.raises(AigateError, match=r"empty|helper"):
            rules(None, "production", project.folder / "empty")


def test_an_empty_source_has_nothing_to_compare(project: Project) -> None:
    asked = Asked(rules(project.loaded, "production"), None, "production", None, "nothing")
    found = backtest(iter([Piece("a", "other")]), asked)
    assert (found.snapshots, found.others) == (0, 1)
    assert headline(found).startswith("nothing to compare")
