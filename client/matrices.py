"""Sets of misclassification matrices on the server: imported, listed, shown, drawn and deleted."""

import asyncio
import base64
import json
import os
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from client.calls import Call, parsed
from client.models import Record
from client.steps import Answer, Request

T = TypeVar("T")
_PATH = "/api/calibration/matrices"


class Matrix(Record):
    """One matrix. Rows are true causes, columns what the algorithm says, both in the order of ``causes``."""

    age_group: str
    algorithm: str
    country: str
    causes: tuple[str, ...]
    fixed: tuple[tuple[float, ...], ...]
    """Probabilities."""
    prior: tuple[tuple[float, ...], ...] | None = None
    """Dirichlet parameters of each row."""


class MatrixSet(Record):
    """A set of matrices."""

    id: str
    name: str
    version: str
    sha256: str = ""
    source: str = ""
    imported_at: datetime | None = None
    shared: bool = False
    """Everybody's to use."""
    count: int = 0
    with_prior: int = 0
    with_samples: int = 0
    age_groups: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    """Only where one set was asked for."""
    created: bool | None = None
    """Only after an import: False when the same numbers were there already, as this set."""
    notes: tuple[str, ...] = ()
    """Only after an import: what of the file was left out."""

    @property
    def title(self) -> str:
        """The name by which a calibration asks for it."""
        return f"{self.name}@{self.version}"


class Perform(Protocol):
    """Performs a call and returns what it reads."""

    def __call__(self, call: Call[T]) -> T:
        """Perform it."""
        ...


class AwaitPerform(Protocol):
    """Performs a call; what it reads is awaited."""

    def __call__(self, call: Call[T]) -> Awaitable[T]:
        """Perform it."""
        ...


class Matrices:
    """The sets of matrices that your calibrations may name; ``Switchyard.matrices`` is one."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    def list(self) -> list[MatrixSet]:
        """List the sets: your own, newest first, then those that are everybody's."""
        return self._perform(_list_call())

    def show(
        self, reference: str, *, age_group: str | None = None, algorithm: str | None = None, country: str | None = None
    ) -> MatrixSet:
        """Read a set (by id, name or ``name@version``) with its numbers, or with those of one age group and so on."""
        return self._perform(_show_call(reference, age_group=age_group, algorithm=algorithm, country=country))

    def add(
        self,
        file: str | os.PathLike[str],
        *,
        name: str | None = None,
        version: str | None = None,
        source: str | None = None,
        also_countries: Sequence[str] = (),
        also_algorithms: Sequence[str] = (),
    ) -> MatrixSet:
        """Import a CSV file, or an .rda or .rds file of the R package; importing it twice changes nothing.

        Args:
            name: what the set is called; else after the file.
            version: else the file's own, or the next whole number for this name.
            source: where the matrices are from, for readers; else the file's name.
            also_countries, also_algorithms: names that the server does not know and that are meant.
        Raises:
            InputRejected: the file has faults; ``errors`` names each with its line.
            Conflict: other matrices are there under this name and version.
        """
        path = Path(file)
        about = _about(path, name, version, source)
        lists = {"also_countries": list(also_countries), "also_algorithms": list(also_algorithms)}
        return self._perform(_add_call(path.read_bytes(), about | lists))

    def figure(
        self, reference: str, path: str | os.PathLike[str], *, age_group: str, algorithm: str, country: str
    ) -> Path:
        """Save one matrix as a heat map (SVG); return where it is."""
        wanted = _figure_call(reference, age_group=age_group, algorithm=algorithm, country=country)
        content = self._perform(wanted)
        target = Path(path)
        target.write_bytes(content)
        return target

    def delete(self, reference: str) -> None:
        """Delete a set of your own; jobs keep the matrices that they were accepted with."""
        self._perform(_delete_call(reference))


class AsyncMatrices:
    """What ``Matrices`` is, with ``await``; ``AsyncSwitchyard.matrices`` is one."""

    def __init__(self, perform: AwaitPerform) -> None:
        self._perform = perform

    async def list(self) -> list[MatrixSet]:
        """List the sets: your own, newest first, then those that are everybody's."""
        return await self._perform(_list_call())

    async def show(
        self, reference: str, *, age_group: str | None = None, algorithm: str | None = None, country: str | None = None
    ) -> MatrixSet:
        """Read a set with its numbers. See ``Matrices.show``."""
        return await self._perform(_show_call(reference, age_group=age_group, algorithm=algorithm, country=country))

    async def add(
        self,
        file: str | os.PathLike[str],
        *,
        name: str | None = None,
        version: str | None = None,
        source: str | None = None,
        also_countries: Sequence[str] = (),
        also_algorithms: Sequence[str] = (),
    ) -> MatrixSet:
        """Import a file; importing it twice changes nothing. Takes and raises what ``Matrices.add`` does."""
        path = Path(file)
        about = _about(path, name, version, source)
        lists = {"also_countries": [*also_countries], "also_algorithms": [*also_algorithms]}
        content = await asyncio.to_thread(path.read_bytes)
        return await self._perform(_add_call(content, about | lists))

    async def figure(
        self, reference: str, path: str | os.PathLike[str], *, age_group: str, algorithm: str, country: str
    ) -> Path:
        """Save one matrix as a heat map (SVG); return where it is."""
        wanted = _figure_call(reference, age_group=age_group, algorithm=algorithm, country=country)
        content = await self._perform(wanted)
        target = Path(path)
        await asyncio.to_thread(target.write_bytes, content)
        return target

    async def delete(self, reference: str) -> None:
        """Delete a set of your own; jobs keep the matrices that they were accepted with."""
        await self._perform(_delete_call(reference))


def _list_call() -> Call[list[MatrixSet]]:
    return Call(Request("GET", _PATH), _sets)


def _show_call(reference: str, **wanted: str | None) -> Call[MatrixSet]:
    return Call(Request("GET", _path(reference), _params(**wanted)), _set)


def _about(path: Path, name: str | None, version: str | None, source: str | None) -> dict[str, Any]:
    about: dict[str, Any] = {"name": name or name_of(path), "source": source or path.name}
    return about if version is None else about | {"version": version}


def _add_call(content: bytes, about: Mapping[str, Any]) -> Call[MatrixSet]:
    body = {**about, "file_base64": base64.b64encode(content).decode()}
    headers = {"content-type": "application/json"}
    request = Request("POST", _PATH, headers=headers, body=json.dumps(body).encode())
    return Call(request, _set, limit="submit")


def _figure_call(reference: str, **wanted: str | None) -> Call[bytes]:
    return Call(Request("GET", f"{_path(reference)}/figure.svg", _params(**wanted)), _body)


def _delete_call(reference: str) -> Call[bytes]:
    return Call(Request("DELETE", _path(reference)), _body, repeatable=False)


def name_of(path: Path) -> str:
    """Return a set's name made of a file's."""
    stem = "".join(one if one.isascii() and (one.isalnum() or one in "._-") else "-" for one in path.stem)
    return stem.lstrip("._-")[:100] or "matrices"


def _sets(answer: Answer) -> list[MatrixSet]:
    return list(parsed(_Listing, answer.json()).sets)


class _Listing(Record):
    sets: tuple[MatrixSet, ...]


def _set(answer: Answer) -> MatrixSet:
    return parsed(MatrixSet, answer.json())


def _body(answer: Answer) -> bytes:
    return answer.body


def _path(reference: str) -> str:
    return f"{_PATH}/{quote(reference, safe='')}"


def _params(**values: str | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in values.items() if value is not None)
