"""What this machine offers to jobs; found once, at a worker's start, without loading any of it."""

import importlib.util
import shutil
from collections.abc import Mapping, Sequence

# A capability is there when one of these programs is on the path, or one of these modules can be imported.
_PROGRAMS: Mapping[str, Sequence[str]] = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "r": ("Rscript",),
    "espeak": ("espeak-ng", "espeak"),
    "ffmpeg": ("ffmpeg",),
    "git": ("git",),
    "nginx": ("nginx",),
}
_MODULES: Mapping[str, str] = {"playwright": "playwright", "rpy2": "rpy2", "trafilatura": "trafilatura"}


def find_capabilities() -> list[str]:
    """Name what was found, sorted."""
    programs = {name for name, tries in _PROGRAMS.items() if any(shutil.which(program) for program in tries)}
    modules = {name for name, module in _MODULES.items() if importlib.util.find_spec(module) is not None}
    return sorted(programs | modules)
