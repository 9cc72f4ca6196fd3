"""The folder of the story: the manifest as its owner would write it, and the runbooks it names."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from aigate.demo.models import EMBEDDING, NAME, TEAM
from aigate.demo.pipeline import path

DATA_TEAM, ML_TEAM, PLATFORM_TEAM = "data-platform", "ml-ranking", "serving-platform"
FLOOR = 0.92
_REVIEW = timedelta(days=180)


@dataclass(frozen=True)
class Origin:
    """A retrieval threshold and where it came from, as the manifest says it."""

    value: float
    set_on: date
    environment: str
    run: str

    @property
    def lines(self) -> str:
        """The lines of the manifest that declare it."""
        return f"""\
thresholds:
  retrieval_confidence: # below it, a vector is not taken for this customer's
    value: {self.value:.2f}
    applied: {{param: retrieval_confidence}}
    provenance:
      method: fitted
      set_by: {ML_TEAM}
      set_on: {self.set_on}
      environment: {self.environment}
      run: {self.run}
      measured_with: {{embedding_model: {EMBEDDING}}}
"""


def write(folder: Path, manifest: str) -> None:
    """Write the manifest and its runbooks."""
    (folder / "aigate.yaml").write_text(manifest, encoding="utf-8")
    (folder / "runbooks").mkdir(exist_ok=True)
    for name, text in RUNBOOKS.items():
        (folder / "runbooks" / name).write_text(text, encoding="utf-8")


def manifest(endpoints: str, today: date, *, baseline: str, threshold: Origin) -> str:
    """Return the manifest: freshness is asked at `endpoints`, the floor was measured in run `baseline`."""
    set_on = today - timedelta(days=40)
    due = set_on + _REVIEW

    def why(team: str, words: str) -> str:
        return f'{{set_by: {team}, set_on: {set_on}, environment: production, rationale: "{words}", review_by: {due}}}'

    def stage(name: str, team: str, reads: str, max_age: str, words: str, allowance: str) -> str:
        return f"""\
  - name: {name}
    owner: {team}
    reads: [{reads}]
    allowance: {allowance} # how long it may go on with what {reads} has replaced
    freshness:
      url: {endpoints}{path(name)}
      time: built_at
      kind: built
      read: read_at
      version: version
      inputs: inputs
      max_age:
        value: {max_age}
        provenance: {why(team, words)}
"""

    return f"""\
# The system as its owner declares it. Every limit says where it comes from.
version: 1
system: {NAME}
owner: {{team: {TEAM}, contact: "#churn-oncall", escalation: https://pager.example/churn}}
model: {{name: {NAME}, champion: champion, challenger: challenger}}

metrics:
  accuracy:
    range: [0, 1]
    kind: proportion
    floor:
      value: {FLOOR}
      provenance: {{method: measured, set_by: {TEAM}, set_on: {set_on}, environment: production, run: {baseline}, review_by: {due}}}
    max_drop:
      value: 0.02
      provenance: {{method: cost_model, set_by: {TEAM}, set_on: {set_on}, environment: production, rationale: "two points cost what the campaign earns", review_by: {due}}}

stages:
  - name: transactions
    owner: {DATA_TEAM}
    freshness:
      url: {endpoints}{path("transactions")}
      time: loaded_at
      version: version
      max_age:
        value: 1h
        provenance: {why(DATA_TEAM, "loaded every quarter of an hour")}
{stage("features", DATA_TEAM, "transactions", "3h", "built every two hours", "3h")}\
{stage("embeddings", ML_TEAM, "features", "4h", "built after the features", "1h")}\
{stage("scoring", PLATFORM_TEAM, "embeddings", "1h", "the cache is loaded every half hour", "1h")}\

objectives:
  end_to_end_age:
    value: 9h
    provenance: {why(TEAM, "who leaves decides within a day; the rest is for calling them")}

{threshold.lines}
runbooks: {{default: runbooks/churn.md, data: runbooks/late-data.md}}
"""


RUNBOOKS = {
    "churn.md": """\
# Churn: a version was refused, or the champion is in doubt

1. Read the report from the top: each line names the reading, the limit and who keeps it.
2. If data or a cache is late, go to late-data.md first. No other version cures late data.
3. If a threshold has no origin, fit it in production and write the run into the manifest.
4. If the model alone is to blame, compare its run with the champion's on the same dataset.
5. Ask again with the command at the end of the report.
""",
    "late-data.md": """\
# Churn: data is late, or a cache serves what has been replaced

1. Which stage is named? Ask its owner; the manifest says who that is.
2. Build again from that stage on, in order: transactions, features, embeddings, scoring.
3. Look at each stage's endpoint: `inputs` must name the version that the stage before it has now.
4. A version that was trained on late data stays wrong: train it again.
5. Ask again with the command at the end of the report.
""",
}
