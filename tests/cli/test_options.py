"""What the door reads from the world: one clock, who asks, whose folder."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aigate.cli.options import actor, home, world
from aigate.decision import Actor

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_ACTOR": "m-ito",
    "GITHUB_REPOSITORY": "retention/churn",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_RUN_ID": "77",
}


def test_the_clock_is_read_in_whole_seconds() -> None:
    before = datetime.now(UTC)
    now = world().now
    assert now.microsecond == 0
    assert now.tzinfo is UTC
    assert timedelta(0) <= before - now < timedelta(seconds=1) or now > before


@pytest.mark.parametrize(
    ("environ", "who"),
    [
        (GITHUB, Actor(name="github:m-ito", run="https://github.example/retention/churn/actions/runs/77")),
        (GITHUB | {"GITHUB_RUN_ID": ""}, Actor(name="github:m-ito")),
        (GITHUB | {"GITHUB_ACTOR": ""}, actor(GITHUB).model_copy(update={"name": "github:unknown"})),
        (
            {"GITLAB_CI": "true", "GITLAB_USER_LOGIN": "d.silva", "CI_JOB_URL": "https://gitlab.example/j/1"},
            Actor(name="gitlab:d.silva", run="https://gitlab.example/j/1"),
        ),
        ({"GITLAB_CI": "true"}, Actor(name="gitlab:unknown")),
        (GITHUB | {"GITHUB_ACTOR": "a\n\x1b[31mb" * 200}, None),
    ],
    ids=["github", "no-run", "no-actor", "gitlab", "gitlab-nobody", "hostile"],
)
def test_a_pipeline_says_who_asks(environ: dict[str, str], who: Actor | None) -> None:
    found = actor(environ)
    if who is None:
        assert found.name.isprintable()
        assert len(found.name) == 200
    else:
        assert found == who


def test_a_person_asks_by_the_name_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "m.ito")
    assert actor({}).name == "user:m.ito"


@pytest.mark.parametrize("error", [OSError, KeyError, ImportError])
def test_a_user_without_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    """In a container, the user's number may be in no list."""

    def nobody() -> str:
        raise error

    monkeypatch.setattr("getpass.getuser", nobody)
    assert actor({}).name == "user:unknown"


def test_a_user_without_a_folder_has_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert home() == Path(os.devnull)
    assert not (home() / ".mlflow" / "credentials").exists()
