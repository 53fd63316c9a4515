"""Misclassification matrices: sets of them are imported, listed, shown, drawn and deleted."""

import base64
import binascii
from typing import Annotated

import structlog
from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from app.answers import json_answer
from app.auth import actor, tenant_id
from app.errors import FieldsRejected, Refusal
from app.inputs import Input, Text, checked
from app.openapi import SECURITY, answer, bare_answer, problems, raw_answer
from app.services import services
from tasks.calibration import store
from tasks.calibration.importing import ImportedMatrices, MatrixSetRecord, NewNames, SetName, facts_of, imported
from tasks.calibration.inventory import Inventory, InventoryRefused, Names, StoredMatrix
from tasks.calibration.matrix_figure import matrix_svg
from tasks.calibration.matrix_file import read_matrix_file
from tasks.calibration.matrix_table import read_matrices
from tasks.calibration.shelf import MatrixSet, find_set
from tasks.core.errors import NotFound

log = structlog.get_logger()

bp = APIBlueprint("matrices", __name__, abp_tags=[Tag(name="calibration")], abp_security=SECURITY)

_MAX_FILE = 64 * 2**20


class MatrixImport(Input):
    """A file of matrices, in one of two forms."""

    name: SetName = Field("matrices", description="What the set is called, to ask for it by.")
    version: SetName | None = Field(
        None, description="If absent: the file's own, or the next whole number for this name."
    )
    source: Annotated[Text, Field(max_length=200)] = Field("", description="Where they are from, for readers.")
    csv: Annotated[str, Field(max_length=_MAX_FILE)] | None = Field(
        None,
        description="A table with the columns age_group, algorithm, country, true_cause, va_cause, and dirichlet, "
        "postmean or both.",
    )
    file_base64: Annotated[str, Field(max_length=_MAX_FILE)] | None = Field(
        None, description="The bytes of such a table, or of an .rda or .rds file with the package's list of matrices."
    )
    also_countries: NewNames = Field((), description="Countries that we do not know and that are meant.")
    also_algorithms: NewNames = Field((), description="Algorithms that we do not know and that are meant.")


class MatrixSetList(BaseModel):
    """Sets: your own, newest first, then those that are everybody's."""

    sets: list[MatrixSetRecord]


class MatrixRecord(BaseModel):
    """One matrix. Rows are true causes, columns what the algorithm says, both in the order of `causes`."""

    age_group: str
    algorithm: str
    country: str
    causes: list[str]
    fixed: list[list[float]] = Field(description="Probabilities: posterior means.")
    prior: list[list[float]] | None = Field(None, description="Dirichlet parameters of each row.")


class MatrixSetDetail(MatrixSetRecord):
    """A set with the numbers that were asked for."""

    matrices: list[MatrixRecord]


MODELS: tuple[type[BaseModel], ...] = (
    *(MatrixImport, MatrixSetRecord, ImportedMatrices, MatrixSetList),
    *(MatrixRecord, MatrixSetDetail),
)


class SetPath(Input):
    """Which set."""

    reference: str = Field(max_length=201, description="Its id, name or `name@version`.")


class MatrixQuery(Input):
    """Which matrices of the set."""

    age_group: Text | None = Field(None, max_length=20)
    algorithm: Text | None = Field(None, max_length=50)
    country: Text | None = Field(None, max_length=100)


class FigureQuery(Input):
    """Which matrix of the set."""

    age_group: Text = Field(max_length=20)
    algorithm: Text = Field(max_length=50)
    country: Text = Field(max_length=100)


@bp.post(
    "/api/calibration/matrices",
    responses={
        200: answer(ImportedMatrices, "These numbers were there already, as this set."),
        201: answer(ImportedMatrices, "The set."),
        **problems(400, 401, 409, 413, 415, 422, 503),
    },
)
@checked
def import_matrices(body: MatrixImport) -> Response:
    """Keep the matrices of a file as a set, so that requests can name a country instead of sending matrices."""
    inventory = _read(body)
    ledger = services().kernel.ledger
    found, is_new = store.keep(
        ledger, tenant_id(), inventory, name=body.name, version=body.version, source=body.source, by=actor()
    )
    log.info("matrices_imported", set_id=found.id, title=found.title, is_new=is_new)
    return json_answer(imported(found, inventory, is_new=is_new), status=201 if is_new else 200)


