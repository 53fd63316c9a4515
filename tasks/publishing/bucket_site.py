"""A published site in a bucket, as a server in front of it reads it.

Each request is answered by what was live at a moment after it came: the pointer is read, on the condition that it has
changed, and one such read serves all who came before it began. So no request sees an older release than one that was
answered before it, and a bucket that takes 20 ms is asked 50 times a second at most, however many ask. What is named by
its content is kept in memory. While the bucket does not answer, what was live last is served from there.
"""

import hashlib
import json
import re
import time
from collections import OrderedDict
from collections.abc import Iterable
from threading import Condition, Lock

from tasks.publishing.bucket import Bucket
from tasks.publishing.bucket_errors import Absent
from tasks.publishing.conditions import Part
from tasks.publishing.failures import PlaceFailed, PlaceRefused
from tasks.publishing.manifest import IMMUTABLE, File, Manifest, Stored
from tasks.publishing.served import Live

CONTENT = "content/"
MANIFESTS = "manifests/"
POINTER = "live.json"

# Larger contents are passed on as they come, and not kept.
_KEPT_CONTENT_BYTES = 4 << 20
_FINGERPRINTED = re.compile(r"\.[0-9a-f]{12}\.[A-Za-z0-9]+$")
# Between two looks for assets of releases that this process has not seen, so that wrong names cost nothing.
_LOOK_AGAIN_S = 1.0
_MANIFESTS = 4


def manifest_in(bucket: Bucket, release: str) -> Manifest:
    """Return the manifest of a release.

    Raises:
        Absent: it is not there.
        PlaceFailed: it is damaged, or the bucket does not answer.
    """
    found = bucket.read(MANIFESTS + release)
    assert found is not None  # noqa: S101  # no condition was named
    if hashlib.sha256(found.content).hexdigest() != release:
        raise PlaceFailed(f"The manifest of release {release} is damaged.")
    return Manifest.from_json(found.content)


def pointer_in(content: bytes) -> tuple[str, tuple[str, int, int]]:
    """Return which release a pointer names, and whose turn it was: job, fence, step.

    Raises:
        PlaceRefused: it is none of ours.
    """
    try:
        raw = json.loads(content)
        return str(raw["release"]), (str(raw["job_id"]), int(raw["fence"]), int(raw["step"]))
    except (ValueError, KeyError, TypeError) as exc:
        raise PlaceRefused(f"The bucket's {POINTER} was not written by a publication: remove it.") from exc


