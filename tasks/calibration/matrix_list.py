"""Matrices from R's nested list ``[[age group]][[algorithm]][[estimate]][[country]]``, as the package keeps them.

Its name is ``CCVA_missmat`` in vacalibration 2.2 and in the authors' releases, ``Mmat_champs`` before.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.calibration.causes import BROAD_CAUSES
from tasks.calibration.inventory import (
    MAX_KEPT_SAMPLES,
    Draft,
    Inventory,
    InventoryRefused,
    Key,
    Names,
    Square,
    finished,
)
from tasks.calibration.rdata import RDataRefused, RVector, read_rdata

OBJECTS = ("CCVA_missmat", "Mmat_champs")
LABELS = {"prior": "asDirich", "fixed": "postmean"}
_SAMPLES, _SUMMARY, _VERSION = "postsamples", "postsumm", "version"
_EXPECTED = f"expected the list {' or '.join(OBJECTS)}, by age group, algorithm, estimate and country"


def read_matrix_list(content: bytes, names: Names) -> Inventory:
    """Return the matrices of an .rda or .rds file.

    Raises:
        InventoryRefused: it is not of this form, or a matrix of it is wrong.
    """
    try:
        objects = read_rdata(content)
    except RDataRefused as exc:
        raise InventoryRefused([f"The file {exc}."]) from exc
    found = [objects[name] for name in OBJECTS if name in objects] or list(objects.values())
    if len(found) != 1 or not isinstance(found[0], RVector) or not found[0].names:
        listed = ", ".join(sorted(objects)[:10]) or "nothing"
        raise InventoryRefused([f"The file holds {listed}: {_EXPECTED}."])
    reading = _Reading(names)
    drafts = list(reading.drafts(found[0].named()))
    if reading.problems:
        raise InventoryRefused(reading.problems)
    return finished(drafts, LABELS, version=reading.version, notes=reading.notes)


class _Reading:
    """One list, while it is read; ``problems`` and ``notes`` gather on the way."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.version: str | None = None
        self.problems: list[str] = []
        self.notes: list[str] = []

    def drafts(self, groups: Mapping[str, Any]) -> Iterator[Draft]:
        """Yield each matrix that the list holds."""
        for group, algorithms in groups.items():
            if group == _VERSION:
                self.version = str(algorithms.values[0]) if isinstance(algorithms, RVector) else None
                continue
            for algorithm, estimates in self._children(algorithms, group).items():
                yield from self._of_algorithm((group, algorithm), self._children(estimates, f"{group}${algorithm}"))

    def _children(self, value: object, where: str) -> Mapping[str, Any]:
        if isinstance(value, RVector) and isinstance(value.values, list) and value.names:
            return value.named()
        self.problems.append(f"{where}: is no named list: {_EXPECTED}.")
        return {}

    def _of_algorithm(self, place: tuple[str, str], estimates: Mapping[str, Any]) -> Iterator[Draft]:
        where = "$".join(place)
        unknown = estimates.keys() - {*LABELS.values(), _SAMPLES, _SUMMARY}
        if unknown:
            self.notes.append(f"{where}: left out {', '.join(sorted(unknown))}.")
        tables = {
            estimate: self._children(estimates[estimate], f"{where}${estimate}")
            for estimate in (*LABELS.values(), _SAMPLES)
            if estimates.get(estimate) is not None
        }
        for country in dict.fromkeys(country for table in tables.values() for country in table):
            key = self._key(*place, country)
            if key is not None:
                draft = Draft(key, f"{where}, {country}")
                self._fill(draft, {name: table[country] for name, table in tables.items() if country in table})
                yield draft

    def _key(self, group: str, algorithm: str, country: str) -> Key | None:
        try:
            return self._names.age_group(group), self._names.algorithm(algorithm), self._names.country(country)
        except ValueError as exc:
            self.problems.append(f"{group}${algorithm}, {country}: {exc}")
            return None

    def _fill(self, draft: Draft, estimates: Mapping[str, Any]) -> None:
        for kind, label in LABELS.items():
            if label in estimates:
                cells = draft.prior if kind == "prior" else draft.fixed
                cells.update(self._cells(draft, label, estimates[label]))
        if _SAMPLES in estimates:
            draft.samples = self._samples(draft, estimates[_SAMPLES])

    def _cells(self, draft: Draft, label: str, value: object) -> dict[tuple[str, str], float]:
        array = _array(value, 2)
        if array is None:
            draft.problems.append(f"{draft.where}: {label} is no matrix of numbers with named rows and columns.")
            return {}
        numbers, dimnames = array
        causes = [self._causes(draft, label, one) for one in dimnames]
        return {(true, va): float(numbers[i, j]) for i, true in enumerate(causes[0]) for j, va in enumerate(causes[1])}

    def _causes(self, draft: Draft, label: str, labels: Sequence[str]) -> list[str]:
        causes: list[str] = []
        for text in labels:
            try:
                causes.append(self._names.cause(text, draft.key[0]))
            except ValueError as exc:
                draft.problems.append(f"{draft.where}: {label}: {exc}")
                causes.append(text)
        return causes

    def _samples(self, draft: Draft, value: object) -> tuple[Square, ...] | None:
        array = _array(value, 3)
        if array is None or not len(array[0]):
            draft.problems.append(f"{draft.where}: {_SAMPLES} is no array of samples, true causes and VA causes.")
            return None
        numbers, dimnames = array
        given = len(numbers)
        if given > MAX_KEPT_SAMPLES:
            numbers = numbers[np.linspace(0, given - 1, MAX_KEPT_SAMPLES).round().astype(int)]
            self._note_once(f"Of {given:,} samples of a matrix, {MAX_KEPT_SAMPLES} evenly spaced ones are kept.")
        wanted = BROAD_CAUSES[draft.key[0]]
        orders = []
        for labels in dimnames[1:]:
            causes = self._causes(draft, _SAMPLES, labels)
            if sorted(causes) != sorted(wanted):
                draft.problems.append(f"{draft.where}: {_SAMPLES} does not have each cause of the age group once.")
                return None
            orders.append([causes.index(cause) for cause in wanted])
        numbers = numbers[:, orders[0]][:, :, orders[1]]
        if not bool(np.all(np.abs(numbers.sum(axis=2) - 1) <= 1e-6)) or bool(np.any(numbers < 0)):
            draft.problems.append(f"{draft.where}: rows of {_SAMPLES} are no probabilities that sum to 1.")
            return None
        return tuple(tuple(tuple(float(one) for one in row) for row in square) for square in numbers)

    def _note_once(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def _array(value: object, dimensions: int) -> tuple[npt.NDArray[np.float64], list[list[str]]] | None:
    """Return the numbers of an array of R, and the names along its dimensions."""
    if not isinstance(value, RVector) or not isinstance(value.values, np.ndarray):
        return None
    dim, dimnames = value.dim, value.dimnames
    named = dimnames[-2:]
    if len(dim) != dimensions or int(np.prod(dim)) != len(value.values) or len(dimnames) != dimensions:
        return None
    if [len(one) for one in named] != list(dim[-2:]):
        return None
    return value.values.reshape(dim, order="F"), dimnames
