"""Who a version is, and the digest of its declared inputs and outputs; what cannot be read is never none."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.collect.deadline import Deadline
from aigate.collect.identity import Found, astray, holder_of, look_at
from aigate.collect.mlflow.reader import RegistryError
from aigate.digest import digest_bytes
from aigate.values import gap, missing
from fake_registry import NOW, START, FakeRegistry, churn, hexes, model_id, ms, run_id

MIB = 1024 * 1024
_BLOCK = """signature:
  inputs: '[{"type": "long", "name": "tenure", "required": true}, {"type": "double",
    "name": "spend", "required": true}]'
  outputs: '[{"type": "long", "required": true}]'
  params: null"""
_BEFORE = (
    "artifact_path: model\nflavors:\n  python_function:\n    loader_module: mlflow.sklearn\nmodel_id: m-1\n"
)
_AFTER = "utc_time_created: '2026-11-20 10:00:00'\n"
MODEL = f"{_BEFORE}{_BLOCK}\n{_AFTER}"
SIGNED = digest_bytes(_BLOCK.encode())


def look(fake: FakeRegistry, number: str = "1", *, files: bool = True, signature: bool = False) -> Found:
    return look_at(fake, "churn", number, Deadline(30), now=NOW, files=files, signature=signature)


def described(content: bytes | str) -> FakeRegistry:
    """The churn story with another description of version 1's model."""
    fake = churn()
    fake.files[model_id("1"), "MLmodel"] = content if isinstance(content, bytes) else content.encode()
    return fake


def signature_of(content: bytes | str) -> Any:
    return look(described(content), files=False, signature=True).signature


# --- who it is ---------------------------------------------------------------------------------------------------


def test_a_version_is_known_by_everything_that_tells_it_from_others() -> None:
    found = look(churn(), "2")
    who = found.identity
    assert (who.version, who.run_id, who.source, who.model_id) == (
        "2",
        run_id("2"),
        f"models:/{model_id('2')}",
        model_id("2"),
    )
    assert ms(who.created_at) == START + 2 * 3_600_000
    assert gap(who.artifact_digest) is None
    assert (found.status, found.stage, found.tags, found.signature) == ("READY", None, {}, None)


def test_the_digest_is_over_the_files() -> None:
    before, fake = look(churn()).identity.artifact_digest, churn()
    assert look(fake).identity.artifact_digest == before
    fake.files[model_id("1"), "data/weights"] += b"!"
    assert look(fake).identity.artifact_digest != before
    fake = churn()
    fake.files[model_id("1"), "more"] = b""
    assert look(fake).identity.artifact_digest != before


def strays(fake: FakeRegistry, number: str = "1") -> str | None:
    return astray(fake, "churn", look(fake, number).identity)


def test_a_version_is_served_from_where_its_files_lie() -> None:
    fake = churn()
    fake.model_of("1")["info"]["artifact_uri"] = "mlflow-artifacts:/1/models/m/artifacts"
    assert strays(fake) is None
    for same in ("mlflow-artifacts:/1/models/m/artifacts/", f"models:/{model_id('1')}"):
        fake.served["churn", "1"] = same
        assert strays(fake) is None
    for other in (f"models:/{model_id('2')}", "mlflow-artifacts:/1/models/m", "s3://elsewhere/m"):
        fake.served["churn", "1"] = other
        assert strays(fake) == other
    fake.logged[model_id("1")] = None
    assert strays(fake) == "s3://elsewhere/m", "a server that knows no such model vouches for nothing"


def test_a_copy_is_served_from_where_its_original_lies() -> None:
    """MLflow 2: no LoggedModel stands between a version and the address that it was registered with."""
    fake = churn()
    fake.versions["churn", "1"]["source"] = "s3://bucket/churn"
    fake.versions["churn", "2"]["source"] = "models:/churn/1"
    fake.served["churn", "2"] = "s3://bucket/churn"
    assert strays(fake, "2") is None
    fake.served["churn", "2"] = "s3://bucket/other"
    assert strays(fake, "2") == "s3://bucket/other"


def test_nobody_is_believed_about_where_a_version_is_served_from_who_does_not_say() -> None:
    fake = churn()
    who = look(fake).identity
    fake.fails["served"] = RegistryError("unreachable", "no answer")
    with pytest.raises(RegistryError):
        astray(fake, "churn", who)


def test_files_are_not_read_where_nobody_asked() -> None:
    fake = churn()
    found = look(fake, files=False)
    lost = gap(found.identity.artifact_digest)
    assert lost is not None
    assert "were not read" in lost.missing
    assert not [question for question in fake.asked if question.startswith(("file", "files"))]
    assert found.identity.same_version(look(churn()).identity)


def test_files_that_cannot_be_read_are_a_gap_with_its_reason() -> None:
    fake = churn()
    fake.fails["files "] = RegistryError("denied", "the credential may not list them")
    lost = gap(look(fake).identity.artifact_digest)
    assert lost is not None
    assert lost.missing == "the credential may not list them"
    assert lost.source == fake.registry


