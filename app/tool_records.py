"""What the registry's paths are asked and what they answer."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from app.inputs import NUMBER, TRUE_OR_FALSE, WHOLE_NUMBER, Input, Text
from tasks.core.records import Backend
from tasks.discovery.contract import Arguments, Prefer
from tasks.discovery.exports.exported import Exported
from tasks.discovery.exports.mcp import exported_mcp_tool
from tasks.discovery.store.records import Note, Statistics, Status, StoredTool, ToolFacts
from tasks.discovery.tool import Effect, Source

_Cursor = Annotated[Text, Field(max_length=200)]
Origin = Annotated[str, Field(max_length=300, pattern=r"^https?://[^/?#\s\x00]+$")]


class ToolPath(Input):
    """Which tool."""

    tool_id: str = Field(description="The tool's id.", json_schema_extra={"format": "uuid"})


class ToolFilter(Input):
    """Which tools; all that is given must hold."""

    site: Origin | None = Field(None, description="The site's origin: `https://example.org`.")
    status: list[Status] = Field([], max_length=5, description="Repeatable.")
    source: Source | None = Field(None, description="Where it was found.")
    effect: Effect | None = Field(None, description="What a run does to the site.")
    min_confidence: Annotated[float, Field(ge=0, le=1), NUMBER] | None = None


class ToolListQuery(ToolFilter):
    """Which tools, and which page of them."""

    q: Annotated[Text, Field(min_length=1, max_length=500)] | None = Field(
        None,
        description="Its words, or what means the same; then the best fitting come first.",
    )
    limit: Annotated[int, Field(ge=1, le=200), WHOLE_NUMBER] = 50
    cursor: _Cursor | None = Field(None, description="`next_cursor` of the page before.")


class RecommendedQuery(ToolFilter):
    """What for."""

    query: Annotated[Text, Field(min_length=1, max_length=500)] | None = Field(
        None, description="Only among the tools that these words find."
    )
    limit: Annotated[int, Field(ge=1, le=50), WHOLE_NUMBER] = 5


class RunListQuery(Input):
    """Which page of the runs."""

    limit: Annotated[int, Field(ge=1, le=200), WHOLE_NUMBER] = 50
    before: Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")] | None = Field(
        None, description="Runs older than the one with this id."
    )


class DeleteSiteQuery(Input):
    """Which site, and that this is meant."""

    site: Origin = Field(description="The site's origin.")
    confirm: Annotated[bool, TRUE_OR_FALSE] = Field(False, description="Without `true` nothing is done.")


class RunTool(Input):
    """How to run a tool."""

    arguments: Arguments = Field(default_factory=dict, description="Inputs, as the tool's input schema has them.")
    confirm: bool = Field(False, description="Required to be true for a tool that deletes, or changes an account.")
    prefer: Prefer = Field(Prefer.AUTO, description="How to run it.")
    use_session: bool = Field(False, description="Run it with the sign-in state that is stored for its site.")
    priority: int = Field(50, ge=0, le=100)
    timeout_s: float | None = Field(None, gt=0, description="Up to the limit of `discovery.run`.")
    reference: Annotated[Text, Field(max_length=200)] | None = None
    backend: Backend = Field(Backend.AUTO, description="Who may run it: `auto`, `queue` or `local`.")


class ToolStatistics(BaseModel):
    """What the run log of the last 30 days says; null where it says nothing."""

    ok: int
    failed: int
    success_rate: float | None
    min_ms: float | None = Field(description="Of runs that succeeded, as the other latencies.")
    mean_ms: float | None
    max_ms: float | None
    p95_ms: float | None
    total_cost_usd: float | None = Field(description="Of runs whose cost is known.")
    mean_cost_usd: float | None


class UsageNote(BaseModel):
    """What runs have shown of one thing that they made use of."""

    subject: str
    verdict: str = Field(description="`helpful` or `harmful`.")
    score: float = Field(description="Running mean, from 0.7.")
    worked: int
    failed: int
    text: str


class ToolRecord(BaseModel):
    """A tool of the registry."""

    id: str
    site: str
    name: str
    exported_name: str = Field(description="Its name in exports and for agents, unique among your tools.")
    version: int
    status: Status
    rediscover: dict[str, Any] | None = Field(
        description="Of a tool that is not to be relied on: what to submit to `POST /api/jobs` to have it looked for."
    )
    source: Source
    purpose: str
    effect: Effect
    confidence: float | None
    created_at: datetime
    updated_at: datetime = Field(description="When its newest version was made.")
    seen_at: datetime = Field(description="When a discovery last found it.")
    used_at: datetime | None
    job_id: str | None = Field(description="The discovery that found it last.")
    uses: int = Field(description="Runs since it was first found.")
    statistics: ToolStatistics
    notes: list[UsageNote]
    tool: dict[str, Any] = Field(description="As an MCP tool, with provenance, evidence and checks under `_meta`.")


class ToolPage(BaseModel):
    """Tools, newest first, or best fitting first."""

    tools: list[ToolRecord]
    total: int = Field(description="How many match in all; a search finds 1,000 at most.")
    next_cursor: str | None


class RecommendedTool(ToolRecord):
    """A tool and why it is recommended."""

    score: float = Field(description="0.4 confidence + 0.4 success rate + 0.2 min(uses / 100, 1).")


class Recommendations(BaseModel):
    """Active tools, best first."""

    tools: list[RecommendedTool]


class ToolVersionRecord(BaseModel):
    """A tool as one discovery found it."""

    version: int
    created_at: datetime
    job_id: str | None
    tool: dict[str, Any]


class ToolVersionList(BaseModel):
    """Every version, newest first."""

    versions: list[ToolVersionRecord]


class ToolRun(BaseModel):
    """A line of the run log."""

    id: str
    version: int
    job_id: str
    at: datetime
    ok: bool
    took_ms: float
    backend: str
    cost_usd: float | None = Field(description="Null: unknown.")
    error_code: str | None


class ToolRunList(BaseModel):
    """Runs, newest first."""

    runs: list[ToolRun]


class ToolsDeleted(BaseModel):
    """What was done."""

    deleted: int


def exported_of(stored: StoredTool) -> Exported:
    """Return a tool as exports need it."""
    return Exported(stored.id, stored.version, stored.status, stored.tool)


def fields_of(facts: ToolFacts) -> dict[str, Any]:
    """Return the fields of a ``ToolRecord``."""
    stored, exported = facts.stored, exported_of(facts.stored)
    same = ("id", "site", "name", "version", "status", "created_at", "updated_at", "seen_at", "used_at", "job_id")
    return {name: getattr(stored, name) for name in (*same, "uses")} | {
        "exported_name": exported.name,
        "rediscover": stored.rediscovery,
        "source": stored.tool.source,
        "purpose": stored.tool.purpose,
        "effect": stored.tool.effect,
        "confidence": stored.tool.confidence,
        "statistics": _statistics(facts.statistics),
        "notes": [_note(note) for note in facts.notes],
        "tool": exported_mcp_tool(exported),
    }


def _statistics(found: Statistics) -> ToolStatistics:
    values = {name: getattr(found, name) for name in ToolStatistics.model_fields}
    return ToolStatistics(**values)


def _note(note: Note) -> UsageNote:
    return UsageNote(**{name: getattr(note, name) for name in UsageNote.model_fields})
