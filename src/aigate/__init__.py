"""aigate: a policy-as-code gate for AI deploy pipelines.

What a policy author imports, and nothing else::

    from aigate import Findings, Skip, Snapshot, deny, policy
"""

from aigate.decision import Finding
from aigate.policy import Findings, MissingEvidence, Skip, deny, policy
from aigate.snapshot import Snapshot

__all__ = ["Finding", "Findings", "MissingEvidence", "Skip", "Snapshot", "deny", "policy"]

__version__ = "0.1.0"
