"""Around discoveries: domains to begin with, how their cache does, what they cost."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import tenant_id
from app.inputs import TRUE_OR_FALSE, Input, checked
from app.openapi import SECURITY, answer, problems
from app.services import Services, services
from tasks.core.clock import now
from tasks.core.errors import InputRejected
from tasks.core.ledger import batches, cached_results, costs, queries
from tasks.core.ledger.accepting import is_key_used
from tasks.core.ledger.queries import Filter
from tasks.core.result_cache import MAX_ENTRIES
from tasks.core.spec import JobSpec
from tasks.discovery import budget
from tasks.discovery import presets as domains
from tasks.discovery.budget import BUDGETED
from tasks.discovery.contract import DAY_S, RUN, SITE, TOOL
from tasks.discovery.pricing import PriceTable

bp = APIBlueprint("discovery", __name__, abp_tags=[Tag(name="discovery")], abp_security=SECURITY)


class PresetsQuery(Input):
    """Which domains."""

    high_priority_only: Annotated[bool, TRUE_OR_FALSE] = Field(False, description="Only the important ones.")
    force: Annotated[bool, TRUE_OR_FALSE] = Field(False, description="Make requests that look past the cache.")


class DomainPreset(BaseModel):
    """A domain with what to submit for it."""

    name: str
    title: str
    priority: int = Field(description="1 is the most important.")
    is_high_priority: bool
    max_tools: int = Field(description="Tools of each site.")
    cache_s: int = Field(description="How long what was found answers.")
    sites: tuple[str, ...]
    goals: tuple[str, ...]
    job_priority: int = Field(description="The `priority` of its jobs.")
    requests: tuple[dict[str, Any], ...] = Field(description=f"The `params` of its jobs, which are `{SITE}`.")


class PresetList(BaseModel):
    """The domains, the most important first."""

    parallel_limit: int = Field(description="How many sites of a domain to look at side by side.")
    presets: tuple[DomainPreset, ...]


class KindStats(BaseModel):
    """How a tenant's cache of one kind stands, and what it was asked."""

    entries: int = Field(description="Earlier answers that would answer now.")
    remaining: int = Field(description="How many more there is room for before the one used longest ago goes.")
    hits: int = Field(description="Jobs answered from an earlier one.")
    misses: int = Field(description="Jobs that looked and did the work.")
    hit_rate: float | None = Field(description="Hits among both, 0 to 1; null before the first.")
    evictions: int = Field(description="Answers that made room for newer ones before their time.")


class DiscoveryStats(BaseModel):
    """The tenant's discoveries and their cache."""

    cache: dict[str, KindStats] = Field(description="By kind.")
    cache_limit: int = Field(description="Answers kept of one kind.")
    cache_s: int = Field(description="How long an answer lives from its writing, unless a request says otherwise.")
    jobs: dict[str, dict[str, int]] = Field(description="How many jobs of each kind are in each state.")


class ForgetAnswersQuery(Input):
    """That this is meant."""

    confirm: Annotated[bool, TRUE_OR_FALSE] = Field(False, description="Without `true` nothing is done.")


class AnswersForgotten(BaseModel):
    """What was done."""

    forgotten: int = Field(description="Earlier discoveries that answer nothing any more; their jobs and tools stay.")


class CostsQuery(Input):
    """Which month."""

    month: Annotated[str, Field(pattern=r"^2\d{3}-(0[1-9]|1[0-2])$")] | None = Field(
        None, description="Such as `2026-11`, UTC; this one if absent."
    )


class MethodCost(BaseModel):
    """What jobs have cost."""

    count: int
    total: float
    mean: float | None = Field(description="Of those whose cost is known; null where none is.")
    unknown: int = Field(description="Jobs whose cost is not known; they add nothing to the total.")


class CostSummary(MethodCost):
    """What a tenant's discoveries have cost in a month."""

    month: str
    currency: str
    by_method: dict[str, MethodCost]
    budget: float | None = Field(description="What a month may cost; null: whatever it does.")
    used_percent: float | None
    stops: bool = Field(description="Whether new discoveries are refused once the budget is used up.")


MODELS: tuple[type[BaseModel], ...] = (
    *(PresetList, DomainPreset, DiscoveryStats, KindStats, AnswersForgotten),
    *(CostSummary, MethodCost),
)


@bp.get("/api/discovery/presets", responses={200: answer(PresetList, "The domains."), **problems(401, 422)})
@checked
def list_presets(query: PresetsQuery) -> Response:
    """List domains of sites with goals, and the jobs that each stands for."""
    chosen = [one for one in domains.presets() if one.is_high_priority or not query.high_priority_only]
    return json_answer(
        PresetList(
            parallel_limit=domains.PARALLEL_LIMIT,
            presets=tuple(_shown(one, force=query.force) for one in chosen),
        )
    )


