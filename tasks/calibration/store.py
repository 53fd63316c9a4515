"""Sets of misclassification matrices in the ledger: kept under a name and version, and found again by either.

A set belongs to a tenant. Those of the tenant ``system`` are everybody's to use, and only its own to change.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tasks.calibration.importing import ImportedMatrices, ImportRequest, imported
from tasks.calibration.inventory import Inventory, Square, StoredMatrix
from tasks.calibration.shelf import MatrixSet
from tasks.core.clock import now
from tasks.core.errors import Conflict, InputRejected, NotAllowed, NotFound
from tasks.core.ids import new_id
from tasks.core.ledger import Ledger, queries, tenants
from tasks.core.ledger.audit import AT_THE_MACHINE, Actor
from tasks.core.ledger.database import insert_if_new
from tasks.core.ledger.schema import UTCDateTime, metadata
from tasks.core.ledger.schema import tenants as tenant_rows

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_SETS = 500

matrix_sets = sa.Table(
    "calibration_matrix_sets",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("version", sa.String(100), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("source", sa.String(200), nullable=False),
    sa.Column("imported_at", UTCDateTime, nullable=False),
    sa.UniqueConstraint("tenant_id", "name", "version"),
    sa.UniqueConstraint("tenant_id", "sha256"),
)

matrices = sa.Table(
    "calibration_matrices",
    metadata,
    sa.Column("set_id", sa.String(36), primary_key=True),
    sa.Column("age_group", sa.String(20), primary_key=True),
    sa.Column("algorithm", sa.String(50), primary_key=True),
    sa.Column("country", sa.String(100), primary_key=True),
    sa.Column("causes", sa.JSON, nullable=False),
    sa.Column("fixed", sa.JSON, nullable=False),
    sa.Column("prior", sa.JSON(none_as_null=True)),
    sa.Column("samples", sa.LargeBinary),  # float64, little-endian: sample, true cause, VA cause
    sa.ForeignKeyConstraint(["set_id"], ["calibration_matrix_sets.id"], ondelete="CASCADE"),
)


def keep(
    ledger: Ledger,
    tenant_id: str,
    inventory: Inventory,
    *,
    name: str,
    version: str | None,
    source: str,
    by: Actor | None = None,
) -> tuple[MatrixSet, bool]:
    """Keep matrices as a set; return it, and whether it is new: the same numbers are kept once.

    Args:
        by: who it was, to be written down; None: a job, which is there to be read.
        version: its version; else the one that the source gives itself, else the next whole number for this name.

    Raises:
        InputRejected: the name or version has other characters than letters, digits, dot, dash and underscore.
        Conflict: other matrices are there under this name and version.
    """
    version = version or inventory.version
    for field, text in (("name", name), ("version", version or "1")):
        if not NAME.fullmatch(text):
            raise InputRejected(
                f"The {field} {text[:100]!r} must be letters, digits, dots, dashes and underscores, 100 at most.",
                field=field,
            )
    sha256 = inventory.sha256
    with ledger.write() as connection:
        version = version or _next_version(connection, tenant_id, name)
        found = _there(connection, tenant_id, sha256, name=name, version=version)
        if found is not None:
            return found, False
        row = {"id": new_id(), "tenant_id": tenant_id, "name": name, "version": version, "sha256": sha256}
        if insert_if_new(connection, matrix_sets, **row, source=source[:200], imported_at=now()):
            connection.execute(matrices.insert(), [_row(row["id"], matrix) for matrix in inventory.matrices])
            made = _selected(connection, matrix_sets.c.id == row["id"])[0]
            if by is not None:
                by.did(connection, "matrices.imported", made.title, tenant_id=tenant_id, set_id=made.id)
            return made, True
        # Somebody else has imported something at the same moment.
        found = _there(connection, tenant_id, sha256, name=name, version=version)
        assert found is not None  # noqa: S101  # it is the same, or it was refused
        return found, False


def keep_for_job(
    ledger: Ledger, job_id: str, inventory: Inventory, request: ImportRequest, source: str
) -> ImportedMatrices:
    """Keep matrices for whoever a job belongs to.

    Raises:
        Conflict: see ``keep``.
        NotFound: there is no such job.
    """
    job = queries.job(ledger, job_id)
    if job is None:
        raise NotFound(f"No job {job_id}.")
    found, is_new = keep(ledger, job.tenant_id, inventory, name=request.name, version=request.version, source=source)
    return imported(found, inventory, is_new=is_new)


def _there(connection: Connection, tenant_id: str, sha256: str, *, name: str, version: str) -> MatrixSet | None:
    # One statement, hence one snapshot: another import may commit between two.
    titled = (matrix_sets.c.name == name) & (matrix_sets.c.version == version)
    found = _selected(connection, matrix_sets.c.tenant_id == tenant_id, sa.or_(matrix_sets.c.sha256 == sha256, titled))
    same = [one for one in found if one.sha256 == sha256]
    if found and not same:
        raise Conflict(
            f"{name}@{version} is there with other numbers: give these another version, or delete the other set."
        )
    return same[0] if same else None


def list_sets(ledger: Ledger, tenant_id: str) -> list[MatrixSet]:
    """List the sets that a tenant may use: its own, newest first, then those that are everybody's."""
    with ledger.read() as connection:
        found = _selected(connection, sa.or_(matrix_sets.c.tenant_id == tenant_id, _is_shared()))
    return sorted(found, key=lambda one: one.tenant_id != tenant_id)


