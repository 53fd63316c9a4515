"""Where a server finds a site: in a folder here, in a bucket in ``tasks.publishing.bucket_site``. Light."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from tasks.publishing.conditions import Part
from tasks.publishing.manifest import IMMUTABLE, File, Manifest, Stored, media_type_of

_BLOCK = 1 << 18
_ENDINGS = {"br": ".br", "gzip": ".gz"}


@dataclass(frozen=True, slots=True)
class Live:
    """What is live.

    Args:
        is_certain: False: as far as was known when the place could still be asked.
    """

    manifest: Manifest
    is_certain: bool = True


class Served(Protocol):
    """A published site as its server reads it.

    Every method may raise ``PlaceFailed`` or ``PlaceRefused``: the place cannot be read now.
    """

    @property
    def name(self) -> str:
        """The site's name."""

    def live(self) -> Live | None:
        """Return what is live at a moment after this was called; None: nothing is."""

    def manifest(self, release: str) -> Manifest | None:
        """Return the manifest of a kept release; None: it is not kept."""

    def content(self, stored: Stored, part: Part | None = None) -> Iterable[bytes]:
        """Return the bytes, or a part of them, in pieces."""

    def asset(self, path: str) -> File | None:
        """Return an asset of any kept release by its fingerprinted name."""


class FolderSite:
    """A site in its own folder (``tasks.publishing.engine.places.folder``)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        """See ``Served``."""
        return self._folder.name

    def live(self) -> Live | None:
        """See ``Served``."""
        try:
            return Live(_manifest(self._folder, (self._folder / "live").readlink().name))
        except FileNotFoundError:
            return None

    def manifest(self, release: str) -> Manifest | None:
        """See ``Served``."""
        return _manifest(self._folder, release) if (self._folder / "manifests" / release).exists() else None

    def content(self, stored: Stored, part: Part | None = None) -> Iterable[bytes]:
        """See ``Served``. The file is open once this has returned, so that it may be swept meanwhile."""
        wanted = part or Part(0, stored.size - 1)
        return _blocks((self._folder / "content" / stored.sha256[:2] / stored.sha256).open("rb"), wanted)

    def asset(self, path: str) -> File | None:
        """See ``Served``."""
        if ".." in PurePosixPath(path).parts:
            return None
        found = self._folder / "fingerprinted" / path
        if not found.is_file():
            return None
        encodings = {name: found.with_name(found.name + ending) for name, ending in _ENDINGS.items()}
        return File(
            _stored(found),
            media_type_of(path),
            IMMUTABLE,
            {name: _stored(one) for name, one in encodings.items() if one.is_file()},
        )


def _blocks(file: IO[bytes], part: Part) -> Iterator[bytes]:
    with file:
        file.seek(part.first)
        left = part.size
        while left > 0 and (block := file.read(min(left, _BLOCK))):
            left -= len(block)
            yield block


def _stored(path: Path) -> Stored:
    with path.open("rb") as file:
        return Stored(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


@lru_cache(maxsize=4)
def _manifest(folder: Path, release: str) -> Manifest:
    return Manifest.from_json((folder / "manifests" / release).read_bytes())
