"""What the two ways of running R share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.calibration.engine.console import Console
from tasks.core.errors import EngineFailed, EngineUnavailable, Permanent, Transient

PACKAGE = "switchyardcalib"
# What our R code puts before the name of something that is not there.
_UNAVAILABLE = "engine_unavailable:"
# R makes its temporary folder anew where it is told to only once the old one is gone. The library is named, so that a
# package of the same name elsewhere is never taken.
CODE = f"""
function(library, folder) {{
  unlink(tempdir(), recursive = TRUE)
  Sys.setenv(TMPDIR = folder)
  tempdir(check = TRUE)
  options(warn = 1)
  loadNamespace("{PACKAGE}", lib.loc = library)$run_folder(folder)
}}
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of R.

    Args:
        library: the R library that holds our package.
        folder: input lies there, output is left there, and R's temporary files go there.
        checkpoint: raises where the job must not go on; called several times a second, from any thread.
        code: an R function of the library and the folder.
    """

    library: Path
    folder: Path
    console: Console
    checkpoint: Callable[[], None]
    code: str = CODE


def check_library(library: Path) -> None:
    """Refuse to run without our R package.

    Raises:
        EngineUnavailable: it is not there.
    """
    if not (library / PACKAGE / "DESCRIPTION").is_file():
        raise EngineUnavailable(
            f"The R package {PACKAGE} is not in {library}: run tasks/calibration/r/install.sh with that folder, "
            "or name another in SWITCHYARD_R_LIBRARY."
        )


def r_failed(message: str) -> EngineFailed | EngineUnavailable:
    """Make the error for a run that R ended."""
    text = message.strip() or "no message"
    _, is_missing, missing = text.partition(_UNAVAILABLE)
    if is_missing:
        return EngineUnavailable(
            f"{missing[:400].strip()}. Install it there, name its library in SWITCHYARD_R_LIBRARY, or ask for the "
            "engine 'switchyard-r'."
        )
    if "cannot allocate" in text:
        return Transient(f"R ran out of memory: {text[:300]}. Ask for fewer draws or chains.", code="out_of_memory")
    return Permanent(f"R stopped: {text[:400]}")
