"""What was made of a content is kept by the content's hash, so that an unchanged file is not worked on again.

It is a saving and no truth: whatever is lost, damaged or made by other code is made anew.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

# As long as the contents that were sent (`tasks.publishing.sources`).
_KEEP_S = 30 * 86_400
_FRESH_S = 86_400
_DIGEST_BYTES = 32
_LIBRARIES = ("brotli", "minify-html", "pillow", "rcssmin", "rjsmin", "tinycss2")


class Memo:
    """Remembers for one site, in a folder of its own. Several processes and threads may use it at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def made(self, step: str, key: str, make: Callable[[], bytes]) -> bytes:
        """Return what ``make`` returns, of this or of an earlier publication.

        Args:
            step: names what is made, with all settings that it depends on besides the content.
            key: stands for the content that it is made of (``tree.SiteFile``).
        """
        known = self.known(step, key)
        if known is None:
            known = make()
            self.keep(step, key, known)
        return known

    def known(self, step: str, key: str) -> bytes | None:
        """Return what was kept; None: nothing, or it is lost."""
        return _read(self._path(step, key))

    def keep(self, step: str, key: str, made: bytes) -> None:
        """Keep what was made."""
        with suppress(OSError):  # where there is no room, it is made again the next time
            _write(self._path(step, key), made)

    def sweep(self) -> int:
        """Remove what was not used for 30 days; return bytes freed."""
        freed, before = 0, time.time() - _KEEP_S
        for path in self._folder.glob("*/*"):
            with suppress(FileNotFoundError):
                found = path.stat()
                if found.st_mtime < before:
                    freed += found.st_size
                    path.unlink()
        return freed

    def _path(self, step: str, key: str) -> Path:
        name = hashlib.sha256(f"{_recipe()}\n{step}\n{key}".encode()).hexdigest()
        return self._folder / name[:2] / name


@cache
def _recipe() -> str:
    """Changes with whatever makes something: the code of this package, and the libraries that it calls."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    for name in _LIBRARIES:
        digest.update(f"{name} {version(name)}\n".encode())
    return digest.hexdigest()


def _read(path: Path) -> bytes | None:
    try:
        raw = path.read_bytes()
        if path.stat().st_mtime < time.time() - _FRESH_S:
            os.utime(path)
    except OSError:
        return None
    made = raw[_DIGEST_BYTES:]
    # Nothing is synced when it is written: after a loss of power a file may have any content.
    return made if hashlib.sha256(made).digest() == raw[:_DIGEST_BYTES] else None


def _write(path: Path, made: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        aside.write_bytes(hashlib.sha256(made).digest() + made)
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)
