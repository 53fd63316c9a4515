"""Whether a file comes to visitors with the headers that its release says."""

import re
from collections.abc import Mapping

from tasks.publishing.manifest import REVALIDATED, File

# What browsers show or run as another type not at all, since they are told not to guess (nosniff).
_STRICT = ("text/html", "text/css", "text/javascript")
# By now one and the same; which of them a server says is a matter of its age.
_SAME = {"application/javascript": "text/javascript", "application/x-javascript": "text/javascript"}
_AGE = re.compile(r"(?:^|[ ,])(?:s-maxage|max-age) *= *\"?(\d+)", re.IGNORECASE)
_ASKS = re.compile(r"(?:^|[ ,])(?:no-cache|no-store)(?:$|[ ,])", re.IGNORECASE)


def wrong_header(file: File, headers: Mapping[str, str]) -> str | None:
    """Return what is wrong, as the end of a sentence about the file; None: nothing.

    Another type than that of a page, style sheet or script is wrong, and so is leave to keep for a time what the next
    release may change: visitors would see parts of two releases. That a file could be kept for longer is not.
    """
    wanted, told = _plain(file.media_type), _plain(headers.get("Content-Type", ""))
    if wanted in _STRICT and wanted != told:
        return f"comes as {told or 'no type'} (Content-Type), not as {wanted}"
    caching = headers.get("Cache-Control", "")
    if file.cache_control == REVALIDATED and not _ASKS.search(caching) and any(map(int, _AGE.findall(caching))):
        return f"may be kept without asking (Cache-Control: {caching[:100]}), and should be {REVALIDATED}"
    return None


def _plain(media_type: str) -> str:
    name = media_type.partition(";")[0].strip().lower()
    return _SAME.get(name, name)
