"""Statements that run for every job: compiled once, then run with plain values.

Building and looking up a SQLAlchemy statement costs several times what SQLite needs to run it. Here it is built and
compiled once per kind of database; what remains is the driver's own call. Everything else in the ledger is written in
plain SQLAlchemy, because it does not run often enough to matter.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.sql import Executable, visitors
from sqlalchemy.sql.compiler import SQLCompiler

from tasks.core.ledger.database import Ledger
from tasks.core.ledger.drivers import Driver
from tasks.core.ledger.schema import jobs
from tasks.core.records import Job, JobState

# In the order of the record, whatever the order of the table is.
JOB_COLUMNS = tuple(jobs.c[field.name] for field in fields(Job))
_STATE_AT = [column.name for column in JOB_COLUMNS].index("state")

# Fewer rows than this are inserted as fast one by one.
_WORTH_A_COPY = 10

# Before the names of what is the second of two moves.
_SECOND = "next_"

_Processor = Callable[[Any], Any]


# What a prepared statement may run on: ``Ledger.write`` and ``read`` give the first, ``write_prepared`` the second.
Runner = Connection | Driver


@dataclass(frozen=True, slots=True)
class _Parameter:
    """One place of a statement: takes ``values[name]``; without a name it has a value of its own."""

    place: str
    name: str | None
    value: Any
    process: _Processor | None


@dataclass(frozen=True, slots=True)
class _Compiled:
    """One statement for one kind of database. ``by_name`` tells how the driver takes parameters."""

    text: str
    by_name: bool
    places: Sequence[_Parameter]
    returned: Sequence[sa.types.TypeEngine[Any]]

    def parameters(self, values: Mapping[str, Any]) -> Any:
        """Return what the driver takes."""
        if self.by_name:
            return dict(zip([parameter.place for parameter in self.places], self.row(values), strict=True))
        return self.row(values)

    def row(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the values in the order of the places. Called for every statement of every job, hence in one loop."""
        return [
            one.value
            if one.name is None
            else values[one.name]
            if one.process is None
            else one.process(values[one.name])
            for one in self.places
        ]

    def decoders(self, cursor: Any, dialect: Dialect) -> list[tuple[int, _Processor]]:
        """Say which of the driver's values become ours, and how: it may depend on what the server calls their types."""
        found = [
            type_.dialect_impl(dialect).result_processor(dialect, told[1])
            for type_, told in zip(self.returned, cursor.description, strict=True)
        ]
        return [(place, decode) for place, decode in enumerate(found) if decode is not None]