class BucketSite:
    """One site in a bucket; ``tasks.publishing.served.Served`` says what each method does. Threads may share it.

    Args:
        bucket: what is below the site's own prefix.
        memory_bytes: for contents that were served.
    """

    def __init__(self, bucket: Bucket, name: str, *, memory_bytes: int = 64 << 20) -> None:
        self._bucket = bucket
        self._name = name
        self._contents = _Memory(memory_bytes)
        self._pointer = _Pointer(bucket)
        self._manifests: OrderedDict[str, Manifest] = OrderedDict()
        self._served: Manifest | None = None
        self._assets: dict[str, dict[str, File]] = {}
        self._looked_at = float("-inf")
        self._looking = Lock()

    @property
    def name(self) -> str:
        """See ``Served``."""
        return self._name

    def live(self) -> Live | None:
        """See ``Served``."""
        try:
            release = self._pointer.read()
            if release is None:
                return None
            found = self.manifest(release)
            if found is None:
                raise PlaceFailed(f"Release {release} is live, and its manifest is not there.")
        except (PlaceFailed, PlaceRefused):
            if self._served is None:
                raise
            return Live(self._served, is_certain=False)
        self._served = found
        return Live(found)

    def manifest(self, release: str) -> Manifest | None:
        """See ``Served``."""
        if (known := self._manifests.get(release)) is not None:
            return known
        try:
            found = manifest_in(self._bucket, release)
        except Absent:
            return None
        with self._looking:
            self._manifests[release] = found
            while len(self._manifests) > _MANIFESTS:
                self._manifests.popitem(last=False)
        return found

    def content(self, stored: Stored, part: Part | None = None) -> Iterable[bytes]:
        """See ``Served``."""
        wanted = slice(None) if part is None else slice(part.first, part.last + 1)
        if (known := self._contents.get(stored.sha256)) is not None:
            return [known[wanted]]
        key = CONTENT + stored.sha256
        try:
            if stored.size > _KEPT_CONTENT_BYTES:
                return self._bucket.stream(key, part)
            found = self._bucket.read(key)
        except Absent as exc:
            raise PlaceFailed(f"The content {stored.sha256} is not in the bucket.") from exc
        assert found is not None  # noqa: S101  # no condition was named
        if hashlib.sha256(found.content).hexdigest() != stored.sha256:
            raise PlaceFailed(f"The content {stored.sha256} is damaged in the bucket.")
        self._contents.keep(stored.sha256, found.content)
        return [found.content[wanted]]

    def asset(self, path: str) -> File | None:
        """See ``Served``."""
        if not _FINGERPRINTED.search(path):
            return None
        if (known := self._known_asset(path)) is None:
            with self._looking:
                if time.monotonic() - self._looked_at > _LOOK_AGAIN_S:
                    self._look()
            known = self._known_asset(path)
        return known

    def _known_asset(self, path: str) -> File | None:
        return next((files[path] for files in self._assets.values() if path in files), None)

    def _look(self) -> None:
        """Learn what kept releases have that this process has not seen, and forget those that are gone."""
        kept = self._bucket.sizes(MANIFESTS)
        assets = {release: files for release, files in self._assets.items() if release in kept}
        for release in kept.keys() - assets.keys():
            files = manifest_in(self._bucket, release).files
            assets[release] = {path: file for path, file in files.items() if file.cache_control == IMMUTABLE}
        self._assets = assets
        self._looked_at = time.monotonic()


class _Pointer:
    """Which release is live, read by one for all who wait."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._changed = Condition()
        self._begun = 0  # reads, of which at most one is under way
        self._ended = 0
        self._release: str | None = None
        self._etag: str | None = None
        self._error: PlaceFailed | PlaceRefused | None = None

    def read(self) -> str | None:
        """Return what a read says that began after this call."""
        with self._changed:
            wanted = self._begun + 1
            while self._begun != self._ended and self._ended < wanted:
                self._changed.wait()
            if self._ended >= wanted:
                return self._told()
            self._begun += 1
        error: PlaceFailed | PlaceRefused | None = None
        release, etag = self._release, self._etag
        try:
            release, etag = self._ask()
        except (PlaceFailed, PlaceRefused) as exc:
            error = exc
        finally:
            with self._changed:
                self._ended = self._begun
                self._release, self._etag, self._error = release, etag, error
                self._changed.notify_all()
        if error is not None:
            raise error
        return release

    def _told(self) -> str | None:
        if self._error is not None:
            raise type(self._error)(self._error.message)
        return self._release

    def _ask(self) -> tuple[str | None, str | None]:
        try:
            found = self._bucket.read(POINTER, unless=self._etag)
        except Absent:
            return None, None
        if found is None:
            return self._release, self._etag
        return pointer_in(found.content)[0], found.etag


class _Memory:
    """Contents by their hashes, those of the least recent use gone first."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._size = 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, sha256: str) -> bytes | None:
        with self._lock:
            if (found := self._kept.get(sha256)) is not None:
                self._kept.move_to_end(sha256)
            return found

    def keep(self, sha256: str, content: bytes) -> None:
        with self._lock:
            if sha256 in self._kept:
                return
            self._kept[sha256] = content
            self._size += len(content)
            while self._size > self._most:
                self._size -= len(self._kept.popitem(last=False)[1])