@pytest.mark.parametrize("code", ["not_found", "denied", "unreachable", "broken"])
def test_a_version_that_cannot_be_read_is_raised(code: Any) -> None:
    fake = churn()
    fake.fails["version churn 1"] = RegistryError(code, "no answer")
    with pytest.raises(RegistryError) as error:
        look(fake)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("field", "value"),
    [("version", "01"), ("version", "x"), ("creation_timestamp", "soon"), ("run_id", "a\nb")],
)
def test_a_version_that_cannot_be_is_broken(field: str, value: Any) -> None:
    fake = churn()
    fake.versions["churn", "1"][field] = value
    with pytest.raises(RegistryError) as error:
        look(fake, files=False)
    assert error.value.code == "broken"


def test_tags_are_text() -> None:
    fake = churn()
    fake.versions["churn", "1"]["tags"] = [{"key": "a", "value": "b"}, {"key": "empty"}]
    assert look(fake, files=False).tags == {"a": "b", "empty": ""}
    del fake.versions["churn", "1"]["tags"]
    assert look(fake, files=False).tags == {}


@pytest.mark.parametrize(
    ("fields", "status", "stage"),
    [
        pytest.param({}, "READY", None, id="ready"),
        pytest.param({"status": "PENDING_REGISTRATION"}, "PENDING_REGISTRATION", None, id="pending"),
        pytest.param({"status": ""}, "unknown", None, id="no status"),
        pytest.param({"current_stage": "Archived"}, "READY", "Archived", id="archived"),
        pytest.param({"current_stage": "None"}, "READY", None, id="a stage called None"),
        pytest.param({"current_stage": ""}, "READY", None, id="an empty stage"),
    ],
)
def test_status_and_stage(fields: dict[str, str], status: str, stage: str | None) -> None:
    fake = churn()
    fake.versions["churn", "1"].update(fields)
    found = look(fake, files=False)
    assert (found.status, found.stage) == (status, stage)


def test_a_logged_model_that_is_not_ready_makes_no_ready_version() -> None:
    fake = churn()
    fake.model_of("1")["info"]["status"] = "LOGGED_MODEL_UPLOAD_FAILED"
    assert look(fake, files=False).status == "LOGGED_MODEL_UPLOAD_FAILED"


def test_who_holds_an_alias() -> None:
    fake = churn()
    assert holder_of(fake, "churn", "champion") == "1"
    assert holder_of(fake, "churn", "challenger") == "2"
    assert holder_of(fake, "churn", "nobody") is None
    fake.fails["alias"] = RegistryError("unreachable", "no answer")
    with pytest.raises(RegistryError, match="no answer"):
        holder_of(fake, "churn", "champion")


# --- what goes in and comes out ----------------------------------------------------------------------------------


def test_the_signature_is_the_digest_of_its_lines() -> None:
    assert signature_of(MODEL) == SIGNED


SAME = {
    "first in the file": f"{_BLOCK}\n{_AFTER}",
    "last in the file": f"{_BEFORE}{_BLOCK}\n",
    "before what has lines of its own": f"{_BLOCK}\nflavors:\n  sklearn:\n    code: null\n",
    "without a newline at the end": f"{_BEFORE}{_BLOCK}",
    "among other things": f"flavors: {{}}\n{_BLOCK}\nrun_id: x\nutc_time_created: y\n",
    "with the line ends of Windows": MODEL.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME.keys())
def test_only_the_signature_counts(text: str) -> None:
    assert signature_of(text) == SIGNED


OTHER = {
    "a column less": MODEL.replace('"tenure"', '"age"'),
    "another type": MODEL.replace('"double"', '"float"'),
    "no longer required": MODEL.replace('"required": true}, {', '"required": false}, {'),
    "another output": MODEL.replace('outputs: \'[{"type": "long"', 'outputs: \'[{"type": "string"'),
    "parameters": MODEL.replace("params: null", 'params: \'[{"name": "k"}]\''),
    "no outputs": MODEL.replace("""  outputs: '[{"type": "long", "required": true}]'\n""", ""),
    "only in what was folded": MODEL.replace('"name": "spend"', '"name": "spent"'),
}


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER.keys())
def test_every_change_of_the_signature_is_seen(text: str) -> None:
    assert text != MODEL
    found = signature_of(text)
    assert found not in (None, SIGNED)
    assert gap(found) is None


def test_a_blank_line_within_it_does_not_end_it() -> None:
    folded = MODEL.replace('"double",\n', '"double",\n\n')
    assert signature_of(folded) not in (None, SIGNED)
    assert signature_of(folded) != signature_of(folded.replace("params: null", "params: x"))


NONE = {
    "no signature": _BEFORE + _AFTER,
    "an empty file": "",
    "one that is null": f"{_BEFORE}signature: null\n{_AFTER}",
    "one of something else": f"{_BEFORE}metadata:\n  signature:\n    inputs: x\n",
    "a comment": f"#signature:\n{_AFTER}",
    "another word": f"old_signature:\n  inputs: x\nsignatures:\n  inputs: x\n{_AFTER}",
}