def _shown(preset: domains.Preset, *, force: bool) -> DomainPreset:
    return DomainPreset(
        **preset.model_dump(),
        is_high_priority=preset.is_high_priority,
        job_priority=preset.job_priority,
        requests=tuple(one.model_dump(mode="json", exclude_defaults=True) for one in preset.requests(force=force)),
    )


@bp.get("/api/discovery/stats", responses={200: answer(DiscoveryStats, "Now."), **problems(401, 503)})
@checked
def read_stats() -> Response:
    """Tell how this tenant's discoveries went, and how often they were answered from earlier ones."""
    at = services()
    return json_answer(
        DiscoveryStats(
            cache={kind: cache_of(at, kind) for kind in (SITE, TOOL)},
            cache_limit=MAX_ENTRIES,
            cache_s=DAY_S,
            jobs=queries.counts_of_kinds(at.kernel.ledger, tenant_id=tenant_id(), kinds=(SITE, TOOL, RUN)),
        )
    )


@bp.delete("/api/discovery/cache", responses={200: answer(AnswersForgotten, "Done."), **problems(401, 422, 503)})
@checked
def forget_answers(query: ForgetAnswersQuery) -> Response:
    """Let every discovery of this tenant look again; the earlier jobs, their tools and all counts stay."""
    at = services()
    if not query.confirm:
        entries = sum(cache_of(at, kind).entries for kind in (SITE, TOOL))
        raise InputRejected(
            f"This would forget {entries} earlier discoveries: repeat it with confirm=true.",
            field="confirm",
            code="confirmation_required",
        )
    ledger = at.kernel.ledger
    forgotten = sum(cached_results.forget(ledger, tenant_id=tenant_id(), kind=kind) for kind in (SITE, TOOL))
    return json_answer(AnswersForgotten(forgotten=forgotten))


def cache_of(at: Services, kind: str) -> KindStats:
    """Tell how the cache of a kind stands for the tenant that asks."""
    found = cached_results.standing(at.kernel.ledger, tenant_id=tenant_id(), kind=kind)
    lookups = found.hits + found.misses
    return KindStats(
        entries=found.entries,
        remaining=max(0, MAX_ENTRIES - found.entries),
        hits=found.hits,
        misses=found.misses,
        hit_rate=round(found.hits / lookups, 4) if lookups else None,
        evictions=found.evictions,
    )


@bp.get("/api/discovery/costs", responses={200: answer(CostSummary, "Of that month."), **problems(401, 422, 503)})
@checked
def read_costs(query: CostsQuery) -> Response:
    """Tell what this tenant's discoveries have cost in a month, by how they went about it."""
    at = services()
    begin = costs.month_of(now()) if query.month is None else datetime.fromisoformat(f"{query.month}-01T00:00:00Z")
    by_method = costs.summed(at.kernel.ledger, tenant_id(), since=begin, until=_next_month(begin))
    whole = costs.Sum(
        sum(one.count for one in by_method.values()),
        sum(one.total for one in by_method.values()),
        sum(one.unknown for one in by_method.values()),
    )
    limit = at.settings.discovery_budget
    return json_answer(
        CostSummary(
            **_cost(whole).model_dump(),
            month=f"{begin:%Y-%m}",
            currency=PriceTable.load(at.settings.discovery_prices).currency,
            by_method={method: _cost(one) for method, one in by_method.items()},
            budget=limit,
            used_percent=round(100 * whole.total / limit, 2) if limit else None,
            stops=at.settings.discovery_budget_stop,
        )
    )


def _cost(found: costs.Sum) -> MethodCost:
    mean = None if found.mean is None else round(found.mean, 6)
    return MethodCost(count=found.count, total=round(found.total, 6), mean=mean, unknown=found.unknown)


def _next_month(begin: datetime) -> datetime:
    return begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)


def demand_budget(at: Services, spec: JobSpec, *, key: str | None = None) -> None:
    """Go on only if the tenant that asks may still begin a job of this kind, or has begun this one (by its key).

    Raises:
        BudgetExhausted: its budget of this month is used up, and the operator wants that to be the end.
    """
    if spec.kind not in BUDGETED or (key is not None and is_key_used(at.kernel.ledger, tenant_id(), key)):
        return
    budget.demand_budget(at.settings, lambda: costs.spent_this_month(at.kernel.ledger, tenant_id()))


def demand_budget_of_many(at: Services, wanted: Filter) -> None:
    """Go on only if the tenant that asks may still begin what is to be retried among ``wanted``.

    Raises:
        BudgetExhausted: as ``demand_budget``; a filter that names another kind leaves these jobs out.
    """
    if not at.settings.discovery_budget_stop:
        return
    for kind in sorted(BUDGETED & at.specs.keys()):
        if wanted.kind not in {None, kind}:
            continue
        of_kind = batches.reach(at.kernel.ledger, replace(wanted, kind=kind), batches.RETRYABLE)
        if of_kind.eligible:
            demand_budget(at, at.specs[kind])
