"""What the tests of effects use: one real PostgreSQL server for the whole session."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from servers import free_port

pytest.register_assert_rewrite("enforce.contract")

_PATIENCE = 60.0
"""Seconds the server may take to start or stop; one is usual."""

PASSWORD = "correct horse 'battery' staple"
_SETTINGS = {
    "fsync": "on",
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "16MB",
    "max_connections": "60",
}


@dataclass
class PostgresServer:
    """A PostgreSQL server on loopback, with fsync as it is in production. Its superuser is `gate`."""

    programs: Path
    folder: Path
    owner: dict[str, Any]
    port: int
    process: subprocess.Popen[Any] | None = None

    def uri(self, database: str = "postgres", *, user: str = "gate", password: str = PASSWORD) -> str:
        """Return the address of a database, as a person would write it."""
        quoted = password.replace(" ", "%20").replace("'", "%27")
        return f"postgresql://{user}:{quoted}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Open a connection that goes round the store."""
        return psycopg.connect(self.uri(database), autocommit=True, connect_timeout=5)

    def new_database(self) -> str:
        """Make an empty database and return its name."""
        name = f"t{uuid.uuid4().hex}"
        with self.connect() as conn:
            conn.execute(f"CREATE DATABASE {name}")
        return name

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data")]
        command += ["-p", str(self.port), "-k", str(self.folder)]
        for key, value in _SETTINGS.items():
            command += ["-c", f"{key}={value}"]
        with (self.folder / "server.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, **self.owner)
        self.process = process
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and process.poll() is None:
            with contextlib.suppress(psycopg.OperationalError), self.connect():
                return
            time.sleep(0.05)
        pytest.fail(f"PostgreSQL did not start:\n{(self.folder / 'server.log').read_text()[-4000:]}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server by its process number: SIGINT ends sessions, SIGQUIT does not even finish its work."""
        process, self.process = self.process, None
        for sign in (how, signal.SIGQUIT, signal.SIGKILL):
            if process is None or process.poll() is not None:
                return
            process.send_signal(sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_PATIENCE / 2)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One real PostgreSQL, stopped and removed at the end of the session."""
    programs = _programs()
    # Not below pytest's own folder, which only the user who runs the tests may enter.
    folder = Path(tempfile.mkdtemp(prefix="aigate-postgres-"))
    owner: dict[str, Any] = {"cwd": folder, "env": {"PATH": os.defpath, "LC_ALL": "C"}}
    if os.geteuid() == 0:  # PostgreSQL does not run as root.
        user = _unprivileged()
        owner |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        os.chown(folder, user.pw_uid, user.pw_gid)
    server = PostgresServer(programs, folder, owner, free_port())
    try:
        _initialise(server)
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """Return the folder of the newest PostgreSQL; Debian keeps it away from PATH."""
    found = shutil.which("initdb")
    if found and Path(found).resolve().with_name("postgres").exists():
        return Path(found).resolve().parent
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not folders:
        pytest.fail("PostgreSQL is not installed: apt-get install postgresql")
    return max(folders, key=lambda folder: float(folder.parent.name))


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.fail("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`")


def _initialise(server: PostgresServer) -> None:
    secret = server.folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    command = [
        str(server.programs / "initdb"),
        "-D",
        str(server.folder / "data"),
        "-U",
        "gate",
        "-A",
        "scram-sha-256",
    ]
    command += ["-E", "UTF8", "--no-locale", "--no-sync", f"--pwfile={secret}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE * 2, **server.owner)
    if done.returncode:
        pytest.fail(f"PostgreSQL could not be set up:\n{done.stdout}\n{done.stderr}")


@dataclass(frozen=True)
class Child:
    """Runs `sql_child.py` in a process of its own, perhaps under another program."""

    program: Path

    def __call__(self, *words: object, under: Sequence[str] = ()) -> Any:
        """Return what the child says; fail where it does not end as it should."""
        command = [*under, sys.executable, str(self.program), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
        if done.returncode or "Traceback" in done.stderr:
            pytest.fail(f"{words} ended with {done.returncode}: {done.stderr[-3000:]}")
        return json.loads(done.stdout)


@pytest.fixture
def child() -> Child:
    """Run something in a process of its own."""
    return Child(Path(__file__).with_name("sql_child.py"))
