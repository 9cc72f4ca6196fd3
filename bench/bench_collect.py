"""One collection, timed from inside the process, imports left out."""

import time
from datetime import UTC, datetime
from pathlib import Path


def main(manifest: str) -> None:
    """Collect once and print the seconds it took."""
    from aigate.assemble import Asked
    from aigate.cli.options import world
    from aigate.collect.everything import collect
    from aigate.collect.manifest_file import load_manifest

    loaded = load_manifest(Path(manifest))
    asked = Asked("promote", "production", "champion", datetime.now(UTC), loaded.digest)
    around = world()
    started = time.perf_counter()
    collect(
        loaded,
        asked,
        version=None,
        candidate="challenger",
        tracking_uri=None,
        environ=around.environ,
        home=around.home,
        seconds=30,
        trusted=True,
    )
    print(time.perf_counter() - started)
