"""aigate: a policy-as-code gate for AI deploy pipelines.

What a policy author imports, and nothing else::

    from aigate import Findings, Skip, Snapshot, Unknown, deny, policy
"""

from aigate.decision import Finding
from aigate.policy import Findings, MissingEvidence, Skip, Unknown, deny, note, policy
from aigate.snapshot import Snapshot

__all__ = [
    "Finding",
    "Findings",
    "MissingEvidence",
    "Skip",
    "Snapshot",
    "Unknown",
    "deny",
    "note",
    "policy",
]

__version__ = "0.1.0"
