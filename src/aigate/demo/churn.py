"""The data of the story: customers, the vectors a cache keeps of their behaviour, and who left.

Made from fixed seeds, so that every accuracy in the story comes out the same
each time. The mechanism is the usual one. Whether a customer leaves depends
weakly on the account and strongly on what they did in the last hours; the
behaviour vectors hold the latter, and they lose their meaning within hours.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Booleans = NDArray[np.bool_]

Environment = Literal["dev", "production"]

ACCOUNT = ("tenure", "plan", "age")
"""Columns that change slowly; they come from the account and are always there."""

VECTOR = ("v0", "v1", "v2", "v3", "v4")
"""Columns of the behaviour vector, as retrieved from the cache."""

TARGET = "churned"
MEMORY = 0.75
"""What a behaviour vector keeps of itself from one hour to the next, as a correlation."""

_ACCOUNT_PULL = (0.490, 0.245, -0.245)
_VECTOR_PULL = (0.482, -0.241, 0.241, 0.241, -0.482)
"""What drives a customer away: the account a little, the last hours a lot."""
_CHANCE = 0.08
_WRONG_MATCHES = 0.07
"""Share of lookups that bring somebody else's vector."""
_MATCH: dict[Environment, tuple[float, float, float]] = {
    "dev": (0.75, 0.47, 0.05),
    "production": (0.88, 0.635, 0.05),
}
"""Confidence of right matches, of wrong ones, and its spread. Production's index is denser than
dev's: everybody resembles somebody, so wrong matches look better there."""

WRONG_SHARE_ALLOWED = 0.005
"""How many of the vectors in use may be somebody else's: what the retrieval threshold is fitted to."""


@dataclass(frozen=True)
class Lookups:
    """One row a customer: the account, what the cache returned for them, and whether they left."""

    account: "Floats"
    vectors: "Floats"
    match: "Floats"
    """How sure the retrieval was that the vector is this customer's, 0 to 1."""
    theirs: "Booleans"
    """Whether it truly is; known only because these customers are made."""
    churned: "NDArray[np.int64]"

    def table(self) -> Any:
        """Return the rows as a pandas frame, with everything a scoring service sees, and the label."""
        import pandas as pd

        columns = {name: self.account[:, i] for i, name in enumerate(ACCOUNT)}
        columns |= {name: self.vectors[:, i] for i, name in enumerate(VECTOR)}
        return pd.DataFrame({**columns, "match": self.match, TARGET: self.churned})


def lookups(rows: int, seed: int, environment: Environment = "production", *, hours_old: int = 0) -> Lookups:
    """Return customers as they are, and their vectors as they were `hours_old` ago.

    The same seed gives the same customers with the same fates, whatever the
    age of the cache.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    account = random.normal(size=(rows, len(ACCOUNT)))
    now = random.normal(size=(rows, len(VECTOR)))
    chance = random.normal(size=rows)
    drive = account @ np.array(_ACCOUNT_PULL) + now @ np.array(_VECTOR_PULL) + _CHANCE * chance
    kept = MEMORY**hours_old
    cached = kept * now + np.sqrt(1 - kept**2) * random.normal(size=now.shape)
    theirs = random.random(rows) >= _WRONG_MATCHES
    others = cached[random.permutation(rows)]
    right, wrong, spread = _MATCH[environment]
    match = random.normal(np.where(theirs, right, wrong), spread).clip(0, 1)
    return Lookups(
        account=account,
        vectors=np.where(theirs[:, None], cached, others),
        match=match,
        theirs=theirs,
        churned=(drive > 0).astype(np.int64),
    )


def inputs(table: Any, confidence: float) -> Any:
    """Return what the model is fed: a vector that was matched with too little confidence is left out.

    Left out means the average customer's, which is zero.
    """
    kept = table.copy()
    kept.loc[kept["match"] < confidence, list(VECTOR)] = 0.0
    return kept[[*ACCOUNT, *VECTOR]]


def wrong_share(found: Lookups, confidence: float) -> float:
    """Return how many of the vectors that a threshold lets through are somebody else's."""
    used = found.match >= confidence
    return float((used & ~found.theirs).sum() / max(int(used.sum()), 1))


def fit_confidence(found: Lookups) -> float:
    """Return the lowest threshold, in hundredths, that lets few enough wrong vectors through."""
    grid = [hundredth / 100 for hundredth in range(40, 96)]
    return next(limit for limit in grid if wrong_share(found, limit) <= WRONG_SHARE_ALLOWED)
