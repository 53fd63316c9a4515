"""Run one tool once, and tell the registry how it went."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from jsonschema_rs import Draft202012Validator

from tasks.core.errors import AppError, InputRejected, NotAllowed
from tasks.core.job import JobContext
from tasks.discovery.contract import MAX_INLINE_BYTES, VALUE_NAME, Cost, Prefer, RanIn, RunRequest, RunResult
from tasks.discovery.engine.discover import Charge, OpenSession
from tasks.discovery.engine.discretion import DiscreetJob, secrets_of, struck
from tasks.discovery.engine.outcome import Outcome
from tasks.discovery.engine.running.runner import Runner
from tasks.discovery.pricing import Pricing, Usage, run_method
from tasks.discovery.tool import FormCall, RequestCall, Tool


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run of a stored tool went, for the registry.

    Args:
        error: the code of what it failed with; empty where it succeeded.
        selectors, lost_selectors: those that found their element, and better ones that no longer did.
    """

    tool_id: str
    tool: Tool
    took_s: float
    ran_in: RanIn
    cost: Cost
    error: str = ""
    arguments: tuple[str, ...] = ()
    selectors: tuple[str, ...] = ()
    lost_selectors: tuple[str, ...] = ()


LoadTool = Callable[[JobContext, str], Tool]
KeepRun = Callable[[JobContext, RunReport], None]


@dataclass(frozen=True, slots=True)
class ToolRunner:
    """Runs tools of the registry, or such as are sent along.

    Args:
        load: gives a tool of the registry by its id.
        keep: told of each run of one.
        charge: told what a run has cost.
    """

    load: LoadTool
    keep: KeepRun
    open_session: OpenSession
    charge: Charge
    pricing: Pricing = field(default_factory=Pricing)

    def __call__(self, request: RunRequest, job: JobContext) -> RunResult:
        """Run the tool.

        Raises:
            NotFound: there is no such tool, or no sign-in for its site.
            NotAllowed: the tool does more than ``allow_effects`` says.
            InputRejected: the arguments do not fit its schema; nothing was sent.
            EgressRefused: it leads where it must not.
            Transient, Permanent: the run failed; the message names the step.
        """
        tool = request.tool or self.load(job, request.tool_id or "")
        if tool.effect not in request.allow_effects:
            raise NotAllowed(
                f"{tool.name} may {tool.effect.value} on {tool.site}: name {tool.effect.value!r} in allow_effects if "
                "that is meant.",
                field="allow_effects",
                code="effect_not_allowed",
            )
        session = self.open_session(job, tool.site) if request.use_session else None
        hidden = secrets_of(session)
        job = DiscreetJob(job, hidden)
        job.report("run", 0, 1, tool.name)
        began = time.monotonic()
        try:
            with Runner(job, session=session, prefer=request.prefer.value) as run:
                outcome = run(tool, dict(request.arguments))
        except InputRejected:  # it was not run, so that it says nothing of the tool
            raise
        except AppError as exc:
            took_s = time.monotonic() - began
            self._keep(request, tool, job, took_s=took_s, ran_in=_backend(tool, request.prefer), error=exc.code)
            raise
        error = "" if outcome.is_ok else f"status_{outcome.status}"
        self._keep(request, tool, job, took_s=outcome.took_s, ran_in=outcome.backend, error=error, outcome=outcome)
        return struck(self._result(tool, outcome, job), hidden)

    def _keep(
        self,
        request: RunRequest,
        tool: Tool,
        job: JobContext,
        *,
        took_s: float,
        ran_in: RanIn,
        error: str,
        outcome: Outcome | None = None,
    ) -> None:
        cost = self._cost(took_s, ran_in)
        self.charge(job, cost, run_method(ran_in))
        if request.tool_id is None:
            return
        report = RunReport(
            request.tool_id,
            tool,
            took_s,
            ran_in,
            cost,
            error=error,
            arguments=tuple(sorted(request.arguments)),
            selectors=outcome.selectors if outcome else (),
            lost_selectors=outcome.lost_selectors if outcome else (),
        )
        self.keep(job, report)

    def _cost(self, took_s: float, ran_in: RanIn) -> Cost:
        return self.pricing.cost(run_method(ran_in), Usage(browser_s=took_s if ran_in == "browser" else 0.0))

    def _result(self, tool: Tool, outcome: Outcome, job: JobContext) -> RunResult:
        text = json.dumps(outcome.value, ensure_ascii=False, default=str)
        is_large = len(text.encode()) > MAX_INLINE_BYTES
        if is_large:
            job.save(VALUE_NAME, text.encode(), "application/json")
        job.report("run", 1, 1, tool.name)
        return RunResult(
            tool=tool.name,
            site=tool.site,
            status=outcome.status,
            url=outcome.url[:4096],
            media_type=outcome.media_type[:200],
            value=None if is_large else json.loads(text),
            items=len(outcome.items),
            artifact=VALUE_NAME if is_large else None,
            fits_output_schema=fits(tool, json.loads(text)),
            ran_in=outcome.backend,
            took_s=round(outcome.took_s, 4),
            cost=self._cost(outcome.took_s, outcome.backend),
        )


def fits(tool: Tool, value: object) -> bool | None:
    """Whether the value is what the tool's output schema says; None where the tool has none."""
    if tool.output_schema is None:
        return None
    return bool(Draft202012Validator(tool.output_schema).is_valid(value))


def _backend(tool: Tool, prefer: Prefer) -> RanIn:
    """Return how a run that failed was tried: as ``Runner`` chooses."""
    match tool.call:
        case RequestCall():
            return "http"
        case FormCall(is_plain=is_plain):
            return "http" if prefer is Prefer.HTTP or (prefer is Prefer.AUTO and is_plain) else "browser"
        case _:
            return "browser"
