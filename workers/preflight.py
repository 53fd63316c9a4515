"""What this machine offers to jobs; found once, at a worker's start, without loading any of it."""

import importlib.util
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.core.settings import CHROMIUM_PROGRAMS

# A capability is there when one of these programs is on the path, or one of these modules can be imported.
_PROGRAMS: Mapping[str, Sequence[str]] = {
    "chromium": CHROMIUM_PROGRAMS,
    "r": ("Rscript",),
    "espeak": ("espeak-ng", "espeak"),
    "ffmpeg": ("ffmpeg",),
    "git": ("git",),
    "nginx": ("nginx",),
}
_MODULES: Mapping[str, str] = {
    "mkdocs": "mkdocs",
    "playwright": "playwright",
    "publishing": "minify_html",  # of the extra's packages, which come together
    "rpy2": "rpy2",
}
# R packages that a capability needs, by its name. They are looked for in R's own libraries.
_R_PACKAGES: Mapping[str, Sequence[str]] = {"vacalibration": ("vacalibration", "rstan")}
_R_LIMIT_S = 10.0


def find_capabilities(r_library: Path | None = None, *, browser_program: Path | None = None) -> list[str]:
    """Name what was found, sorted.

    Args:
        r_library: a library of R packages that R itself does not know of.
        browser_program: Chromium, where the operator says that it is.
    """
    tried = {**_PROGRAMS, "chromium": [str(browser_program)]} if browser_program else _PROGRAMS
    programs = {name for name, tries in tried.items() if any(shutil.which(program) for program in tries)}
    modules = {name for name, module in _MODULES.items() if importlib.util.find_spec(module) is not None}
    packages = set()
    if "r" in programs:
        libraries = [*([r_library] if r_library else []), *_r_libraries()]
        packages = {name for name, needed in _R_PACKAGES.items() if all(_is_in(libraries, one) for one in needed)}
    return sorted(programs | modules | packages)


def _is_in(libraries: Sequence[Path], package: str) -> bool:
    return any((library / package / "DESCRIPTION").is_file() for library in libraries)


def _r_libraries() -> list[Path]:
    """Ask R where its libraries are, in a process that loads none of them."""
    command = ["Rscript", "--vanilla", "-e", "writeLines(.libPaths())"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=_R_LIMIT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # an R that does not start offers nothing
        return []
    return [Path(line) for line in told.splitlines() if line]