@bp.get("/api/calibration/matrices", responses={200: answer(MatrixSetList, "All of them."), **problems(401, 503)})
@checked
def list_matrices() -> Response:
    """List the sets of matrices that requests may name."""
    sets = store.list_sets(services().kernel.ledger, tenant_id())
    return json_answer(MatrixSetList(sets=[MatrixSetRecord.model_validate(facts_of(found)) for found in sets]))


@bp.get(
    "/api/calibration/matrices/<string:reference>",
    responses={200: answer(MatrixSetDetail, "The set."), **problems(401, 404, 422, 503)},
)
@checked
def read_matrix_set(path: SetPath, query: MatrixQuery) -> Response:
    """Show a set with its numbers, or with those of one age group, algorithm or country."""
    found = _find(path.reference)
    kept = store.matrices_of(services().kernel.ledger, found.id, **query.model_dump())
    return json_answer(MatrixSetDetail.model_validate(facts_of(found) | {"matrices": [_matrix(one) for one in kept]}))


@bp.get(
    "/api/calibration/matrices/<string:reference>/figure.svg",
    responses={200: raw_answer("The picture.", "image/svg+xml"), **problems(401, 404, 422, 503)},
)
@checked
def draw_matrix(path: SetPath, query: FigureQuery) -> Response:
    """Draw one matrix as a heat map."""
    found = _find(path.reference)
    kept = store.matrices_of(services().kernel.ledger, found.id, **query.model_dump())
    if not kept:
        raise NotFound(f"{found.title} has no matrix of {query.algorithm!r} for {query.age_group} in {query.country}.")
    picture = Response(matrix_svg(kept[0], title=f"{found.title}, posterior mean"), mimetype="image/svg+xml")
    # An SVG is a document that a browser would run; this one is only looked at.
    picture.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return picture


@bp.delete(
    "/api/calibration/matrices/<string:reference>",
    responses={204: bare_answer("It is gone; jobs keep what they were accepted with."), **problems(401, 403, 404, 503)},
)
@checked
def delete_matrix_set(path: SetPath) -> Response:
    """Delete a set of your own."""
    store.remove(services().kernel.ledger, tenant_id(), _find(path.reference), by=actor())
    return Response(status=204)


def _read(body: MatrixImport) -> Inventory:
    if (body.csv is None) == (body.file_base64 is None):
        raise FieldsRejected([Refusal(field="csv", message="Send either csv or file_base64.")])
    field = "csv" if body.csv is not None else "file_base64"
    names = Names.with_also(algorithms=body.also_algorithms, countries=body.also_countries)
    try:
        if body.csv is not None:
            return read_matrices(body.csv, names)
        return read_matrix_file(base64.b64decode(body.file_base64 or "", validate=True), names)
    except (binascii.Error, ValueError) as exc:
        if isinstance(exc, InventoryRefused):
            raise FieldsRejected([Refusal(field=field, message=problem) for problem in exc.problems]) from exc
        raise FieldsRejected([Refusal(field=field, message=f"is not base64: {exc}")]) from exc


def _find(reference: str) -> MatrixSet:
    sets = store.list_sets(services().kernel.ledger, tenant_id())
    found = find_set(sets, reference)
    if found is None:
        listed = ", ".join(one.title for one in sets[:20]) or "none"
        raise NotFound(f"No matrices {reference[:100]!r}; there are: {listed}.")
    return found


def _matrix(matrix: StoredMatrix) -> MatrixRecord:
    return MatrixRecord(
        age_group=matrix.age_group,
        algorithm=matrix.algorithm,
        country=matrix.country,
        causes=list(matrix.causes),
        fixed=[list(row) for row in matrix.fixed],
        prior=None if matrix.prior is None else [list(row) for row in matrix.prior],
    )
