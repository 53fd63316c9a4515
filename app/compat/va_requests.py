"""What the older VA calibration service was asked, as parameters of ``calibration.va``."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.compat.va_words import ours
from app.errors import FieldsRejected, Refusal
from app.inputs import Input, Text
from tasks.calibration.causes import BROAD_CAUSES, AgeGroup
from tasks.calibration.example import EXAMPLE_DEATHS
from tasks.calibration.terms import MAX_ALGORITHMS, AlgorithmName

# Its names for the data that it came with. Ours is invented, and says so in each result.
SAMPLES = ("example", "comsamoz_broad", "comsamoz_specific", "comsamoz_public_broad", "comsamoz_public_openVAout")
_EXAMPLE, _EXAMPLE_ALGORITHM, _EXAMPLE_AGE = "use_example", "insilicova", "neonate"

Format = Literal["specific_causes", "broad_causes", "death_counts"]


class KeyQuery(Input):
    """What every call may bring."""

    api_key: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="The API key, where no header can be sent: it may end in others' logs."
    )


class VACalibration(Input):
    """A calibration as its clients ask for one; every mode takes the same fields."""

    va_data: dict[AlgorithmName, Any] | None = Field(
        None,
        max_length=MAX_ALGORITHMS,
        description="By algorithm: records with `id` and `cause`, rows of 0 and 1 over the age group's broad causes "
        'in their order, deaths by broad cause (a list in that order, or an object), or "use_example". Absent: the '
        "example of insilicova.",
    )
    age_group: AgeGroup = "neonate"
    country: Annotated[Text, Field(min_length=1, max_length=100)] = "Mozambique"
    mmat_type: Literal["prior", "fixed"] = "prior"
    ensemble: bool = True
    is_async: bool = Field(False, alias="async", description="Of `POST /calibrate` alone.")
    data_source: Literal["sample", "custom"] | None = None
    sample_dataset: (
        Literal["example", "comsamoz_broad", "comsamoz_specific", "comsamoz_public_broad", "comsamoz_public_openVAout"]
        | None
    ) = Field(None, description="All of them stand for the invented example.")
    data_format: Format | None = Field(None, description="Refused where it is not the data's.")
    priority: int = Field(5, ge=1, le=10, description="10 is the most urgent.")
    timeout_minutes: int = Field(30, ge=1, le=120)
    use_cache: bool = False


def body_of(asked: VACalibration) -> dict[str, Any]:
    """Return the body of our own submission.

    Raises:
        FieldsRejected: it asks for an example that there is not, or for one beside data of its own.
    """
    wanted = _example_algorithms(asked)
    labels = {"dialect": "va", "age_group": asked.age_group, "country": asked.country}
    if wanted is None:
        params = _custom(asked)
    else:
        labels["algorithms"] = ",".join(wanted)
        params = {"use_example": True, "ensemble": asked.ensemble and len(wanted) > 1}
    return {
        "params": params | {"use_cache": asked.use_cache},
        "priority": ours(asked.priority),
        "timeout_s": asked.timeout_minutes * 60.0,
        "labels": labels,
    }


def _example_algorithms(asked: VACalibration) -> tuple[str, ...] | None:
    """Return which algorithms of the example are meant; None when the request brings data."""
    data = asked.va_data or {_EXAMPLE_ALGORITHM: _EXAMPLE}
    marked = [name for name, value in data.items() if value == _EXAMPLE]
    if not marked:
        if asked.data_source == "sample":
            raise _refused("data_source", "It says sample, but va_data brings data.")
        return None
    if len(marked) < len(data):
        raise _refused("va_data", 'Either all algorithms are "use_example", or none.')
    absent = [name for name in marked if name not in EXAMPLE_DEATHS]
    if absent:
        has = " and ".join(EXAMPLE_DEATHS)
        raise _refused(f"va_data.{absent[0]}", f"There is no example of {absent[0]}: there are {has}.")
    if asked.age_group != _EXAMPLE_AGE:
        raise _refused("age_group", f"The example is of a {_EXAMPLE_AGE}: send data for {asked.age_group}.")
    if asked.mmat_type != "prior":
        raise _refused("mmat_type", "The example has matrices of its own, of the type prior.")
    return tuple(marked)


def _custom(asked: VACalibration) -> dict[str, Any]:
    causes = BROAD_CAUSES[asked.age_group]
    data = {name: shape_of(value, causes, name=name) for name, value in (asked.va_data or {}).items()}
    for name, (form, _) in data.items():
        if asked.data_format not in {None, form}:
            raise _refused("data_format", f"The data of {name} are {form}.")
    return {
        "va_data": {name: deaths for name, (_, deaths) in data.items()},
        "age_group": asked.age_group,
        "country": asked.country,
        "missmat_type": asked.mmat_type,
        "ensemble": asked.ensemble,
    }


def shape_of(value: object, causes: tuple[str, ...], *, name: str) -> tuple[Format, dict[str, Any]]:
    """Return the format of one algorithm's deaths, and the deaths as our contract has them.

    Raises:
        FieldsRejected: they are in no shape that is known.
    """
    rows = value if isinstance(value, list) else []
    if rows and isinstance(rows[0], dict):
        return "specific_causes", {"records": [_record(row, name, n) for n, row in enumerate(rows)]}
    if rows and isinstance(rows[0], list):
        return "broad_causes", {"matrix": {"causes": list(causes), "rows": rows}}
    if rows and isinstance(rows[0], int):
        if len(rows) != len(causes):
            listed = ", ".join(causes)
            raise _refused(f"va_data.{name}", f"There are {len(rows)} counts for {len(causes)} causes: {listed}.")
        return "death_counts", {"counts": dict(zip(causes, rows, strict=True))}
    if isinstance(value, dict) and value:
        return "death_counts", {"counts": value}
    raise _refused(
        f"va_data.{name}", "Send records with id and cause, rows of 0 and 1, counts of deaths, or use_example."
    )


def _record(row: object, name: str, n: int) -> dict[str, Any]:
    if not isinstance(row, dict) or "cause" not in row or not {"id", "ID"} & set(row):
        raise _refused(f"va_data.{name}.{n}", "Each record needs an id and a cause.")
    return {"id": row.get("id", row.get("ID")), "cause": row["cause"]}


def _refused(field: str, message: str) -> FieldsRejected:
    return FieldsRejected([Refusal(field=field, message=message)])
