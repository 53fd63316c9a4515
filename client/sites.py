"""Published sites: a folder goes live, sending only what the server lacks; releases are listed and taken back."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from pydantic import Field

from client.calls import Call, SubmitOptions, parsed
from client.errors import InputRejected
from client.limits import Limits
from client.models import Job, Record
from client.patience import performed
from client.site_files import files_of, pack
from client.site_refresh import refreshed
from client.steps import Flow, Request
from client.uploading import OnProgress, submitted, uploaded

T = TypeVar("T")

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
    target: str = "default"
    """Where it lies, by the operator's name for it."""


class Site(Record):
    """A published site."""

    name: str
    url: str | None = None
    updated_at: datetime | None = None
    live: Release | None = None
    releases: int = 0
    target: str = "default"


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


class Preview(Record):
    """A link with which anybody can look at a release until it expires."""

    release: str
    path: str
    """On the server; ``Switchyard.url`` and this are the whole link."""
    expires_at: datetime


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


class Run(Protocol):
    """Runs a flow of the blocking client."""

    def __call__(self, flow: Flow[T]) -> T:
        """Run it to its end."""
        ...


class Sites:
    """Your published sites; ``Switchyard.sites`` is one."""

    def __init__(self, run: Run, limits: Limits, options: Callable[[SubmitOptions], SubmitOptions]) -> None:
        self._run = run
        self._limits = limits
        self._options = options

    def list(self) -> Sequence[Site]:
        """List them by name."""
        return self._run(performed(all_sites(), self._limits))

    def releases(self, site: str) -> Sequence[Release]:
        """List the releases of a site that can be made live again, newest first."""
        return self._run(performed(releases_of(site), self._limits))

    def diff(self, site: str, old: str, new: str) -> ReleaseDiff:
        """Compare two releases, each by its name or the beginning of it."""
        return self._run(performed(difference(site, old, new), self._limits))

    def preview(self, site: str, release: str, *, expires_s: int | None = None) -> Preview:
        """Make a link that shows a kept release to whoever has it, by the release's name or the beginning of it.

        Args:
            expires_s: seconds until the link ends; a day if absent.
        """
        return self._run(performed(preview_of(site, release, expires_s), self._limits))

    def publish(
        self,
        folder: str | os.PathLike[str],
        site: str,
        *,
        on_progress: OnProgress | None = None,
        refresh: bool = False,
        **params: Any,
    ) -> Sent:
        """Publish a folder, without what its ``.gitignore`` files name; return what was sent, and the job.

        Args:
            on_progress: called with the bytes of the archive of missing files that the server has, and with all.
            refresh: then take what has changed into searches and tools, as ``site_refresh.refreshed``.
            params: others of ``publishing.site``, such as ``url``, ``intent``, ``recipe`` or ``note``.
        Raises:
            InputRejected: the folder has no file.
        """
        options = self._options(named(site, refresh=refresh))
        return self._run(published(folder, site, params, options, on_progress=on_progress, limits=self._limits))

    def publish_commit(self, git: str, commit: str, site: str, *, refresh: bool = False, **params: Any) -> Job:
        """Submit the publication of a git repository at one commit, which workers fetch themselves.

        Args:
            git: the repository's address, ``https://…``.
            commit: its whole id.
            refresh: as for ``publish``.
            params: others of ``publishing.site``, such as ``recipe``, ``subfolder`` or ``url``.
        """
        options = self._options(named(site, refresh=refresh))
        return self._run(commit_published(git, commit, site, params, options, limits=self._limits))

    def roll_back(self, site: str, release: str | None = None, *, refresh: bool = False, **params: Any) -> Job:
        """Submit a rollback: to the release before, or to one by its name or the beginning of it.

        Args:
            refresh: as for ``publish``.
        """
        options = self._options(named(site, refresh=refresh))
        return self._run(rolled_back(site, release, params, options, limits=self._limits))


