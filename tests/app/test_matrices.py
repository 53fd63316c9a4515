"""``/api/calibration/matrices``: import, list, show, draw, delete; and requests that name a country."""

import base64
from typing import Any
from xml.etree import ElementTree

from app.openapi import API
from tasks.calibration.causes import BROAD_CAUSES
from tasks.core.ledger.tenants import SYSTEM
from tests.app.conftest import Caller, sign_in
from tests.calibration.matrices import table

PATH = "/api/calibration/matrices"
COUNTS = {
    "pneumonia": 30,
    "ipre": 20,
    "prematurity": 25,
    "sepsis_meningitis_inf": 22,
    "congenital_malformation": 9,
    "other": 4,
}
PARAMS: dict[str, Any] = {"va_data": {"eava": {"counts": COUNTS}}, "age_group": "neonate", "country": "Kenya"}


def imported(by: Caller, **body: Any) -> dict[str, Any]:
    answer = by.post(PATH, json={"csv": table(), "name": "a"} | body)
    assert answer.status_code in (200, 201), answer.text
    record: dict[str, Any] = answer.json
    return record


def test_a_table_is_imported_once(alice: Caller) -> None:
    """201 with what it holds; the second time 200 with the same set, and said so."""
    answer = alice.post(PATH, json={"csv": table(), "name": "a", "version": "2030-01", "source": "a study"})
    assert 201 == answer.status_code
    record = answer.json
    assert ("a", "2030-01", "a study", True) == tuple(record[key] for key in ("name", "version", "source", "created"))
    assert (4, 4, 0) == tuple(record[key] for key in ("count", "with_prior", "with_samples"))
    assert ["Kenya", "other"] == record["countries"]
    again = alice.post(PATH, json={"file_base64": base64.b64encode(table().encode()).decode(), "name": "b"})
    assert (200, False) == (again.status_code, again.json["created"])
    assert record | {"created": False} == again.json
    assert [record["id"]] == [one["id"] for one in alice.get(PATH).json["sets"]]


def test_faults_are_told_at_the_field(alice: Caller) -> None:
    """Each with its line and column."""
    answer = alice.post(PATH, json={"csv": table().replace("Kenya", "Kenia")})
    assert (422, "input_rejected") == (answer.status_code, answer.json["code"])
    (error,) = answer.json["errors"]
    assert "csv" == error["field"]
    assert "column country: 'Kenia' is no country: did you mean 'Kenya'?" in error["message"]
    for body in ({}, {"csv": table(), "file_base64": "eA=="}, {"file_base64": "?"}, {"csv": "x", "name": "a b"}):
        assert 422 == alice.post(PATH, json=body).status_code
    assert [] == alice.get(PATH).json["sets"]


def test_names_that_are_meant_pass(alice: Caller) -> None:
    """A country or an algorithm that nobody here has heard of."""
    body = {"csv": table(["Atlantis"], algorithms=["tariff"])}
    assert 422 == alice.post(PATH, json=body).status_code
    record = imported(alice, **body, also_countries=["Atlantis"], also_algorithms=["tariff"])
    assert (["Atlantis"], ["tariff"]) == (record["countries"], record["algorithms"])


def test_other_numbers_under_the_same_version_conflict(alice: Caller) -> None:
    """409, and nothing has changed."""
    imported(alice, version="1")
    answer = alice.post(PATH, json={"csv": table(own=30), "name": "a", "version": "1"})
    assert (409, "conflict") == (answer.status_code, answer.json["code"])
    assert 1 == len(alice.get(PATH).json["sets"])


def test_a_set_is_shown_and_drawn(alice: Caller) -> None:
    """By each of its names; the numbers of what the query leaves of it; a picture without scripts."""
    record = imported(alice)
    query = "?age_group=neonate&algorithm=eava&country=Kenya"
    for reference in (record["id"], "a", "a@1"):
        shown = alice.get(f"{PATH}/{reference}{query}").json
        (one,) = shown["matrices"]
        assert [20.0, 1.5, 1.5, 1.5, 1.5, 1.5] == one["prior"][0]
    assert 4 == len(alice.get(f"{PATH}/a").json["matrices"])
    picture = alice.get(f"{PATH}/a/figure.svg{query}")
    assert "image/svg+xml" == picture.mimetype
    assert "sandbox" in picture.headers["Content-Security-Policy"]
    root = ElementTree.fromstring(picture.data)  # noqa: S314  # we drew it
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "eava, neonate, Kenya" in words
    assert [2] * 6 == [words.count(cause) for cause in BROAD_CAUSES["neonate"]]
    assert 36 == sum(one is not None and one.isdecimal() for one in words)
    assert 404 == alice.get(f"{PATH}/a/figure.svg{query.replace('Kenya', 'Mali')}").status_code
    assert 422 == alice.get(f"{PATH}/a/figure.svg").status_code
    assert 404 == alice.get(f"{PATH}/b").status_code


def test_a_set_is_its_tenants_own(app: API, alice: Caller, bob: Caller) -> None:
    """Nobody else sees, uses or deletes it; the operator's are everybody's to use and nobody's to delete."""
    imported(alice)
    assert [] == bob.get(PATH).json["sets"]
    assert (404, 404) == (bob.get(f"{PATH}/a").status_code, bob.delete(f"{PATH}/a").status_code)
    assert 422 == bob.post("/api/calibration/preview", json=PARAMS).status_code
    imported(sign_in(app, SYSTEM), name="all", csv=table(own=30))
    assert [("all", True)] == [(one["name"], one["shared"]) for one in bob.get(PATH).json["sets"]]
    assert 200 == bob.post("/api/calibration/preview", json=PARAMS).status_code
    refused = bob.delete(f"{PATH}/all")
    assert (403, "not_allowed") == (refused.status_code, refused.json["code"])


def test_a_job_keeps_what_it_was_accepted_with(alice: Caller) -> None:
    """Set and numbers are in its request; deleting the set or importing a newer one changes nothing of it."""
    record = imported(alice)
    answer = alice.post("/api/jobs/calibration.va", json={"params": PARAMS})
    assert 202 == answer.status_code
    request = answer.json["request"]
    assert {key: record[key] for key in ("id", "name", "version", "sha256")} == request["matrices"]
    assert 204 == alice.delete(f"{PATH}/a").status_code
    assert request == alice.get(answer.headers["Location"]).json["request"]
    refused = alice.post("/api/jobs/calibration.va", json={"params": PARAMS})
    assert (422, "params.country") == (refused.status_code, refused.json["errors"][0]["field"])


def test_a_preview_takes_a_country_too(alice: Caller) -> None:
    """With the same messages."""
    imported(alice)
    told = alice.post("/api/calibration/preview", json=PARAMS | {"country": "other"}).json
    assert any("pooled over countries" in note for note in told["notes"])
    refused = alice.post("/api/calibration/preview", json=PARAMS | {"country": "Nowhere"}).json
    assert "country" == refused["errors"][0]["field"]
