"""The ledger's table of follow-ups."""

import sqlalchemy as sa

from tasks.core.ledger.schema import UTCDateTime, metadata

# A job's place in its chain, and what it starts when it has ended. Jobs without follow-ups have no row. Neither parent
# nor child is a foreign key: each may be erased before the other.
follow_ups = sa.Table(
    "follow_ups",
    metadata,
    sa.Column("job_id", sa.String(36), primary_key=True),
    # The first job of the chain.
    sa.Column("chain_id", sa.String(36), nullable=False, index=True),
    sa.Column("parent_id", sa.String(36)),
    sa.Column("depth", sa.Integer, nullable=False),
    sa.Column("on_success", sa.JSON(none_as_null=True)),
    sa.Column("on_failure", sa.JSON(none_as_null=True)),
    # None: nothing is to follow. See ``FollowUpState``.
    sa.Column("state", sa.String(12)),
    sa.Column("branch", sa.String(12)),
    sa.Column("child_id", sa.String(36)),
    sa.Column("error", sa.JSON(none_as_null=True)),
    sa.Column("settled_at", UTCDateTime),
    sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
    sa.Index(
        "ix_follow_ups_parent_id",
        "parent_id",
        sqlite_where=sa.text("parent_id IS NOT NULL"),
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    ),
    sa.Index(
        "ix_follow_ups_waiting",
        "job_id",
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    ),
)

# Spelled as the partial index spells it.
IS_WAITING = follow_ups.c.state == sa.literal_column("'waiting'")
