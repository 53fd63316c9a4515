"""``switchyard calibrate`` as a person runs it: files as they are shipped, real Redis, real worker, real R."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from client import Switchyard
from tests.acceptance.conftest import Yard
from tests.calibration.r_library import built_library, shared_va
from tests.integration.processes import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("yard")]

ALGORITHMS = ("eava", "insilicova", "interva")
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def switchyard(yard: Yard, tmp_path: Path) -> Command:
    """Run one command in a folder of its own."""
    built_library()
    environ = os.environ | {
        "SWITCHYARD_URL": yard.url,
        "SWITCHYARD_API_KEY": yard.other_key,
        "PYTHONPATH": str(REPOSITORY),
    }

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "client.command", *map(str, arguments)]
        return subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def rows_of(answer: "subprocess.CompletedProcess[str]") -> list[dict[str, str]]:
    lines = [line.split("\t") for line in answer.stdout.splitlines() if "\t" in line]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def test_the_example_is_followed_to_its_table(switchyard: Command) -> None:
    """Progress, then fractions; it says that the data are invented."""
    done = switchyard("calibrate", "--example", "--follow")
    assert 0 == done.returncode, done.stderr
    assert "succeeded" in done.stdout
    assert {"insilicova", "interva", "ensemble"} == {row["fit"] for row in rows_of(done)}
    assert "Invented data" in done.stderr


@pytest.mark.parametrize(("age", "totals"), [("neonate", (940, 1190, 1190)), ("child", (2357, 2798, 2798))])
def test_published_files_are_calibrated_without_hand_work(
    switchyard: Command, age: str, totals: tuple[int, ...]
) -> None:
    """Matrices imported, files as they are, a country by its name: fractions by algorithm and of all together."""
    data = shared_va()
    imported = switchyard("matrices", "import", data / "matrices.csv", "--name", "published", "--version", "20241004")
    assert 0 == imported.returncode, imported.stderr
    files = [f"--file={name}={data / 'comsamoz' / f'{age}_{name}.csv'}" for name in ALGORITHMS]
    ask = ["calibrate", *files, "--age", age, "--country", "Mozambique"]
    told = switchyard(*ask, "--preview", "--json")
    assert list(totals) == [one["total"] for one in json.loads(told.stdout)["algorithms"].values()]
    done = switchyard(*ask, "--wait", "120")
    assert 0 == done.returncode, done.stderr
    rows = rows_of(done)
    assert [*ALGORITHMS, "ensemble"] == list(dict.fromkeys(row["fit"] for row in rows))
    for name, total in zip((*ALGORITHMS, "ensemble"), (*totals, sum(totals)), strict=True):
        fit = [row for row in rows if row["fit"] == name]
        assert 100.0 == pytest.approx(sum(float(row["mean_percent"]) for row in fit), abs=0.05)
        assert total == sum(int(row["deaths"]) for row in fit)
        assert all(row["reason"] for row in fit if not row["lower_percent"])
    assert any(row["lower_percent"] for row in rows)


def test_a_job_says_which_matrices_it_used(yard: Yard, switchyard: Command) -> None:
    """Set, version, hash and country stand in its result, whatever is imported or deleted later."""
    data = shared_va()
    switchyard("matrices", "import", data / "matrices.csv", "--name", "published", "--version", "20241004")
    file = data / "comsamoz" / "neonate_insilicova.csv"
    ask = ["calibrate", file, "--algorithm", "insilicova", "--age", "neonate", "--country", "mozambique"]
    job_id = switchyard(*ask).stdout.strip()
    with Switchyard(yard.url, api_key=yard.other_key) as client:
        record = client.wait(job_id, 60)
        (found,) = [one for one in client.matrices.list() if one.title == "published@20241004"]
    assert record.result is not None
    provenance = record.result["provenance"]
    assert "Mozambique" == provenance["country"]
    assert {"id": found.id, "name": "published", "version": "20241004", "sha256": found.sha256} == provenance[
        "matrices"
    ]


def test_an_import_from_r_without_the_package_says_what_to_install(switchyard: Command) -> None:
    """The job fails for good, at once."""
    look = ["Rscript", "--vanilla", "-e", 'cat(system.file(package = "vacalibration"))']
    if subprocess.run(look, capture_output=True, text=True, check=True).stdout:
        pytest.skip("needs an R without the package vacalibration")
    done = switchyard("matrices", "import", "--from-r")
    assert 1 == done.returncode
    assert "install.packages('vacalibration')" in done.stdout
