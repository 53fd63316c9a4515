"""What this machine offers to jobs; found once, at a worker's start, without loading any of it."""

import importlib.util
import shutil
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
_MODULES: Mapping[str, str] = {"playwright": "playwright", "rpy2": "rpy2", "trafilatura": "trafilatura"}


def find_capabilities(*, browser_program: Path | None = None) -> list[str]:
    """Name what was found, sorted; ``browser_program`` is Chromium where the operator says that it is."""
    tried = {**_PROGRAMS, "chromium": [str(browser_program)]} if browser_program else _PROGRAMS
    programs = {name for name, tries in tried.items() if any(shutil.which(program) for program in tries)}
    modules = {name for name, module in _MODULES.items() if importlib.util.find_spec(module) is not None}
    return sorted(programs | modules)
