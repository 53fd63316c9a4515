"""The older VA calibration service's paths about data: the example, names of causes, what is wrong with a table."""

from typing import Any

import pytest

from tasks.calibration.causes import BROAD_CAUSES
from tests.app.conftest import Caller
from tests.calibration.matrices import table


def test_the_example_is_there_and_its_own_data_are_not(alice: Caller) -> None:
    """Nothing invented stands for a study's data, and it says so."""
    datasets = {one["name"]: one for one in alice.get("/datasets").json}
    assert {"example", "comsamoz_public_broad", "comsamoz_public_openVAout", "Mmat_champs"} == set(datasets)
    assert ["example"] == [name for name, one in datasets.items() if one["exists"]]
    assert datasets["example"]["description"].startswith("Invented data")
    assert (1160, list(BROAD_CAUSES["neonate"])) == (
        datasets["example"]["sample_size"],
        datasets["example"]["causes"],
    )
    info = alice.get("/example-data").json
    assert (True, False) == (info["neonate"]["exists"], info["specific_causes"]["exists"])
    assert 404 == alice.get("/datasets/comsamoz_public_broad/preview").status_code


def test_preview_has_rows_and_statistics(alice: Caller) -> None:
    """At most as many rows as wanted."""
    preview = alice.get("/datasets/example/preview?limit=2").json
    assert (2, 12, ["algorithm", "cause", "count"]) == (
        len(preview["sample_data"]),
        preview["total_records"],
        preview["columns"],
    )
    assert 580 == preview["statistics"]["insilicova"]["total_deaths"]
    assert 422 == alice.get("/datasets/example/preview?limit=0").status_code


def test_configurations_are_what_can_be_asked_for(alice: Caller, bob: Caller) -> None:
    """Of the example alone, until matrices are imported; of nobody else's."""
    bare = {
        "algorithms": ["insilicova", "interva"],
        "age_groups": ["neonate"],
        "countries": [],
        "mmat_types": ["prior"],
        "input_formats": ["specific_causes", "broad_causes", "death_counts"],
    }
    assert bare == alice.get("/supported-configurations").json
    assert 201 == alice.post("/api/calibration/matrices", json={"csv": table(), "name": "a"}).status_code
    kept = {"algorithms": ["eava", "insilicova"], "countries": ["Kenya", "other"], "mmat_types": ["prior", "fixed"]}
    assert bare | kept == alice.get("/supported-configurations").json
    assert bare == bob.get("/supported-configurations").json


@pytest.mark.parametrize(("age", "broad"), [("neonate", 6), ("child", 9)])
def test_mappings_name_every_cause(alice: Caller, age: str, broad: int) -> None:
    """As the algorithms print it."""
    told = alice.get(f"/cause-mappings/{age}").json
    assert (broad, len(told["mappings"])) == (len(told["broad_causes"]), told["total_mappings"])
    mapped = {one["specific_cause"]: one["broad_cause"] for one in told["mappings"]}
    assert {"neonate": "ipre", "child": "nn_causes"}[age] == mapped["Birth asphyxia"]
    assert set(told["broad_causes"]) == set(mapped.values())


def test_unknown_age_is_refused(alice: Caller) -> None:
    """In its form."""
    answer = alice.get("/cause-mappings/adult")
    assert (422, "age_group", "adult") == (answer.status_code, answer.json["field"], answer.json["value"])


def test_causes_are_converted(alice: Caller) -> None:
    """With a matrix in the order of the converted deaths, and what nobody knows."""
    data = [
        {"id": "1", "cause": "Birth asphyxia"},
        {"id": "2", "cause": "Gout"},
        {"id": "3", "cause": "neonatal  PNEUMONIA"},
    ]
    told = alice.post("/convert/causes", json={"data": data, "age_group": "neonate"}).json
    assert [data[0] | {"broad_cause": "ipre"}, data[2] | {"broad_cause": "pneumonia"}] == told["converted_data"]
    assert ([1, 0], [0, 1], [0, 0]) == tuple(
        told["broad_cause_matrix"][cause] for cause in ("ipre", "pneumonia", "other")
    )
    assert ({"ipre": 1, "pneumonia": 1}, ["Gout"]) == (
        {cause: n for cause, n in told["conversion_summary"].items() if n},
        told["unmapped_causes"],
    )
    assert 422 == alice.post("/convert/causes", json={"data": [], "age_group": "neonate"}).status_code


def verdict(by: Caller, value: Any, **more: Any) -> dict[str, Any]:
    body = {"data": {"eava": value}, "age_group": "neonate"} | more
    answer = by.post("/validate", json=body)
    assert 200 == answer.status_code, answer.text
    (told,) = answer.json["validation_results"]
    assert told["is_valid"] == answer.json["overall_valid"]
    return told  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("value", "form", "total"),
    [
        ([{"id": str(n), "cause": "Birth asphyxia"} for n in range(120)], "specific_causes", 120),
        ([{"ID": "a", "cause": "Prematurity"}], "specific_causes", 1),
        ([[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]], "broad_causes", 2),
        ([10, 20, 30, 40, 50, 60], "death_counts", 210),
        ({"ipre": 20_000}, "death_counts", 20_000),
    ],
    ids=["records", "ID", "rows", "list of counts", "counts"],
)
def test_formats_are_detected(alice: Caller, value: Any, form: str, total: int) -> None:
    """With how many deaths there are, and advice for few and many."""
    told = verdict(alice, value)
    assert (True, form, total, []) == (
        told["is_valid"],
        told["detected_format"],
        told["sample_size"],
        told["issues"],
    )
    assert total == sum(told["cause_distribution"].values())
    advice = " ".join(told["recommendations"])
    assert ("few" in advice, "many" in advice) == (total < 100, total > 10_000)


@pytest.mark.parametrize(
    ("value", "issue"),
    [
        ([{"id": "1", "cause": "Birth asphyxa"}], "did you mean 'birth asphyxia'"),
        ([{"id": "1", "cause": "ipre"}, {"id": "1", "cause": "ipre"}], "comes on records 1 and 2"),
        ([{"id": "1"}], "needs an id and a cause"),
        ([[1, 0]], "6 causes, but 2 values in row 1"),
        ([[0.5, 0.5, 0, 0, 0, 2]], "less than or equal to 1"),
        ([1, 2], "2 counts for 6 causes"),
        ({"ipre": 0}, "All counts are 0"),
        ([], "Send records"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said(alice: Caller, value: Any, issue: str) -> None:
    """One message for each thing."""
    told = verdict(alice, value)
    assert not told["is_valid"]
    assert issue in " ".join(told["issues"])


def test_expectations_and_imbalance_are_told(alice: Caller) -> None:
    """Another format than the one expected; one sample ten times another; nothing at all."""
    assert "not broad_causes" in verdict(alice, {"ipre": 200}, expected_format="broad_causes")["issues"][0]
    tables = {"data": {"a": {"ipre": 1000}, "b": {"ipre": 100}}, "age_group": "neonate"}
    (told,) = alice.post("/validate", json=tables).json["recommendations"]
    assert "ten times" in told
    nothing = alice.post("/validate", json={"data": {}, "age_group": "neonate"}).json
    assert (False, ["No algorithm data provided"]) == (nothing["overall_valid"], nothing["global_issues"])