@pytest.mark.parametrize("text", NONE.values(), ids=NONE.keys())
def test_where_none_is_declared_there_is_none(text: str) -> None:
    assert signature_of(text) is None


def test_a_model_without_a_description_declares_none() -> None:
    fake = churn()
    del fake.files[model_id("1"), "MLmodel"]
    assert look(fake, files=False, signature=True).signature is None


def test_nobody_asks_for_a_signature_unbidden() -> None:
    fake = described(MODEL)
    assert look(fake, files=False).signature is None
    assert not [question for question in fake.asked if "MLmodel" in question]


UNREADABLE = {
    "not UTF-8": MODEL.encode().replace(b"sklearn", b"skl\xe9arn"),
    "UTF-16": MODEL.encode("utf-16"),
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_is_no_text_is_a_gap(content: bytes) -> None:
    assert signature_of(content) == missing("its MLmodel file is not text", churn().registry)


def test_a_description_of_just_the_size_is_read_and_a_larger_one_is_a_gap() -> None:
    filled = MODEL + "#" * (MIB - len(MODEL))
    assert len(filled.encode()) == MIB
    assert signature_of(filled) == SIGNED
    lost = gap(signature_of(filled + "#"))
    assert lost is not None
    assert f"more than {MIB} bytes" in lost.missing


@pytest.mark.parametrize("code", ["denied", "unreachable", "deadline", "broken", "limit", "unsupported"])
def test_a_description_that_cannot_be_read_is_a_gap_and_never_none(code: Any) -> None:
    fake = churn()
    fake.fails["file "] = RegistryError(code, "no answer")
    found = look(fake, files=False, signature=True)
    assert found.signature == missing("no answer", fake.registry)
    assert found.identity.version == "1"


def test_where_nobody_can_say_where_the_files_lie_the_signature_is_a_gap() -> None:
    fake = churn()
    fake.versions["churn", "1"] |= {"source": "s3://elsewhere/model", "run_id": ""}
    found = look(fake, signature=True)
    for lost in (gap(found.signature), gap(found.identity.artifact_digest)):
        assert lost is not None
        assert "s3://elsewhere/model" in lost.missing


def test_a_model_of_a_run_is_described_below_its_path() -> None:
    fake = churn()
    fake.versions["churn", "1"]["source"] = f"runs:/{hexes('1')}/some/model"
    fake.files[hexes("1"), "some/model/MLmodel"] = MODEL.encode()
    fake.files[hexes("1"), "MLmodel"] = b"signature:\n  inputs: of another model\n"
    found = look(fake, signature=True)
    assert found.signature == SIGNED
    assert found.identity.model_id is None


def test_a_copy_has_the_signature_of_what_it_was_copied_from() -> None:
    fake = described(MODEL)
    fake.versions["churn", "2"]["source"] = "models:/churn/1"
    found = look(fake, "2", signature=True)
    assert found.signature == SIGNED
    assert found.identity.version == "2"
    assert found.identity.artifact_digest == look(described(MODEL)).identity.artifact_digest


@given(st.binary(max_size=60))
@settings(max_examples=40, deadline=None)
def test_no_description_stops_the_reading(content: bytes) -> None:
    for whole in (content, b"signature:\n  inputs: x\n" + content):
        found = signature_of(whole)
        assert found is None or gap(found) is not None or found.startswith("sha256:")


_COLUMN = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8)


@given(_COLUMN, _COLUMN)
@settings(max_examples=40, deadline=None)
def test_two_signatures_are_the_same_only_where_their_lines_are(one: str, two: str) -> None:
    first, second = (signature_of(f"signature:\n  inputs: {name}\n") for name in (one, two))
    assert (first == second) is (one == two)


def _signature(text: str) -> Any:
    fake = churn()
    fake.files[model_id("1"), "MLmodel"] = text.encode()
    return look_at(fake, "churn", "1", Deadline(30), now=NOW, files=False, signature=True).signature


@pytest.mark.parametrize(
    "text",
    [
        "signature: {inputs: x}\n",
        "signature: \n  inputs: x\n",
        '"signature":\n  inputs: x\n',
        '{"signature": {"inputs": "x"}}',
        "\ufeffsignature:\n  inputs: x\n",
    ],
)
def test_a_signature_in_another_form_is_not_none(text: str) -> None:
    assert gap(_signature(text)) is not None


def test_a_rare_line_end_does_not_end_a_signature() -> None:
    first, second = (f"signature:\n  inputs: a\u2028{letter}: x\n" for letter in "bc")
    assert _signature(first) != _signature(second)


@pytest.mark.parametrize(("code", "status"), [("not_found", "MODEL_GONE"), ("unreachable", "unknown")])
def test_a_version_whose_logged_model_cannot_be_read_is_not_ready(
    code: Any, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: FakeRegistry, model: str) -> Any:
        raise RegistryError(code, "so it is")

    monkeypatch.setattr(FakeRegistry, "logged_model", fails)
    found = look_at(churn(), "churn", "1", Deadline(30), now=NOW, files=False)
    assert found.status == status
