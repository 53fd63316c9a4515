"""A domain of sites: a few at a time, each for itself."""

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from client import Job, NotFound, Preset, Presets, Unavailable
from client.discovery import discover, discover_async

SITES = tuple(f"https://{name}.test/" for name in "abcde")
PRESET = Preset(
    name="news",
    priority=2,
    is_high_priority=True,
    max_tools=5,
    cache_s=60,
    sites=SITES,
    goals=("read",),
    job_priority=50,
    requests=tuple({"url": site, "max_tools": 5} for site in SITES),
)


@dataclass
class Yard:
    """Runs jobs at once; some sites fail, in one way or another."""

    submitted: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    most_at_once: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, url: str, options: Mapping[str, Any]) -> None:
        with self._lock:
            self.submitted.append((url, options))
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)

    def end(self, url: str) -> Job:
        with self._lock:
            self._now -= 1
        if url == SITES[1]:
            raise Unavailable("the server is away")
        state = "failed" if url == SITES[3] else "succeeded"
        result = {"tools": [{"name": url}], "cache": {"hit": url == SITES[0]}} if state == "succeeded" else None
        return Job.model_validate({"id": url, "kind": "discovery.site", "state": state, "result": result})

    def run(self, kind: str, params: Mapping[str, Any], *, check: bool, **options: Any) -> Job:
        assert (kind, check) == ("discovery.site", False)
        self.begin(params["url"], options)
        time.sleep(0.02)
        return self.end(params["url"])


class AsyncYard(Yard):
    """The same for asyncio."""

    async def run(  # type: ignore[override]  # a yard of the other sort
        self, kind: str, params: Mapping[str, Any], *, check: bool, **options: Any
    ) -> Job:
        assert (kind, check) == ("discovery.site", False)
        self.begin(params["url"], options)
        await asyncio.sleep(0.02)
        return self.end(params["url"])


@pytest.mark.parametrize("yard", [Yard(), AsyncYard()], ids=["blocking", "asyncio"])
def test_a_site_that_fails_fails_alone(yard: Yard) -> None:
    """Whether its job failed or could not even be submitted; no more run at once than was said."""
    if isinstance(yard, AsyncYard):
        found = asyncio.run(discover_async(yard, PRESET, parallel=2))
    else:
        found = discover(yard, PRESET, parallel=2)
    assert ("news", SITES) == (found.name, tuple(one.url for one in found.sites))
    assert [True, False, True, False, True] == [one.is_ok for one in found.sites]
    assert (3, 2, 1) == (found.ok, found.failed, found.hits)
    assert isinstance(found.sites[1].error, Unavailable)
    assert found.sites[3].job is not None
    assert [SITES[0], SITES[2], SITES[4]] == [one["name"] for one in found.tools()]
    assert yard.most_at_once <= 2
    assert {"priority": 50, "labels": {"domain": "news"}} == yard.submitted[0][1]


def test_a_domain_is_known_by_its_name() -> None:
    """Or the names that there are, are told."""
    known = Presets(parallel_limit=2, presets=(PRESET,))
    assert PRESET is known.named("news")
    with pytest.raises(NotFound, match="there are news"):
        known.named("sports")
