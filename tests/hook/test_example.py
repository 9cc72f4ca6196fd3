"""The example of a guarded server is one that works."""

import re
from pathlib import Path

from aigate.enforce.keys import generate, public_pem
from aigate.hook.config import VARIABLE, parse_guard, read_guard
from aigate.hook.guard import Condition, Operation, judge

FOLDER = Path(__file__).parents[2] / "examples/mlflow-server"


def test_the_guard_file_is_one(tmp_path: Path) -> None:
    text = (FOLDER / "guard.yaml").read_text()
    (tmp_path / "guard.yaml").write_text(text)
    (tmp_path / "aigate.pub.pem").write_bytes(public_pem(generate().key.public_key()))
    guard = read_guard(tmp_path / "guard.yaml")
    assert not guard.broken
    assert len(guard.keys) == 1
    assert judge(Operation("set_alias", "churn", alias="champion", version="2"), guard) is Condition.TICKET
    assert judge(Operation("create_version", "prod.a"), guard) not in (None, Condition.TICKET)
    assert judge(Operation("set_alias", "churn", alias="challenger", version="2"), guard) is None


def test_what_the_page_names_exists() -> None:
    page = (FOLDER / "README.md").read_text()
    file = parse_guard((FOLDER / "guard.yaml").read_bytes(), "guard.yaml")
    assert VARIABLE in page
    for word in re.findall(r"`(open_tags|mode|until|versions): ", page):
        assert word in {
            *type(file).model_fields,
            *type(file.keys[0]).model_fields,
            *type(file.protected[0]).model_fields,
        }
    assert all(
        f"`aigate+{scheme}" in page or f"aigate+{scheme}" in page
        for scheme in ("sqlite", "postgresql", "http")
    )
