"""The ledger's tables. Changing one means a migration: see CONTRIBUTING.md."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

# The newest revision in `migrations/versions`; a test compares.
REVISION = "0022"

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)


def _written(value: datetime | None) -> str | None:
    # As SQLAlchemy would write it, with the microseconds where they are 0, so that text sorts as time.
    return None if value is None else _in_utc(value).replace(tzinfo=None).isoformat(" ", "microseconds")


def _read(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("the ledger stores aware times only")
    return value.astimezone(UTC)


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """Aware UTC in and out; SQLite, which keeps no zone, stores the UTC wall time."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any] | None:
        """Write SQLite's form of a time at once: several are written with every transition."""
        return _written if dialect.name == "sqlite" else super().bind_processor(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """Read SQLite's form of a time at once."""
        return _read if dialect.name == "sqlite" else super().result_processor(dialect, coltype)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times; strip the zone for SQLite."""
        if value is None:
            return None
        value = _in_utc(value)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # upstream's signature
        """Return aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _id(name: str, **kwargs: Any) -> sa.Column[str]:
    return sa.Column(name, sa.String(36), **kwargs)


tenants = sa.Table(
    "tenants",
    metadata,
    _id("id", primary_key=True),
    sa.Column("name", sa.String(100), nullable=False, unique=True),
    sa.Column("created_at", UTCDateTime, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    _id("id", primary_key=True),
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), nullable=False, index=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("last_used_at", UTCDateTime),
    sa.Column("revoked_at", UTCDateTime),
)

jobs = sa.Table(
    "jobs",
    metadata,
    _id("id", primary_key=True),
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("kind", sa.String(100), nullable=False),
    sa.Column("queue", sa.String(20), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("request", sa.JSON, nullable=False),
    sa.Column("reference", sa.String(200)),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("site", sa.String(253)),
    sa.Column("correlation_id", sa.String(128)),
    sa.Column("traceparent", sa.String(64)),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("not_before", UTCDateTime),
    sa.Column("published_at", UTCDateTime),
    sa.Column("started_at", UTCDateTime),
    sa.Column("claimed_at", UTCDateTime),
    sa.Column("finished_at", UTCDateTime),
    sa.Column("cancel_requested_at", UTCDateTime),
    sa.Column("timeout_s", sa.Float, nullable=False),
    sa.Column("hard_limit_s", sa.Float, nullable=False),
    sa.Column("silence_s", sa.Float),
    sa.Column("expires_at", UTCDateTime),
    sa.Column("retry", sa.String(20), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("max_attempts", sa.Integer, nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("carry", sa.Integer, nullable=False),
    sa.Column("worker", sa.String(200)),
    sa.Column("child_pid", sa.Integer),
    sa.Column("dead", sa.Boolean, nullable=False),
    sa.Column("cause", sa.String(60), nullable=False),
    # Grows while the attempt shows signs of life; the dispatcher watches it where the kind has a ``silence_s``.
    sa.Column("signs", sa.Integer, nullable=False, server_default="0"),
    sa.Column("progress", sa.JSON(none_as_null=True)),
    sa.Column("resume", sa.JSON(none_as_null=True)),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("error", sa.JSON(none_as_null=True)),
    # Who may run it; a job for ``local`` is never put into the broker.
    sa.Column("backend", sa.String(8), nullable=False, server_default="auto"),
    # What it was accepted with. No foreign key: a batch is a note about jobs, and either may go first.
    _id("batch_id"),
    # Of its tenant's jobs with the same one, a single one is under way at a time.
    sa.Column("concurrency_key", sa.String(200)),
    # A limit keeps it back: see ``parking``. Always false for a job that has none.
    sa.Column("parked", sa.Boolean, nullable=False, server_default=sa.false()),
    # The pause that holds it, while it is queued: see ``pauses``. Then it is parked as well.
    _id("paused_by"),
    # A limit of its tenant or kind concerns it until it ends.
    sa.Column("limited", sa.Boolean, nullable=False, server_default=sa.false()),
    # Of its tenant's jobs with the same one, a single one has not ended.
    sa.Column("unique_key", sa.String(200)),
    # Its place in its tenant's line, the lowest first: see ``records.place_in_line``.
    sa.Column("place", sa.BigInteger, nullable=False, server_default="0"),
    # What it needs of a worker: it goes to one that fits, never through its queue's own list. See ``matching``.
    sa.Column("requires", sa.JSON(none_as_null=True)),
    # The worker to whose direct queue its newest carry went.
    sa.Column("routed_to", sa.String(200)),
    # The dispatcher's order: what waits in a queue, by tenant, best first.
    sa.Index(
        "ix_jobs_queued",
        "queue",
        "parked",
        "published_at",
        "tenant_id",
        "place",
        "id",
        sqlite_where=sa.text("state = 'queued' AND requires IS NULL"),
        postgresql_where=sa.text("state = 'queued' AND requires IS NULL"),
    ),
    # As the one above, the next three hold only the rows in question, so that a transition writes into none that it
    # does not concern.
    sa.Index(
        "ix_jobs_held",
        "worker",
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    ),
    sa.Index(
        "ix_jobs_ended",
        "finished_at",
        sqlite_where=sa.text("finished_at IS NOT NULL"),
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    ),
    sa.Index(
        "ix_jobs_expiring",
        "expires_at",
        sqlite_where=sa.text("expires_at IS NOT NULL AND state = 'queued'"),
        postgresql_where=sa.text("expires_at IS NOT NULL AND state = 'queued'"),
    ),
    # Of no concern to a job without a limit, which is in none of these five.
    sa.Index(
        "ix_jobs_parked",
        "batch_id",
        "tenant_id",
        "concurrency_key",
        "kind",
        "place",
        sqlite_where=sa.text("parked = 1 AND state = 'queued' AND paused_by IS NULL"),
        postgresql_where=sa.text("parked AND state = 'queued' AND paused_by IS NULL"),
    ),
    sa.Index(
        "ix_jobs_of_batch",
        "batch_id",
        "state",
        "parked",
        sqlite_where=sa.text("batch_id IS NOT NULL"),
        postgresql_where=sa.text("batch_id IS NOT NULL"),
    ),
    sa.Index(
        "ix_jobs_of_key",
        "tenant_id",
        "concurrency_key",
        "parked",
        sqlite_where=sa.text("concurrency_key IS NOT NULL AND finished_at IS NULL"),
        postgresql_where=sa.text("concurrency_key IS NOT NULL AND finished_at IS NULL"),
    ),
    sa.Index(
        "ix_jobs_limited",
        "tenant_id",
        "kind",
        "parked",
        sqlite_where=sa.text("limited = 1 AND finished_at IS NULL"),
        postgresql_where=sa.text("limited AND finished_at IS NULL"),
    ),
    sa.Index(
        "uq_jobs_unique_key",
        "tenant_id",
        "unique_key",
        unique=True,
        sqlite_where=sa.text("unique_key IS NOT NULL AND finished_at IS NULL"),
        postgresql_where=sa.text("unique_key IS NOT NULL AND finished_at IS NULL"),
    ),
    sa.Index("ix_jobs_listing", "tenant_id", "id"),
    sa.Index("ix_jobs_tenant_state", "tenant_id", "state", "id"),
)

# For questions that such an index answers. A value that is passed as a parameter would not be known to be the index's
# own when the question is planned: PostgreSQL would not use it, SQLite would plan anew each time.
IS_QUEUED = jobs.c.state == sa.literal_column("'queued'")
IS_RUNNING = jobs.c.state == sa.literal_column("'running'")
IS_PLAIN = IS_QUEUED & jobs.c.requires.is_(sa.null())
IS_READY = IS_PLAIN & (jobs.c.parked == sa.false())

job_labels = sa.Table(
    "job_labels",
    metadata,
    _id("job_id", primary_key=True),
    sa.Column("key", sa.String(63), primary_key=True),
    sa.Column("value", sa.String(200), nullable=False),
    sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
    sa.Index("ix_job_labels_pair", "key", "value", "job_id"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    _id("job_id", primary_key=True),
    sa.Column("fence", sa.Integer, primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("worker", sa.String(200), nullable=False),
    sa.Column("child_pid", sa.Integer, nullable=False),
    sa.Column("started_at", UTCDateTime, nullable=False),
    sa.Column("ended_at", UTCDateTime),
    sa.Column("outcome", sa.String(12)),
    sa.Column("cause", sa.String(60)),
    sa.Column("error", sa.JSON(none_as_null=True)),
    sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
)

state_events = sa.Table(
    "state_events",
    metadata,
    _id("job_id", primary_key=True),
    sa.Column("n", sa.Integer, primary_key=True),  # equals the job's version after the transition
    sa.Column("at", UTCDateTime, nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("in_stream", sa.Boolean, nullable=False),
    # Somebody may want to be told of it, and nobody has looked yet who: see ``callbacks``.
    sa.Column("calls_back", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
    sa.Index(
        "ix_state_events_unsent", "at", sqlite_where=sa.text("in_stream = 0"), postgresql_where=sa.text("NOT in_stream")
    ),
    sa.Index(
        "ix_state_events_calling_back",
        "at",
        sqlite_where=sa.text("calls_back = 1"),
        postgresql_where=sa.text("calls_back"),
    ),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    _id("tenant_id", primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("body_sha256", sa.String(64), nullable=False),
    # Indexed because deleting a job looks for its keys.
    _id("job_id", nullable=False, index=True),
    sa.Column("created_at", UTCDateTime, nullable=False, index=True),
    sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
)

artifacts = sa.Table(
    "artifacts",
    metadata,
    _id("job_id", primary_key=True),
    sa.Column("fence", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("media_type", sa.String(100), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
)

# Files that tenants sent, whole or in part; ``sha256`` is what was announced until ``completed_at`` is set.
uploads = sa.Table(
    "uploads",
    metadata,
    _id("id", primary_key=True),
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("name", sa.String(255)),
    sa.Column("media_type", sa.String(100), nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64)),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("used_at", UTCDateTime, nullable=False, index=True),
    sa.Column("completed_at", UTCDateTime),
    sa.Index("ix_uploads_of_tenant", "tenant_id", "sha256"),
)

# Which jobs need which uploads: one that a job needs is neither swept nor deleted.
job_uploads = sa.Table(
    "job_uploads",
    metadata,
    _id("job_id", primary_key=True),
    _id("upload_id", primary_key=True, index=True),
    sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
    sa.ForeignKeyConstraint(["upload_id"], ["uploads.id"]),
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("host", sa.String(200), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("queues", sa.JSON, nullable=False),
    sa.Column("slots", sa.Integer, nullable=False),
    sa.Column("capabilities", sa.JSON, nullable=False),
    sa.Column("version", sa.String(40), nullable=False),
    sa.Column("started_at", UTCDateTime, nullable=False),
    sa.Column("beat", sa.BigInteger, nullable=False),
    sa.Column("beat_at", UTCDateTime, nullable=False),
    sa.Column("rss_bytes", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),  # up, draining, stopped, gone
    # What jobs may require of it besides: see ``matching.Offers``. None: a version that knows of none.
    sa.Column("offers", sa.JSON(none_as_null=True)),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("holder", sa.String(200), nullable=False),
    sa.Column("term", sa.BigInteger, nullable=False),  # grows with each change of holder
    sa.Column("beat", sa.BigInteger, nullable=False),  # grows while the holder lives
    sa.Column("beat_at", UTCDateTime, nullable=False),  # for people; nothing compares it
)

# A tenant's domain events, written with the state change that caused them. ``seq`` is given by the dispatcher.
outbox = sa.Table(
    "outbox",
    metadata,
    _id("id", primary_key=True),
    sa.Column("seq", sa.BigInteger, unique=True),
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("type", sa.String(100), nullable=False),
    _id("job_id"),
    sa.Column("at", UTCDateTime, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_try_at", UTCDateTime),
    sa.Column("relayed_at", UTCDateTime),
    sa.Column("dead", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("error", sa.String(500)),
    sa.Index("ix_outbox_of_tenant", "tenant_id", "seq"),
    sa.Index("ix_outbox_at", "at"),
    sa.Index(
        "ix_outbox_unrelayed",
        "id",
        sqlite_where=sa.text("relayed_at IS NULL AND dead = 0"),
        postgresql_where=sa.text("relayed_at IS NULL AND NOT dead"),
    ),
)

# Which finished job answers a request that is sent again: see ``cached_results``.
cached_results = sa.Table(
    "cached_results",
    metadata,
    _id("tenant_id", primary_key=True),
    sa.Column("kind", sa.String(100), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    # Indexed because deleting a job looks for what it answers.
    _id("job_id", nullable=False, index=True),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False, index=True),
    # None: as long as the job is there.
    sa.Column("expires_at", UTCDateTime),
    sa.Column("used_at", UTCDateTime),
    sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
)

cache_lookups = sa.Table(
    "cache_lookups",
    metadata,
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), primary_key=True),
    sa.Column("kind", sa.String(100), primary_key=True),
    sa.Column("hits", sa.BigInteger, nullable=False),
    sa.Column("misses", sa.BigInteger, nullable=False),
    sa.Column("evictions", sa.BigInteger, nullable=False, server_default="0"),
)

# What jobs cost, for as long as budgets and summaries look back: see ``costs``. Kept when the job goes.
job_costs = sa.Table(
    "job_costs",
    metadata,
    _id("job_id", primary_key=True),
    sa.Column("fence", sa.Integer, primary_key=True),
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("kind", sa.String(100), nullable=False),
    # How the work was done, as the family calls it.
    sa.Column("method", sa.String(50), nullable=False),
    sa.Column("at", UTCDateTime, nullable=False),
    # None: not known.
    sa.Column("amount", sa.Float),
    sa.Index("ix_job_costs_of_tenant", "tenant_id", "at"),
    sa.Index("ix_job_costs_at", "at"),
)

# Which shares of a month's budget a tenant was told of.
budget_alerts = sa.Table(
    "budget_alerts",
    metadata,
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), primary_key=True),
    sa.Column("month", sa.String(7), primary_key=True),
    sa.Column("percent", sa.Integer, primary_key=True),
    sa.Column("at", UTCDateTime, nullable=False),
)

# Counts of what no web process sees, for as long as the ledger lives.
totals = sa.Table(
    "totals",
    metadata,
    sa.Column("name", sa.String(50), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

# The live streams of a profile without Redis: what the stream and its hash are there.
stream_heads = sa.Table(
    "stream_heads",
    metadata,
    _id("job_id", primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("progress", sa.JSON(none_as_null=True)),
    sa.Column("progress_fence", sa.Integer),
    sa.Column("expires_at", UTCDateTime, nullable=False, index=True),
)

stream_entries = sa.Table(
    "stream_entries",
    metadata,
    _id("job_id", primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("type", sa.String(20), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["job_id"], ["stream_heads.job_id"], ondelete="CASCADE"),
)
