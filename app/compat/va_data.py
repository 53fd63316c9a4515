"""The older VA calibration service's paths about data: the example, names of causes, and what is wrong with a table."""

from collections import Counter
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import BaseModel, Field, RootModel, ValidationError

from app.answers import json_answer
from app.auth import tenant_id
from app.compat.va_requests import KeyQuery, shape_of
from app.compat.va_words import described, va_paths
from app.errors import FieldsRejected, rejected
from app.inputs import WHOLE_NUMBER, Input, Text
from app.openapi import answer
from app.services import services
from tasks.calibration import store
from tasks.calibration.causes import BROAD_CAUSES, AgeGroup, cause_table, normalised, spelled_causes
from tasks.calibration.deaths import CauseNames, DeathsRefused, advice, count_deaths
from tasks.calibration.example import EXAMPLE_DEATHS, EXAMPLE_MATRICES, NOTE
from tasks.calibration.reading import MAX_ROWS
from tasks.calibration.shapes import AlgorithmDeaths
from tasks.calibration.shelf import MatrixSet, find_set
from tasks.calibration.terms import KIND, MAX_ALGORITHMS
from tasks.core.errors import NotFound

aliases = va_paths("va_data")
bp = aliases.blueprint

_CATALOGUE = f"/api/kinds/{KIND}"
_PREVIEW = "/api/calibration/preview"
_EXAMPLE, _EXAMPLE_AGE = "example", "neonate"
_NOT_HERE = "Not part of this service: it ships no data or matrices of any study."
# The data that the older service came with.
_ITS_OWN: dict[str, str] = {
    "comsamoz_public_broad": "neonate",
    "comsamoz_public_openVAout": "neonate",
    "Mmat_champs": "both",
}
_FORMATS = ("specific_causes", "broad_causes", "death_counts")


class AgePath(Input):
    """Whose causes."""

    age_group: AgeGroup


class DatasetPath(Input):
    """Which data."""

    dataset_id: str


class PreviewQuery(KeyQuery):
    """How much of it."""

    limit: Annotated[int, Field(ge=1, le=1000), WHOLE_NUMBER] = 10


class VARecord(Input):
    """One death."""

    id: Annotated[Text, Field(min_length=1, max_length=50)]
    cause: Annotated[Text, Field(max_length=100)]


class VAConversion(Input):
    """Which causes to translate."""

    data: list[VARecord] = Field(min_length=1, max_length=MAX_ROWS)
    age_group: AgeGroup


class VATables(Input):
    """Which tables to look at."""

    data: dict[str, Any] = Field(max_length=MAX_ALGORITHMS, description="By algorithm, as in `va_data`.")
    age_group: AgeGroup
    expected_format: Literal["auto", "specific_causes", "broad_causes", "death_counts"] = "auto"


class VADataset(BaseModel):
    """Data that may be there."""

    name: str
    file_path: str
    exists: bool
    age_group: str
    description: str
    sample_size: int | None = None
    causes: list[str] | None = None


class VADatasets(RootModel[list[VADataset]]):
    """All of them."""


class VAExamples(RootModel[dict[str, dict[str, Any]]]):
    """Example data by what it is for."""


class VADatasetPreview(BaseModel):
    """A look at data."""

    dataset_id: str
    sample_data: list[dict[str, str | int]]
    total_records: int
    columns: list[str]
    statistics: dict[str, Any]
    metadata: dict[str, Any]


class VAConfigurations(BaseModel):
    """What can be asked for."""

    algorithms: list[str] = Field(
        description="Of the set of matrices that a request uses; of the example where none was imported."
    )
    age_groups: list[str]
    countries: list[str] = Field(description="Of the same set; none where none was imported.")
    mmat_types: list[str]
    input_formats: list[str]


class VACauseMapping(BaseModel):
    """One name and the broad cause that it belongs to."""

    specific_cause: str
    broad_cause: str
    age_group: str


class VACauseMappings(BaseModel):
    """All names of an age group."""

    age_group: str
    broad_causes: list[str]
    mappings: list[VACauseMapping]
    total_mappings: int


class VAConverted(BaseModel):
    """Deaths with their broad causes."""

    converted_data: list[dict[str, str]] = Field(description="Each with `id`, `cause` and `broad_cause`.")
    broad_cause_matrix: dict[str, list[int]] = Field(description="By broad cause, a 0 or 1 for each converted death.")
    conversion_summary: dict[str, int]
    unmapped_causes: list[str]


