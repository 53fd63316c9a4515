"""Logs of worker processes: those that nobody writes to any more go after a week."""

import re
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

KEPT_S = 7 * 86_400
# ``worker-crawler-1.log``, and what supervisord has put aside: ``worker-crawler-1.log.2``.
_LOG = re.compile(r"worker-(?P<name>[a-z]+-\d+)\.log(?P<aside>\.\d+)?")


def remove_old(folder: Path, *, in_use: Collection[str], kept_s: float = KEPT_S) -> list[Path]:
    """Remove logs that were last written longer ago; return them. Other files stay, and what a live worker writes to.

    Args:
        in_use: names of workers that run.
    """
    before, removed = time.time() - kept_s, []
    for path in sorted(folder.glob("worker-*.log*")):
        found = _LOG.fullmatch(path.name)
        if found is None or (found["name"] in in_use and not found["aside"]):
            continue
        # Somebody else may be tidying up, too.
        with suppress(OSError):
            if path.stat().st_mtime < before:
                path.unlink()
                removed.append(path)
    return removed
