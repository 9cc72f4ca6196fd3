"""The secret: from one place, long enough, and repeated nowhere."""

from pathlib import Path

import pytest

from aigate.errors import UsageError
from aigate.listen.secret import FILE_VARIABLE, MOST_BYTES, VARIABLE, webhook_secret

GOOD = "0123456789abcdef"


def test_it_is_taken_as_mlflow_has_it(tmp_path: Path) -> None:
    assert webhook_secret({VARIABLE: GOOD}) == GOOD.encode()
    assert webhook_secret({VARIABLE: "gehéim" * 4}) == ("gehéim" * 4).encode()
    path = tmp_path / "secret"
    path.write_text(f"{GOOD}\n")
    assert webhook_secret({FILE_VARIABLE: str(path)}) == GOOD.encode()
    assert webhook_secret({FILE_VARIABLE: str(path), VARIABLE: ""}) == GOOD.encode()


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        pytest.param({}, "no webhook secret", id="none"),
        pytest.param({VARIABLE: ""}, "no webhook secret", id="empty"),
        pytest.param({VARIABLE: "  \n"}, "no webhook secret", id="blank"),
        pytest.param({VARIABLE: GOOD[:15]}, "shorter than 16 bytes", id="short"),
        pytest.param({VARIABLE: GOOD[:15] + "   "}, "shorter than 16 bytes", id="padded"),
        pytest.param({VARIABLE: GOOD, FILE_VARIABLE: "x"}, "both", id="both"),
        pytest.param({FILE_VARIABLE: "/no/such/file"}, "cannot be read", id="no-file"),
        pytest.param({FILE_VARIABLE: "a\x00b"}, "cannot be read", id="no-path"),
        pytest.param({FILE_VARIABLE: "."}, "cannot be read", id="a-folder"),
    ],
)
def test_what_is_no_secret_is_refused_and_not_repeated(environ: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        webhook_secret(environ)
    assert GOOD[:15] not in caught.value.message + caught.value.fix
    assert caught.value.exit_code == 2


def test_a_file_is_not_read_without_end(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"x" * (MOST_BYTES + 1))
    with pytest.raises(UsageError, match="more than"):
        webhook_secret({FILE_VARIABLE: str(path)})
    path.write_bytes(b"\n")
    with pytest.raises(UsageError, match="no webhook secret"):
        webhook_secret({FILE_VARIABLE: str(path)})
