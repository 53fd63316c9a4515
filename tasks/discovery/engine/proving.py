"""Try the tools that may be tried, best first, within what the caller allows, the time and the cost."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from tasks.core.job import JobContext
from tasks.discovery.contract import SiteRequest, ToolRequest
from tasks.discovery.engine.outcome import Run
from tasks.discovery.engine.proof import Compare
from tasks.discovery.engine.running.equality import Equality, compare_with_browser
from tasks.discovery.engine.running.form_address import open_inputs
from tasks.discovery.engine.running.runner import Runner
from tasks.discovery.engine.trouble import PAGE_TROUBLE, told
from tasks.discovery.tool import Effect, FormCall, Tool

# A sign-in, as ``BrowserContext.storage_state`` gave it.
StorageState = Mapping[str, Any]
# All tools together.
_LIMIT_S = 240.0

# Forms whose requests are compared with the browser's: each costs a visit.
_MOST_COMPARED = 12
# ``engine.confidence.assess``.
Assess = Callable[[Tool], float]
OpenRunner = Callable[[JobContext, StorageState | None], AbstractContextManager[Run]]


class Prove(Protocol):
    """``engine.proof.prove``."""

    def __call__(self, tool: Tool, run: Run, *, compare: Compare | None, allow_write: bool) -> Tool:
        """Return the tool with its checks."""


@dataclass(frozen=True, slots=True)
class Proving:
    """Tries tools.

    Args:
        prove: runs a tool and returns it with its checks.
        assess: returns how likely a tool is what it says.
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
        ends_at, done, compared = time.monotonic() + _LIMIT_S, 0, 0
        tried = set(_strings((job.resume.load() or {}).get("tried")))
        compare = partial(_compared, job, session)
        assessed: list[Tool] = []
        with self.runner(job, session) as run:
            for tool in tools:
                proven = tool
                is_new = tool.name not in tried
                if is_new and done < most and time.monotonic() < ends_at and may_spend():
                    if tool.effect is Effect.WRITE and Effect.WRITE.value in request.allow:
                        tried.add(tool.name)
                        job.resume.save({"tried": sorted(tried)})
                    job.report("proof", done, min(most, len(tools)), tool.name)
                    is_form = isinstance(tool.call, FormCall) and not open_inputs(tool)
                    may_compare = is_form and compared < _MOST_COMPARED
                    compared += may_compare
                    done += 1
                    proven = self._proven(tool, run, job, request, compare if may_compare else None)
                assessed.append(proven.model_copy(update={"confidence": self.assess(proven)}))
        return assessed

    def _proven(
        self, tool: Tool, run: Run, job: JobContext, request: SiteRequest | ToolRequest, compare: Compare | None
    ) -> Tool:
        try:
            return self.prove(tool, run, compare=compare, allow_write=Effect.WRITE.value in request.allow)
        except PAGE_TROUBLE as exc:
            job.log(f"{tool.name} could not be tried: {told(exc)}", level="warning")
            return tool


def _compared(job: JobContext, session: StorageState | None, tool: Tool, arguments: dict[str, Any]) -> Equality:
    return compare_with_browser(job, tool, arguments, session=session)


def _strings(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def open_runner(job: JobContext, session: StorageState | None) -> AbstractContextManager[Run]:
    """Return what runs tools for the job, to be entered."""
    return Runner(job, session=session)
