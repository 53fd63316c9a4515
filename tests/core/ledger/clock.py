"""The clock of the model test, and databases that go by it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from tasks.core.clock import now as product_now
from tasks.core.ledger import Ledger
from tasks.core.ledger.schema import UTCDateTime

# Who else must know what time it is.
SHOWN_TO: list[Callable[[datetime], None]] = []


class Clock:
    """Stands still within a step, so that model and ledger agree on what is due."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)
        self._show()

    def __call__(self) -> datetime:
        return self.at

    def of_the_ledger(self, _connection: object, *, plus_s: float = 0.0) -> sa.ColumnElement[datetime]:
        """Stand in for ``ledger_now``."""
        return sa.literal(self.at + timedelta(seconds=plus_s), UTCDateTime())

    def pass_s(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self._show()

    def _show(self) -> None:
        for show in SHOWN_TO:
            show(self.at)


# The clock of the machine that runs now: SQLite asks for the time in SQL as well.
CLOCKS: list[Clock] = []


def _now_in_sqlite(_format: str, _what: str) -> str:
    at = CLOCKS[-1].at if CLOCKS else product_now()
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}000"


@contextmanager
def sqlite_of_ours() -> Iterator[None]:
    """Let SQLite not wait for the disk, because only connections are restarted here, and go by the machine's clock."""

    def relax(connection: Any, _entry: object) -> None:
        if hasattr(connection, "set_progress_handler"):  # SQLite's alone
            connection.execute("PRAGMA synchronous=OFF")
            connection.create_function("strftime", 2, _now_in_sqlite)

    sa.event.listen(sa.pool.Pool, "first_connect", relax)
    sa.event.listen(sa.pool.Pool, "connect", relax)
    try:
        yield
    finally:
        sa.event.remove(sa.pool.Pool, "first_connect", relax)
        sa.event.remove(sa.pool.Pool, "connect", relax)


@contextmanager
def postgresql_of_ours(ledger: Ledger) -> Iterator[None]:
    """Let PostgreSQL's ``now()`` be the machine's, for every connection that is opened meanwhile."""
    database = sa.make_url(ledger.url).database
    engine = sa.create_engine(ledger.url, isolation_level="AUTOCOMMIT")

    def run(statement: str, **values: object) -> None:
        with engine.connect() as connection:
            connection.execute(sa.text(statement), values)

    def show(at: datetime) -> None:
        run("UPDATE model.clock SET at = :at", at=at)

    run("CREATE SCHEMA model")
    run("CREATE TABLE model.clock AS SELECT pg_catalog.now() AS at")
    run("CREATE FUNCTION model.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM model.clock'")
    run(f'ALTER DATABASE "{database}" SET search_path = model, pg_catalog, public')
    SHOWN_TO.append(show)
    try:
        yield
    finally:
        SHOWN_TO.remove(show)
        run(f'ALTER DATABASE "{database}" RESET search_path')
        run("DROP SCHEMA model CASCADE")
        engine.dispose()
