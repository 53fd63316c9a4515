"""Celery tasks of the discovery kinds; they only delegate."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from celery import shared_task
from pydantic import BaseModel

from tasks.core.job import Engine, JobContext, RequestT
from tasks.core.kernel import Kernel
from tasks.core.ledger import costs
from tasks.core.ledger.costs import Budget
from tasks.core.result_cache import open_result_cache
from tasks.core.run import JobTask, Returned, run_job
from tasks.core.settings import Settings
from tasks.discovery.budget import demand_budget
from tasks.discovery.caching import Answers, CachingDiscoverer
from tasks.discovery.contract import RUN, SITE, SPECS, TOOL, Cost
from tasks.discovery.tool import Tool

if TYPE_CHECKING:
    from tasks.discovery.engine.discover import Discoverer
    from tasks.discovery.engine.run_tool import RunReport
    from tasks.discovery.engine.wording import LanguageModel
    from tasks.discovery.store.records import StoredTool

_SPECS = {spec.kind: spec for spec in SPECS}


@shared_task(name=SITE, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def discover_site(self: JobTask, _job_id: str) -> Returned:
    """Run ``discovery.site``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, _SPECS[SITE], lambda: _load_site(kernel))


@shared_task(name=TOOL, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def discover_tool(self: JobTask, _job_id: str) -> Returned:
    """Run ``discovery.tool``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, _SPECS[TOOL], lambda: _load_tool(kernel))


@shared_task(name=RUN, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def run_tool(self: JobTask, _job_id: str) -> Returned:
    """Run ``discovery.run``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, _SPECS[RUN], lambda: _load_run(kernel))


def _load_site(kernel: Kernel) -> Engine[Any]:
    return CachingDiscoverer(lambda: _within_budget(kernel, _discoverer(kernel).discover_site), _answers(kernel))


def _load_tool(kernel: Kernel) -> Engine[Any]:
    return CachingDiscoverer(lambda: _within_budget(kernel, _discoverer(kernel).discover_tool), _answers(kernel))


def _within_budget(kernel: Kernel, discover: Engine[RequestT]) -> Engine[RequestT]:
    """Begin only what may still be spent for: many jobs may have been accepted before the budget was used up."""

    def work(request: RequestT, job: JobContext) -> BaseModel:
        demand_budget(kernel.settings, lambda: costs.spent_by_owner(kernel.ledger, job.id))
        return discover(request, job)

    return work


def _load_run(kernel: Kernel) -> Engine[Any]:
    from tasks.discovery.engine.run_tool import ToolRunner  # noqa: PLC0415  # engines load on the first job
    from tasks.discovery.pricing import PriceTable, Pricing  # noqa: PLC0415  # as above

    return ToolRunner(
        load=lambda job, tool_id: _stored(kernel, job, tool_id).tool,
        keep=partial(_keep_run, kernel),
        open_session=partial(_open_session, kernel),
        charge=partial(_charge, kernel),
        pricing=Pricing(PriceTable.load(kernel.settings.discovery_prices)),
    )


def _discoverer(kernel: Kernel) -> "Discoverer":
    from tasks.discovery.engine.confidence import assess  # noqa: PLC0415  # as above
    from tasks.discovery.engine.discover import Discoverer  # noqa: PLC0415  # as above
    from tasks.discovery.engine.proof import prove  # noqa: PLC0415  # as above
    from tasks.discovery.engine.proving import Proving, open_runner  # noqa: PLC0415  # as above
    from tasks.discovery.engine.sources import SOURCES  # noqa: PLC0415  # as above
    from tasks.discovery.pricing import PriceTable, Pricing  # noqa: PLC0415  # as above

    return Discoverer(
        SOURCES,
        record=partial(_record, kernel),
        open_session=partial(_open_session, kernel),
        charge=partial(_charge, kernel),
        pricing=Pricing(PriceTable.load(kernel.settings.discovery_prices)),
        proving=Proving(prove, assess, open_runner),
        model=_language_model(kernel.settings),
    )


def _language_model(settings: Settings) -> "LanguageModel | None":
    if settings.discovery_model_url is None:
        return None
    from tasks.discovery.engine.wording import LanguageModel  # noqa: PLC0415  # as above

    key = settings.discovery_model_key
    return LanguageModel(
        settings.discovery_model_url, settings.discovery_model, key.get_secret_value() if key is not None else ""
    )


def _answers(kernel: Kernel) -> Answers:
    return Answers(
        kernel.warm.get("answers", lambda: open_result_cache(kernel.settings, kernel.ledger, kernel.artifacts))
    )


def _charge(kernel: Kernel, job: JobContext, cost: Cost, method: str) -> None:
    settings = kernel.settings
    budget = Budget(settings.discovery_budget, stops=settings.discovery_budget_stop)
    costs.keep(kernel.ledger, job.id, fence=job.fence, method=method, amount=cost.total, budget=budget)


def _record(kernel: Kernel, job: JobContext, site: str, tools: Sequence[Tool], all_of: frozenset[str] | None) -> None:
    from tasks.discovery.store.recording import record_discovery  # noqa: PLC0415  # stores load on the first job

    record_discovery(
        kernel.ledger, job.id, job.fence, site=site, tools=tools, is_whole=all_of is None, pages=all_of or ()
    )


def _stored(kernel: Kernel, job: JobContext, tool_id: str) -> "StoredTool":
    from tasks.discovery.store.tools import tool_for_job  # noqa: PLC0415  # as above

    return tool_for_job(kernel.ledger, job.id, tool_id)


def _keep_run(kernel: Kernel, job: JobContext, run: "RunReport") -> None:
    from tasks.discovery.store.records import RunFacts  # noqa: PLC0415  # as above
    from tasks.discovery.store.run_log import record_run  # noqa: PLC0415  # as above

    stored = _stored(kernel, job, run.tool_id)
    facts = RunFacts(
        ok=not run.error,
        took_ms=run.took_s * 1000,
        backend=run.ran_in,
        cost_usd=run.cost.total,
        error_code=run.error or None,
        used=[
            f"backend {run.ran_in}",
            *(f"argument {name}" for name in run.arguments),
            *(f"selector {one}" for one in run.selectors),
        ],
        failed=[f"selector {one}" for one in run.lost_selectors],
    )
    record_run(
        kernel.ledger,
        run.tool_id,
        facts,
        version=stored.version,
        job_id=job.id,
        fence=job.fence,
        stale_after=kernel.settings.tool_stale_after,
    )


def _open_session(kernel: Kernel, job: JobContext, site: str) -> Mapping[str, Any]:
    from tasks.discovery.sealing import state_for_job  # noqa: PLC0415  # needs a library that few jobs do

    return state_for_job(kernel.ledger, kernel.settings, job.id, site)
