"""Contents that a tenant has sent for a site, by their SHA-256, so that only what changed is sent again.

Light: the web process asks it what is missing. A content that was asked about or used is kept for a while after that.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

_KEEP_S = 30 * 86_400
# As a client is told that a content is here, it must still be here when its job runs.
_FRESH_S = 86_400


class SourceStore:
    """The contents of one site, in a folder of its own."""

    def __init__(self, root: Path, site: str) -> None:
        self._folder = root / ".sources" / site

    def lacks(self, wanted: Iterable[str]) -> list[str]:
        """Return which of these contents are not here; the others stay for a month from now."""
        return [sha256 for sha256 in dict.fromkeys(wanted) if not self._touch(sha256)]

    def add(self, content: Path) -> str:
        """Keep the file's content, which nobody may write to from now on; return its SHA-256."""
        with content.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        final = self._path(sha256)
        if not self._touch(sha256):
            final.parent.mkdir(parents=True, exist_ok=True)
            aside = final.with_name(f".{sha256}.{os.getpid()}")
            try:
                try:
                    aside.hardlink_to(content)
                except OSError:  # on another disk
                    shutil.copyfile(content, aside)
                aside.rename(final)
            finally:
                aside.unlink(missing_ok=True)
        return sha256

    def find(self, sha256: str) -> Path:
        """Return where the content is, for a month from now; nobody may write to it.

        Raises:
            FileNotFoundError: it is not here.
        """
        if not self._touch(sha256):
            raise FileNotFoundError(sha256)
        return self._path(sha256)

    def sweep(self) -> int:
        """Remove what nobody has asked for or used for 30 days; return bytes freed."""
        freed, before = 0, time.time() - _KEEP_S
        for path in self._folder.glob("*/*"):
            found = path.stat()
            if found.st_mtime < before:
                freed += found.st_size
                path.unlink(missing_ok=True)
        return freed

    def _touch(self, sha256: str) -> bool:
        path = self._path(sha256)
        try:
            if path.stat().st_mtime < time.time() - _FRESH_S:
                os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256
