"""The tables by which Python and R talk, in one folder: see ``r/R/folder.R``.

Causes go by tokens (c1, c2, ...), so no name of anybody's has to survive R's encodings.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.intake import Intake

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Draws:
    """``fractions`` has shape (draws, causes, chains), ``density`` (draws, chains)."""

    fractions: npt.NDArray[np.float64]
    density: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answer:
    """What R found; rows as it wrote them, but with names of causes in place of tokens."""

    summary: tuple[Row, ...]
    fits: tuple[Row, ...]
    deaths: tuple[Row, ...]
    prepared: tuple[Row, ...]
    matrices: tuple[Row, ...]
    versions: Mapping[str, str]
    draws: Mapping[str, Draws]


class Tokens:
    """Causes and broad causes, by the tokens that stand for them."""

    def __init__(self, intake: Intake) -> None:
        names = [*intake.causes, *(intake.broad or ())]
        names += [cause for matrix in intake.matrices.values() for cause in matrix.causes]
        self._tokens = {name: f"c{number}" for number, name in enumerate(dict.fromkeys(names), start=1)}
        self._names = {token: name for name, token in self._tokens.items()}

    def token(self, name: str) -> str:
        """Return what stands for ``name``."""
        return self._tokens[name]

    def name(self, token: str) -> str:
        """Return what ``token`` stands for."""
        return self._names[token]


def write_request(folder: Path, request: CalibrationRequest, intake: Intake, *, cores: int) -> Tokens:
    """Leave the input of one run in ``folder``."""
    tokens = Tokens(intake)
    token = tokens.token
    _write(folder / "plan.csv", ("name", "value"), _plan(request, cores).items())
    _write(
        folder / "counts.csv",
        ("algorithm", "cause", "count"),
        (
            (name, token(cause), count)
            for name, counts in intake.counts.items()
            for cause, count in zip(intake.causes, counts, strict=True)
        ),
    )
    _write(
        folder / "matrices.csv",
        ("algorithm", "draw", "true", "va", "value"),
        (
            (name, draw, token(true), token(va), repr(value))
            for name, matrix in intake.matrices.items()
            for draw, square in enumerate(matrix.draws, start=1)
            for true, row in zip(matrix.causes, square, strict=True)
            for va, value in zip(matrix.causes, row, strict=True)
        ),
    )
    if intake.broad is not None:
        pairs = zip(intake.causes, intake.broad, strict=True)
        _write(folder / "map.csv", ("cause", "broad"), ((token(cause), token(broad)) for cause, broad in pairs))
    _write(
        folder / "excluded.csv",
        ("algorithm", "cause"),
        ((name, token(cause)) for name, causes in intake.excluded.items() for cause in causes),
    )
    return tokens


def _plan(request: CalibrationRequest, cores: int) -> dict[str, str]:
    values = {
        "type": request.missmat_type,
        "learn": request.donotcalib_type == "learn",
        "threshold": request.nocalib_threshold,
        "path_correction": request.path_correction,
        "shrinkage": shrinkage_of(request),
        "ensemble": has_ensemble(request),
        "seed": request.seed,
        "chains": request.chains,
        "cores": cores,
        "warmup": request.warmup,
        "draws": request.draws,
        "thin": request.thin,
        "adapt_delta": request.adapt_delta,
        "in_r": request.sampler == "r",
        "engine": request.engine,
    }
    return {name: str(value).upper() if isinstance(value, bool) else str(value) for name, value in values.items()}


def shrinkage_of(request: CalibrationRequest) -> float:
    """Return how strongly fractions are pulled to the observed ones: not at all with path correction."""
    if request.path_correction:
        return 0.0
    return 4.0 if request.pshrink_strength is None else request.pshrink_strength


def has_ensemble(request: CalibrationRequest) -> bool:
    """Whether all algorithms are fitted together too."""
    return request.ensemble and (request.use_example or len(request.va_data) > 1)


def read_answer(folder: Path, intake: Intake, tokens: Tokens) -> Answer:
    """Read what R left in ``folder``."""
    fits = _read(folder / "fits.csv")
    return Answer(
        summary=_named(_read(folder / "summary.csv"), tokens, ("cause",)),
        fits=fits,
        deaths=_named(_read(folder / "deaths.csv"), tokens, ("cause",)),
        prepared=_read(folder / "prepared.csv"),
        matrices=_named(_read(folder / "used.csv"), tokens, ("true", "va")),
        versions={row["name"]: row["version"] for row in _read(folder / "versions.csv")},
        draws={
            row["fit"]: _draws(folder / f"draws-{index}.bin", len(intake.causes), int(float(row["chains"])))
            for index, row in enumerate(fits, start=1)
            if row["calibrated"] == "TRUE"
        },
    )


def _draws(path: Path, causes: int, chains: int) -> Draws:
    numbers = np.fromfile(path, dtype="<f8")
    draws = len(numbers) // ((causes + 1) * chains)
    split = draws * causes * chains
    return Draws(
        numbers[:split].reshape((draws, causes, chains), order="F"),
        numbers[split:].reshape((draws, chains), order="F"),
    )


def _named(rows: Sequence[Row], tokens: Tokens, columns: Sequence[str]) -> tuple[Row, ...]:
    return tuple({**row, **{column: tokens.name(row[column]) for column in columns}} for row in rows)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def _read(path: Path) -> tuple[Row, ...]:
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(csv.DictReader(file))
