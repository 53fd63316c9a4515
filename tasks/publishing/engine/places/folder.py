"""A folder on a disk that a web server such as nginx serves: ``<root>/<site>/live`` is a link that is swapped.

::

    <root>/<site>/content/ab/abcd…     every file once, named by its SHA-256
    <root>/<site>/releases/<release>/  the release as a tree of hard links, ``page.html.br`` beside ``page.html``
    <root>/<site>/manifests/<release>  its manifest; a release without one is not prepared
    <root>/<site>/fingerprinted/       of all releases here, what is named by its content: who has an old page open
                                       still gets what it asks for
    <root>/<site>/live                 a link to one of the releases
    <root>/<site>/pointer.json         the same with whose turn it was, written just before the link

All but ``live`` and ``pointer.json`` is only ever added or swept, and each step is a rename, so that a killed process
leaves nothing half written under a final name. ``lock`` is held while the pointer moves and while it is swept.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

from tasks.publishing.engine.places.place import ActivationRefused, PlaceFailed, Pointer, Turn
from tasks.publishing.manifest import IMMUTABLE, File, Manifest, Stored

_ENDINGS = {"br": ".br", "gzip": ".gz"}


class FolderPlace:
    """One site in a folder. Several processes may work on it at once; see ``place.Place`` for what each method does."""

    def __init__(self, root: Path, site: str) -> None:
        self._site = root / site
        for name in ("content", "releases", "manifests", "fingerprinted", "coming"):
            (self._site / name).mkdir(parents=True, exist_ok=True)

    def lacks(self, wanted: Iterable[Stored]) -> set[Stored]:
        """See ``Place``."""
        return {stored for stored in wanted if not self._content(stored).exists()}

    def put(self, stored: Stored, content: Path) -> None:
        """See ``Place``."""
        final = self._content(stored)
        if final.exists():
            return
        with _told(), self._coming() as coming:
            digest = hashlib.sha256()
            with content.open("rb") as source, coming.open("wb") as target:
                while block := source.read(1 << 20):
                    digest.update(block)
                    target.write(block)
                target.flush()
                os.fsync(target.fileno())
            if digest.hexdigest() != stored.sha256:
                raise PlaceFailed(f"{content.name!r} changed while it was published.")
            final.parent.mkdir(exist_ok=True)
            coming.chmod(0o444)
            os.utime(coming, (_time_of(stored),) * 2)
            coming.rename(final)

    def prepare(self, manifest: Manifest) -> None:
        """See ``Place``."""
        release = manifest.release
        if (self._site / "manifests" / release).exists():
            return
        with _told(), self._coming() as coming, self._locked():
            coming.mkdir()
            for path, file in manifest.files.items():
                self._link(file, path, coming)
                if file.cache_control == IMMUTABLE:
                    self._link(file, path, self._site / "fingerprinted")
            tree = self._site / "releases" / release
            if tree.exists():  # of an attempt that died before the manifest
                shutil.rmtree(tree)
            coming.rename(tree)
            self._write(self._site / "manifests" / release, manifest.to_json())

    def pointer(self) -> Pointer:
        """See ``Place``. The link tells what is live; the turn may be that of one who died just before the swap."""
        with suppress(FileNotFoundError):
            return Pointer((self._site / "live").readlink().name, self._written().turn)
        return Pointer(None, self._written().turn)

    def activate(self, release: str, turn: Turn) -> Pointer:
        """See ``Place``."""
        with _told(), self._locked():
            written, before = self._written(), self.pointer()
            is_again = turn == written.turn and release == written.release
            if written.turn is not None and turn <= written.turn and not is_again:
                raise ActivationRefused(f"Job {written.turn.job_id} has made a later release live: publish again.")
            if not (self._site / "manifests" / release).exists():
                raise PlaceFailed(f"Release {release} is not prepared here.")
            self._write(self._site / "pointer.json", json.dumps({"release": release, **asdict(turn)}).encode())
            with self._coming() as coming:
                coming.symlink_to(f"releases/{release}")
                coming.rename(self._site / "live")
            _sync(self._site)
            return before

    def live_content(self, path: str) -> bytes:
        """See ``Place``."""
        with _told():
            return (self._site / "live" / path).read_bytes()

    def content(self, stored: Stored) -> Iterator[bytes]:
        """See ``Place``."""
        with _told(), self._content(stored).open("rb") as file:
            while block := file.read(1 << 20):
                yield block

    def manifest(self, release: str) -> Manifest:
        """See ``Place``."""
        with _told():
            text = (self._site / "manifests" / release).read_bytes()
        if hashlib.sha256(text).hexdigest() != release:
            raise PlaceFailed(f"The manifest of release {release} is damaged.")
        return Manifest.from_json(text)

    def releases(self) -> list[str]:
        """See ``Place``."""
        return [path.name for path in (self._site / "manifests").iterdir()]

    def sweep(self, keep: Iterable[str]) -> int:
        """See ``Place``."""
        with _told(), self._locked():
            kept = {*keep, self.pointer().release} & {*self.releases()}
            manifests = [self.manifest(release) for release in kept if release]
            for release in {path.name for path in (self._site / "releases").iterdir()} - kept:
                (self._site / "manifests" / release).unlink(missing_ok=True)  # first: from here on it is not prepared
                shutil.rmtree(self._site / "releases" / release)
            named = {
                path + ending
                for manifest in manifests
                for path, file in manifest.files.items()
                if file.cache_control == IMMUTABLE
                for ending in ("", *(_ENDINGS[name] for name in file.encodings))
            }
            fingerprinted = self._site / "fingerprinted"
            for path in [path for path in fingerprinted.rglob("*") if path.is_file()]:
                if path.relative_to(fingerprinted).as_posix() not in named:
                    path.unlink()
            for left in (self._site / "coming").iterdir():  # by those who were killed
                _remove(left)
            return self._sweep_content({one.sha256 for manifest in manifests for one in manifest.all_stored()})

    def _sweep_content(self, needed: set[str]) -> int:
        freed = 0
        for path in (self._site / "content").glob("*/*"):
            if path.name not in needed:
                freed += path.stat().st_size
                path.unlink()
        return freed

    def _content(self, stored: Stored) -> Path:
        return self._site / "content" / stored.sha256[:2] / stored.sha256

    def _link(self, file: File, path: str, into: Path) -> None:
        ends = {"": file.content} | {_ENDINGS[name]: stored for name, stored in file.encodings.items()}
        for ending, stored in ends.items():
            target = into / (path + ending)
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):  # in ``fingerprinted``, from a release before
                target.hardlink_to(self._content(stored))

    def _written(self) -> Pointer:
        try:
            raw = json.loads((self._site / "pointer.json").read_bytes())
        except FileNotFoundError:
            return Pointer()
        return Pointer(raw["release"], Turn(raw["job_id"], raw["fence"], raw.get("step", 0)))

    def _write(self, final: Path, text: bytes) -> None:
        with self._coming() as coming:
            with coming.open("wb") as target:
                target.write(text)
                target.flush()
                os.fsync(target.fileno())
            coming.rename(final)

    @contextmanager
    def _coming(self) -> Iterator[Path]:
        """A name for what is to be renamed when it is whole; removed with all in it where it never was."""
        coming = self._site / "coming" / uuid4().hex
        try:
            yield coming
        finally:
            _remove(coming)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._site / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    with suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _time_of(stored: Stored) -> int:
    """Seconds since 1970 that only this content has: web servers make their ETags of time and size."""
    return int(stored.sha256[:8], 16) & 0x7FFFFFFF


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what the system says into words."""
    try:
        yield
    except OSError as exc:
        full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "there is no room left" if full else exc.strerror
        raise PlaceFailed(f"The place for releases failed: {why}.") from exc
