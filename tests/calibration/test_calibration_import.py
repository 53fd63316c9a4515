"""``calibration.import``: the matrices of the R package that is installed where the job runs."""

import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.calibration.engine.inventory import Importer
from tasks.calibration.importing import ImportedMatrices, ImportRequest, imported
from tasks.calibration.inventory import Inventory
from tasks.calibration.shelf import MatrixSet
from tasks.core.errors import EngineUnavailable, InputRejected, Permanent
from tests.calibration.matrices import inventory, table
from tests.calibration.r_library import built_library
from tests.calibration.test_calibration_matrices import _MAKE
from tests.fakes import FakeJob

UPLOAD = "01890000-0000-7000-8000-000000000001"
_BREAK = "CCVA_missmat$neonate$eava$postmean$Kenya[1, 1] <- 0.9"


@dataclass
class Kept:
    """Keeps in memory."""

    calls: list[tuple[str, Inventory, str]] = field(default_factory=list)

    def __call__(self, job_id: str, given: Inventory, request: ImportRequest, source: str) -> ImportedMatrices:
        self.calls.append((job_id, given, source))
        keys = tuple(one.key for one in given.matrices)
        made = MatrixSet("i", "t", request.name, "1", given.sha256, source, datetime.now(UTC), False, keys)
        return imported(made, given, is_new=True)


def library_with(folder: Path, *, name: str = "CCVA_missmat", change: str = "") -> Path:
    """A library with our package and one that has the published package's name and data, but invented numbers."""
    library, source = folder / "library", folder / "vacalibration"
    library.mkdir()
    shutil.copytree(built_library() / "switchyardcalib", library / "switchyardcalib")
    (source / "data").mkdir(parents=True)
    (folder / "matrices.csv").write_text(table())
    save = f'SAMPLES <- FALSE\n{_MAKE}\n{change}\nsave({name}, file = "vacalibration/data/{name}.rda")'
    subprocess.run(["Rscript", "--vanilla", "-e", save], cwd=folder, check=True, capture_output=True)
    (source / "NAMESPACE").write_text("")
    (source / "DESCRIPTION").write_text(
        "Package: vacalibration\nVersion: 2.9\nTitle: Stand-In\nDescription: Stands in for the package in tests.\n"
        "License: MIT\nAuthor: Tests\nMaintainer: Tests <tests@example.org>\nLazyData: true\nDepends: R (>= 3.5)\n"
    )
    command = ["R", "CMD", "INSTALL", "--no-docs", "--no-test-load", f"--library={library}", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return library


@pytest.mark.parametrize("name", ["CCVA_missmat", "Mmat_champs"])
def test_the_packages_matrices_are_kept_for_the_job(tmp_path: Path, job: FakeJob, name: str) -> None:
    """By either name of the list; the package's version is the source, the list's own the version."""
    kept = Kept()
    answer = Importer(library_with(tmp_path, name=name), kept)(ImportRequest(), job)
    ((job_id, given, source),) = kept.calls
    assert (job.id, "R package vacalibration 2.9", "20300101") == (job_id, source, given.version)
    assert inventory().sha256 == given.sha256 == answer.sha256
    assert "vacalibration" == answer.name


def test_without_the_package_the_message_says_how_to_get_it(job: FakeJob) -> None:
    """And nothing is kept."""
    library = built_library()
    look = ["Rscript", "--vanilla", "-e", 'cat(system.file(package = "vacalibration"))']
    if subprocess.run(look, capture_output=True, text=True, check=True).stdout:
        pytest.skip("needs an R without the package vacalibration")
    kept = Kept()
    with pytest.raises(EngineUnavailable, match=r"install\.packages\('vacalibration'\)"):
        Importer(library, kept)(ImportRequest(), job)
    assert [] == kept.calls


def test_a_list_that_is_not_as_we_know_it_fails_for_good(tmp_path: Path, job: FakeJob) -> None:
    """With the first of its faults."""
    kept = Kept()
    with pytest.raises(Permanent, match="postmean of true cause congenital_malformation sums to"):
        Importer(library_with(tmp_path, change=_BREAK), kept)(ImportRequest(), job)
    assert [] == kept.calls


def test_an_uploaded_file_needs_no_r(job: FakeJob) -> None:
    """It is read by the same code as one that is sent at once."""
    job.uploads[UPLOAD] = table().encode()
    kept = Kept()
    request = ImportRequest.model_validate({"file": {"upload": UPLOAD}, "name": "a", "source": "a study"})
    answer = Importer(Path("none"), kept)(request, job)
    assert (inventory().sha256, "a study") == (answer.sha256, answer.source)
    job.uploads[UPLOAD] = table().replace("Kenya", "Kenia").encode()
    with pytest.raises(InputRejected, match="column country: 'Kenia' is no country"):
        Importer(Path("none"), kept)(request, job)
    assert 1 == len(kept.calls)
