"""Connections of the driver's own, for the prepared statements of every job.

SQLAlchemy's way to a transaction (a connection object, its pool's checks, its events) costs about as much as the
statements of a claim themselves. Here SQLAlchemy opens a connection, which is then kept and used as the driver made it.
"""

import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from threading import BoundedSemaphore, Lock
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect, Engine

from tasks.core.errors import LedgerBusy, LedgerUnavailable
from tasks.core.ledger import answering
from tasks.core.ledger.locking import BUSY_TIMEOUT_S, UNREACHABLE, begin_writing
from tasks.core.ledger.turns import Turns

# A connection that was used this long ago is taken to live.
TRUSTED_S = 1.0
_WAIT_S = 5.0
# A writer waits for the lock in ``begin_writing``, and then has to wait for nothing more.
_NEVER_WAIT = "PRAGMA busy_timeout=0"
# To plan a statement anew for each run takes PostgreSQL about as long as to run it, and the plan is always the same: by
# the index that is there for it. What PostgreSQL last counted must not decide; it may have been before a burst.
# Nor is a small table, read as a whole because no index has it, to be taken for work that is worth compiling.
_SETTINGS = {"plan_cache_mode": "force_generic_plan"} | dict.fromkeys(
    ("enable_seqscan", "enable_sort", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"), "off"
)
_PLAN_ONCE = "SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SETTINGS.items())


_sync_file = getattr(os, "fdatasync", os.fsync)  # which is what SQLite itself calls


class Driver:
    """One open connection. ``Prepared`` statements take it in the place of SQLAlchemy's ``Connection``."""

    __slots__ = ("connection", "dialect", "hurries", "used_at")

    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self.connection = connection
        self.dialect = dialect
        self.used_at = time.monotonic()
        self.hurries = False

    def invalidate(self, _error: BaseException | None = None) -> None:
        """Do nothing: ``Drivers`` keeps no connection on which anything failed."""


class Drivers:
    """At most ``most`` connections, opened when there is none to spare. On SQLite ``turns`` says who writes."""

    def __init__(self, engine: Engine, *, most: int, turns: Turns | None) -> None:
        self._engine = engine
        self._turns = turns
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._spare: deque[Driver] = deque()
        self._free = BoundedSemaphore(most)
        # Whether the disk may lack what was committed.
        self._unsynced = False
        self._syncing = Lock()

    @contextmanager
    def transaction(self, *, of_one: bool = False, may_vanish: bool = False) -> Iterator[Driver]:
        """Open a write transaction; it commits at the end and rolls back on any exception.

        With ``of_one`` a single statement writes, or on SQLite as many as you like: PostgreSQL is not asked to begin or
        to commit then, and each statement that reads before sees its own snapshot. With ``may_vanish`` SQLite does not
        wait for the disk: a loss of power may undo the transaction, though none before it; the next one that waits
        makes it durable, too, and so does ``sync``.

        Raises:
            LedgerBusy: every connection is in use, or another writer holds the ledger, for too long.
            sqlalchemy.exc.DBAPIError: whatever the driver raises, as SQLAlchemy would name it.
        """
        in_steps = self._is_sqlite or not of_one
        with self._borrowed() as driver, nullcontext() if self._turns is None else self._turns.taken():
            if self._is_sqlite and may_vanish != driver.hurries:
                self._run(driver, "PRAGMA synchronous=" + ("NORMAL" if may_vanish else "FULL"))
                driver.hurries = may_vanish
            if in_steps:
                self._begin(driver)
            yield driver
            if in_steps:
                self._run(driver, "COMMIT")
            if driver.hurries:
                self._unsynced = True

    def sync(self, *, of_others: bool = False) -> None:
        """Wait until the disk has every transaction that this process has committed, however long ago.

        With ``of_others`` also what it has seen of other processes'.

        Raises:
            LedgerUnavailable: the disk failed.
        """
        with self._syncing:
            if not (self._unsynced or (of_others and self._is_sqlite)):
                return
            self._unsynced = False  # what is committed from now on may come too late for this one
            try:
                self._sync_log()
            except OSError as exc:
                self._unsynced = True
                raise LedgerUnavailable(UNREACHABLE) from exc

    def _sync_log(self) -> None:
        # The log is there as long as a connection is. What it no longer has, SQLite has moved to the database, and saw
        # to it that the disk had it before.
        log = os.open(f"{self._engine.url.database}-wal", os.O_RDONLY)
        try:
            _sync_file(log)
        finally:
            os.close(log)

    @contextmanager
    def reading(self) -> Iterator[Driver]:
        """Give a connection for statements that only read; each is a transaction of its own.

        Raises:
            LedgerBusy, sqlalchemy.exc.DBAPIError: as ``transaction``.
        """
        with self._borrowed() as driver:
            if self._is_sqlite:
                self._run(driver, f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000:.0f}")
            yield driver
            if self._is_sqlite:
                self._run(driver, _NEVER_WAIT)

    @contextmanager
    def _borrowed(self) -> Iterator[Driver]:
        if not self._free.acquire(timeout=_WAIT_S):
            raise LedgerBusy("Too many requests wait for the ledger. Try again in a few seconds.")
        try:
            driver = self._take()
            try:
                yield driver
            except BaseException:
                # A signal may have come in the middle of a statement: what the connection is doing is not known.
                if not self._is_sqlite and driver.connection.closed:
                    self._trust_nobody()  # the server went away, or the way to it
                with suppress(self._errors):
                    driver.connection.close()  # rolls back
                raise
            driver.used_at = time.monotonic()
            self._spare.append(driver)
        finally:
            self._free.release()

    def _trust_nobody(self) -> None:
        for driver in list(self._spare):
            driver.used_at = float("-inf")

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._spare:
            with suppress(self._errors):
                self._spare.pop().connection.close()

    @property
    def _errors(self) -> type[Exception]:
        errors: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        return errors

    def _take(self) -> Driver:
        with suppress(IndexError):
            driver = self._spare.pop()  # the one used last, which is the likeliest to live
            if self._is_sqlite or self._lives(driver):
                return driver
            # Its fellows were used even longer ago.
            self.close()
        return self._open()

    def _lives(self, driver: Driver) -> bool:
        if time.monotonic() - driver.used_at < TRUSTED_S:
            return True
        driver.connection.limit_s = answering.PING_LIMIT_S
        try:
            driver.connection.execute("SELECT 1")
        except self._errors:
            with suppress(self._errors):
                driver.connection.close()
            return False
        driver.connection.limit_s = answering.WRITE_LIMIT_S
        return True

    def _open(self) -> Driver:
        if self._is_sqlite:
            connection = self._connect()
            connection.execute(_NEVER_WAIT)
        else:
            connection = self._open_at_server()
        return Driver(connection, self._engine.dialect)

    def _open_at_server(self) -> Any:
        connection = self._connect_to_server()
        try:
            connection.execute(_PLAN_ONCE)
        except self._errors:
            # One that the pool kept is dead, and its fellows with it: the server was restarted.
            with suppress(self._errors):
                connection.close()
            self._engine.dispose()
            connection = self._connect_to_server()
            self._execute(connection, _PLAN_ONCE)
        connection.limit_s = answering.WRITE_LIMIT_S
        return connection

    def _connect_to_server(self) -> Any:
        connection = self._connect()
        connection.limit_s = answering.PING_LIMIT_S
        connection.autocommit = True
        return connection

    def _connect(self) -> Any:
        try:
            pooled = self._engine.raw_connection()
        except self._errors as exc:
            raise self._named(exc, "connect") from exc
        connection = pooled.driver_connection
        pooled.detach()  # else the pool would count it, and reset it at the end
        return connection

    def _begin(self, driver: Driver) -> None:
        if self._turns is not None:
            begin_writing(driver.connection, limit_s=self._turns.left_s())
        else:
            self._run(driver, "BEGIN")

    def _run(self, driver: Driver, text: str) -> None:
        self._execute(driver.connection, text)

    def _execute(self, connection: Any, text: str) -> None:
        try:
            connection.execute(text)
        except self._errors as exc:
            raise self._named(exc, text, connection) from exc

    def _named(self, exc: Exception, text: str, connection: Any = None) -> sa.exc.StatementError:
        """Return the driver's error as SQLAlchemy would name it."""
        dialect: Any = self._engine.dialect
        lost = dialect.is_disconnect(exc, connection, None)
        return sa.exc.DBAPIError.instance(text, None, exc, self._errors, dialect=dialect, connection_invalidated=lost)
