"""The second half of the road: a decision, or a person's word, becomes an act that is recorded and can be undone."""

from aigate.act.desk import Acting, Desk, open_desk
from aigate.act.promote import Promoted, PromoteRequest, promote
from aigate.act.rollback import RollbackRequest, rollback
from aigate.act.state import StateRequest, adopt, break_glass, clear, halt, resume, review

__all__ = [
    "Acting",
    "Desk",
    "PromoteRequest",
    "Promoted",
    "RollbackRequest",
    "StateRequest",
    "adopt",
    "break_glass",
    "clear",
    "halt",
    "open_desk",
    "promote",
    "resume",
    "review",
    "rollback",
]
