"""Connections and transactions: one engine per process, opened on first use, closed by its owner."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DatabaseError, DBAPIError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.functions import FunctionElement

from tasks.core.clock import now
from tasks.core.errors import LedgerBusy, LedgerUnavailable
from tasks.core.ledger import answering
from tasks.core.ledger.drivers import TRUSTED_S, Driver, Drivers
from tasks.core.ledger.locking import BUSY, BUSY_TIMEOUT_S, UNREACHABLE, begin_writing, when_free
from tasks.core.ledger.schema import REVISION, UTCDateTime
from tasks.core.ledger.turns import Turns

# PostgreSQL: how long a statement may wait for a lock, and how long one may run, before we answer 503.
# The disk has whatever is older than this, or has failed since.
_FRESH = timedelta(seconds=5)
_REMEMBERED = 1000
_PG_OPTIONS = "-c lock_timeout=5000 -c statement_timeout=30000"
# A server, database or role may be set to answer earlier, to be faster; whoever was answered 202 must not lose by that.
_NO_COMMIT_BEFORE_THE_DISK_HAS_IT = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
_PG_SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


class Ledger:
    """Transactions on the ledger.

    ``write()`` is one transaction that holds the write lock from its start (``BEGIN IMMEDIATE`` on SQLite), so that it
    never fails half way for want of it; ``read()`` sees one consistent snapshot. Keep both short: no engine work and no
    network call inside.

    Raises (both): ``LedgerBusy`` when another writer holds the ledger too long, ``LedgerUnavailable`` when it is down.
    """

    def __init__(self, url: str, *, auto_migrate: bool = True, pool_size: int = 8) -> None:
        self.url = url
        self._turns = _turns_of(url)
        self._engine = _engine(url, pool_size=pool_size, turns=self._turns)
        self._writer = self._engine.execution_options(writes=True)
        # SQLite's readers have a snapshot anyway; PostgreSQL gives one only when asked.
        self._reader = self._engine if self.is_sqlite else self._engine.execution_options(**_PG_SNAPSHOT)
        self._drivers = Drivers(self._engine, most=pool_size, turns=self._turns)
        self._auto_migrate = auto_migrate
        # The newest ends of which that is known, in order.
        self._on_disk: dict[tuple[str, int], None] = {}

    @property
    def is_sqlite(self) -> bool:
        """SQLite, hence one writer at a time."""
        return self._engine.dialect.name == "sqlite"

    def prepare(self) -> None:
        """Bring the tables up to date, or refuse to start.

        Raises:
            ConfigurationRefused: the tables are not at this version and ``auto_migrate`` is off.
        """
        with _translated():
            if _revision(self._engine) == REVISION:
                return
            # Alembic takes a quarter of a second to import, at the start of every process, and is rarely needed.
            from tasks.core.ledger.upgrade import ensure_schema  # noqa: PLC0415  # see above

            ensure_schema(self._engine, auto_migrate=self._auto_migrate)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read transaction."""
        with _translated(), self._reader.connect() as connection:
            _limit(connection, answering.READ_LIMIT_S)
            connection.begin()
            yield connection

    @contextmanager
    def write(self, *, is_urgent: bool = False) -> Iterator[Connection]:
        """Open a write transaction; it commits at the end and rolls back on any exception.

        What ``is_urgent`` would rather be tried anew, on another connection, than wait long for PostgreSQL's answer.
        """
        with _translated(), self._writer.connect() as connection:
            _limit(connection, answering.PING_LIMIT_S if is_urgent else answering.WRITE_LIMIT_S)
            with nullcontext() if self._turns is None else self._turns.taken(), connection.begin():
                yield connection

    @contextmanager
    def write_prepared(self, *, of_one: bool = False, may_vanish: bool = False) -> Iterator[Driver]:
        """Open a write transaction for ``Prepared`` statements only, at a fraction of what ``write`` costs.

        With ``of_one`` it is for what a single statement writes on PostgreSQL, which then needs no round trip more.
        With ``may_vanish`` a loss of power may undo it, see ``Drivers.transaction``.
        """
        with _translated(), self._drivers.transaction(of_one=of_one, may_vanish=may_vanish) as driver:
            yield driver

    @contextmanager
    def read_prepared(self) -> Iterator[Driver]:
        """Run ``Prepared`` statements that read, at a fraction of what ``read`` costs; each sees its own snapshot."""
        with _translated(), self._drivers.reading() as driver:
            yield driver

    def sync(self) -> None:
        """Wait until the disk has what this process's ``write_prepared`` committed with ``may_vanish``.

        Raises:
            LedgerUnavailable: the disk failed.
        """
        self._drivers.sync()

    def sync_seen(self, ends: Mapping[tuple[str, int], datetime]) -> None:
        """Wait until the disk has the ends of jobs that were read, if any of them is of a moment ago.

        Who tells anybody of an end that it has read in the ledger calls this before.

        Args:
            ends: when each job ended, by its id and its version then.

        Raises:
            LedgerUnavailable: the disk failed.
        """
        if not self.is_sqlite:
            return
        long_ago = now() - _FRESH
        fresh = [end for end, at in ends.items() if at > long_ago and end not in self._on_disk]
        if fresh:
            self._drivers.sync(of_others=True)
            self.note_on_disk(*fresh)

    def note_on_disk(self, *ends: tuple[str, int]) -> None:
        """Note that the disk has these ends: a job's id, and its version then."""
        self._on_disk.update(dict.fromkeys(ends))
        while len(self._on_disk) > _REMEMBERED:
            with suppress(StopIteration, KeyError, RuntimeError):  # other threads do the same
                del self._on_disk[next(iter(self._on_disk))]

    def close(self) -> None:
        """Close every pooled connection."""
        self._drivers.close()
        self._engine.dispose()
        if self._turns is not None:
            self._turns.close()


