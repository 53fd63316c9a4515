"""A request names a country of a kept set: what it is accepted with, and what is refused."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.inventory import Inventory, StoredMatrix
from tasks.calibration.shelf import SHELF, MatrixPin, MatrixSet
from tests.calibration.matrices import inventory

COUNTS = {
    "pneumonia": 30,
    "ipre": 20,
    "prematurity": 25,
    "sepsis_meningitis_inf": 22,
    "congenital_malformation": 9,
    "other": 4,
}


@dataclass
class MemoryShelf:
    """A shelf without a ledger."""

    kept: list[tuple[MatrixSet, Inventory]] = field(default_factory=list)

    def add(self, name: str, given: Inventory) -> MatrixSet:
        found = MatrixSet(
            id=f"id-{len(self.kept)}",
            tenant_id="t",
            name=name,
            version="1",
            sha256=given.sha256,
            source="",
            imported_at=datetime.now(UTC),
            is_shared=False,
            keys=tuple(one.key for one in given.matrices),
        )
        self.kept.insert(0, (found, given))
        return found

    def sets(self) -> list[MatrixSet]:
        return [found for found, _ in self.kept]

    def matrices(self, found: MatrixSet, *, age_group: str, country: str, with_samples: bool) -> list[StoredMatrix]:
        given = next(given for one, given in self.kept if one.id == found.id)
        return [
            one if with_samples else replace(one, samples=None)
            for one in given.matrices
            if (one.age_group, one.country) == (age_group, country)
        ]


@pytest.fixture
def shelf() -> MemoryShelf:
    """One set."""
    made = MemoryShelf()
    made.add("a", inventory())
    return made


def accepted(shelf: MemoryShelf | None, **changes: Any) -> CalibrationRequest:
    given = {"va_data": {"eava": {"counts": COUNTS}}, "age_group": "neonate", "country": "Kenya"} | changes
    given = {name: value for name, value in given.items() if value is not ...}
    return CalibrationRequest.model_validate(given, context=None if shelf is None else {SHELF: shelf})


def refusals(shelf: MemoryShelf | None, **changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as refused:
        accepted(shelf, **changes)
    return [(".".join(str(part) for part in one["loc"]), one["msg"]) for one in refused.value.errors()]


def test_what_is_accepted_holds_the_matrices_and_names_their_set(shelf: MemoryShelf) -> None:
    """The job needs no look at the store, and its record says what it was calibrated with."""
    (found,) = shelf.sets()
    request = accepted(shelf, va_data={"EAVA": {"counts": COUNTS}, "insilicova": {"counts": COUNTS}}, country="kenya")
    assert MatrixPin(id=found.id, name="a", version="1", sha256=found.sha256) == request.matrices
    assert "Kenya" == request.country
    assert request.missmat is not None
    assert ["EAVA", "insilicova"] == list(request.missmat)
    assert inventory().matrices[0].prior == request.missmat["EAVA"].rows
    kept = CalibrationRequest.model_validate(request.model_dump(mode="json"))
    assert request == kept
    assert request.take_in() == kept.take_in()


@pytest.mark.parametrize("kind", ["prior", "fixed", "samples"])
def test_the_kind_of_numbers_is_chosen(kind: str) -> None:
    """Dirichlet parameters, probabilities, or samples of matrices."""
    given = inventory()
    first = replace(given.matrices[0], samples=(given.matrices[0].fixed, given.matrices[0].fixed))
    shelf = MemoryShelf()
    shelf.add("a", replace(given, matrices=(first, *given.matrices[1:])))
    missmat = accepted(shelf, missmat_type=kind).missmat
    assert missmat is not None
    expected = {"prior": (first.prior,), "fixed": (first.fixed,), "samples": first.samples}[kind]
    assert expected == missmat["eava"].draws


def test_an_accepted_request_can_be_sent_again(shelf: MemoryShelf) -> None:
    """It means the same set though a newer one is there, and what it claims to hold is looked up anew."""
    before = accepted(shelf)
    shelf.add("a", inventory(own=30.0))
    again = before.model_dump(mode="json")
    again["missmat"]["eava"]["rows"][0][0] = 99.0
    sent = CalibrationRequest.model_validate(again, context={SHELF: shelf})
    assert before == sent
    assert accepted(shelf).matrices != before.matrices


def test_without_a_name_the_newest_set_is_meant(shelf: MemoryShelf) -> None:
    """A name or version chooses another."""
    newest = shelf.add("b", inventory(own=30.0))
    assert newest.sha256 == accepted(shelf).pin.sha256  # type: ignore[union-attr]
    for reference in ("a", "a@1", "id-0"):
        assert "a" == accepted(shelf, matrices=reference).pin.name  # type: ignore[union-attr]


def test_the_pooled_matrix_is_taken_only_by_its_name(shelf: MemoryShelf) -> None:
    """And the result says so."""
    assert any("pooled over countries" in note for note in accepted(shelf, country="other").take_in().notes)
    assert not any("pooled" in note for note in accepted(shelf).take_in().notes)
    (told,) = refusals(shelf, country="Nigeria")
    assert (
        "country",
        "a@1 has no matrices of 'Nigeria': it has Kenya, other. For a country without a matrix of its own, 'other' is "
        "the pooled one.",
    ) == told


@pytest.mark.parametrize(
    ("changes", "field", "told"),
    [
        ({"age_group": ...}, "age_group", "Required with country: neonate or child."),
        ({"age_group": "child"}, "age_group", "a@1 has no matrices for child: it has neonate."),
        ({"matrices": "b"}, "matrices", "There is no set 'b': there are a@1."),
        ({"country": ..., "matrices": "a"}, "country", "Required with matrices"),
        ({"va_data": {"interva": {"counts": COUNTS}}}, "va_data.interva", "it has eava, insilicova. Send missmat"),
        (
            {"missmat_type": "samples"},
            "missmat_type",
            "a@1 has no samples of 'eava' for neonate in Kenya: take 'prior'",
        ),
        ({"missmat": {"eava": {"causes": ["a", "b"], "rows": [[9, 1], [1, 9]]}}}, "country", "It has no effect with"),
        ({"use_example": True, "va_data": {}}, "use_example", "of its own; send no others"),
        ({"country": ...}, "missmat", "There is no matrix for 'eava': name a country, or send one."),
    ],
)
def test_what_does_not_fit_is_refused_with_what_there_is(
    shelf: MemoryShelf, changes: dict[str, Any], field: str, told: str
) -> None:
    """At the field that must change."""
    ((where, message),) = refusals(shelf, **changes)
    assert field == where
    assert told in message


def test_without_any_set_the_remedy_is_one_line() -> None:
    """The one that imports them."""
    ((where, message),) = refusals(MemoryShelf())
    assert "country" == where
    assert "`switchyard matrices import FILE`" in message


def test_where_nothing_can_be_looked_up_nothing_is_guessed() -> None:
    """Outside of the front door a request must bring its matrices."""
    ((where, _),) = refusals(None)
    assert "country" == where
