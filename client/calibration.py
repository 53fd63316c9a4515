"""A calibration as an object for notebooks: its numbers as a table, its report and figures as files."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from client.errors import NotFound
from client.models import Artifact, Job, Record

if TYPE_CHECKING:
    import pandas as pd

REPORT = "report.html"
_FIGURES = (".svg", ".png")


class Fraction(Record):
    """One cause of one fit: a row of the result."""

    fit: str
    """The algorithm, or ``ensemble``."""
    cause: str
    observed: int
    uncalibrated: float
    mean: float
    lower: float | None = None
    """2.5 % quantile; None where ``reason`` says why."""
    upper: float | None = None
    deaths: int
    status: str
    reason: str | None = None


class Yard(Protocol):
    """What a calibration needs of its client."""

    def wait(self, job_id: str, timeout_s: float | None = None, *, check: bool = True) -> Job:
        """Wait for a job's end."""
        ...

    def artifacts(self, job_id: str) -> list[Artifact]:
        """List a job's files."""
        ...

    def download(self, job_id: str, name: str, path: str | os.PathLike[str] | None = None) -> Path:
        """Fetch one file."""
        ...


class AsyncYard(Protocol):
    """The same of a client for asyncio."""

    async def wait(self, job_id: str, timeout_s: float | None = None, *, check: bool = True) -> Job:
        """Wait for a job's end."""
        ...

    async def artifacts(self, job_id: str) -> list[Artifact]:
        """List a job's files."""
        ...

    async def download(self, job_id: str, name: str, path: str | os.PathLike[str] | None = None) -> Path:
        """Fetch one file."""
        ...


class Calibration:
    """A calibration that was submitted. What asks for its outcome waits for its end first.

    Raises (all that wait): ``JobFailed`` or ``JobCancelled`` when it ended so.
    """

    def __init__(self, yard: Yard, job: Job) -> None:
        self._yard = yard
        self.job = job

    def __repr__(self) -> str:
        return f"<Calibration {self.job.id} {self.job.state}>"

    def _repr_html_(self) -> str:
        """Show the table in a notebook, once there is one; never wait for it."""
        return _as_html(self.job, repr(self))

    def wait(self, timeout_s: float | None = None) -> "Calibration":
        """Wait for the end; return this object.

        Raises:
            WaitTimedOut: the time is over; the job goes on.
        """
        if self.job.state != "succeeded":
            self.job = self._yard.wait(self.job.id, timeout_s)
        return self

    @property
    def result(self) -> dict[str, Any]:
        """The whole result, as the server tells it."""
        return dict(self.wait().job.result or {})

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know."""
        return tuple(self.result.get("notes", ()))

    def rows(self) -> list[Fraction]:
        """Return the fractions: by algorithm, then those of the ensemble, each cause a row."""
        return list(fractions(self.result))

    def csmf(self) -> "pd.DataFrame":
        """Return the fractions as a pandas DataFrame, with a row for each fit and cause; no interval is NaN.

        Raises:
            ModuleNotFoundError: pandas is not installed; ``rows`` needs none.
        """
        return _as_frame(self.rows())

    def report(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Fetch the report, one HTML file, to ``path`` (a file or a folder); return where it is."""
        return self._yard.download(self.wait().job.id, REPORT, path)

    def figures(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Fetch the figures into ``folder``, which is made if need be; return where they are.

        Raises:
            NotFound: it has none.
        """
        target = Path(folder)
        names = _figures_among(self._yard.artifacts(self.wait().job.id), self.job)
        target.mkdir(parents=True, exist_ok=True)
        return [self._yard.download(self.job.id, name, target) for name in names]


class AsyncCalibration:
    """A ``Calibration`` with ``await``: everything that asks for its outcome is awaited, and waits for its end first.

    Raises (all that wait): ``JobFailed`` or ``JobCancelled`` when it ended so.
    """

    def __init__(self, yard: AsyncYard, job: Job) -> None:
        self._yard = yard
        self.job = job

    def __repr__(self) -> str:
        return f"<AsyncCalibration {self.job.id} {self.job.state}>"

    def _repr_html_(self) -> str:
        """Show the table in a notebook, once there is one; never wait for it."""
        return _as_html(self.job, repr(self))

    async def wait(self, timeout_s: float | None = None) -> "AsyncCalibration":
        """Wait for the end; return this object.

        Raises:
            WaitTimedOut: the time is over; the job goes on.
        """
        if self.job.state != "succeeded":
            self.job = await self._yard.wait(self.job.id, timeout_s)
        return self

    async def result(self) -> dict[str, Any]:
        """Return the whole result, as the server tells it."""
        return dict((await self.wait()).job.result or {})

    async def notes(self) -> tuple[str, ...]:
        """Return what a reader must know."""
        return tuple((await self.result()).get("notes", ()))

    async def rows(self) -> list[Fraction]:
        """Return the fractions: by algorithm, then those of the ensemble, each cause a row."""
        return list(fractions(await self.result()))

    async def csmf(self) -> "pd.DataFrame":
        """Return the fractions as a pandas DataFrame; see ``Calibration.csmf``."""
        return _as_frame(await self.rows())

    async def report(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Fetch the report, one HTML file, to ``path`` (a file or a folder); return where it is."""
        return await self._yard.download((await self.wait()).job.id, REPORT, path)

    async def figures(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Fetch the figures into ``folder``, which is made if need be; return where they are.

        Raises:
            NotFound: it has none.
        """
        target = Path(folder)
        names = _figures_among(await self._yard.artifacts((await self.wait()).job.id), self.job)
        target.mkdir(parents=True, exist_ok=True)
        return [await self._yard.download(self.job.id, name, target) for name in names]


def fractions(result: Mapping[str, Any]) -> Iterator[Fraction]:
    """Yield the rows of a result: by algorithm, then those of the ensemble."""
    fits = dict(result.get("algorithms") or {})
    if result.get("ensemble"):
        fits["ensemble"] = result["ensemble"]
    for name, fit in fits.items():
        for cause in fit["causes"]:
            yield Fraction.model_validate({"fit": name, **cause})


def percent(row: Fraction) -> str:
    """Return mean and interval in percent: ``12.3 (10.1, 14.6)``; without an interval the mean alone."""
    mean = f"{100 * row.mean:.1f}"
    if row.lower is None or row.upper is None:
        return mean
    return f"{mean} ({100 * row.lower:.1f}, {100 * row.upper:.1f})"


def _as_frame(rows: Sequence[Fraction]) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415  # only whoever wants a DataFrame needs it

    frame = pd.DataFrame([row.model_dump() for row in rows], columns=list(Fraction.model_fields))
    return frame.astype({"lower": "float64", "upper": "float64"})


def _figures_among(files: Iterable[Artifact], job: Job) -> list[str]:
    names = [one.name for one in files if one.name.endswith(_FIGURES)]
    if not names:
        raise NotFound(f"job {job.id} left no figures")
    return names


def _as_html(job: Job, otherwise: str) -> str:
    if job.state != "succeeded":
        return f"<code>{escape(otherwise)}</code>"
    result = job.result or {}
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _shown(row))}</tr>" for row in fractions(result)
    )
    notes = "".join(f"<p>{escape(str(note))}</p>" for note in result.get("notes", ()))
    head = "".join(f"<th>{name}</th>" for name in ("fit", "cause", "observed %", "calibrated % (95 % interval)", ""))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{notes}"


def _shown(row: Fraction) -> tuple[str, ...]:
    return row.fit, row.cause, f"{100 * row.uncalibrated:.1f}", percent(row), row.reason or ""
