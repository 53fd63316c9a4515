"""Tools, and discoveries and runs of them, for tests of what is around them."""

from collections.abc import Collection
from typing import Any

from tasks.core.ledger import Ledger
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Job
from tasks.discovery.store.recording import record_discovery
from tasks.discovery.store.records import Diff, RunFacts, Status, StoredTool
from tasks.discovery.store.run_log import record_run
from tasks.discovery.tool import Effect, Place, RequestCall, Slot, Source, Tool
from tests.samples import running

SITE = "https://shop.example"


def a_tool(name: str = "search_products", **changes: Any) -> Tool:
    """Make a search of a shop, assessed."""
    site = changes.get("site", SITE)
    values: dict[str, Any] = {
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "description": "Search the catalogue of the shop.",
        "site": site,
        "found_on": f"{site}/",
        "source": Source.FORM,
        "purpose": "search",
        "effect": Effect.READ,
        "is_idempotent": True,
        "call": RequestCall(
            url=f"{site}/search",
            slots=(Slot(input="q", place=Place.QUERY, name="q"), Slot(input="sort", place=Place.QUERY, name="sort")),
        ),
        "input_schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "q": {"type": "string", "title": "Search terms", "maxLength": 100},
                "sort": {"type": "string", "enum": ["price", "name"]},
            },
            "required": ["q"],
            "additionalProperties": False,
        },
        "prior": 0.9,
        "confidence": 0.9,
    }
    return Tool(**(values | changes))


def record(
    ledger: Ledger,
    tenant: Tenant,
    *tools: Tool,
    is_whole: bool = True,
    pages: Collection[str] = (),
    job: Job | None = None,
) -> Diff:
    """Record a discovery of ``SITE``, or of the tools' own site, by a running job, a new one unless it is given."""
    job = job or running(ledger, tenant)
    site = tools[0].site if tools else SITE
    return record_discovery(ledger, job.id, job.fence, site=site, tools=tools, is_whole=is_whole, pages=pages)


def ran(
    ledger: Ledger, tenant: Tenant, found: StoredTool, *, job: Job | None = None, stale_after: int = 3, **facts: Any
) -> Status | None:
    """Note a run of a tool by a running job, a new one unless it is given; it succeeded in 100 ms unless told."""
    job = job or running(ledger, tenant)
    values = {"ok": True, "took_ms": 100.0, "backend": "http"} | facts
    return record_run(
        ledger,
        found.id,
        RunFacts(**values),
        version=found.version,
        job_id=job.id,
        fence=job.fence,
        stale_after=stale_after,
    )
