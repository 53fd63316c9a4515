"""The R library with our package, built where it is not yet."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.processes import REPOSITORY

PACKAGE = REPOSITORY / "tasks" / "calibration" / "r"
# Several checkouts with one Python environment each need their own, or they would build over each other.
LIBRARY = Path(os.environ.get("SWITCHYARD_R_LIBRARY") or Path(sys.prefix) / "r-library")


def built_library() -> Path:
    """Return the library that `make setup` fills, brought up to date; skip the test, visibly, where R is absent."""
    if shutil.which("Rscript") is None:
        pytest.skip("needs R (r-base-core)")
    done = subprocess.run([PACKAGE / "install.sh", LIBRARY], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return LIBRARY


def shared_va() -> Path:
    """Return the folder of verbal-autopsy data beside the repository; skip the test, visibly, where it is absent."""
    data = Path(os.environ.get("SWITCHYARD_DATA") or REPOSITORY.parent / "shared" / "data") / "va"
    if not (data / "cases.json").exists():
        pytest.skip("needs the shared data set va")
    return data
