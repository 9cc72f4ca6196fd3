"""What the bench measures against: a real MLflow server with two versions, and endpoints that answer as told."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MANIFEST = """\
version: 1
system: churn
owner: {{team: retention, contact: "#churn-oncall"}}
model: {{name: {model}}}
metrics:
  accuracy: {{range: [0, 1], floor: {{value: 0.92, provenance: {{method: measured, set_by: bench, set_on: 2026-11-01, environment: production, run: "{run}"}}}}}}
stages:
{stages}
runbooks: {{default: runbook.md}}
"""
STAGE = """\
  - name: s{n}
    owner: data-eng
    freshness:
      {{url: '{url}', time: loaded_at, max_age: 2h, provenance: {{method: expert, set_by: bench, set_on: 2026-11-01, environment: production, rationale: agreed}}}}"""


@contextmanager
def endpoints(count: int, delay: float = 0.0) -> Iterator[list[str]]:
    """Serve `count` freshness documents on loopback, each `delay` seconds late; yield their addresses."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(delay)
            body = json.dumps({"loaded_at": datetime.now(UTC).isoformat()}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield [f"http://127.0.0.1:{server.server_address[1]}/s{n}.json" for n in range(count)]
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def mlflow_server(folder: Path, guard: Path | None = None) -> Iterator[str]:
    """Run a real MLflow server on SQLite in a folder, guarded where there is a guard file; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    if guard is not None:
        env["AIGATE_GUARD"] = str(guard)
        command += ["--registry-store-uri", f"aigate+sqlite:///{folder}/mlflow.db"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=env, cwd=folder, start_new_session=True
        )
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(url, process)
            yield url
        finally:
            os.killpg(process.pid, 15)
            process.wait(20)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        if process.poll() is not None:
            sys.exit("bench: the MLflow server ended at once")
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1):
                return
        except OSError:
            time.sleep(0.25)
    sys.exit("bench: the MLflow server did not start within 60 s")


SEED = """
import sys
import mlflow, pandas
name, *accuracies = sys.argv[1:]
client = mlflow.MlflowClient()
data = mlflow.data.from_pandas(pandas.DataFrame({"x": range(500), "y": [i % 2 for i in range(500)]}), name="eval", targets="y")
class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str], params=None): return model_input
for alias, accuracy in zip(("champion", "challenger"), map(float, accuracies)):
    with mlflow.start_run() as run:
        info = mlflow.pyfunc.log_model(name="model", python_model=Model())
        mlflow.log_input(data, context="evaluation")
        mlflow.log_metric("accuracy", accuracy, dataset=data, model_id=info.model_id)
    version = mlflow.register_model(info.model_uri, name).version
    client.set_registered_model_alias(name, alias, version)
print(run.info.run_id)
"""


def seed(url: str) -> str:
    """Log and register a good champion and a bad challenger; return a run's id."""
    return _seed(url, "churn", "0.94", "0.71")


def seed_good(url: str, model: str) -> str:
    """Log and register two versions that may both be champion; return a run's id."""
    return _seed(url, model, "0.94", "0.94")


def _seed(url: str, *words: str) -> str:
    """Log and register two versions through MLflow's own client; return a run's id."""
    env = {
        **os.environ,
        "MLFLOW_TRACKING_URI": url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    done = subprocess.run(
        [sys.executable, "-c", SEED, *words], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"bench: seeding failed: {done.stderr[-2000:]}")
    return done.stdout.strip().splitlines()[-1]


def write_manifest(folder: Path, urls: list[str], run: str, *, model: str = "churn") -> Path:
    """Write a manifest whose stages are at these addresses."""
    stages = "\n".join(STAGE.format(n=n, url=url) for n, url in enumerate(urls))
    (folder / "runbook.md").write_text("# What to do\n")
    path = folder / "aigate.yaml"
    path.write_text(MANIFEST.format(run=run, stages=stages, model=model))
    return path
