"""R libraries that seem to hold the published package: our own, and small stand-ins of its interfaces and defects."""

import shutil
import subprocess
from pathlib import Path

from tests.calibration.r_library import built_library

SOURCES = Path(__file__).with_name("published")


def library_with(interface: str, folder: Path, *, version: str | None = None) -> Path:
    """Return a library in ``folder`` with our package and a stand-in that has the arguments of ``interface``."""
    library = folder / "library"
    library.mkdir(parents=True)
    shutil.copytree(built_library() / "switchyardcalib", library / "switchyardcalib")
    _install(library, "rstan", "2.21.7", ["rstan.R"], exports="extract, get_sampler_params")
    files = ["vacalibration.R", f"interface-{interface}.R"]
    _install(library, "vacalibration", version or interface, files, exports="vacalibration")
    return library


def _install(library: Path, name: str, version: str, files: list[str], *, exports: str) -> None:
    source = library.parent / name
    (source / "R").mkdir(parents=True)
    for file in files:
        shutil.copy(SOURCES / file, source / "R")
    (source / "NAMESPACE").write_text(f"importFrom(stats, runif)\nexport({exports})\n")
    (source / "DESCRIPTION").write_text(
        f"Package: {name}\nVersion: {version}\nTitle: Stand-In\nDescription: Stands in for the package in tests.\n"
        "License: MIT\nAuthor: Tests\nMaintainer: Tests <tests@example.org>\n"
    )
    command = ["R", "CMD", "INSTALL", "--no-docs", "--no-test-load", f"--library={library}", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