class VAVerdict(BaseModel):
    """What is to be said of one algorithm's table."""

    algorithm: str
    is_valid: bool
    detected_format: str
    issues: list[str]
    recommendations: list[str]
    sample_size: int | None
    cause_distribution: dict[str, int] | None


class VAVerdicts(BaseModel):
    """What is to be said of all tables."""

    overall_valid: bool
    validation_results: list[VAVerdict]
    global_issues: list[str]
    recommendations: list[str]


MODELS: tuple[type[BaseModel], ...] = (
    *(VADatasets, VADataset, VAExamples, VADatasetPreview, VAConfigurations, VACauseMapping, VACauseMappings),
    *(VAConverted, VAVerdict, VAVerdicts),
)
REQUESTS: tuple[type[BaseModel], ...] = (VAConversion, VARecord, VATables)


@aliases.route(
    "GET", "/datasets", successor=_CATALOGUE, responses={200: answer(VADatasets, "All."), **described(401, 503)}
)
def list_datasets() -> Response:
    """List sample data: the example, and what the older service came with, which is not here."""
    causes = _example_causes()
    example = VADataset(
        name=_EXAMPLE,
        file_path="",
        exists=True,
        age_group=_EXAMPLE_AGE,
        description=NOTE,
        sample_size=sum(sum(counts.values()) for counts in _example_counts().values()),
        causes=causes,
    )
    absent = [
        VADataset(name=name, file_path="", exists=False, age_group=age, description=_NOT_HERE)
        for name, age in _ITS_OWN.items()
    ]
    return json_answer(VADatasets([example, *absent]))


@aliases.route(
    "GET",
    "/example-data",
    successor=_CATALOGUE,
    responses={200: answer(VAExamples, "What there is."), **described(401, 503)},
)
def describe_example() -> Response:
    """Describe the example data."""
    example = {"dataset": _EXAMPLE, "file": "", "exists": True, "description": NOTE, "causes": _example_causes()}
    absent = {"dataset": "comsamoz_public_openVAout", "file": "", "exists": False, "description": _NOT_HERE}
    return json_answer(VAExamples({_EXAMPLE_AGE: example, "specific_causes": absent}))


@aliases.route(
    "GET",
    "/datasets/<string:dataset_id>/preview",
    successor=_CATALOGUE,
    responses={200: answer(VADatasetPreview, "Its first rows."), **described(401, 404, 422, 503)},
)
def preview_dataset(path: DatasetPath, query: PreviewQuery) -> Response:
    """Look at the example data: deaths by algorithm and cause."""
    if path.dataset_id != _EXAMPLE:
        what = _NOT_HERE if path.dataset_id in _ITS_OWN else f"There is {_EXAMPLE!r} only."
        raise NotFound(f"Dataset {path.dataset_id[:100]!r} not found. {what}")
    rows = [
        {"algorithm": name, "cause": cause, "count": n}
        for name, counts in _example_counts().items()
        for cause, n in counts.items()
    ]
    return json_answer(
        VADatasetPreview(
            dataset_id=_EXAMPLE,
            sample_data=rows[: query.limit],
            total_records=len(rows),
            columns=["algorithm", "cause", "count"],
            statistics={
                name: {"total_deaths": sum(counts.values()), "cause_distribution": counts}
                for name, counts in _example_counts().items()
            },
            metadata={"age_group": _EXAMPLE_AGE, "description": NOTE, "is_example": True},
        )
    )


def _example_causes() -> list[str]:
    return list(next(iter(EXAMPLE_MATRICES.values())).causes)


def _example_counts() -> dict[str, dict[str, int]]:
    return {
        name: dict(count_deaths(deaths, CauseNames(_example_causes(), own={}, age_group=None)).counts)
        for name, deaths in EXAMPLE_DEATHS.items()
    }


@aliases.route(
    "GET",
    "/supported-configurations",
    successor=_CATALOGUE,
    responses={200: answer(VAConfigurations, "What can be asked for."), **described(401, 503)},
)
def list_configurations() -> Response:
    """List what can be asked for: with the matrices that were imported, or of the example alone."""
    return json_answer(_configurations(find_set(store.list_sets(services().kernel.ledger, tenant_id()), None)))


