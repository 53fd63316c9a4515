"""Domains with sites and goals to begin with, kept as data, and the discoveries that one stands for."""

import json
from functools import cache
from importlib import resources
from typing import Annotated

from pydantic import Field

from tasks.core.spec import Contract
from tasks.core.web_url import WebURL
from tasks.discovery.contract import MAX_TOOLS, DiscoveryOptions, SiteRequest
from tasks.discovery.goal import MAX_GOAL_CHARS

HIGH_PRIORITY = 2
"""Domains of this number and below are discovered where only the important ones are asked for."""
PARALLEL_LIMIT = 2
"""How many sites of a domain are looked at side by side."""
MIN_CONFIDENCE = 0.5
"""Tools that were assessed below this are dropped."""

# The scale of jobs is 0 to 100, higher first; that of domains counts from 1, lower first.
_STEP = 10
_TOP = 60


class Preset(Contract):
    """One domain. ``priority``: 1 is the most important; ``cache_s``: how long what was found stays good."""

    name: str = Field(pattern=r"^[a-z][a-z-]{1,30}$")
    title: str = Field(min_length=1, max_length=100)
    priority: int = Field(ge=1, le=5)
    max_tools: int = Field(ge=1, le=MAX_TOOLS)
    cache_s: int
    sites: Annotated[tuple[WebURL, ...], Field(min_length=5, max_length=5)]
    goals: Annotated[tuple[str, ...], Field(min_length=5, max_length=5)]

    @property
    def is_high_priority(self) -> bool:
        """Whether it is among the important ones."""
        return self.priority <= HIGH_PRIORITY

    @property
    def job_priority(self) -> int:
        """The priority of its jobs, 0 to 100."""
        return _TOP - _STEP * (self.priority - 1)

    @property
    def goal(self) -> str:
        """All its goals as one."""
        return "; ".join(self.goals)[:MAX_GOAL_CHARS]

    def requests(self, *, force: bool = False) -> tuple[SiteRequest, ...]:
        """Return the discoveries that it stands for, one for each site."""
        return tuple(
            SiteRequest(
                url=site,
                goal=self.goal,
                max_tools=self.max_tools,
                cache_s=self.cache_s,
                force=force,
                options=DiscoveryOptions(min_confidence=MIN_CONFIDENCE),
            )
            for site in self.sites
        )


@cache
def presets() -> tuple[Preset, ...]:
    """Return the domains, the most important first."""
    content = json.loads(resources.files(__package__).joinpath("presets.json").read_text("utf-8"))
    return tuple(sorted(map(Preset.model_validate, content), key=lambda one: one.priority))
