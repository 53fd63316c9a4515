"""One frozen object with every setting, read once per process from ``SWITCHYARD_*`` variables.

Every field's description is its documentation: ``switchyard settings`` prints it, ``docs/settings.md`` repeats it.
"""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tasks.core.errors import ConfigurationRefused
from tasks.core.publishing_settings import PublishingSettings
from tasks.core.setting_values import (
    LABEL,
    Environment,
    LogFormat,
    Profile,
    RBridge,
    is_host_port,
    known_ledger_scheme,
    known_redis_scheme,
    split_list,
)
from tasks.core.urls import is_loopback, mask_password

PREFIX = "SWITCHYARD_"
# Names that Chromium's program has on different systems, best first.
CHROMIUM_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


class Settings(PublishingSettings, BaseSettings):
    """What an operator can set. Frozen; unknown values of known names stop the process at start."""

    # Inputs stay out of pydantic's messages, because a traceback would print secrets with them.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    environment: Environment = Field(
        Environment.DEVELOPMENT, description="`development` or `production`; production refuses unsafe defaults."
    )
    profile: Profile = Field(
        Profile.DASHBOARD,
        description="`dashboard`: everything; `api`: no streams, clients poll; `local`: no Redis (docs/operations.md).",
    )
    sse: bool = Field(True, description="Serve event streams over SSE. Never in profile `api`.")
    websocket: bool = Field(True, description="Serve event streams over WebSocket. Never in profile `api`.")
    dialect_va: bool = Field(
        True, description="Answer at the paths of the older VA calibration service too (docs/older-clients.md)."
    )
    dialect_walt: bool = Field(
        True, description="Answer at the paths of the older tool discovery service too (docs/older-clients.md)."
    )
    dialect_direct: bool = Field(
        True, description="Answer clients of the earlier hub too, over HTTP and WebSocket (docs/older-clients.md)."
    )
    direct_services: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated `service=kind`: what the earlier hub's clients call one of our kinds."
    )
    state_dir: Path = Field(
        Path("var"), description="Folder for the default ledger, artifacts, and what must survive a restart here."
    )
    ledger_url: Annotated[str, AfterValidator(known_ledger_scheme)] | None = Field(
        None, description="SQLAlchemy URL of the ledger. Default: SQLite, `ledger.db` in the state folder."
    )
    auto_migrate: bool = Field(
        True,
        description="Bring the ledger's tables up to date at start. Off: refuse to start until it is done by hand.",
    )
    redis_url: Annotated[str, AfterValidator(known_redis_scheme)] = Field(
        "redis://127.0.0.1:6379/0",
        description="Redis used as the broker and for live events; `rediss://` for TLS, with its certificate checked.",
    )
    storage_dir: Path | None = Field(
        None, description="Folder for artifacts, shared by web and workers. Default: `artifacts` in the state folder."
    )
    host: str = Field("127.0.0.1", description="Address the web server listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the web server listens on.")
    web_threads: int = Field(
        1200, ge=8, le=10_000, description="Most requests (open streams count) that one web process serves at a time."
    )
    body_limit_bytes: int = Field(
        10 * 1024 * 1024, ge=1024, le=1024**3, description="Largest request body; larger ones get 413."
    )
    upload_limit_bytes: int = Field(
        1024**3, ge=1024, le=1024**4, description="Largest upload, and largest multipart submission."
    )
    upload_quota_bytes: int = Field(
        10 * 1024**3,
        ge=1024,
        le=1024**5,
        description="What one tenant's uploads may have together, unfinished ones too.",
    )
    upload_keep_s: int = Field(
        86400, ge=60, le=365 * 86400, description="How long an upload is kept that nobody uses and no job needs."
    )
    upload_stall_s: float = Field(
        30.0, ge=0.1, le=600, description="How long a sender of an upload may be silent before its request ends."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated origins whose pages may call the API from a browser. Empty: none."
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Signs stream tokens, seals sign-in states; the same for web and workers. At least 32 characters. "
        "Development makes one in the state folder.",
    )
    redis_timeout_s: float = Field(
        5.0, ge=0.5, le=60, description="Limit on connecting to and on one answer of the broker, for workers."
    )
    stream_token_ttl_s: int = Field(300, ge=10, le=86400, description="How long a stream token opens a stream.")
    stream_maxlen: int = Field(
        2000, ge=100, le=100_000, description="Entries kept per job's event stream; older ones give a `gap`."
    )
    stream_ttl_s: int = Field(86400, ge=60, le=30 * 86400, description="How long a finished job's stream is kept.")
    heartbeat_s: float = Field(15.0, ge=0.2, le=60, description="Pause between heartbeat comments on idle streams.")
    idempotency_ttl_s: int = Field(
        86400, ge=60, le=30 * 86400, description="How long an idempotency key is remembered."
    )
    beat_s: float = Field(
        1.0, ge=0.1, le=10, description="Period of a worker's beat (cancel flags, orphans, liveness)."
    )
    lease_s: float = Field(
        10.0,
        ge=1,
        le=120,
        description="A worker or leading dispatcher whose beat counter stands still this long is taken for gone.",
    )
    carry_again_s: float = Field(
        20.0,
        ge=1,
        le=600,
        description="How long a published job's message must be missing in Redis before it is carried again.",
    )
    cancel_grace_s: float = Field(
        2.0,
        ge=0,
        le=60,
        description="Time a cancelled or superseded attempt gets to stop by itself before its processes are killed.",
    )
    drain_s: float = Field(
        5.0,
        ge=0,
        le=300,
        description="Time the web server goes on answering, unready, between the order to stop and stopping.",
    )
    drain_grace_s: float = Field(
        30.0, ge=0, le=3600, description="Time running jobs get to finish after a worker is told to stop."
    )
    worker_labels: Annotated[tuple[Annotated[str, Field(pattern=LABEL)], ...], NoDecode] = Field(
        (), description="Comma-separated labels of workers started here, which jobs may require (docs/matching.md)."
    )
    worker_memory_mb: int | None = Field(
        None, ge=1, description="MiB that one job of a worker may take. Default: its share of the memory that is there."
    )
    worker_tenants: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated tenants whose jobs alone workers started here take. Default: all."
    )
    worker_not_tenants: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated tenants whose jobs workers started here never take."
    )
    child_memory_mb: int = Field(
        0,
        ge=0,
        description="Memory in MiB that one job's processes may hold together before they are killed. 0: no limit.",
    )
    sweep_every_s: int = Field(
        3600,
        ge=0,
        le=7 * 86400,
        description="How often the dispatcher submits `maintenance.sweep`, which removes what is old. 0: never.",
    )
    outbox_keep_s: int = Field(7 * 86400, ge=3600, le=365 * 86400, description="How long domain events are kept.")
    callback_timeout_s: float = Field(
        15.0, ge=0.5, le=120, description="Limit on one try of a callback, from looking its host up to the answer."
    )
    callback_retry_s: float = Field(
        86400, ge=1, le=7 * 86400, description="How long a callback that fails is tried again before it is dead."
    )
    callback_off_after_s: float = Field(
        3 * 86400,
        ge=1,
        le=30 * 86400,
        description="A webhook that nothing has reached for so long is switched off.",
    )
    callback_keep_s: int = Field(
        30 * 86400, ge=3600, le=365 * 86400, description="How long deliveries of callbacks are kept."
    )
    audit_keep_s: int = Field(
        365 * 86400, ge=86400, le=3650 * 86400, description="How long it is kept who changed what."
    )
    egress_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated exact `host:port` pairs that jobs may reach although the guard forbids them."
    )
    egress_ports: Annotated[tuple[int, ...], NoDecode] = Field(
        (80, 443), description="Comma-separated ports that jobs may connect to."
    )
    browser_program: Path | None = Field(
        None, description="Chromium's program. Default: the first of `chromium`, `chromium-browser`, `google-chrome`."
    )
    browser_sandbox: bool = Field(
        True, description="Run Chromium in its own sandbox. Off where a container forbids it; root never has it."
    )
    browser_user_agent: str | None = Field(
        None, min_length=1, max_length=300, description="User agent of pages. Default: Chromium's own and our name."
    )
    browser_visits: int = Field(
        50, ge=1, le=10_000, description="A worker child's browser is replaced after so many visits."
    )
    browser_memory_mb: int = Field(
        400, ge=64, description="A browser that holds more MiB than this after a visit is replaced."
    )
    browser_traffic_mb: int = Field(
        256, ge=1, description="Most MiB that one visit of the browser may send and receive together."
    )
    plaintext_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated hosts on a private network that production may reach without TLS."
    )
    extra_families: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated packages with kinds of your own, each with `contract.py` and `task.py`."
    )
    tool_stale_after: int = Field(
        3, ge=1, le=1000, description="A found tool is stale after so many failed runs in a row."
    )
    discovery_prices: Path | None = Field(
        None, description="A price table of your own for discoveries (docs/discovery.md). Default: the one we bring."
    )
    discovery_budget: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="What each tenant's discoveries may cost in a calendar month, in the price table's currency.",
    )
    discovery_budget_stop: bool = Field(
        False, description="Refuse new discoveries of a tenant whose budget of this month is used up."
    )
    discovery_model_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?$",
        description="Where a language model answers that words found tools' titles and descriptions "
        "(`…/v1`, with `/chat/completions` below). Without it none is asked.",
    )
    discovery_model: str = Field(
        "default", min_length=1, max_length=200, description="Which model is asked for there; the price table names it."
    )
    discovery_model_key: SecretStr | None = Field(None, description="The key for it, sent as a Bearer token.")
    mcp: bool = Field(True, description="Serve found tools to agents at `/mcp` (Model Context Protocol).")
    mcp_min_confidence: float = Field(
        0.5, ge=0, le=1, description="Tools whose confidence is below this are not offered at `/mcp`."
    )
    knowledge_model: Annotated[str, Field(pattern=r"^(ngrams|minilm|endpoint:[\x21-\x7e]{1,90})$")] = Field(
        "ngrams",
        description="What makes vectors for searches: `ngrams` (no weights), `minilm` (needs the extra `minilm`), or "
        "`endpoint:<model>` of `SWITCHYARD_KNOWLEDGE_URL`. The same for web and workers.",
    )
    knowledge_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Base of an endpoint with OpenAI's interface, such as `https://api.openai.com/v1`.",
    )
    knowledge_key: SecretStr | None = Field(None, description="The endpoint's API key.")
    knowledge_writer: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="Chat model of `SWITCHYARD_KNOWLEDGE_URL` that writes answers; without one they are sentences of "
        "the site.",
    )
    knowledge_index_mb: int = Field(
        512, ge=16, le=65536, description="What the indexes that one process searches may take in memory, in MiB."
    )
    r_bridge: RBridge = Field(
        RBridge.RPY2, description="How calibrations run R: `rpy2` (in the pool child) or `rscript` (its own process)."
    )
    r_library: Path | None = Field(
        None, description="R library with the package switchyardcalib. Default: `r-library` in the Python environment."
    )
    flower_user: str = Field("operator", min_length=1, description="Name for Flower's basic authentication.")
    flower_password: SecretStr | None = Field(
        None,
        description="Password for Flower, which does not start without one. `make up` makes one.",
    )
    metrics_token: SecretStr | None = Field(None, description="If set, `/metrics` asks for it as a bearer token.")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least level that is logged.")
    log_format: LogFormat = Field(LogFormat.CONSOLE, description="`json` or `console`.")
    otel_endpoint: str | None = Field(
        None, description="OTLP/HTTP endpoint for traces (needs the `telemetry` extra). Empty: no tracing."
    )
    sentry_dsn: SecretStr | None = Field(None, description="Sentry DSN (needs the `sentry` extra). Empty: off.")

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, values: dict[str, object]) -> dict[str, object]:
        lists = {
            *("cors_origins", "direct_services", "egress_allow", "egress_ports", "extra_families", "plaintext_hosts"),
            *("publish_caches", "publish_sources", "worker_labels", "worker_not_tenants", "worker_tenants"),
        }
        return {name: split_list(value) if name in lists else value for name, value in values.items()}

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> Self:
        problems = list(self._unsafe_in_production()) if self.environment is Environment.PRODUCTION else []
        if self.secret_key and len(self.secret_key.get_secret_value()) < 32:
            problems.append("secret_key: needs at least 32 characters")
        if self.lease_s < 3 * self.beat_s:
            problems.append(f"lease_s: {self.lease_s:g} must be at least three times beat_s ({self.beat_s:g})")
        if (self.knowledge_model.startswith("endpoint:") or self.knowledge_writer) and not self.knowledge_url:
            problems.append("knowledge_url: needed where knowledge_model is an endpoint's, or knowledge_writer is set")
        problems += self.wrong_publishing(folder=self.resolved_publish_dir)
        problems += [
            f"egress_allow: {entry!r} is not host:port" for entry in self.egress_allow if not is_host_port(entry)
        ]
        problems += [
            f"direct_services: {entry!r} is not service=kind" for entry in self.direct_services if "=" not in entry
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _unsafe_in_production(self) -> list[str]:
        problems = []
        if self.secret_key is None:
            problems.append("secret_key: production needs one")
        if self.flower_password is None:
            problems.append("flower_password: production needs one")
        redis = urlsplit(self.redis_url)
        if redis.scheme == "redis" and not self._may_be_plain(redis.hostname):
            problems.append("redis_url: production uses rediss:// off loopback")
        if redis.scheme == "rediss" and parse_qs(redis.query).get("ssl_cert_reqs") != ["required"]:
            problems.append("redis_url: production checks certificates, so ssl_cert_reqs is required or left out")
        ledger = urlsplit(self.ledger_url or "")
        tls = parse_qs(ledger.query).get("sslmode", [""])[0] in {"require", "verify-ca", "verify-full"}
        if ledger.scheme.startswith("postgresql") and not self._may_be_plain(ledger.hostname) and not tls:
            problems.append("ledger_url: production uses sslmode=require or stricter off loopback")
        if self._is_plain(self.publish_bucket_url):
            problems.append("publish_bucket_url: production uses https:// off loopback")
        with suppress(ValueError):  # what is wrong with the file itself is told beside this
            problems += [
                f"publish_file: target.{name}.url: production uses https:// off loopback"
                for name, target in self.publishing_file.target.items()
                if self._is_plain(target.url)
            ]
        if "*" in self.cors_origins:
            problems.append("cors_origins: production names its origins")
        return problems

    def _is_plain(self, url: str | None) -> bool:
        parts = urlsplit(url or "")
        return parts.scheme == "http" and not self._may_be_plain(parts.hostname)

    def _may_be_plain(self, host: str | None) -> bool:
        return is_loopback(host) or host in self.plaintext_hosts

    @property
    def needs_redis(self) -> bool:
        """Whether this profile has a broker."""
        return self.profile is not Profile.LOCAL

    @property
    def serves_sse(self) -> bool:
        """Whether the web server streams events over SSE."""
        return self.sse and self.profile is not Profile.API

    @property
    def serves_websocket(self) -> bool:
        """Whether the web server streams events over WebSocket."""
        return self.websocket and self.profile is not Profile.API

    @property
    def direct_kinds(self) -> dict[str, str]:
        """The kind that each name of a service stands for."""
        pairs = (entry.partition("=") for entry in self.direct_services)
        return {name.strip(): kind.strip() for name, _, kind in pairs}

    @property
    def resolved_ledger_url(self) -> str:
        """The ledger's SQLAlchemy URL, with the driver named."""
        if self.ledger_url is None:
            return f"sqlite:///{(self.state_dir / 'ledger.db').absolute()}"
        return self.ledger_url.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def resolved_storage_dir(self) -> Path:
        """The folder of artifacts, absolute."""
        return (self.storage_dir or self.state_dir / "artifacts").absolute()

    @property
    def resolved_publish_dir(self) -> Path:
        """The folder of published sites, absolute."""
        return (self.publish_dir or self.state_dir / "sites").absolute()

    @property
    def resolved_r_library(self) -> Path:
        """The R library with our package, absolute."""
        return (self.r_library or Path(sys.prefix) / "r-library").absolute()


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        ConfigurationRefused: at least one value is bad; the message lists them all, one a line.
    """
    try:
        return Settings()
    except ValidationError as exc:
        raise ConfigurationRefused("\n".join(_reasons(exc))) from exc


def _reasons(refused: ValidationError) -> list[str]:
    errors = refused.errors(include_url=False)
    reasons = [_reason(error) for error in errors]
    bad = {str(error["loc"][0]) for error in errors if error["loc"]}
    if bad:
        # Pydantic compares settings with each other only once each is valid: do so with defaults for the bad ones.
        defaults: dict[str, Any] = {name: Settings.model_fields[name].default for name in bad}
        try:
            Settings(**defaults)
        except ValidationError as exc:
            lines = "\n".join(_reason(error) for error in exc.errors(include_url=False)).splitlines()
            reasons += [line for line in lines if line.partition(":")[0].removeprefix(PREFIX).lower() not in bad]
    return reasons


def _reason(error: object) -> str:
    assert isinstance(error, dict)  # noqa: S101  # pydantic's ErrorDetails
    name = "_".join(str(part) for part in error["loc"][:1])
    message = str(error["msg"]).removeprefix("Value error, ")
    if not name:  # from _refuse_unsafe, which names its fields itself
        return "\n".join(PREFIX + field.upper() + colon + rest for field, colon, rest in _partitioned(message))
    value = "" if name in SECRET_FIELDS or "got " in message else f" (got {mask_password(str(error['input']))!r})"
    return f"{PREFIX}{name.upper()}: {message}{value}"


def _partitioned(message: str) -> list[tuple[str, str, str]]:
    return [reason.partition(":") for reason in message.split("; ")]


SECRET_FIELDS = frozenset(name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation))


def describe(settings: Settings) -> list[dict[str, str]]:
    """List every setting as ``{name, value, default, description}``, secrets and passwords masked."""
    return [
        {
            "name": PREFIX + name.upper(),
            "value": _shown(name, getattr(settings, name)),
            "default": _shown(name, field.default),
            "description": field.description or "",
        }
        # Those of the whole house before those of a part of it.
        for name, field in sorted(
            Settings.model_fields.items(), key=lambda one: one[0] in PublishingSettings.model_fields
        )
    ]


def _shown(name: str, value: object) -> str:
    if value is None or value == ():
        return ""
    if name in SECRET_FIELDS:
        return "********"
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return mask_password(str(value))
