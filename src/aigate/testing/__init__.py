"""For tests of policies: a snapshot on which everything is well, ways to break it, and the gate's own runner.

    from aigate.testing import change, missing, passing_snapshot

    def test_it_sees_stale_features() -> None:
        stale = change(passing_snapshot(), "/stages/features/age", timedelta(hours=12))
        assert my_policy.run(stale).outcome == "fail"

`load_policy(path, id)` loads one from its file, and
`my_policy.run(snapshot, **parameters)` runs it in this process: quick, and with
a debugger at hand. `Gate` runs the policies in force as the gate does: in a
process of their own, without credentials, with the manifest's parameters and
levels. In pytest both come as fixtures, `passing` and `gate`. Snapshots are
built through validation every time, so a test cannot make one that the gate
could not have made.

`aigate test` runs the tests, asks the gate about every snapshot that they
used, and then proves the policies.
"""

from aigate.testing.passing import NOW, passing_manifest, passing_snapshot
from aigate.testing.places import change, missing
from aigate.testing.runner import Gate, load_policy

__all__ = [
    "NOW",
    "Gate",
    "change",
    "load_policy",
    "missing",
    "passing_manifest",
    "passing_snapshot",
]