def _configurations(kept: MatrixSet | None) -> VAConfigurations:
    if kept is None:
        return VAConfigurations(
            algorithms=list(EXAMPLE_DEATHS),
            age_groups=[_EXAMPLE_AGE],
            countries=[],
            mmat_types=["prior"],
            input_formats=list(_FORMATS),
        )
    groups = {group for group, _, _ in kept.keys}
    return VAConfigurations(
        algorithms=sorted({algorithm for _, algorithm, _ in kept.keys}),
        age_groups=[group for group in BROAD_CAUSES if group in groups],
        countries=sorted({country for _, _, country in kept.keys}),
        mmat_types=["prior", "fixed"] if kept.with_prior else ["fixed"],
        input_formats=list(_FORMATS),
    )


@aliases.route(
    "GET",
    "/cause-mappings/<string:age_group>",
    successor=_CATALOGUE,
    responses={200: answer(VACauseMappings, "All names."), **described(401, 422, 503)},
)
def list_cause_mappings(path: AgePath) -> Response:
    """List the names of causes and the broad causes that they belong to."""
    names = spelled_causes(path.age_group)
    mappings = [
        VACauseMapping(specific_cause=name, broad_cause=broad, age_group=path.age_group)
        for name, broad in names.items()
    ]
    return json_answer(
        VACauseMappings(
            age_group=path.age_group,
            broad_causes=list(BROAD_CAUSES[path.age_group]),
            mappings=mappings,
            total_mappings=len(mappings),
        )
    )


@aliases.route(
    "POST",
    "/convert/causes",
    successor=_PREVIEW,
    responses={200: answer(VAConverted, "Converted."), **described(400, 401, 413, 415, 422, 503)},
)
def convert_causes(body: VAConversion) -> Response:
    """Translate causes to the broad causes of an age group."""
    table = cause_table(body.age_group)
    found = [(row, table.get(normalised(row.cause))) for row in body.data]
    converted = [(row, broad) for row, broad in found if broad is not None]
    causes = BROAD_CAUSES[body.age_group]
    counts = Counter(broad for _, broad in converted)
    return json_answer(
        VAConverted(
            converted_data=[{"id": row.id, "cause": row.cause, "broad_cause": broad} for row, broad in converted],
            broad_cause_matrix={cause: [int(broad == cause) for _, broad in converted] for cause in causes},
            conversion_summary={cause: counts[cause] for cause in causes},
            unmapped_causes=list(dict.fromkeys(row.cause for row, broad in found if broad is None)),
        )
    )


@aliases.route(
    "POST",
    "/validate",
    successor=_PREVIEW,
    responses={200: answer(VAVerdicts, "What there is to say."), **described(400, 401, 413, 415, 422, 503)},
)
def validate_tables(body: VATables) -> Response:
    """Say what is wrong with tables of deaths, and what could be better."""
    verdicts = [_verdict(name, value, body) for name, value in body.data.items()]
    totals = {verdict.algorithm: verdict.sample_size for verdict in verdicts if verdict.sample_size}
    return json_answer(
        VAVerdicts(
            overall_valid=bool(verdicts) and all(verdict.is_valid for verdict in verdicts),
            validation_results=verdicts,
            global_issues=[] if verdicts else ["No algorithm data provided"],
            recommendations=[told for told in advice(totals) if ":" not in told] if len(totals) > 1 else [],
        )
    )


def _verdict(name: str, value: object, body: VATables) -> VAVerdict:
    causes = BROAD_CAUSES[body.age_group]
    form, issues, counts = "unknown", [], None
    try:
        form, shaped = shape_of(value, causes, name=name)
        deaths = AlgorithmDeaths.model_validate(shaped).read()
        counts = dict(count_deaths(deaths, CauseNames(causes, own={}, age_group=body.age_group)).counts)
    except FieldsRejected as exc:
        issues = [refusal.message for refusal in exc.refusals]
    except ValidationError as exc:
        issues = [f"{refusal.field}: {refusal.message}" for refusal in rejected(exc).refusals]
    except DeathsRefused as exc:
        issues = list(exc.problems)
    if body.expected_format not in {"auto", form}:
        issues.append(f"The data are {form}, not {body.expected_format}.")
    total = None if counts is None else sum(counts.values())
    return VAVerdict(
        algorithm=name,
        is_valid=not issues,
        detected_format=form,
        issues=issues,
        recommendations=advice({name: total}) if total else [],
        sample_size=total,
        cause_distribution=counts,
    )
