"""Misclassification matrices as they are kept: by age group, algorithm and country, in sets that have a hash."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from tasks.calibration.causes import BROAD_CAUSES, normalised

# The pooled matrix for countries that have none of their own.
POOLED = "other"
ALGORITHMS = ("eava", "insilicova", "interva")
COUNTRIES = (
    *("Bangladesh", "Ethiopia", "Kenya", "Mali", "Mozambique", "Sierra Leone", "South Africa"),
    POOLED,
)
# Enough to fit Dirichlet rows to, and little enough to travel in a request.
MAX_KEPT_SAMPLES = 400
_ROW_TOLERANCE = 1e-6
_MOST_PROBLEMS = 50
_MOST_NAMED = 3

Square = tuple[tuple[float, ...], ...]
Key = tuple[str, str, str]


class InventoryRefused(ValueError):
    """The file holds no usable matrices; ``problems`` says where and why, at most fifty times."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = len(problems) - _MOST_PROBLEMS
        listed = tuple(problems[:_MOST_PROBLEMS])
        self.problems = (*listed, f"and {more} more.") if more > 0 else listed
        super().__init__(" ".join(self.problems))


@dataclass(frozen=True, slots=True)
class StoredMatrix:
    """How one algorithm errs in one country and age group. Rows are true causes, columns what the algorithm says.

    Args:
        causes: the age group's broad causes, in the order of rows and columns.
        fixed: probabilities; rows sum to 1.
        prior: Dirichlet parameters of each row, where they are known.
        samples: sampled matrices of probabilities, where they were given.
    """

    age_group: str
    algorithm: str
    country: str
    causes: tuple[str, ...]
    fixed: Square
    prior: Square | None = None
    samples: tuple[Square, ...] | None = None

    @property
    def key(self) -> Key:
        """What there is only one of in a set."""
        return self.age_group, self.algorithm, self.country


