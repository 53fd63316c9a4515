"""The index of the jobs that need something of a worker: those that are in ``ix_jobs_queued`` need nothing."""

import sqlalchemy as sa

from tasks.core.ledger.schema import IS_QUEUED, jobs

_ROWS = sa.text("state = 'queued' AND requires IS NOT NULL")

sa.Index(
    "ix_jobs_matched",
    *(jobs.c[name] for name in ("queue", "parked", "published_at", "tenant_id", "place", "id")),
    sqlite_where=_ROWS,
    postgresql_where=_ROWS,
)

# Spelled as the index spells it.
IS_MATCHED = IS_QUEUED & jobs.c.requires.is_not(sa.null())

# What a job requires, as the ledger writes it: the same for all that need the same.
REQUIRED = sa.cast(jobs.c.requires, sa.Text)
