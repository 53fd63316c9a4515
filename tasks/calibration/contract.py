"""What a calibration is asked. Light to import: the web process loads this module.

Everything about a request is checked here, before it is queued: see ``intake``.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from tasks.calibration.causes import AgeGroup
from tasks.calibration.deaths import Deaths
from tasks.calibration.example import EXAMPLE_DEATHS, EXAMPLE_MATRICES
from tasks.calibration.importing import IMPORT_SPEC
from tasks.calibration.intake import MAX_CAUSES, Intake, IntakeRefused, Matrix, Place, take_in
from tasks.calibration.inventory import POOLED
from tasks.calibration.reading import TableRefused
from tasks.calibration.results import CalibrationResult
from tasks.calibration.shapes import AlgorithmDeaths
from tasks.calibration.shelf import SHELF, MatrixPin, Shelf, Wanted, bad_choice, choose
from tasks.calibration.terms import KIND, MAX_ALGORITHMS, AlgorithmName, Cause, Probability
from tasks.core.spec import Contract, JobSpec, OpenUpload, Option, Queue

MAX_DRAWS = 20_000
MAX_ITERATIONS = 200_000
MAX_SAMPLES = 2000
# Rows of probabilities may be rounded.
_ROW_TOLERANCE = 0.01
_POOLED_NOTE = "Country other: the matrices pooled over countries were used, not those of one country."

Entry = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Row = Annotated[tuple[Entry, ...], Field(min_length=2, max_length=MAX_CAUSES)]
Square = Annotated[tuple[Row, ...], Field(min_length=2, max_length=MAX_CAUSES)]


class MisclassificationMatrix(Contract):
    """How an algorithm errs: row i says what it answers where the true cause is ``causes[i]``."""

    causes: tuple[Cause, ...] = Field(min_length=2, max_length=MAX_CAUSES, description="Order of rows and columns.")
    rows: Square | None = Field(None, description="Dirichlet parameters (prior) or probabilities (fixed).")
    samples: tuple[Square, ...] | None = Field(
        None, min_length=2, max_length=MAX_SAMPLES, description="Sampled matrices of probabilities (samples)."
    )

    @model_validator(mode="after")
    def _is_square(self) -> Self:
        if (self.rows is None) == (self.samples is None):
            raise ValueError("needs either rows or samples")
        if len({cause.casefold() for cause in self.causes}) < len(self.causes):
            raise ValueError("names a cause twice")
        size = len(self.causes)
        for square in self.draws:
            if len(square) != size or any(len(row) != size for row in square):
                raise ValueError(f"needs {size} rows of {size} numbers, one for each of causes")
        return self

    @property
    def draws(self) -> tuple[tuple[tuple[float, ...], ...], ...]:
        """The matrices: one, or the samples."""
        return self.samples if self.samples is not None else (self.rows or (),)

    def problem(self, kind: str) -> str | None:
        """Say why the matrix is none of ``kind`` (prior, fixed or samples), if it is not."""
        if (kind == "samples") != (self.samples is not None):
            return f"missmat_type is {kind!r}, so it needs {'samples' if kind == 'samples' else 'rows'}."
        if kind == "prior":
            if any(value <= 0 for row in self.draws[0] for value in row):
                return "Dirichlet parameters must be above 0."
            return None
        for square in self.draws:
            for cause, row in zip(self.causes, square, strict=True):
                if abs(sum(row) - 1) > _ROW_TOLERANCE:
                    hint = "; Dirichlet parameters have missmat_type 'prior'" if kind == "fixed" else ""
                    return f"The row of {cause!r} sums to {sum(row):.4g}, not to 1{hint}."
        return None


class CalibrationRequest(Contract):
    """Calibrate the causes that one or several algorithms assigned to the same population's deaths."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "va_data": {"eava": {"counts": {"malaria": 120, "pneumonia": 80}}},
                    "missmat": {"eava": {"causes": ["malaria", "pneumonia"], "rows": [[30, 6], [4, 25]]}},
                }
            ]
        }
    )

    va_data: dict[AlgorithmName, AlgorithmDeaths] = Field(
        {}, max_length=MAX_ALGORITHMS, description="Deaths by algorithm."
    )
    use_example: bool = Field(False, description="Calibrate a small invented data set instead of va_data.")
    missmat: dict[AlgorithmName, MisclassificationMatrix] | None = Field(
        None, max_length=MAX_ALGORITHMS, description="A misclassification matrix for each algorithm of va_data."
    )
    country: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        None,
        description="Whose matrices to take from those that were imported, instead of missmat; `other` for the pooled "
        "ones. Needs age_group.",
    )
    matrices: Annotated[str, Field(min_length=1, max_length=201)] | MatrixPin | None = Field(
        None, description="The set that country is looked up in: its name, `name@version` or id; the newest if absent."
    )
    missmat_type: Literal["prior", "fixed", "samples"] = Field(
        "prior", description="Whether matrices are Dirichlet parameters, exact probabilities, or samples of matrices."
    )
    age_group: AgeGroup | None = Field(
        None, description="Whose broad causes the algorithms' cause names are translated to; none: no translation."
    )
    cause_map: dict[Cause, Cause] = Field(
        {}, max_length=500, description="Translations of your own, name to cause; they go before the built-in ones."
    )
    studycause_map: dict[Cause, Cause] | None = Field(
        None, min_length=2, max_length=MAX_CAUSES, description="Study cause to cause of the matrix, where they differ."
    )
    donotcalib: dict[AlgorithmName, tuple[Cause, ...]] | None = Field(
        None, max_length=MAX_ALGORITHMS, description="Causes left as observed. If absent: one named other."
    )
    donotcalib_type: Literal["learn", "fixed"] = Field(
        "learn", description="`learn` also leaves causes whose column hardly varies over the true causes."
    )
    nocalib_threshold: Probability = Field(0.1, description="Range of a column up to which it hardly varies.")
    path_correction: bool = Field(True, description="Shrink matrices to the identity until fractions are feasible.")
    pshrink_strength: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] | None = Field(
        None, description="Pull to the observed fractions without path correction; 4 if absent."
    )
    ensemble: bool = Field(True, description="Also fit all algorithms together, where there are several.")
    draws: int = Field(2500, ge=100, le=MAX_DRAWS, description="Draws kept of each chain.")
    warmup: int = Field(1000, ge=100, le=MAX_DRAWS, description="Iterations of each chain before the first is kept.")
    thin: int = Field(1, ge=1, le=100, description="Iterations from one kept draw to the next.")
    chains: int = Field(4, ge=1, le=8)
    cores: int | None = Field(None, ge=1, le=8, description="Chains run at a time; as many as fit if absent.")
    adapt_delta: float = Field(0.8, ge=0.6, le=0.99, description="Acceptance that the step size is tuned for.")
    seed: int = Field(1, ge=0, le=2**31 - 1, description="The same seed and input give the same numbers.")
    sampler: Literal["c", "r"] = Field("c", description="`r`: the same sampler in plain R, far slower.")
    draw_figures: bool = Field(True, description="Draw figures; without them the answer comes sooner.")
    save_draws: bool = Field(True, description="Keep every draw as an artifact.")
    engine: Literal["switchyard-r", "vacalibration"] = Field(
        "switchyard-r", description="`vacalibration`: the published R package, where a worker has it; far slower."
    )
    use_cache: bool = Field(
        True, description="Answer from an earlier job of yours that had the same input, parameters and seed."
    )

    @model_validator(mode="after")
    def _fits(self, info: ValidationInfo) -> Self:
        problems = [*self._bad_knobs(), *self._bad_data()]
        if problems:
            raise _refusal(problems)
        try:
            request = self._with_kept_matrices((info.context or {}).get(SHELF))
        except IntakeRefused as exc:
            raise _refusal(exc.problems) from exc
        if not any(sent.upload for sent in request.va_data.values()):
            request.check_uploads(None)
        return request

    @property
    def pin(self) -> MatrixPin | None:
        """The set of kept matrices that this was accepted with, if it was."""
        return self.matrices if isinstance(self.matrices, MatrixPin) else None

    def _with_kept_matrices(self, shelf: Shelf | None) -> Self:
        if self.country is None or self.age_group is None or (shelf is None and self.missmat is not None):
            return self
        asked = Wanted(self.matrices, tuple(self.va_data), self.age_group, self.country, self.missmat_type)
        choice = choose(shelf, asked)
        missmat = {name: MisclassificationMatrix(**one) for name, one in choice.sent.items()}
        return self.model_copy(update={"missmat": missmat, "country": choice.country, "matrices": choice.pin})

    def check_uploads(self, open_upload: OpenUpload | None) -> None:
        """Check what is known only once all deaths are read.

        Raises:
            ValidationError: deaths, matrices and names do not fit together, each told with its field.
        """
        try:
            self.take_in(open_upload)
        except IntakeRefused as exc:
            raise _refusal(exc.problems) from exc

    def _bad_knobs(self) -> list[tuple[Place, str]]:
        problems: list[tuple[Place, str]] = []
        if self.draws * self.chains > MAX_DRAWS:
            problems.append((("draws",), f"draws x chains is {self.draws * self.chains:,}; at most {MAX_DRAWS:,}."))
        if self.warmup + self.draws * self.thin > MAX_ITERATIONS:
            problems.append((("thin",), f"warmup + draws x thin is over {MAX_ITERATIONS:,} iterations."))
        if self.engine == "vacalibration" and self.sampler == "r":
            problems.append((("sampler",), "It belongs to the engine 'switchyard-r'; the package samples with Stan."))
        if self.path_correction and self.pshrink_strength:
            problems.append((("pshrink_strength",), "It has no effect with path_correction; send one of the two."))
        return problems

    def _bad_data(self) -> list[tuple[Place, str]]:
        if self.use_example:
            others = (self.missmat, self.country, self.matrices)
            if self.va_data or any(one is not None for one in others) or self.missmat_type != "prior":
                return [(("use_example",), "The example has deaths and matrices (prior) of its own; send no others.")]
            return []
        if not self.va_data:
            return [(("va_data",), "Required: deaths by algorithm.")]
        if "ensemble" in {name.casefold() for name in self.va_data}:
            return [(("va_data", "ensemble"), "The name is taken: it stands for all algorithms together.")]
        if len({name.casefold() for name in self.va_data}) < len(self.va_data):
            return [(("va_data",), "Two algorithms have the same name but for case.")]
        return [
            *bad_choice(self.country, self.matrices, age_group=self.age_group, has_own=self.missmat is not None),
            *self._bad_matrices(),
        ]

    def _bad_matrices(self) -> list[tuple[Place, str]]:
        return [
            (("missmat", name), problem)
            for name, matrix in (self.missmat or {}).items()
            if (problem := matrix.problem(self.missmat_type))
        ]

    _taken_in: Intake | None = PrivateAttr(None)

    def take_in(self, open_upload: OpenUpload | None = None) -> Intake:
        """Count deaths and resolve names, once; ``open_upload`` is needed where deaths were uploaded.

        Raises:
            IntakeRefused: they do not fit together; never, once the request was accepted.
        """
        if self._taken_in is None:
            self._taken_in = self._intake(open_upload)
        return self._taken_in

    def _intake(self, open_upload: OpenUpload | None) -> Intake:
        if self.use_example:
            deaths, matrices = dict(EXAMPLE_DEATHS), dict(EXAMPLE_MATRICES)
        else:
            deaths = self._read_all(open_upload)
            matrices = {name: Matrix(sent.causes, sent.draws) for name, sent in (self.missmat or {}).items()}
        taken = take_in(
            deaths,
            matrices,
            age_group=self.age_group,
            cause_map=self.cause_map,
            studycause_map=self.studycause_map,
            donotcalib=self.donotcalib,
        )
        if self.country == POOLED:
            return replace(taken, notes=(*taken.notes, _POOLED_NOTE))
        return taken

    def _read_all(self, open_upload: OpenUpload | None) -> dict[str, Deaths]:
        deaths: dict[str, Deaths] = {}
        problems: list[tuple[Place, str]] = []
        for name, sent in self.va_data.items():
            try:
                deaths[name] = sent.read(open_upload)
            except TableRefused as exc:
                problems.append((("va_data", name), f"{sent.title} {exc}"))
        if problems:
            raise IntakeRefused(problems)
        return deaths


def _refusal(problems: Sequence[tuple[Place, str]]) -> ValidationError:
    return ValidationError.from_exception_data("CalibrationRequest", [_detail(*problem) for problem in problems])


def _detail(place: Place, message: str) -> InitErrorDetails:
    # A message may hold braces of somebody's data, which would be taken for fields of a template.
    error = PydanticCustomError("calibration", "{problem}", {"problem": message})
    return InitErrorDetails(type=error, loc=place, input=None)


SPECS = (
    JobSpec(
        kind=KIND,
        queue=Queue.AI,
        request=CalibrationRequest,
        result=CalibrationResult,
        summary="Correct cause-specific mortality fractions for the known errors of verbal-autopsy algorithms.",
        soft_limit_s=7200,
        hard_limit_s=7300,
        capabilities=frozenset({"r"}),
        check_uploads=CalibrationRequest.check_uploads,
        options=(Option("engine", "vacalibration", "vacalibration"),),
        example={"use_example": True},
    ),
    IMPORT_SPEC,
)
