"""Try the tools that may be tried, best first, within what the caller allows, the time and the cost."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from tasks.core.job import JobContext
from tasks.discovery.contract import SiteRequest, ToolRequest
from tasks.discovery.engine.outcome import Run
from tasks.discovery.engine.trouble import PAGE_TROUBLE, told
from tasks.discovery.tool import Effect, Tool

# A sign-in, as ``BrowserContext.storage_state`` gave it.
StorageState = Mapping[str, Any]
# All tools together.
_LIMIT_S = 240.0

# ``engine.proof.prove`` and ``engine.confidence.assess``.
Prove = Callable[[Tool, Run], Tool]
Assess = Callable[[Tool], Tool]
OpenRunner = Callable[[JobContext, StorageState | None], AbstractContextManager[Run]]


@dataclass(frozen=True, slots=True)
class Proving:
    """Tries tools.

    Args:
        prove: runs a tool and returns it with its checks.
        assess: returns a tool with its confidence.
        runner: opens what runs tools for a job, with a stored sign-in where there is one.
    """

    prove: Prove
    assess: Assess
    runner: OpenRunner

    def prove_all(
        self,
        tools: Sequence[Tool],
        job: JobContext,
        *,
        request: SiteRequest | ToolRequest,
        session: StorageState | None,
        most: int,
        may_spend: Callable[[], bool],
    ) -> list[Tool]:
        """Return all tools in their order, assessed; the first ``most`` of those that may be run have their checks.

        A tool that writes is tried once per job: what an earlier attempt began to try is not sent again.
        """
        ends_at, done = time.monotonic() + _LIMIT_S, 0
        tried = set(_strings((job.resume.load() or {}).get("tried")))
        assessed: list[Tool] = []
        with self.runner(job, session) as run:
            for tool in tools:
                may_run = tool.effect is not Effect.DESTROY and tool.effect.value in request.allow
                if may_run and done < most and tool.name not in tried and time.monotonic() < ends_at and may_spend():
                    if tool.effect is Effect.WRITE:
                        tried.add(tool.name)
                        job.resume.save({"tried": sorted(tried)})
                    job.report("proof", done, min(most, len(tools)), tool.name)
                    done += 1
                    tool = self._proven(tool, run, job)  # noqa: PLW2901  # the same tool, with its checks
                assessed.append(self.assess(tool))
        return assessed

    def _proven(self, tool: Tool, run: Run, job: JobContext) -> Tool:
        try:
            return self.prove(tool, run)
        except PAGE_TROUBLE as exc:
            job.log(f"{tool.name} could not be tried: {told(exc)}", level="warning")
            return tool


def _strings(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
