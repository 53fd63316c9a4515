"""The ledger's table of what came and what ended, by the minute."""

import sqlalchemy as sa

from tasks.core.ledger.schema import metadata

# One row for each queue and minute in which anything came or ended, kept for two hours; see ``rates``.
queue_minutes = sa.Table(
    "queue_minutes",
    metadata,
    sa.Column("queue", sa.String(20), primary_key=True),
    # Since 1970; 0 is the sum of all that was ever counted.
    sa.Column("minute", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("arrived", sa.BigInteger, nullable=False),
    sa.Column("succeeded", sa.BigInteger, nullable=False),
    sa.Column("failed", sa.BigInteger, nullable=False),
    sa.Column("cancelled", sa.BigInteger, nullable=False),
    # How many took how long, by the bounds in ``rates``, the last without one; and their sums.
    sa.Column("waited", sa.JSON, nullable=False),
    sa.Column("waited_s", sa.Float, nullable=False),
    sa.Column("ran", sa.JSON, nullable=False),
    sa.Column("ran_s", sa.Float, nullable=False),
)
