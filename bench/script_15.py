"""What users write today: the gate as a script of fifteen lines."""

import json
import sys
import urllib.request
from datetime import UTC, datetime, timedelta

from mlflow import MlflowClient

client = MlflowClient()
challenger = client.get_model_version_by_alias("churn", "challenger")
champion = client.get_model_version_by_alias("churn", "champion")
new = client.get_run(challenger.run_id).data.metrics["accuracy"]
old = client.get_run(champion.run_id).data.metrics["accuracy"]
for url in sys.argv[1:]:
    loaded = json.load(urllib.request.urlopen(url, timeout=10))["loaded_at"]
    if datetime.now(UTC) - datetime.fromisoformat(loaded) > timedelta(hours=2):
        sys.exit(f"{url} is stale")
if new < 0.92 or new < old - 0.02:
    sys.exit(f"accuracy {old} -> {new}")
