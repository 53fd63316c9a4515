"""What an import of matrices is asked and what it answers, over HTTP at once or as a job where R is needed."""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field

from tasks.calibration.inventory import Inventory
from tasks.calibration.shelf import MatrixSet
from tasks.core.spec import Contract, JobSpec, Queue
from tasks.core.uploads import UploadRef

IMPORT = "calibration.import"
SetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
NewName = Annotated[str, Field(max_length=50, pattern=r"^[A-Za-z][A-Za-z0-9 ._'-]*$")]
NewNames = Annotated[tuple[NewName, ...], Field(max_length=50)]


class ImportRequest(Contract):
    """Import the matrices that the R package vacalibration brings, or those of a file too large to send at once."""

    file: UploadRef | None = Field(
        None, description="A table, or an .rda or .rds file. If absent: the package in the library of the worker's R."
    )
    source: str = Field("", max_length=200, description="Where a file's matrices are from, for readers.")
    name: SetName = Field("vacalibration", description="What the set is called, to ask for it by.")
    version: SetName | None = Field(
        None, description="If absent: the source's own, or the next whole number for this name."
    )
    also_countries: NewNames = Field((), description="Countries that we do not know and that are meant.")
    also_algorithms: NewNames = Field((), description="Algorithms that we do not know and that are meant.")


class MatrixSetRecord(Contract):
    """A set of matrices."""

    id: str
    name: str
    version: str
    sha256: str = Field(description="Of the numbers: the same for the same matrices, whatever file they came in.")
    source: str
    imported_at: AwareDatetime
    shared: bool = Field(description="Whether it is everybody's: imported with a key of the tenant `system`.")
    count: int = Field(description="How many matrices it holds.")
    with_prior: int = Field(description="How many of them have Dirichlet parameters.")
    with_samples: int = Field(description="How many of them have samples.")
    age_groups: tuple[str, ...]
    algorithms: tuple[str, ...]
    countries: tuple[str, ...]


class ImportedMatrices(MatrixSetRecord):
    """A set that was just imported, or was there."""

    created: bool = Field(description="False: the same numbers were there already, as this set.")
    notes: tuple[str, ...] = Field(description="What of the source was left out.")


def facts_of(found: MatrixSet) -> dict[str, str | bool | int | datetime | tuple[str, ...]]:
    """Return the fields of a ``MatrixSetRecord``."""
    age_groups, algorithms, countries = (tuple(sorted({key[part] for key in found.keys})) for part in range(3))
    return {
        "id": found.id,
        "name": found.name,
        "version": found.version,
        "sha256": found.sha256,
        "source": found.source,
        "imported_at": found.imported_at,
        "shared": found.is_shared,
        "count": len(found.keys),
        "with_prior": found.with_prior,
        "with_samples": found.with_samples,
        "age_groups": age_groups,
        "algorithms": algorithms,
        "countries": countries,
    }


def imported(found: MatrixSet, inventory: Inventory, *, is_new: bool) -> ImportedMatrices:
    """Return what an import answers."""
    return ImportedMatrices.model_validate(facts_of(found) | {"created": is_new, "notes": inventory.notes})


IMPORT_SPEC = JobSpec(
    kind=IMPORT,
    queue=Queue.AI,
    request=ImportRequest,
    result=ImportedMatrices,
    summary="Import misclassification matrices: of the installed R package vacalibration, or of an uploaded file.",
    soft_limit_s=300,
    hard_limit_s=330,
    capabilities=frozenset({"r"}),
    example={"name": "vacalibration"},
)
