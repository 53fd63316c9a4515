"""Published sites: a folder goes live, sending only what the server lacks; releases are listed and taken back."""

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from client.calls import Call, parsed
from client.errors import InputRejected
from client.matrices import Perform
from client.models import Job, Record, Upload
from client.site_files import files_of, pack
from client.steps import Request

_PATH = "/api/sites"
_JSON = {"content-type": "application/json"}


class Release(Record):
    """A release that is kept."""

    release: str
    marks: tuple[str, ...] = ()
    """``live``, ``previous``, ``preview``; none: it is kept to go back to."""
    job_id: str = ""
    by: str = ""
    note: str = ""
    created_at: datetime | None = None
    activated_at: datetime | None = None
    files: int = 0
    size_bytes: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    changed_bytes: int = 0
    stages: dict[str, float] = Field(default_factory=dict)


class Site(Record):
    """A published site."""

    name: str
    url: str | None = None
    updated_at: datetime | None = None
    live: Release | None = None
    releases: int = 0


class SiteList(Record):
    """Sites by name."""

    sites: tuple[Site, ...]


class ReleaseList(Record):
    """Releases, newest first."""

    releases: tuple[Release, ...]


class ReleaseDiff(Record):
    """What changed from one release to another."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    added_count: int = 0
    changed_count: int = 0
    removed_count: int = 0
    changed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """What a publication had to send."""

    job: Job
    files: int
    """Of the folder."""
    missing: int
    """How many contents the server lacked."""
    sent_bytes: int
    """As they went over the line; nothing where the server had all."""


class Sites:
    """Your published sites; ``Switchyard.sites`` is one."""

    def __init__(self, perform: Perform, upload: Callable[..., Upload], submit: Callable[..., Job]) -> None:
        self._perform = perform
        self._upload = upload
        self._submit = submit

    def list(self) -> Sequence[Site]:
        """List them by name."""
        return self._perform(Call(Request("GET", _PATH), lambda answer: parsed(SiteList, answer.json()))).sites

    def releases(self, site: str) -> Sequence[Release]:
        """List the releases of a site that can be made live again, newest first."""
        request = Request("GET", f"{_PATH}/{site}/releases")
        return self._perform(Call(request, lambda answer: parsed(ReleaseList, answer.json()))).releases

    def diff(self, site: str, old: str, new: str) -> ReleaseDiff:
        """Compare two releases, each by its name or the beginning of it."""
        request = Request("GET", f"{_PATH}/{site}/diff", (("old", old), ("new", new)))
        return self._perform(Call(request, lambda answer: parsed(ReleaseDiff, answer.json())))

    def publish(
        self,
        folder: str | os.PathLike[str],
        site: str,
        *,
        on_progress: Callable[[int, int], object] | None = None,
        **params: Any,
    ) -> Sent:
        """Publish a folder, without what its ``.gitignore`` files name; return what was sent, and the job.

        Args:
            on_progress: called with the bytes of the archive of missing files that the server has, and with all.
            params: others of ``publishing.site``, such as ``url``, ``intent`` or ``note``.
        Raises:
            InputRejected: the folder has no file.
        """
        files = files_of(Path(folder))
        if not files:
            raise InputRejected(f"{os.fspath(folder)} has no file to publish")
        missing = self._missing(site, [one.sha256 for one in files.values()])
        wanted = {one.sha256: one.path for one in files.values() if one.sha256 in missing}
        listed = {path: [one.sha256, one.size] for path, one in files.items()}
        source = {"files": self._upload(json.dumps({"files": listed}).encode(), name="files.json").ref}
        sent_bytes = 0
        if wanted:
            with tempfile.TemporaryDirectory() as scratch:
                archive = Path(scratch, f"{site}.tar.gz")
                pack(wanted, archive)
                sent_bytes = archive.stat().st_size
                source["contents"] = self._upload(archive, on_progress=on_progress).ref
        job = self._submit("publishing.site", {"site": site, "source": source, **params}, site=site)
        return Sent(job, len(files), len(wanted), sent_bytes)

    def roll_back(self, site: str, release: str | None = None, **params: Any) -> Job:
        """Submit a rollback: to the release before, or to one by its name or the beginning of it."""
        if release is not None:
            params["release"] = self._whole_name(site, release)
        return self._submit("publishing.rollback", {"site": site, **params}, site=site)

    def _whole_name(self, site: str, release: str) -> str:
        found = [one.release for one in self.releases(site) if one.release.startswith(release)]
        if len(found) != 1:
            raise InputRejected(f"{len(found)} releases of {site} are called {release}: see `switchyard releases`")
        return found[0]

    def _missing(self, site: str, contents: Sequence[str]) -> set[str]:
        body = json.dumps({"contents": list(dict.fromkeys(contents))}).encode()
        request = Request("POST", f"{_PATH}/{site}/missing", headers=_JSON, body=body)
        return set(self._perform(Call(request, lambda answer: answer.json()["missing"])))