def matrices_of(
    ledger: Ledger,
    set_id: str,
    *,
    age_group: str | None = None,
    algorithm: str | None = None,
    country: str | None = None,
    with_samples: bool = False,
) -> list[StoredMatrix]:
    """Return the matrices of a set that have these; samples only where they are asked for."""
    wanted = {"age_group": age_group, "algorithm": algorithm, "country": country}
    columns = [column for column in matrices.c if column.name != "samples" or with_samples]
    statement = (
        sa.select(*columns)
        .where(matrices.c.set_id == set_id)
        .where(*(matrices.c[name] == value for name, value in wanted.items() if value is not None))
        .order_by(matrices.c.age_group, matrices.c.algorithm, matrices.c.country)
    )
    with ledger.read() as connection:
        return [_matrix(row) for row in connection.execute(statement)]


def remove(ledger: Ledger, tenant_id: str, found: MatrixSet, *, by: Actor = AT_THE_MACHINE) -> None:
    """Delete a set. Jobs that were accepted keep the matrices that they were accepted with.

    Raises:
        NotAllowed: it is everybody's, and the tenant is not the operator's.
        NotFound: somebody else has deleted it meanwhile.
    """
    if found.tenant_id != tenant_id:
        raise NotAllowed(f"{found.title} is everybody's: only a key of the tenant {tenants.SYSTEM!r} may delete it.")
    with ledger.write() as connection:
        if not connection.execute(matrix_sets.delete().where(matrix_sets.c.id == found.id)).rowcount:
            raise NotFound(f"No matrices {found.id}.")
        by.did(connection, "matrices.deleted", found.title, tenant_id=tenant_id, set_id=found.id)


@dataclass(frozen=True, slots=True)
class LedgerShelf:
    """The sets that one tenant may use, while a request of it is checked: see ``tasks.calibration.shelf``."""

    ledger: Ledger
    tenant_id: Callable[[], str]

    def sets(self) -> Sequence[MatrixSet]:
        """List them."""
        return list_sets(self.ledger, self.tenant_id())

    def matrices(self, found: MatrixSet, *, age_group: str, country: str, with_samples: bool) -> Sequence[StoredMatrix]:
        """Return those of a set for an age group and a country."""
        return matrices_of(self.ledger, found.id, age_group=age_group, country=country, with_samples=with_samples)


def _is_shared() -> sa.ColumnElement[bool]:
    shared = sa.select(tenant_rows.c.id).where(tenant_rows.c.name == tenants.SYSTEM)
    return matrix_sets.c.tenant_id.in_(shared)


def _selected(connection: Connection, *conditions: sa.ColumnElement[bool]) -> list[MatrixSet]:
    statement = (
        sa.select(matrix_sets, _is_shared().label("is_shared"))
        .where(*conditions)
        .order_by(matrix_sets.c.imported_at.desc(), matrix_sets.c.id.desc())
        .limit(_MOST_SETS)
    )
    rows = connection.execute(statement).all()
    index: dict[str, list[Row[Any]]] = {}
    if rows:
        listed = sa.select(
            matrices.c.set_id,
            matrices.c.age_group,
            matrices.c.algorithm,
            matrices.c.country,
            matrices.c.prior.is_not(None).label("has_prior"),
            matrices.c.samples.is_not(None).label("has_samples"),
        ).where(matrices.c.set_id.in_([row.id for row in rows]))
        for entry in connection.execute(listed.order_by(matrices.c.age_group, matrices.c.algorithm)):
            index.setdefault(entry.set_id, []).append(entry)
    return [_set(row, index.get(row.id, [])) for row in rows]


def _set(row: Row[Any], entries: Sequence[Row[Any]]) -> MatrixSet:
    return MatrixSet(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        version=row.version,
        sha256=row.sha256,
        source=row.source,
        imported_at=row.imported_at,
        is_shared=bool(row.is_shared),
        keys=tuple((entry.age_group, entry.algorithm, entry.country) for entry in entries),
        with_prior=sum(bool(entry.has_prior) for entry in entries),
        with_samples=sum(bool(entry.has_samples) for entry in entries),
    )


def _next_version(connection: Connection, tenant_id: str, name: str) -> str:
    of_name = (matrix_sets.c.tenant_id == tenant_id) & (matrix_sets.c.name == name)
    taken = connection.execute(sa.select(matrix_sets.c.version).where(of_name)).scalars()
    return str(max((int(version) for version in taken if version.isdecimal() and len(version) < 8), default=0) + 1)


def _row(set_id: str, matrix: StoredMatrix) -> dict[str, Any]:
    samples = None if matrix.samples is None else np.asarray(matrix.samples, dtype="<f8").tobytes()
    return {
        "set_id": set_id,
        "age_group": matrix.age_group,
        "algorithm": matrix.algorithm,
        "country": matrix.country,
        "causes": list(matrix.causes),
        "fixed": matrix.fixed,
        "prior": matrix.prior,
        "samples": samples,
    }


def _matrix(row: Row[Any]) -> StoredMatrix:
    samples = getattr(row, "samples", None)
    return StoredMatrix(
        row.age_group,
        row.algorithm,
        row.country,
        tuple(row.causes),
        _square(row.fixed),
        None if row.prior is None else _square(row.prior),
        None if samples is None else _squares(samples, len(row.causes)),
    )


def _square(rows: Sequence[Sequence[float]]) -> Square:
    return tuple(tuple(row) for row in rows)


def _squares(content: bytes, size: int) -> tuple[Square, ...]:
    numbers = np.frombuffer(content, dtype="<f8").reshape((-1, size, size))
    return tuple(_square(square.tolist()) for square in numbers)
