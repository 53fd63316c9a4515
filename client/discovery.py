"""Whole domains of sites, discovered a few at a time; one site that fails takes no other with it."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, Unpack

from client.calls import SubmitOptions
from client.errors import SwitchyardError
from client.models import Job, Preset

SITE = "discovery.site"


@dataclass(frozen=True, slots=True)
class SiteOutcome:
    """How one site went: its job once that has ended, or the error because of which there is none to read."""

    url: str
    job: Job | None = None
    error: SwitchyardError | None = None

    @property
    def is_ok(self) -> bool:
        """Whether its tools were found."""
        return self.job is not None and self.job.state == "succeeded"

    @property
    def result(self) -> Mapping[str, Any]:
        """What the job answered; empty where it did not."""
        return (self.job.result or {}) if self.job is not None and self.is_ok else {}


@dataclass(frozen=True, slots=True)
class DomainOutcome:
    """How a domain went."""

    name: str
    sites: tuple[SiteOutcome, ...]

    @property
    def ok(self) -> int:
        """How many sites were discovered."""
        return sum(one.is_ok for one in self.sites)

    @property
    def failed(self) -> int:
        """How many were not."""
        return len(self.sites) - self.ok

    @property
    def hits(self) -> int:
        """How many were answered from an earlier discovery."""
        return sum(bool(one.result.get("cache", {}).get("hit")) for one in self.sites)

    def tools(self) -> Iterator[dict[str, Any]]:
        """Yield the tools of all sites, as MCP shows them."""
        for one in self.sites:
            yield from one.result.get("tools", ())


class Yard(Protocol):
    """What a domain needs of its client."""

    def run(self, kind: str, params: Mapping[str, Any], *, check: bool, **options: Unpack[SubmitOptions]) -> Job:
        """Submit a job and wait for its end."""
        ...


class AsyncYard(Protocol):
    """The same of a client for asyncio."""

    async def run(self, kind: str, params: Mapping[str, Any], *, check: bool, **options: Unpack[SubmitOptions]) -> Job:
        """Submit a job and wait for its end."""
        ...


def discover(yard: Yard, preset: Preset, *, parallel: int) -> DomainOutcome:
    """Discover the sites of a domain, so many at a time, and wait for all of them."""

    def one(params: Mapping[str, Any]) -> SiteOutcome:
        try:
            return SiteOutcome(params["url"], yard.run(SITE, params, check=False, **_options(preset)))
        except SwitchyardError as exc:
            return SiteOutcome(params["url"], error=exc)

    with ThreadPoolExecutor(max_workers=parallel) as pool:
        return DomainOutcome(preset.name, tuple(pool.map(one, preset.requests)))


async def discover_async(yard: AsyncYard, preset: Preset, *, parallel: int) -> DomainOutcome:
    """Discover the sites of a domain as ``discover`` does, on asyncio."""
    slots = asyncio.Semaphore(parallel)

    async def one(params: Mapping[str, Any]) -> SiteOutcome:
        async with slots:
            try:
                return SiteOutcome(params["url"], await yard.run(SITE, params, check=False, **_options(preset)))
            except SwitchyardError as exc:
                return SiteOutcome(params["url"], error=exc)

    sites: Sequence[SiteOutcome] = await asyncio.gather(*(one(params) for params in preset.requests))
    return DomainOutcome(preset.name, tuple(sites))


def _options(preset: Preset) -> SubmitOptions:
    return {"priority": preset.job_priority, "labels": {"domain": preset.name}}
