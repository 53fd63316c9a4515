"""What is calibrated: causes found by name, deaths counted, and everything else refused before it is queued."""

import csv
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.calibration.causes import BROAD_CAUSES, cause_table, normalised
from tasks.calibration.contract import CalibrationRequest
from tests.calibration.r_library import shared_va

NEONATE = BROAD_CAUSES["neonate"]


def square(causes: tuple[str, ...] | list[str], own: float = 9.0) -> dict[str, Any]:
    return {"causes": list(causes), "rows": [[own if i == j else 1.0 for j in causes] for i in causes]}


def request(**more: Any) -> CalibrationRequest:
    values = {"va_data": {"eava": {"counts": {"a": 3, "b": 4}}}, "missmat": {"eava": square(["a", "b"])}}
    return CalibrationRequest.model_validate(values | more)


def refusals(**more: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as refused:
        request(**more)
    return [
        (".".join(str(part) for part in error["loc"]), error["msg"].removeprefix("Value error, "))
        for error in refused.value.errors()
    ]


def neonates(csv_text: str, **more: Any) -> dict[str, Any]:
    return {
        "va_data": {"eava": {"csv": csv_text}},
        "missmat": {"eava": square(NEONATE)},
        "age_group": "neonate",
        **more,
    }


def test_the_table_agrees_with_the_published_one() -> None:
    """Every published name belongs to the same broad cause here."""
    with (shared_va() / "cause_map.csv").open() as file:
        published = {
            (row["age_group"], normalised(row["specific_cause"])): row["broad_cause"] for row in csv.DictReader(file)
        }
    ours = {key: cause_table(key[0]).get(key[1]) for key in published}
    assert published == ours


def test_every_broad_cause_is_its_own_name() -> None:
    """Data that are mapped already pass."""
    for group, causes in BROAD_CAUSES.items():
        assert {cause: cause for cause in causes} == {cause: cause_table(group)[normalised(cause)] for cause in causes}


@pytest.mark.parametrize(
    ("name", "group", "total", "dropped"),
    [
        ("neonate_eava", "neonate", 940, 250),
        ("neonate_insilicova", "neonate", 1190, 0),
        ("neonate_interva", "neonate", 1190, 0),
        ("child_eava", "child", 2357, 439),
        ("child_insilicova", "child", 2798, 0),
        ("child_interva", "child", 2798, 0),
    ],
)
def test_published_files_are_counted_as_shipped(name: str, group: str, total: int, dropped: int) -> None:
    """Without hand work; deaths without a cause are left out, and counted."""
    text = (shared_va() / "comsamoz" / f"{name}.csv").read_text()
    taken = request(va_data={"x": {"csv": text}}, missmat={"x": square(BROAD_CAUSES[group])}, age_group=group).take_in()
    assert BROAD_CAUSES[group] == taken.causes
    assert total == sum(taken.counts["x"])
    assert ({"x": {"unspecified": dropped}} if dropped else {}) == taken.dropped


def test_neonates_of_one_file_have_the_published_counts() -> None:
    """The documented example's numbers."""
    text = (shared_va() / "comsamoz" / "neonate_eava.csv").read_text()
    assert (44, 168, 267, 268, 29, 164) == request(**neonates(text)).take_in().counts["eava"]


@pytest.mark.parametrize(
    "deaths",
    [
        {"records": [{"id": "x", "cause": "A"}, {"id": 2, "cause": " b "}, {"id": "y", "cause": "B"}]},
        {"counts": {"a": 1, "b": 2}},
        {"counts": {"B": 2, "a": 1, "Unspecified": 0}},
        {"matrix": {"causes": ["a", "b"], "rows": [[1, 0], [0, 1], [0.2, 0.8]]}},
        {"csv": "ID,cause\n1,a\n2,b\n3,b\n"},
        {"csv": "cause;count\na;1\nb;2\n"},
        {"csv": "ID,b,a\n1,0,1\n2,1,0\n3,1,0\n"},
        {"csv_base64": "SUQsY2F1c2UKMSxhCjIsYgozLGIK"},
    ],
)
def test_each_shape_gives_the_same_counts(deaths: dict[str, Any]) -> None:
    """Records, counts, tables, text and bytes."""
    taken = request(va_data={"eava": deaths}).take_in()
    assert (("a", "b"), (1, 2)) == (taken.causes, taken.counts["eava"])


def test_own_translations_go_first() -> None:
    """A caller may overrule the built-in table."""
    text = "ID,cause\n1,Birth asphyxia\n2,Fièvre\n3,Preterm\n"
    taken = request(**neonates(text, cause_map={"fièvre": "pneumonia", "birth asphyxia": "other"})).take_in()
    assert {"pneumonia": 1, "other": 1, "prematurity": 1} == {
        cause: n for cause, n in zip(taken.causes, taken.counts["eava"], strict=True) if n
    }


def test_other_is_left_uncalibrated_unless_said_otherwise() -> None:
    """Whatever its case; an empty list calibrates all."""
    causes = ["a", "b", "Other"]
    data: dict[str, Any] = {
        "va_data": {"eava": {"counts": dict.fromkeys(causes, 5)}},
        "missmat": {"eava": square(causes)},
    }
    assert {"eava": ("Other",)} == request(**data).take_in().excluded
    assert {"eava": ()} == request(**data, donotcalib={}).take_in().excluded
    assert {"eava": ("a",)} == request(**data, donotcalib={"eava": ["A", "a"]}).take_in().excluded


def test_a_subset_of_the_matrix_causes_will_do() -> None:
    """Counts over fewer causes than the matrix has; the order is the matrix's."""
    taken = request(va_data={"eava": {"counts": {"c": 1, "a": 2}}}, missmat={"eava": square(["a", "b", "c"])}).take_in()
    assert (("a", "c"), (2, 1)) == (taken.causes, taken.counts["eava"])


def test_advice_comes_with_small_large_and_unequal_samples() -> None:
    """Under 100, over 10,000, and ten times as many as another."""
    data: dict[str, Any] = {
        "va_data": {"one": {"counts": {"a": 50, "b": 40}}, "two": {"counts": {"a": 9000, "b": 2000}}},
        "missmat": {"one": square(["a", "b"]), "two": square(["a", "b"])},
    }
    notes = " ".join(request(**data).take_in().notes)
    assert all(words in notes for words in ("one: 90 deaths are few", "two: 11,000 deaths are many", "ten times"))


CASES: Mapping[str, tuple[dict[str, Any], str, str]] = {
    "unknown cause": (neonates("ID,cause\n1,Preterm\n2,Malarai\n3,Malarai\n"), "va_data.eava", "on lines 3 and 4"),
    "nearest name": (neonates("ID,cause\n1,Preterm\n2,Malarai\n"), "va_data.eava", "did you mean 'malaria'"),
    "duplicate id": (neonates("ID,cause\n1,Preterm\n1,Malaria\n"), "va_data.eava", "ID '1' comes on lines 2 and 3"),
    "missing id": (neonates("ID,cause\n1,Preterm\n,Malaria\n"), "va_data.eava", "No ID on line 3"),
    "no cause at all": (neonates("ID,cause\n1,Unspecified\n2,\n"), "va_data.eava", "no death with a cause"),
    "bad table": (neonates("ID,cause\n"), "va_data.eava", "The table has a header and no rows"),
    "wrong age group": (neonates("ID,cause\n1,Preterm\n", age_group="Neonate"), "age_group", "'neonate' or 'child'"),
    "two shapes": ({"va_data": {"eava": {"counts": {"a": 1}, "csv": "x"}}}, "va_data.eava", "exactly one of"),
    "no shape": ({"va_data": {"eava": {}}}, "va_data.eava", "got 0"),
    "negative": ({"va_data": {"eava": {"counts": {"a": -1, "b": 2}}}}, "va_data.eava.counts.a", "greater than or"),
    "fraction": ({"va_data": {"eava": {"counts": {"a": 1.5, "b": 2}}}}, "va_data.eava.counts.a", "valid integer"),
    "zero": ({"va_data": {"eava": {"counts": {"a": 0, "b": 0}}}}, "va_data.eava", "All counts are 0"),
    "unspecified column": (
        {"va_data": {"eava": {"matrix": {"causes": ["a", "unknown"], "rows": [[1, 0]]}}}},
        "va_data.eava",
        "is no cause",
    ),
    "tie": (
        {"va_data": {"eava": {"matrix": {"causes": ["a", "b"], "rows": [[1, 0], [0.5, 0.5]]}}}},
        "va_data.eava",
        "no one cause in row 2",
    ),
    "bad sum": (
        {"va_data": {"eava": {"matrix": {"causes": ["a", "b"], "rows": [[0.2, 0.3]]}}}},
        "va_data.eava",
        "values in row 1 do not sum to 1",
    ),
    "uneven": (
        {"va_data": {"eava": {"matrix": {"causes": ["a", "b"], "rows": [[1]]}}}},
        "va_data.eava",
        "values in row 1",
    ),
    "other causes": (
        {
            "va_data": {"eava": {"counts": {"a": 1, "b": 2}}, "two": {"counts": {"a": 1, "c": 2}}},
            "missmat": {"eava": square(["a", "b", "c"]), "two": square(["a", "b", "c"])},
        },
        "va_data.two",
        "differ from those of 'eava': 'b', 'c'",
    ),
    "one cause": ({"va_data": {"eava": {"counts": {"a": 1}}}}, "va_data", "There are 1 causes"),
    "no matrix": ({"missmat": None}, "missmat", "no matrix for 'eava'"),
    "matrix of nobody": (
        {"missmat": {"eava": square(["a", "b"]), "x": square(["a", "b"])}},
        "missmat.x",
        "no deaths for 'x'",
    ),
    "not square": (
        {"missmat": {"eava": {"causes": ["a", "b"], "rows": [[1, 2], [3, 4, 5]]}}},
        "missmat.eava",
        "needs 2",
    ),
    "zero parameter": ({"missmat": {"eava": square(["a", "b"], 0)}}, "missmat.eava", "must be above 0"),
    "no probabilities": ({"missmat_type": "fixed"}, "missmat.eava", "sums to 10, not to 1"),
    "no samples": ({"missmat_type": "samples"}, "missmat.eava", "needs samples"),
    "unknown exclusion": ({"donotcalib": {"eava": ["z"]}}, "donotcalib.eava", "'z' is none of the causes: a, b"),
    "unknown translation": ({"cause_map": {"x": "z"}}, "cause_map.x", "none of the causes"),
    "unknown broad cause": ({"studycause_map": {"a": "a", "b": "z"}}, "studycause_map.b", "no cause of the matrix"),
    "too many draws": ({"draws": 6000}, "draws", "at most 20,000"),
    "too many iterations": ({"draws": 2500, "thin": 100}, "thin", "200,000 iterations"),
    "idle knob": ({"pshrink_strength": 4}, "pshrink_strength", "no effect with path_correction"),
    "too many chains": ({"chains": 9}, "chains", "less than or equal to 8"),
    "unknown knob": ({"nMCMC": 5000}, "nMCMC", "not permitted"),
    "reserved name": (
        {"va_data": {"Ensemble": {"counts": {"a": 1, "b": 1}}}, "missmat": {"Ensemble": square(["a", "b"])}},
        "va_data.ensemble",
        "taken",
    ),
    "example with data": ({"use_example": True}, "use_example", "send no others"),
    "nothing": ({"va_data": {}, "missmat": None}, "va_data", "Required"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_request_is_refused_with_its_own_message(case: str) -> None:
    """Each names the field it concerns and says what to do."""
    wanted, field, message = CASES[case]
    told = refusals(**wanted)
    assert any(at.startswith(field) and message in said for at, said in told), told


def test_no_two_messages_are_alike() -> None:
    """One message for each mistake, so that each can be acted on."""
    messages = [tuple(refusals(**wanted)) for wanted, _, _ in CASES.values()]
    assert len(messages) == len(set(messages))


def test_the_example_says_that_it_is_invented() -> None:
    """It needs nothing else, and has several algorithms."""
    example = CalibrationRequest.model_validate({"use_example": True})
    assert example.use_example
    assert NEONATE == example.take_in().causes
    assert 2 == len(example.take_in().counts)


def test_causes_of_the_other_age_group_are_named_with_the_remedy() -> None:
    """Labels and columns that only the other table knows, all in one message; what nobody knows keeps its own."""
    rows = "ID,cause\n1,Injury\n2,AIDS\n3,Injury\n4,ipre\n5,Qx\n"
    assert [
        (
            "va_data.eava",
            "These causes belong to age_group child, not to neonate: 'Injury' on lines 2 and 4, 'AIDS' on line 3; "
            "send age_group child (on the command line: --age child).",
        ),
        ("va_data.eava", "Unknown cause 'Qx' on line 6: add it to cause_map."),
    ] == refusals(**neonates(rows))
    ((_, told),) = refusals(
        va_data={"eava": {"counts": {"pneumonia": 3, "ipre": 2}}},
        missmat={"eava": square(["pneumonia", "injury"])},
        age_group="child",
    )
    assert "This cause belongs to age_group neonate, not to child: 'ipre'; send age_group neonate" in told


@pytest.mark.parametrize(
    ("age_group", "labels", "seems"),
    [
        ("neonate", {"Malaria": 20, "Neonatal sepsis": 80}, "child"),
        ("child", {"Birth asphyxia": 30, "Malaria": 70}, "neonate"),
        ("neonate", {"Birth asphyxia": 60, "Malaria": 5, "Neonatal sepsis": 35}, None),
        ("child", {"Malaria": 90, "Prematurity": 5, "Measles": 5}, None),
    ],
)
def test_deaths_that_seem_to_be_of_the_other_age_group_are_pointed_out(
    age_group: str, labels: Mapping[str, int], seems: str | None
) -> None:
    """Both tables know most names, so the mixture of causes tells; it is advice, no refusal."""
    deaths = [label for label, count in labels.items() for _ in range(count)]
    asked = request(
        va_data={"eava": {"records": [{"id": n, "cause": label} for n, label in enumerate(deaths)]}},
        missmat={"eava": square(BROAD_CAUSES[age_group])},
        age_group=age_group,
        donotcalib={},
    )
    told = [note for note in asked.take_in().notes if "--age" in note]
    if seems is None:
        assert [] == told
    else:
        (note,) = told
        assert f"eava: the causes are those of age_group {seems}" in note
        assert f"--age {seems}" in note