def named(site: str, *, refresh: bool) -> SubmitOptions:
    """Return the options of a job that is about a site."""
    return {"site": site, "on_success": refreshed()} if refresh else {"site": site}


def all_sites() -> Call[Sequence[Site]]:
    """List sites."""
    return Call(Request("GET", _PATH), lambda answer: parsed(SiteList, answer.json()).sites)


def releases_of(site: str) -> Call[Sequence[Release]]:
    """List the releases of a site."""
    request = Request("GET", f"{_PATH}/{quote(site, safe='')}/releases")
    return Call(request, lambda answer: parsed(ReleaseList, answer.json()).releases)


def difference(site: str, old: str, new: str) -> Call[ReleaseDiff]:
    """Compare two releases."""
    request = Request("GET", f"{_PATH}/{quote(site, safe='')}/diff", (("old", old), ("new", new)))
    return Call(request, lambda answer: parsed(ReleaseDiff, answer.json()))


def preview_of(site: str, release: str, expires_s: int | None) -> Call[Preview]:
    """Make a link to a release."""
    given: dict[str, Any] = {"release": release} | ({} if expires_s is None else {"expires_s": expires_s})
    path = f"{_PATH}/{quote(site, safe='')}/previews"
    request = Request("POST", path, headers=_JSON, body=json.dumps(given).encode())
    return Call(request, lambda answer: parsed(Preview, answer.json()))


def published(
    folder: str | os.PathLike[str],
    site: str,
    params: Mapping[str, Any],
    options: SubmitOptions,
    *,
    on_progress: OnProgress | None,
    limits: Limits,
) -> Flow[Sent]:
    """Send what the server lacks of a folder, and submit its publication."""
    files = files_of(Path(folder))
    if not files:
        raise InputRejected(f"{os.fspath(folder)} has no file to publish")
    lacking = set((yield from performed(_missing(site, [one.sha256 for one in files.values()]), limits)))
    wanted = {one.sha256: one.path for one in files.values() if one.sha256 in lacking}
    listed = json.dumps({"files": {path: [one.sha256, one.size] for path, one in files.items()}}).encode()
    source = {"files": (yield from uploaded(listed, name="files.json", limits=limits)).ref}
    sent_bytes = 0
    if wanted:
        with tempfile.TemporaryDirectory() as scratch:
            archive = Path(scratch, f"{site}.tar.gz")
            pack(wanted, archive)
            sent_bytes = archive.stat().st_size
            source["contents"] = (yield from uploaded(archive, on_progress=on_progress, limits=limits)).ref
    given = {"site": site, "source": source, **params}
    job = yield from submitted("publishing.site", given, {}, options, limits=limits)
    return Sent(job, len(files), len(wanted), sent_bytes)


def commit_published(
    git: str, commit: str, site: str, params: Mapping[str, Any], options: SubmitOptions, *, limits: Limits
) -> Flow[Job]:
    """Submit the publication of a commit."""
    given = {"site": site, "source": {"git": git, "commit": commit}, **params}
    return submitted("publishing.site", given, {}, options, limits=limits)


def rolled_back(
    site: str, release: str | None, params: Mapping[str, Any], options: SubmitOptions, *, limits: Limits
) -> Flow[Job]:
    """Submit a rollback."""
    given = {"site": site, **params}
    if release is not None:
        known = yield from performed(releases_of(site), limits)
        found = [one.release for one in known if one.release.startswith(release)]
        if len(found) != 1:
            raise InputRejected(f"{len(found)} releases of {site} are called {release}: see `switchyard releases`")
        given["release"] = found[0]
    return (yield from submitted("publishing.rollback", given, {}, options, limits=limits))


def _missing(site: str, contents: Sequence[str]) -> Call[list[str]]:
    body = json.dumps({"contents": list(dict.fromkeys(contents))}).encode()
    request = Request("POST", f"{_PATH}/{quote(site, safe='')}/missing", headers=_JSON, body=body)
    return Call(request, lambda answer: list(answer.json()["missing"]))
