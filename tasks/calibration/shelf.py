"""Which kept matrices a request means: found while the request is checked, so that what is accepted holds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import Field

from tasks.calibration.causes import normalised
from tasks.calibration.intake import IntakeRefused, Place
from tasks.calibration.inventory import POOLED, Key, StoredMatrix
from tasks.core.spec import Contract

# Under this name the front door gives a model being checked its shelf (pydantic's validation context).
SHELF = "calibration.matrices"
HOW_TO_IMPORT = "`switchyard matrices import FILE` imports them"
_KINDS = {"prior": "Dirichlet parameters", "fixed": "probabilities", "samples": "samples"}


class MatrixPin(Contract):
    """A set of kept matrices, exactly. A request names a set; the server writes this into what it accepts."""

    id: str = Field(max_length=36)
    name: str = Field(max_length=100)
    version: str = Field(max_length=100)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class MatrixSet:
    """What is known of a set of matrices, except its numbers.

    Args:
        is_shared: it is everybody's to use.
        keys: age group, algorithm and country of each matrix.
        with_prior, with_samples: how many matrices have these.
    """

    id: str
    tenant_id: str
    name: str
    version: str
    sha256: str
    source: str
    imported_at: datetime
    is_shared: bool
    keys: tuple[Key, ...] = ()
    with_prior: int = 0
    with_samples: int = 0

    @property
    def title(self) -> str:
        """The name by which a request asks for it."""
        return f"{self.name}@{self.version}"


class Shelf(Protocol):
    """The sets that one tenant may use."""

    def sets(self) -> Sequence[MatrixSet]:
        """List them, the one that is meant without a name first."""

    def matrices(self, found: MatrixSet, *, age_group: str, country: str, with_samples: bool) -> Sequence[StoredMatrix]:
        """Return the matrices of a set for an age group and a country, one for each algorithm."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request says of the matrices it means.

    Args:
        reference: id, name or ``name@version`` of a set, or a set exactly; None: the newest.
        kind: ``prior``, ``fixed`` or ``samples``: the numbers that it needs.
    """

    reference: str | MatrixPin | None
    algorithms: Sequence[str]
    age_group: str
    country: str
    kind: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The set that was meant, the country as the set spells it, and for each algorithm a matrix as requests have it."""

    pin: MatrixPin
    country: str
    sent: dict[str, dict[str, Any]]


def choose(shelf: Shelf | None, wanted: Wanted) -> Choice:
    """Find what ``wanted`` means.

    Raises:
        IntakeRefused: it is not there; says what is.
    """
    if shelf is None:
        raise _refused("country", "Kept matrices are looked up by the server; here, send missmat.")
    found = _set(shelf.sets(), wanted.reference)
    country = _country(found, wanted)
    kept = {
        normalised(one.algorithm): one
        for one in shelf.matrices(
            found, age_group=wanted.age_group, country=country, with_samples=wanted.kind == "samples"
        )
    }
    chosen = {name: kept[normalised(name)] for name in wanted.algorithms if normalised(name) in kept}
    problems: list[tuple[Place, str]] = [
        (
            ("va_data", name),
            f"{found.title} has no matrix of {name!r} for {wanted.age_group} in {country}; it has "
            f"{', '.join(sorted(kept))}. Send missmat, with a matrix for each algorithm, instead of country.",
        )
        for name in wanted.algorithms
        if name not in chosen
    ]
    lacking = [name for name, one in chosen.items() if getattr(one, wanted.kind) is None]
    if lacking:
        problems.append(
            (
                ("missmat_type",),
                f"{found.title} has no {_KINDS[wanted.kind]} of {lacking[0]!r} for {wanted.age_group} in {country}: "
                f"take {' or '.join(repr(kind) for kind in _KINDS if getattr(chosen[lacking[0]], kind) is not None)}.",
            )
        )
    if problems:
        raise IntakeRefused(problems)
    pin = MatrixPin(id=found.id, name=found.name, version=found.version, sha256=found.sha256)
    field = "samples" if wanted.kind == "samples" else "rows"
    sent = {name: {"causes": one.causes, field: getattr(one, wanted.kind)} for name, one in chosen.items()}
    return Choice(pin, country, sent)


def bad_choice(
    country: str | None, matrices: str | MatrixPin | None, *, age_group: str | None, has_own: bool
) -> list[tuple[Place, str]]:
    """Say what of a request's choice does not go together; ``has_own``: it brings matrices."""
    if country is None:
        message = "Required with matrices: whose matrices of the set are meant?"
        return [] if matrices is None else [(("country",), message)]
    if has_own and not isinstance(matrices, MatrixPin):
        return [(("country",), "It has no effect with missmat; send one of the two.")]
    return [] if age_group else [(("age_group",), "Required with country: neonate or child.")]


def find_set(sets: Sequence[MatrixSet], reference: str | None) -> MatrixSet | None:
    """Return the first of ``sets`` that ``reference`` names: an id, a hash, a name, or ``name@version``."""
    for one in sets:
        if reference is None or reference in (one.id, one.sha256, one.name, one.title):
            return one
    return None


def _set(sets: Sequence[MatrixSet], asked: str | MatrixPin | None) -> MatrixSet:
    # An accepted request that is sent again names its set by the hash, and is filled in anew.
    reference = asked.sha256 if isinstance(asked, MatrixPin) else asked
    found = find_set(sets, reference)
    if found is not None:
        return found
    if not sets:
        raise _refused(
            "country", f"No matrices are there to take a country's from: {HOW_TO_IMPORT}, or send your own as missmat."
        )
    raise _refused("matrices", f"There is no set {reference!r}: there are {', '.join(one.title for one in sets[:20])}.")


def _country(found: MatrixSet, wanted: Wanted) -> str:
    has = sorted({country for age_group, _, country in found.keys if age_group == wanted.age_group})
    if not has:
        groups = ", ".join(sorted({age_group for age_group, _, _ in found.keys}))
        raise _refused("age_group", f"{found.title} has no matrices for {wanted.age_group}: it has {groups}.")
    spelled = {normalised(country): country for country in has}
    country = spelled.get(normalised(wanted.country))
    if country is not None:
        return country
    pooled = f" For a country without a matrix of its own, {POOLED!r} is the pooled one." if POOLED in has else ""
    raise _refused("country", f"{found.title} has no matrices of {wanted.country!r}: it has {', '.join(has)}.{pooled}")


def _refused(field: str, message: str) -> IntakeRefused:
    return IntakeRefused([((field,), message)])
