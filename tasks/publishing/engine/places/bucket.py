"""A bucket of S3's protocol; servers in front of it (``tasks.publishing.bucket_site``) read which release is live.

::

    <tenant>/<site>/content/abcd…          every file once, named by its SHA-256
    <tenant>/<site>/manifests/<release>    a release; one without it is not prepared
    <tenant>/<site>/live.json              the pointer: which release is live, and whose turn it was
    <tenant>/<site>/at-work.json           who works here

A PUT of an object is all or nothing, and the pointer is one object: it is written on the condition that it is still the
one whose turn was compared, so that of two who activate at once one finds the other's and compares anew.

A bucket has no lock. Who begins to work writes its own mark into ``at-work.json``, and who sweeps goes on only while
that has its mark: an attempt that was overtaken, and wakes up in its sweep, removes nothing that its successor needs.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from uuid import uuid4

from tasks.publishing.bucket import Bucket, Got
from tasks.publishing.bucket_conditions import demand_conditions
from tasks.publishing.bucket_errors import Absent
from tasks.publishing.bucket_site import CONTENT, MANIFESTS, POINTER, manifest_in, pointer_in
from tasks.publishing.engine.places.place import ActivationRefused, PlaceFailed, Pointer, Turn
from tasks.publishing.manifest import IMMUTABLE, Manifest, Stored

_AT_WORK = "at-work.json"
# Larger files are not read into memory.
_SMALL_BYTES = 8 << 20
_ACTIVATIONS = 20
_DELETES_AT_ONCE = 8
# Between two looks whether it is still this one who works here.
_DELETES_IN_A_ROW = 100


class BucketPlace:
    """One site in a bucket. Several processes may work on it at once; see ``place.Place`` for what each method does.

    Args:
        bucket: what is below the site's own prefix.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._mark = uuid4().hex
        self._has_begun = False
        self._has_conditions = False
        self._beginning = Lock()
        self._contents: dict[str, int] = {}
        self._read_last: tuple[str, Manifest] | None = None

    def lacks(self, wanted: Iterable[Stored]) -> set[Stored]:
        """See ``Place``. The bucket is asked once, as it was when this attempt began."""
        self._begin()
        return {stored for stored in wanted if self._contents.get(stored.sha256) != stored.size}

    def put(self, stored: Stored, content: Path) -> None:
        """See ``Place``."""
        self._begin()
        if self._contents.get(stored.sha256) == stored.size:
            return
        with content.open("rb") as file:
            whole = file.read() if stored.size <= _SMALL_BYTES else None
            digest = hashlib.file_digest(file, "sha256") if whole is None else hashlib.sha256(whole)
            if digest.hexdigest() != stored.sha256:
                raise PlaceFailed(f"{content.name!r} changed while it was published.")
            file.seek(0)
            self._bucket.put(
                CONTENT + stored.sha256,
                file if whole is None else whole,
                # Several files of several types may have it; what it is, the manifest says.
                media_type="application/octet-stream",
                cache_control=IMMUTABLE,
                sha256=stored.sha256 if whole is None else None,
            )
        self._contents[stored.sha256] = stored.size

    def prepare(self, manifest: Manifest) -> None:
        """See ``Place``."""
        self._begin()
        self._contents = self._bucket.sizes(CONTENT)  # anew: it is the last look before this can be live
        if missing := self.lacks(manifest.all_stored()):
            raise PlaceFailed(f"{len(missing)} contents of release {manifest.release[:12]} are not in the bucket.")
        self._bucket.put(
            MANIFESTS + manifest.release,
            manifest.to_json(),
            media_type="application/json",
            cache_control=IMMUTABLE,
        )

    def pointer(self) -> Pointer:
        """See ``Place``."""
        return self._written()[0]

    def activate(self, release: str, turn: Turn) -> Pointer:
        """See ``Place``."""
        if not self._bucket.has(MANIFESTS + release):
            raise PlaceFailed(f"Release {release} is not prepared here.")
        self._demand_conditions()
        text = json.dumps(
            {"version": 1, "release": release, "job_id": turn.job_id, "fence": turn.fence, "step": turn.step}
        ).encode()
        before: Pointer | None = None
        for _ in range(_ACTIVATIONS):
            written, etag = self._written()
            if written.turn is not None and turn <= written.turn:
                if turn == written.turn and release == written.release:
                    return before or written
                raise ActivationRefused(f"Job {written.turn.job_id} has made a later release live: publish again.")
            before = written
            if self._bucket.put_if(POINTER, text, etag=etag) is not None:
                return written
        raise PlaceFailed("Others go on writing what is live: this job could not.")

    def live_content(self, path: str) -> bytes:
        """See ``Place``."""
        release = self.pointer().release
        known = self._read_last
        if release is None:
            file = None
        elif known is not None and known[0] == release:  # its name is its hash
            file = known[1].files.get(path)
        else:
            file = self.manifest(release).files.get(path)
        if file is None:
            raise PlaceFailed(f"Nothing is live here, or it has no {path!r}.")
        got = self._read(CONTENT + file.content.sha256, path)
        if hashlib.sha256(got.content).hexdigest() != file.content.sha256:
            raise PlaceFailed(f"The content of {path!r} is damaged in the bucket.")
        return got.content

    def content(self, stored: Stored) -> Iterator[bytes]:
        """See ``Place``."""
        try:
            yield from self._bucket.stream(CONTENT + stored.sha256)
        except Absent as exc:
            raise PlaceFailed(f"The content {stored.sha256} is not in the bucket.") from exc

    def manifest(self, release: str) -> Manifest:
        """See ``Place``."""
        try:
            found = manifest_in(self._bucket, release)
        except Absent as exc:
            raise PlaceFailed(f"Release {release} is not prepared here.") from exc
        self._read_last = release, found
        return found

    def releases(self) -> list[str]:
        """See ``Place``."""
        return [*self._bucket.sizes(MANIFESTS)]

    def sweep(self, keep: Iterable[str]) -> int:
        """See ``Place``. Ends early where another has begun to work here, whose sweep it is then."""
        self._begin()
        prepared = {*self.releases()}
        kept = {*keep, self.pointer().release} & prepared
        needed = {one.sha256 for release in kept if release for one in self.manifest(release).all_stored()}
        contents = self._bucket.sizes(CONTENT)
        # Manifests first: from there on it is not prepared.
        keys = [(MANIFESTS + release, 0) for release in sorted(prepared - kept)]
        keys += [(CONTENT + sha256, size) for sha256, size in contents.items() if sha256 not in needed]
        freed = 0
        with ThreadPoolExecutor(_DELETES_AT_ONCE, thread_name_prefix="sweep") as pool:
            for start in range(0, len(keys), _DELETES_IN_A_ROW):
                some = keys[start : start + _DELETES_IN_A_ROW]
                if not self._is_at_work():
                    break
                for _, size in zip(pool.map(self._bucket.delete, (key for key, _ in some)), some, strict=True):
                    freed += size[1]
        return freed

    def _begin(self) -> None:
        """Write this attempt's mark, and only then look what is there."""
        with self._beginning:
            if self._has_begun:
                return
            self._demand_conditions()
            mark = json.dumps({"mark": self._mark}).encode()
            self._bucket.put(_AT_WORK, mark, media_type="application/json", cache_control="no-store")
            self._contents = self._bucket.sizes(CONTENT)
            self._has_begun = True

    def _demand_conditions(self) -> None:
        """Once for each attempt: the store behind an address may be another one since the last."""
        if not self._has_conditions:
            demand_conditions(self._bucket, _AT_WORK)
            self._has_conditions = True

    def _is_at_work(self) -> bool:
        found = self._bucket.read(_AT_WORK)
        assert found is not None  # noqa: S101  # no condition was named
        return bool(json.loads(found.content).get("mark") == self._mark)

    def _written(self) -> tuple[Pointer, str | None]:
        try:
            found = self._bucket.read(POINTER)
        except Absent:
            return Pointer(), None
        assert found is not None  # noqa: S101  # no condition was named
        release, turn = pointer_in(found.content)
        return Pointer(release, Turn(*turn)), found.etag

    def _read(self, key: str, path: str) -> Got:
        try:
            found = self._bucket.read(key)
        except Absent as exc:
            raise PlaceFailed(f"The content of {path!r} is not in the bucket.") from exc
        assert found is not None  # noqa: S101  # no condition was named
        return found