@dataclass(frozen=True, slots=True)
class Inventory:
    """Matrices of one source, sorted by key.

    Args:
        version: what the source itself calls them, if it does.
        notes: what a reader must know: what was left out.
    """

    matrices: tuple[StoredMatrix, ...]
    version: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """The hash of the numbers, to twelve digits: the same whatever the order of rows, the file's form, or its name.

        Programs differ in the last digit of what they read from one text.
        """
        canonical = [
            [*matrix.key, matrix.causes, *map(_digits, (matrix.fixed, matrix.prior, matrix.samples))]
            for matrix in sorted(self.matrices, key=lambda matrix: matrix.key)
        ]
        text = json.dumps(canonical, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def _digits(value: object) -> object:
    if isinstance(value, tuple):
        return [_digits(one) for one in value]
    return f"{value:.12g}" if isinstance(value, float) else value


@dataclass(frozen=True, slots=True)
class Names:
    """Names that matrices may have: those we know, and those that whoever imports vouches for."""

    algorithms: tuple[str, ...] = ALGORITHMS
    countries: tuple[str, ...] = COUNTRIES

    @classmethod
    def with_also(cls, *, algorithms: Iterable[str] = (), countries: Iterable[str] = ()) -> "Names":
        """Return the names we know and these."""
        return cls((*ALGORITHMS, *algorithms), (*COUNTRIES, *countries))

    def age_group(self, text: str) -> str:
        """Return the age group as we spell it.

        Raises:
            ValueError: it is none.
        """
        return _known(text, tuple(BROAD_CAUSES), "age group", "")

    def algorithm(self, text: str) -> str:
        """Return the algorithm as we spell it.

        Raises:
            ValueError: it is not known.
        """
        return _known(text, self.algorithms, "algorithm", "If it is meant, name it in also_algorithms.")

    def country(self, text: str) -> str:
        """Return the country as we spell it.

        Raises:
            ValueError: it is not known.
        """
        return _known(text, self.countries, "country", "If it is meant, name it in also_countries.")

    @staticmethod
    def cause(text: str, age_group: str) -> str:
        """Return the broad cause as we spell it.

        Raises:
            ValueError: the age group has no such cause.
        """
        return _known(text, BROAD_CAUSES[age_group], f"broad cause of age group {age_group}", "")


def _known(text: str, names: Sequence[str], what: str, remedy: str) -> str:
    spelled = {normalised(name): name for name in names}
    found = spelled.get(normalised(text))
    if found is not None:
        return found
    near = get_close_matches(normalised(text), spelled, n=1)
    hint = f"did you mean {spelled[near[0]]!r}?" if near else f"known are {', '.join(names)}."
    raise ValueError(f"{text[:60]!r} is no {what}: {hint}{' ' if remedy else ''}{remedy}")


@dataclass(slots=True)
class Draft:
    """One matrix while it is read: numbers by (true cause, VA cause), for each kind of numbers there is.

    Args:
        where: names the matrix in messages.
    """

    key: Key
    where: str
    fixed: dict[tuple[str, str], float] = field(default_factory=dict)
    prior: dict[tuple[str, str], float] = field(default_factory=dict)
    samples: tuple[Square, ...] | None = None
    problems: list[str] = field(default_factory=list)

    def finished(self, labels: Mapping[str, str]) -> StoredMatrix | None:
        """Return the matrix, or None where ``problems`` says why there is none.

        Args:
            labels: what the source calls ``fixed`` and ``prior``.
        """
        causes = BROAD_CAUSES[self.key[0]]
        if not (self.fixed or self.prior or self.samples):
            self.problems.append(f"{self.where}: has neither {labels['fixed']} nor {labels['prior']}.")
        for name, cells in (("fixed", self.fixed), ("prior", self.prior)):
            self._check_cells(cells, causes, labels[name], is_fixed=name == "fixed")
        if self.problems:
            return None
        prior = _square(self.prior, causes) if self.prior else None
        if self.fixed:
            fixed = _square(self.fixed, causes)
        else:
            fixed = _to_probabilities(prior) if prior else _mean(self.samples or ())
        return StoredMatrix(*self.key, causes, fixed, prior, self.samples)

    def _check_cells(
        self, cells: Mapping[tuple[str, str], float], causes: Sequence[str], label: str, *, is_fixed: bool
    ) -> None:
        if not cells:
            return
        absent = [(true, va) for true in causes for va in causes if (true, va) not in cells]
        if absent:
            named = "; ".join(f"true cause {true}, VA cause {va}" for true, va in absent[:_MOST_NAMED])
            more = f" and {len(absent) - _MOST_NAMED} more" if len(absent) > _MOST_NAMED else ""
            self.problems.append(f"{self.where}: {label} is missing for {named}{more}: add what is missing.")
            return
        for (true, va), value in cells.items():
            if not (0 <= value <= 1 if is_fixed else 0 < value < math.inf):
                bounds = "a probability, 0 to 1" if is_fixed else "a Dirichlet parameter, above 0"
                self.problems.append(
                    f"{self.where}: {label} of true cause {true}, VA cause {va} is {value:g}, not {bounds}."
                )
        if is_fixed:
            for true in causes:
                total = sum(cells[true, va] for va in causes)
                if abs(total - 1) > _ROW_TOLERANCE:
                    self.problems.append(
                        f"{self.where}: {label} of true cause {true} sums to {total:.8g}, not to 1: "
                        "give probabilities with at least seven digits."
                    )


def _square(cells: Mapping[tuple[str, str], float], causes: Sequence[str]) -> Square:
    return tuple(tuple(cells[true, va] for va in causes) for true in causes)


def _to_probabilities(square: Square) -> Square:
    return tuple(tuple(value / sum(row) for value in row) for row in square)


def _mean(samples: Sequence[Square]) -> Square:
    size = range(len(samples[0]))
    return tuple(tuple(sum(one[i][j] for one in samples) / len(samples) for j in size) for i in size)


def finished(
    drafts: Iterable[Draft], labels: Mapping[str, str], *, version: str | None = None, notes: Sequence[str] = ()
) -> Inventory:
    """Return the matrices of ``drafts``.

    Raises:
        InventoryRefused: one of them is unusable, or there is none.
    """
    matrices: list[StoredMatrix] = []
    problems: list[str] = []
    for draft in drafts:
        matrix = draft.finished(labels)
        if matrix is not None:
            matrices.append(matrix)
        problems += draft.problems
    if problems:
        raise InventoryRefused(problems)
    if not matrices:
        raise InventoryRefused(["There is no matrix in it."])
    return Inventory(tuple(sorted(matrices, key=lambda matrix: matrix.key)), version, tuple(notes))
