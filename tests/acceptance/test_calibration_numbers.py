"""The numbers of ``calibration.va`` from HTTP to HTTP: published cases, seeds, and jobs at the same time."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from bench.calibration import request_of
from client import Switchyard
from tests.acceptance.conftest import Yard
from tests.calibration.r_library import built_library, shared_va

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("yard"), pytest.mark.timeout(300)]

Case = dict[str, Any]
Result = dict[str, Any]


@pytest.fixture(autouse=True)
def _r_package() -> None:
    built_library()


def _cases() -> list[Case]:
    cases: list[Case] = json.loads((shared_va() / "cases.json").read_text())["cases"]
    return cases


def _params(case: Case, **more: object) -> dict[str, Any]:
    return request_of(case, shared_va(), **more).model_dump(mode="json", exclude_none=True, exclude_defaults=True)


def _results(client: Switchyard, requests: Sequence[dict[str, Any]]) -> list[Result]:
    """Submit all at once, then wait for each."""
    jobs = [client.submit("calibration.va", params) for params in requests]
    results = []
    for job in jobs:
        record = client.wait(job.id, timeout_s=120)
        assert record.result is not None, record.error
        results.append(record.result)
    return results


def _numbers(result: Result) -> Result:
    """Leave out how long it took."""
    fits = [*result["algorithms"].values(), *([result["ensemble"]] if result["ensemble"] else [])]
    for fit in fits:
        del fit["diagnostics"]["seconds"]
    return result


def test_published_numbers_are_met_over_http(client: Switchyard) -> None:
    """Means and bounds of every case lie within their tolerances, and fractions sum to 1."""
    ratios: dict[str, float] = {}
    cases = _cases()
    for case, result in zip(cases, _results(client, [_params(case) for case in cases]), strict=True):
        for name, expected in case["expected"].items():
            fit = result["ensemble"] if name == "ensemble" else result["algorithms"][name]
            assert 1.0 == pytest.approx(sum(cause["mean"] for cause in fit["causes"]), abs=1e-9)
            assert fit["diagnostics"]["ess_bulk_min"] >= 4000
            found = {cause["cause"]: cause for cause in fit["causes"]}
            for index, name_of_cause in enumerate(case["causes"]):
                one = found[name_of_cause]
                for ours, theirs, tolerance in (
                    ("mean", "mean", "tol_mean"),
                    ("lower", "lower95", "tol_bounds"),
                    ("upper", "upper95", "tol_bounds"),
                ):
                    value = one["mean"] if one[ours] is None else one[ours]
                    ratio = abs(value - expected[theirs][index]) / expected[tolerance][index]
                    ratios[case["case"]] = max(ratios.get(case["case"], 0.0), ratio)
    print(json.dumps(ratios))
    assert len(cases) == len(ratios)
    assert {} == {case: ratio for case, ratio in ratios.items() if ratio > 1}


def test_jobs_at_the_same_time_answer_as_alone(client: Switchyard, yard: Yard) -> None:
    """Three with different numbers of draws, on children that share a machine, and again one by one."""
    requests = [{"use_example": True, "draws": draws, "seed": draws, "use_cache": False} for draws in (300, 600, 900)]
    together = _results(client, requests)
    alone = [_results(client, [request])[0] for request in reversed(requests)][::-1]
    assert [_numbers(result) for result in alone] == [_numbers(result) for result in together]
    assert [300, 600, 900] == [result["provenance"]["parameters"]["draws"] for result in together]


def test_the_same_seed_gives_the_same_bytes_over_http(client: Switchyard) -> None:
    """The result, and each file with its hash; another seed differs, within Monte Carlo error."""
    requests = [{"use_example": True, "seed": seed, "use_cache": False} for seed in (7, 7, 8)]
    jobs = [client.submit("calibration.va", request) for request in requests]
    records = [client.wait(job.id, timeout_s=120) for job in jobs]
    first, again, other = (_numbers(record.result or {}) for record in records)
    assert json.dumps(first) == json.dumps(again)
    files = [{file.name: file.sha256 for file in client.artifacts(job.id) if _is_numbers(file.name)} for job in jobs]
    assert files[0] == files[1]
    assert len(files[0]) >= 4
    assert files[0] != files[2]
    for name, fit in first["algorithms"].items():
        for one, two in zip(fit["causes"], other["algorithms"][name]["causes"], strict=True):
            assert one["mean"] == pytest.approx(two["mean"], abs=0.01)
            assert one["status"] != "calibrated" or one["mean"] != two["mean"]


def _is_numbers(name: str) -> bool:
    return name.endswith((".csv", ".csv.gz", ".parquet"))


def test_the_published_package_is_waited_for(client: Switchyard, yard: Yard) -> None:
    """No worker here has it: the job says what it waits for, the catalogue too, and other jobs go on."""
    headers = {"Authorization": f"Bearer {yard.key}"}
    kind = httpx.get(f"{yard.url}/api/kinds/calibration.va", headers=headers).json()
    (option,) = kind["options"]
    if option["runnable"]:
        pytest.skip("the package is installed")
    assert ("engine", "vacalibration", "vacalibration") == (option["field"], option["value"], option["waiting_for"])
    assert kind["runnable"]
    job = client.submit("calibration.va", {"use_example": True, "engine": "vacalibration"})
    record = client.wait(client.submit("calibration.va", {"use_example": True, "draws": 100}).id, timeout_s=60)
    assert "succeeded" == record.state
    waiting = client.job(job.id)
    assert ("queued", "vacalibration") == (waiting.state, waiting.waiting_for)
    client.cancel(job.id)