def _limit(connection: Connection, seconds: float) -> None:
    if connection.dialect.name != "sqlite":
        connection.connection.driver_connection.limit_s = seconds  # type: ignore[union-attr]  # see ``answering``


def _turns_of(url: str) -> Turns | None:
    parsed = sa.make_url(url)
    return Turns(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


def ledger_now(connection: Connection, *, plus_s: float = 0.0) -> sa.ColumnElement[datetime]:
    """Return the present by the ledger's clock, ``plus_s`` later, for use in a statement.

    Times that one machine writes and another compares go by this one clock: PostgreSQL's own. With SQLite there is but
    one machine.
    """
    if connection.dialect.name == "sqlite":
        return sa.literal(now() + timedelta(seconds=plus_s), UTCDateTime())
    return sa.type_coerce(sa.func.now() + sa.literal(timedelta(seconds=plus_s), sa.Interval()), UTCDateTime())


class LedgerNow(FunctionElement[datetime]):
    """The present by the ledger's clock, for statements that are built before there is a connection."""

    type = UTCDateTime()
    inherit_cache = True


@compiles(LedgerNow)
def _now(_element: LedgerNow, _compiler: object, **_options: object) -> str:
    return "now()"


@compiles(LedgerNow, "sqlite")
def _now_of_sqlite(_element: LedgerNow, _compiler: object, **_options: object) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"  # as SQLAlchemy writes times there


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        _limit(connection, answering.READ_LIMIT_S)
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return cast("str | None", connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as exc:
        text = str(exc.orig)
        if "locked" in text or "lock timeout" in text or "busy" in text:
            raise LedgerBusy(BUSY) from exc
        raise LedgerUnavailable(UNREACHABLE) from exc
    except PoolTimeoutError as exc:
        raise LedgerBusy("Too many requests wait for the ledger. Try again in a few seconds.") from exc
    except DBAPIError as exc:
        # PostgreSQL says InternalError when it fails over and is read-only for a moment.
        # A file that is damaged or no database at all raises the class itself, not one of its kinds.
        if exc.connection_invalidated or isinstance(exc, InternalError) or type(exc) is DatabaseError:
            raise LedgerUnavailable(UNREACHABLE) from exc
        raise


def _engine(url: str, *, pool_size: int, turns: Turns | None) -> Engine:
    parsed = sa.make_url(url)
    if turns is not None:
        assert parsed.database is not None  # noqa: S101  # settings refuse in-memory ledgers
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(
            url,
            connect_args={"timeout": BUSY_TIMEOUT_S},
            pool_size=pool_size,
            pool_timeout=5,
            # The one used last: of eight in turn, each would keep pages of its own.
            pool_use_lifo=True,
        )
        sa.event.listen(engine, "connect", _set_up_sqlite)
        sa.event.listen(engine, "begin", partial(_begin_sqlite, turns))
        return engine
    from tasks.core.ledger.answered import answer_or_close  # noqa: PLC0415  # the driver, which SQLite does without

    engine = sa.create_engine(
        url,
        connect_args={"connect_timeout": 5, "options": _PG_OPTIONS} | _unless_in(parsed, answering.KEEP_ALIVE),
        pool_size=pool_size,
        pool_timeout=5,
    )
    answer_or_close(engine)
    sa.event.listen(engine, "connect", _keep_commits)
    sa.event.listen(engine, "checkin", _note_use)
    errors = engine.dialect.loaded_dbapi.Error
    sa.event.listen(engine, "checkout", lambda connection, entry, _: _ready(connection, entry, errors))
    return engine


def _keep_commits(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.limit_s = answering.PING_LIMIT_S
    connection.execute(_NO_COMMIT_BEFORE_THE_DISK_HAS_IT)
    connection.commit()
    connection.limit_s = None


def _unless_in(url: sa.URL, options: Mapping[str, int]) -> dict[str, int]:
    return {name: value for name, value in options.items() if name not in url.query}


def _note_use(_connection: object, entry: ConnectionPoolEntry) -> None:
    entry.info["used_at"] = time.monotonic()


def _ready(connection: Any, entry: ConnectionPoolEntry, errors: type[Exception]) -> None:
    """Give the connection out without the limit of whoever had it before: a migration sets none of its own."""
    _ping_if_idle(connection, entry, errors)
    connection.limit_s = None


def _ping_if_idle(connection: Any, entry: ConnectionPoolEntry, errors: type[Exception]) -> None:
    # The pool's own ping asks before every transaction, which would make most of them a third longer.
    if time.monotonic() - entry.info.get("used_at", 0.0) < TRUSTED_S:
        return
    connection.limit_s = answering.PING_LIMIT_S
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except errors as exc:
        raise sa.exc.DisconnectionError from exc  # the pool opens another one


def _set_up_sqlite(connection: object, _entry: ConnectionPoolEntry) -> None:
    # We say BEGIN ourselves: the driver's own would take the write lock only at the first write.
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    # Of a new file it takes a lock for which SQLite does not wait by itself, while others open the file, too.
    when_free(cursor, "PRAGMA journal_mode=WAL", limit_s=BUSY_TIMEOUT_S)
    for pragma in (
        "synchronous=FULL",
        "foreign_keys=ON",
        # KiB, SQLite's own default. It fills with whatever is read and with what a transaction writes, so that a larger
        # one looks like a leak for hours, in each connection of each process; the rest comes from the kernel's memory.
        "cache_size=-2000",
        # Pages: 16 MiB of log. A job writes about 26, most of them the same as its neighbours'.
        "wal_autocheckpoint=4000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(turns: Turns, connection: Connection) -> None:
    driver: Any = connection.connection.dbapi_connection
    if not connection.get_execution_options().get("writes", False):
        connection.exec_driver_sql("BEGIN")
        return
    driver.execute("PRAGMA busy_timeout=0")
    try:
        begin_writing(driver, limit_s=turns.left_s())
    finally:
        driver.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_S * 1000)}")


def insert_if_new(connection: Connection, table: sa.Table, **values: object) -> bool:
    """Insert a row unless one with a unique value of it is there; waits for another's insert to be decided first."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(**values).on_conflict_do_nothing().returning(sa.literal(1))
    return connection.execute(statement).first() is not None
