"""Try the tools that may be tried, best first, within what the caller allows, the time and the cost."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from tasks.core.errors import AppError, Transient
from tasks.core.job import JobContext
from tasks.discovery.contract import SiteRequest, ToolRequest
from tasks.discovery.engine.outcome import Outcome, Run
from tasks.discovery.engine.proof import Compare, trial_arguments
from tasks.discovery.engine.running.equality import AT_ONCE as COMPARED_AT_ONCE
from tasks.discovery.engine.running.equality import Equality, compare_together
from tasks.discovery.engine.running.form_address import open_inputs
from tasks.discovery.engine.running.runner import Runner
from tasks.discovery.engine.trouble import PAGE_TROUBLE, told
from tasks.discovery.tool import Effect, FormCall, RequestCall, Tool

# A sign-in, as ``BrowserContext.storage_state`` gave it.
StorageState = Mapping[str, Any]
# All tools together: twice what the 74 tools of a program took on a machine that others used fully.
_LIMIT_S = 120.0
# Plain requests that one site is sent at a time. As a browser that loads a page, or fewer.
AT_ONCE = 4
_LOOK_EVERY_S = 0.1

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
        at_once: int = AT_ONCE,
    ) -> list[Tool]:
        """Return all tools in their order, assessed; the first ``most`` of those that may be run have their checks.

        What is a plain request is tried beside what needs the browser. A tool that writes is tried when those that
        read are done, and once per job: what an earlier attempt began to try is not sent again.

        Args:
            at_once: so many plain requests.
        """
        tried = _strings((job.resume.load() or {}).get("tried"))
        chosen = [place for place, tool in enumerate(tools) if tool.name not in tried][:most]
        trying = _Trying(self, job, request, session, may_spend, tools=tools, total=len(chosen))
        trying.go(chosen, tried=tried, at_once=at_once)
        proven = [trying.proven.get(place, tool) for place, tool in enumerate(tools)]
        return [tool.model_copy(update={"confidence": self.assess(tool)}) for tool in proven]


class _Trying:
    """Trying the tools of one discovery, in lanes. ``proven`` has those that were tried, by their place."""

    def __init__(
        self,
        proving: Proving,
        job: JobContext,
        request: SiteRequest | ToolRequest,
        session: StorageState | None,
        may_spend: Callable[[], bool],
        *,
        tools: Sequence[Tool],
        total: int,
    ) -> None:
        self.proven: dict[int, Tool] = {}
        self._proving = proving
        self._job = job
        self._session = session
        self._may_spend = may_spend
        self._may_write = Effect.WRITE.value in request.allow
        self._tools = tools
        self._total = total
        self._ends_at = time.monotonic() + _LIMIT_S
        self._begun = 0
        self._forms: dict[int, dict[str, Any]] = {}
        self._equalities: dict[int, Equality | AppError] = {}
        self._turn = threading.Lock()
        self._is_over = threading.Event()

    def go(self, chosen: Sequence[int], *, tried: Sequence[str], at_once: int) -> None:
        """Try the tools at these places: plain requests beside each other, and what needs the browser one by one."""
        writing = [place for place in chosen if self._may_write and self._tools[place].effect is Effect.WRITE]
        reading = [place for place in chosen if place not in writing]
        plain = [place for place in reading if isinstance(self._tools[place].call, RequestCall)]
        lanes = min(at_once, len(plain))
        threads = ThreadPoolExecutor(max(1, lanes), thread_name_prefix="proof")
        waiting = deque(plain)
        try:
            futures = [threads.submit(self._lane, waiting) for _ in range(lanes)]
            others = [place for place in reading if place not in plain]
            # Forms have one lane.
            self._forms = self._forms_of(others + writing)
            self._lane(deque(others))
            while wait(futures, timeout=_LOOK_EVERY_S, return_when=FIRST_EXCEPTION).not_done:
                self._job.checkpoint()
                _raise_from(futures)
            _raise_from(futures)
        finally:
            # Whoever is told to stop waits for nobody's answer; what is under way is the last of its thread.
            self._is_over.set()
            threads.shutdown(wait=False, cancel_futures=True)
        self._is_over.clear()
        self._write(writing, tried=tried)

    def _write(self, places: Sequence[int], *, tried: Sequence[str]) -> None:
        names = set(tried)
        with self._proving.runner(self._job, self._session) as run:
            for place in places:
                if not self._may_go_on():
                    return
                names.add(self._tools[place].name)
                self._job.resume.save({"tried": sorted(names)})
                self._try(place, run)

    def _lane(self, waiting: deque[int]) -> None:
        """Try one after another until none is left."""
        if not waiting:
            return
        with self._proving.runner(self._job, self._session) as run:
            while self._may_go_on():
                try:
                    place = waiting.popleft()
                except IndexError:  # another lane was faster
                    return
                self._try(place, run)

    def _forms_of(self, places: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the first forms whose requests can be compared with the browser's, with what they are tried with."""
        forms = {
            place: arguments
            for place in places
            if isinstance(self._tools[place].call, FormCall)
            and not open_inputs(self._tools[place])
            and (arguments := trial_arguments(self._tools[place])) is not None
        }
        return dict(list(forms.items())[:_MOST_COMPARED])

    def _compared(self, place: int, _: Tool, __: dict[str, Any]) -> Equality:
        """Return how a browser sends the form; who asks first has the next ones compared with it."""
        if place not in self._equalities:
            waiting = [at for at in self._forms if at not in self._equalities]
            together = waiting[waiting.index(place) :][:COMPARED_AT_ONCE]
            pairs = [(self._tools[at], self._forms[at]) for at in together]
            found = compare_together(self._job, pairs, session=self._session)
            self._equalities |= dict(zip(together, found, strict=True))
        found_here = self._equalities[place]
        if isinstance(found_here, AppError):
            raise found_here
        return found_here

    def _may_go_on(self) -> bool:
        return not self._is_over.is_set() and time.monotonic() < self._ends_at and self._may_spend()

    def _try(self, place: int, run: Run) -> None:
        tool = self._tools[place]
        with self._turn:
            self._job.report("proof", self._begun, self._total, tool.name)
            self._begun += 1
        compare = partial(self._compared, place) if place in self._forms else None
        try:
            self.proven[place] = self._proving.prove(
                tool, partial(self._run, run), compare=compare, allow_write=self._may_write
            )
        except PAGE_TROUBLE as exc:
            self._job.log(f"{tool.name} could not be tried: {told(exc)}", level="warning")

    def _run(self, run: Run, tool: Tool, arguments: dict[str, Any]) -> Outcome:
        if self._is_over.is_set():
            raise Transient("The discovery has ended.")
        return run(tool, arguments)


def _raise_from(futures: Sequence[Future[None]]) -> None:
    for future in futures:
        if future.done():
            future.result()


def _strings(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def open_runner(job: JobContext, session: StorageState | None) -> AbstractContextManager[Run]:
    """Return what runs tools for the job, to be entered."""
    return Runner(job, session=session)
