"""Published sites, for one event loop."""

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from client import sites
from client.calls import SubmitOptions
from client.limits import Limits
from client.models import Job
from client.patience import performed
from client.sites import Preview, Release, ReleaseDiff, Sent, Site
from client.steps import Flow
from client.uploading import OnProgress

T = TypeVar("T")


class Run(Protocol):
    """Runs a flow; its end is awaited."""

    def __call__(self, flow: Flow[T]) -> Awaitable[T]:
        """Run it to its end."""
        ...


class AsyncSites:
    """Your published sites; ``AsyncSwitchyard.sites`` is one. Each method does what that of ``Sites`` does."""

    def __init__(self, run: Run, limits: Limits, options: Callable[[SubmitOptions], SubmitOptions]) -> None:
        self._run = run
        self._limits = limits
        self._options = options

    async def list(self) -> Sequence[Site]:
        """List them by name."""
        return await self._run(performed(sites.all_sites(), self._limits))

    async def releases(self, site: str) -> Sequence[Release]:
        """List the releases of a site that can be made live again, newest first."""
        return await self._run(performed(sites.releases_of(site), self._limits))

    async def diff(self, site: str, old: str, new: str) -> ReleaseDiff:
        """Compare two releases, each by its name or the beginning of it."""
        return await self._run(performed(sites.difference(site, old, new), self._limits))

    async def preview(self, site: str, release: str, *, expires_s: int | None = None) -> Preview:
        """Make a link that shows a kept release to whoever has it, by the release's name or the beginning of it."""
        return await self._run(performed(sites.preview_of(site, release, expires_s), self._limits))

    async def publish(
        self,
        folder: str | os.PathLike[str],
        site: str,
        *,
        on_progress: OnProgress | None = None,
        refresh: bool = False,
        **params: Any,
    ) -> Sent:
        """Publish a folder, without what its ``.gitignore`` files name; return what was sent, and the job.

        Its files are read and packed in one go, while which nothing else of the event loop runs.
        """
        options = self._options(sites.named(site, refresh=refresh))
        flow = sites.published(folder, site, params, options, on_progress=on_progress, limits=self._limits)
        return await self._run(flow)

    async def publish_commit(self, git: str, commit: str, site: str, *, refresh: bool = False, **params: Any) -> Job:
        """Submit the publication of a git repository at one commit, which workers fetch themselves."""
        options = self._options(sites.named(site, refresh=refresh))
        return await self._run(sites.commit_published(git, commit, site, params, options, limits=self._limits))

    async def roll_back(self, site: str, release: str | None = None, *, refresh: bool = False, **params: Any) -> Job:
        """Submit a rollback: to the release before, or to one by its name or the beginning of it."""
        options = self._options(sites.named(site, refresh=refresh))
        return await self._run(sites.rolled_back(site, release, params, options, limits=self._limits))