class Prepared:
    """One statement. Its named ``bindparam``s are looked up among the values of each run; more may be given."""

    def __init__(self, statement: Executable, *, column_keys: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._column_keys = column_keys
        self._compiled: dict[str, _Compiled] = {}
        self._decoders: dict[str, list[tuple[int, _Processor]]] = {}

    def run(self, connection: Runner, values: Mapping[str, Any]) -> None:
        """Run it once."""
        compiled = self._for(connection.dialect)
        with _Cursor(connection, compiled.text) as cursor:
            cursor.execute(compiled.text, compiled.parameters(values))

    def run_many(self, connection: Runner, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each of ``rows``, if there are any."""
        if len(rows) < 2:  # psycopg would open a pipeline even for a single row
            for values in rows:
                self.run(connection, values)
            return
        compiled = self._for(connection.dialect)
        with _Cursor(connection, compiled.text) as cursor:
            cursor.executemany(compiled.text, [compiled.parameters(values) for values in rows])

    def first(self, connection: Runner, values: Mapping[str, Any]) -> list[Any] | None:
        """Run it and return its first row, or None."""
        rows = self._fetch(connection, values, most=1)
        return rows[0] if rows else None

    def all(self, connection: Runner, values: Mapping[str, Any]) -> list[list[Any]]:
        """Run it and return every row."""
        return self._fetch(connection, values)

    def _fetch(self, connection: Runner, values: Mapping[str, Any], *, most: int | None = None) -> list[list[Any]]:
        compiled = self._for(connection.dialect)
        with _Cursor(connection, compiled.text) as cursor:
            cursor.execute(compiled.text, compiled.parameters(values))
            return self._read(cursor, connection.dialect, most=most)

    def _read(self, cursor: Any, dialect: Dialect, *, most: int | None = None) -> list[list[Any]]:
        rows = [list(row) for row in (cursor.fetchall() if most is None else cursor.fetchmany(most))]
        if not rows:
            return rows
        decoders = self._decoders.get(dialect.name)
        if decoders is None:
            decoders = self._decoders[dialect.name] = self._for(dialect).decoders(cursor, dialect)
        for row in rows:
            for place, decode in decoders:
                if row[place] is not None:
                    row[place] = decode(row[place])
        return rows

    def compile(self, connection: Runner) -> None:
        """Make the statement's text for this kind of database, which otherwise the first run does."""
        self._for(connection.dialect)

    def _for(self, dialect: Dialect) -> _Compiled:
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _compile(self._statement, dialect, self._column_keys)
        return compiled


class PreparedInsert(Prepared):
    """The insert of whole rows into a table; many at once go to PostgreSQL as a COPY, at a fifth of the cost.

    Args:
        without: columns that are null in a new row.
    """

    def __init__(self, table: sa.Table, *, without: Collection[str] = ()) -> None:
        super().__init__(table.insert(), column_keys=[one.name for one in table.c if one.name not in without])
        self._table = table

    def run_many(self, connection: Runner, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert each of ``rows``, if there are any."""
        if connection.dialect.name != "postgresql" or len(rows) < _WORTH_A_COPY:
            super().run_many(connection, rows)
            return
        compiled, quote = self._for(connection.dialect), connection.dialect.identifier_preparer.quote
        columns = ", ".join(quote(parameter.place) for parameter in compiled.places)
        text = f"COPY {quote(self._table.name)} ({columns}) FROM STDIN"
        with _Cursor(connection, text) as cursor, cursor.copy(text) as copy:
            for values in rows:
                copy.write_row(compiled.row(values))


class _Cursor:
    """A cursor of the driver's own, whose errors become SQLAlchemy's, as those of any other statement.

    A class, because a generator as a context manager costs a third of what SQLite needs for a statement.
    """

    __slots__ = ("_connection", "_cursor", "_text")

    def __init__(self, connection: Runner, text: str) -> None:
        self._connection = connection
        self._text = text
        self._cursor: Any = _open_cursor(connection)

    def __enter__(self) -> Any:
        return self._cursor

    def __exit__(
        self, _kind: type[BaseException] | None, exc: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        try:
            if exc is not None:
                self._translate(exc)
        finally:
            self._cursor.close()

    def _translate(self, exc: BaseException) -> None:
        dialect = self._connection.dialect
        errors = dialect.loaded_dbapi.Error
        if not isinstance(exc, errors):
            return
        lost = dialect.is_disconnect(exc, self._connection.connection, self._cursor)
        if lost:
            self._connection.invalidate(exc)
        raise sa.exc.DBAPIError.instance(
            self._text, None, exc, errors, dialect=dialect, connection_invalidated=lost
        ) from exc


def _open_cursor(runner: Runner) -> Any:
    if runner.dialect.name == "sqlite":
        return runner.connection.cursor()
    from psycopg import RawCursor  # noqa: PLC0415  # not where the ledger is a file

    # It takes places as the server has them. For those of Python, psycopg reads the text of a long statement anew at
    # each run (its cache ends at 4096 characters), which takes longer than all else that it does.
    connection: Any = runner.connection
    return RawCursor(getattr(connection, "driver_connection", connection))


def _compile(statement: Any, dialect: Dialect, column_keys: Sequence[str] | None) -> _Compiled:
    kind: Any = type(dialect)
    written = dialect if dialect.name == "sqlite" else kind(paramstyle="numeric_dollar")
    compiled: SQLCompiler = statement.compile(dialect=written, column_keys=column_keys)
    found = {name: _parameter(bind, name, dialect) for bind, name in compiled.bind_names.items()}
    places = [found[name] for name in compiled.positiontup or ()] if compiled.positional else list(found.values())
    returned = statement.selected_columns if isinstance(statement, sa.Select) else statement.exported_columns
    return _Compiled(compiled.string, not compiled.positional, places, [column.type for column in returned])


def _parameter(bind: sa.BindParameter[Any], place: str, dialect: Dialect) -> _Parameter:
    process = bind.type.dialect_impl(dialect).bind_processor(dialect)
    if not bind.unique:
        return _Parameter(place, place, None, process)
    value = bind.effective_value  # a literal of the statement itself
    return _Parameter(place, None, value if process is None else process(value), None)


def job_of(row: list[Any]) -> Job:
    """Make a ``Job`` of a row of ``JOB_COLUMNS``."""
    row[_STATE_AT] = JobState(row[_STATE_AT])
    return Job(*row)


Moved = Mapping[str, sa.ColumnElement[Any]]


class Move:
    """One update of a job, and what follows from it in other tables.

    On PostgreSQL it is a single statement, hence a single round trip; SQLite knows no such statement, and needs no
    round trips, so there one runs after the other.

    Args:
        update: updates at most one row of ``jobs``.
        follow: each makes an insert or update from the columns of the row as it is then.
    """

    def __init__(self, update: sa.Update, *follow: Callable[[Moved], sa.Insert | sa.Update]) -> None:
        moved = update.returning(*JOB_COLUMNS)
        bound = {column.name: sa.bindparam(f"moved_{column.name}", type_=column.type) for column in JOB_COLUMNS}
        self._move = Prepared(moved)
        statements = [make(bound) for make in follow]
        self._follow = [Prepared(statement) for statement in statements]
        needed = {name for statement in statements for name in statement.compile().binds}
        self._passed_on = [
            (column.name, place) for place, column in enumerate(JOB_COLUMNS) if f"moved_{column.name}" in needed
        ]
        cte = moved.cte("moved")
        after = dict(cte.c.items())
        followers = [make(after).cte(f"follow_{number}") for number, make in enumerate(follow)]
        self._statement = sa.select(*cte.c).add_cte(*followers)
        self._at_once = Prepared(self._statement)

    def compile(self, connection: Runner) -> None:
        """Make its statements, which otherwise the first run does."""
        is_sqlite = connection.dialect.name == "sqlite"
        for statement in [self._move, *self._follow] if is_sqlite else [self._at_once]:
            statement.compile(connection)

    def run(
        self,
        ledger: Ledger,
        values: Mapping[str, Any],
        also: Callable[[Connection, Job], None] | None = None,
        *,
        may_vanish: bool = False,
    ) -> Job | None:
        """Run it in a transaction of its own; return the job as it is then. None: no row matched.

        ``also`` writes what else belongs to that transaction. Without it, the transaction ``may_vanish`` with a loss of
        power, see ``Ledger.write_prepared``.
        """
        if also is None:
            with ledger.write_prepared(of_one=True, may_vanish=may_vanish) as driver:
                return self._run(ledger, driver, values)
        with ledger.write() as connection:
            job = self._run(ledger, connection, values)
            if job is not None:
                also(connection, job)
            return job

    def _run(self, ledger: Ledger, connection: Runner, values: Mapping[str, Any]) -> Job | None:
        row = self._run_in_steps(connection, values) if ledger.is_sqlite else self._at_once.first(connection, values)
        return None if row is None else job_of(row)

    def _run_in_steps(self, connection: Runner, values: Mapping[str, Any]) -> list[Any] | None:
        row = self._move.first(connection, values)
        if row is not None:
            after = {**values, **{f"moved_{name}": row[place] for name, place in self._passed_on}}
            for follow in self._follow:
                follow.run(connection, after)
        return row


class Moves:
    """A move of one job and then a move of another, in one transaction; on PostgreSQL in a single statement again."""

    def __init__(self, first: Move, second: Move) -> None:
        self._first, self._second = first, second
        self._at_once = Prepared(sa.union_all(first._statement, _renamed(second._statement)))

    def compile(self, connection: Runner) -> None:
        """Make its statement, which otherwise the first run does."""
        if connection.dialect.name != "sqlite":
            self._at_once.compile(connection)

    def run(
        self, ledger: Ledger, values: Mapping[str, Any], others: Mapping[str, Any], *, may_vanish: bool
    ) -> tuple[Job | None, Job | None]:
        """Return what ``Move.run`` would of each."""
        with ledger.write_prepared(of_one=True, may_vanish=may_vanish) as driver:
            if ledger.is_sqlite:
                rows = [self._first._run_in_steps(driver, values), self._second._run_in_steps(driver, others)]
                found = [job_of(row) for row in rows if row is not None]
            else:
                named = {f"{_SECOND}{name}": value for name, value in others.items()}
                found = [job_of(row) for row in self._at_once.all(driver, {**values, **named})]
        jobs_of = {job.id: job for job in found}
        return jobs_of.get(values["job_id"]), jobs_of.get(others["job_id"])


def _renamed(statement: sa.Select[Any]) -> sa.Select[Any]:
    """Return the statement with other names, so that it can stand beside one that has the same."""

    def rename_parameter(bind: sa.BindParameter[Any]) -> None:
        if not bind.unique:
            bind.key = _SECOND + bind.key

    def rename_cte(cte: sa.CTE) -> None:
        cte.name = _SECOND + cte.name

    return visitors.cloned_traverse(statement, {}, {"bindparam": rename_parameter, "cte": rename_cte})
